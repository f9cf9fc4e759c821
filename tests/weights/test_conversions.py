"""Whatever is written and read back gives the same mask, or is refused: over random routers,
thresholds, first rows, CURs and all formats.
"""

import json
import random

import pytest
import torch

from harmonica.errors import BadInput
from harmonica.method.router import CLAMP, Router, from_keep
from harmonica.method.schedule import Schedule
from harmonica.weights.formats import ENDINGS, read, write

KINDS = [
    None,
    ("attn", "mlp"),
    ("attn", "cross", "mlp"),
    ("mlp", "attn"),
    ("cross", "attn", "mlp"),
    ("a", "b", "c", "d"),
    ("cross-attn", "mlp"),
    ("attn-0", "attn"),
    ("single",),
]


def some_router(seed):
    """Logits of many shapes, precisions and ranges, ties among them; any threshold, kinds, CUR."""
    rng, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    steps, blocks = rng.randint(1, 9), rng.randint(1, 16)
    logits = torch.randn(steps, blocks, generator=generator) * rng.choice([1e-6, 0.3, 3, 8])
    logits = rng.choice([lambda x: x, torch.round, lambda x: x.clamp(-CLAMP, CLAMP)])(logits)
    logits[0] = rng.choice([logits[0], torch.full((blocks,), CLAMP), torch.full((blocks,), -9.0)])
    about, kinds = {"model": "x"}, rng.choice(KINDS)
    if kinds:
        about["kinds"] = kinds
    if rng.random() < 0.5:
        about["training"] = {"cur_percent": rng.choice([None, rng.uniform(0, most(steps))])}
    timesteps = rng.choice([None, tuple(range(10 * steps, 0, -10))])
    logits = logits.to(rng.choice([torch.float32, torch.float64, torch.bfloat16]))
    tau = rng.choice([0.1, 0.5, rng.uniform(1e-4, 1 - 1e-4)])
    return Router(logits=logits, tau=tau, timesteps=timesteps, about=about)


def most(steps):
    return 100 * (steps - 1) / steps


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_written_is_read_back_or_refused(tmp_path, ending):
    kept = 0
    for seed in range(400):
        router, path = some_router(seed), tmp_path / f"r{ending}"
        given = [None, random.Random(seed).uniform(0, most(router.num_steps))][seed % 2]
        cur = None if ending == ".safetensors" else given
        try:
            write(path, router, cur)
        except BadInput as error:
            assert ending == ".json" and "SmoothCache" in str(error) and "\n" not in str(error)
            assert not path.exists()
            continue
        again, kept = read(path), kept + 1
        right = router.schedule(cur).keep
        assert torch.equal(again.schedule().keep, right), seed
        if ending != ".safetensors":
            assert torch.equal(again.keep(), right), seed
        if ending != ".json":
            assert again.timesteps == router.timesteps
        assert router.kinds in (None, again.kinds)
        path.unlink()
    assert kept > 40


@pytest.mark.parametrize("ending", ENDINGS)
def test_written_again_it_is_the_same_bytes(tmp_path, ending):
    for seed in range(60):
        router = some_router(seed)
        try:
            write(tmp_path / f"a{ending}", router)
        except BadInput:
            continue
        write(tmp_path / f"b{ending}", read(tmp_path / f"a{ending}"))
        write(tmp_path / f"c{ending}", read(tmp_path / f"b{ending}"))
        assert (tmp_path / f"b{ending}").read_bytes() == (tmp_path / f"c{ending}").read_bytes()


def test_a_pt_file_is_cut_at_a_tenth_by_whoever_reads_it(tmp_path):
    """The released code reads "routers" alone; scores keep their order."""
    for seed in range(100):
        router = some_router(seed)
        write(tmp_path / "r.pt", router)
        rows = torch.load(tmp_path / "r.pt", weights_only=True)["routers"]
        keep = torch.stack([torch.sigmoid(rows[f"{i}.prob"]) > 0.1 for i in range(len(rows))])
        assert torch.equal(keep.flip(0), router.schedule().keep)
        assert (rows[f"{len(rows) - 1}.prob"] == CLAMP).all()


@pytest.mark.parametrize("tau", [1e-6, 0.001, 0.999, 1 - 1e-9])
def test_a_schedule_has_no_threshold_beyond_its_scores(tmp_path, tau):
    """Its mask would be another one."""
    (tmp_path / "s.json").write_text(json.dumps({"attn-0": [1, 0], "mlp-0": [1, 1]}))
    with pytest.raises(BadInput, match="tau"):
        read(tmp_path / "s.json", tau=tau)


def test_a_cur_that_no_schedule_has_is_refused(tmp_path):
    for cur in (-1, 51, float("nan")):
        with pytest.raises(BadInput, match="cur"):
            write(tmp_path / "r.pt", Router(logits=torch.ones(2, 2)), cur)
    with pytest.raises(BadInput, match="keeps all scores"):
        write(tmp_path / "r.safetensors", Router(logits=torch.ones(2, 2)), 20)
    assert not list(tmp_path.iterdir())


TWICE = [
    ('{"attn1": [1, 0], "attn": [1, 1], "ff": [1, 0]}', "'attn1' and 'attn'"),
    ('{"attn-0": [1, 0], "attn1-0": [1, 1], "mlp-0": [1, 0]}', "'attn-0' and 'attn1-0'"),
    ('{"attn-0": [1, 0], "attn-00": [1, 1], "mlp-0": [1, 0]}', "'attn-0' and 'attn-00'"),
    ('{"attn": [1, 0], "attn": [1, 1], "mlp": [1, 0]}', "'attn' twice"),
    ('{"ff": [1, 0], "attn": [1, 1], "mlp": [1, 0]}', "'ff' and 'mlp'"),
]


@pytest.mark.parametrize("content, words", TWICE, ids=[words for _, words in TWICE])
def test_two_lists_of_one_block_are_refused(tmp_path, content, words):
    (tmp_path / "s.json").write_text(content)
    with pytest.raises(BadInput, match=words):
        read(tmp_path / "s.json", num_blocks=2)


def test_options_that_the_file_contradicts_are_refused(tmp_path):
    keep = torch.ones(3, 6, dtype=torch.bool)
    router = from_keep(keep, about={"kinds": ["attn", "cross", "mlp"]})
    for ending in ENDINGS:
        write(tmp_path / f"r{ending}", router)
        assert read(tmp_path / f"r{ending}", kinds=("attn1", "attn2", "ff"), num_blocks=6).kinds
        for options in (
            {"kinds": ("attn", "mlp")},
            {"num_blocks": 12},
            {"kinds": ("attn", "attn")},
        ):
            with pytest.raises(BadInput):
                read(tmp_path / f"r{ending}", **options)


def test_a_file_that_does_not_say_its_kinds_is_told(tmp_path):
    torch.save(
        {"routers": {f"{i}.prob": torch.full((6,), CLAMP) for i in range(3)}}, tmp_path / "r.pt"
    )
    assert read(tmp_path / "r.pt").kinds is None
    assert read(tmp_path / "r.pt", kinds=("a", "b", "c")).kinds == ("a", "b", "c")
    with pytest.raises(BadInput, match="kinds: 'a b c d'"):
        read(tmp_path / "r.pt", kinds=("a", "b", "c", "d"))


def test_a_first_step_that_reuses_is_refused(tmp_path):
    (tmp_path / "s.json").write_text(json.dumps({"attn-0": [0, 1], "mlp-0": [1, 1]}))
    with pytest.raises(BadInput, match="first step"):
        read(tmp_path / "s.json")


ODD = {
    "a list": "[1]",
    "nothing": "null",
    "text": '"text"',
    "a number": "7",
    "deep": "[" * 100_000,
    "no timesteps": "{}",
    "timesteps of text": '{"timesteps": "abc"}',
    "timesteps a number": '{"timesteps": 5}',
    "too few timesteps": '{"timesteps": [1]}',
    "kinds of numbers": '{"timesteps": null, "kinds": [1, 2]}',
    "kinds twice": '{"timesteps": null, "kinds": ["a", "a"]}',
    "no JSON": "{",
    "a long number": '{"timesteps": [' + "1" * 5000 + "]}",
}


@pytest.mark.parametrize("about", ODD.values(), ids=ODD)
@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
def test_what_a_file_says_about_itself_is_not_trusted(tmp_path, about, ending):
    from safetensors.torch import save_file

    logits, path = torch.full((3, 2), CLAMP), tmp_path / f"r{ending}"
    if ending == ".pt":
        rows = {f"{i}.prob": logits[i] for i in range(3)}
        torch.save({"routers": rows, "about": about}, path)
    else:
        save_file({"logits": logits}, path, {"about": about.replace("{", '{"tau": 0.1, ', 1)})
    with pytest.raises(BadInput, match="router: .*r") as error:
        read(path)
    assert "\n" not in str(error.value)


def test_a_schedule_file_is_a_router_of_its_mask(tmp_path):
    """Router, schedule and the files of others are one thing as far as the mask goes."""
    for seed in range(40):
        router = some_router(seed)
        schedule = router.schedule()
        schedule.save(tmp_path / "s.safetensors")
        again = read(tmp_path / "s.safetensors")
        assert torch.equal(again.schedule().keep, schedule.keep)
        assert again.timesteps == router.timesteps and again.kinds == router.kinds
        write(tmp_path / "r.pt", again)
        assert torch.equal(read(tmp_path / "r.pt").keep(), schedule.keep)


def test_predictions_are_not_dropped_without_a_word(tmp_path):
    keep = torch.tensor([[True], [False]])
    weights = {(1, 0): torch.tensor([[1.0], [0.0]]).half()}
    Schedule(keep=keep, weights=weights).save(tmp_path / "s.safetensors")
    with pytest.raises(BadInput, match="s.safetensors with predictions"):
        read(tmp_path / "s.safetensors")


def test_a_mask_without_scores_has_no_other_cur():
    """Which entries it would reuse then, only the order of the ties would say."""
    keep = torch.tensor([[True, True], [False, True], [True, True]])
    router = from_keep(keep)
    assert torch.equal(router.keep(100 / 6), keep) and torch.equal(router.keep(), keep)
    for cur in (0, 50):
        with pytest.raises(BadInput, match="cur: .* without scores, and reuses 16.6667 percent"):
            router.keep(cur)
