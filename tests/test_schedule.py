"""Schedules: what is refused, files that round-trip without loss, and the model card."""

import pytest
import torch
from safetensors.torch import save_file

from harmonica.errors import BadInput
from harmonica.method import masks
from harmonica.method.card import card
from harmonica.method.router import Router
from harmonica.method.schedule import Schedule

ABOUT = {
    "model": "m",
    "sampler": "ddim",
    "guidance": 1.5,
    "method": "search",
    "error": {"images": 8, "of": {"search": 1e-4, "FORA": 2e-4}},
}


def predicting(features=2, **fields):
    """A schedule of 5 x 3 whose skipped entries are predicted, but for one that reuses; block 2 has
    more channels.
    """
    keep = masks.fora(5, 3)
    keep[1] = True
    generator = torch.Generator().manual_seed(0)
    weights = {
        (step, i): torch.randn(features + 1, 4 + 2 * (i == 2), generator=generator).half()
        for step, i in (~keep).nonzero().tolist()[1:]
    }
    weights = {
        entry: torch.cat([own[:2], torch.zeros_like(own[2:-1]), own[-1:]])
        for entry, own in weights.items()
    }
    return Schedule(keep=keep, weights=weights, timesteps=(900, 700, 500, 300, 100), **fields)


def assert_same(one, other):
    assert torch.equal(one.keep, other.keep) and one.timesteps == other.timesteps
    assert one.about == other.about and one.weights.keys() == other.weights.keys()
    assert all(torch.equal(one.weights[entry], other.weights[entry]) for entry in one.weights)


@pytest.mark.parametrize("features", [2, 3])
def test_files_round_trip_without_loss_to_the_same_bytes(tmp_path, features):
    for name, made in {
        "predicting": predicting(features, about=ABOUT),
        "reusing": Schedule(keep=masks.fora(5, 3)),
    }.items():
        path = tmp_path / f"{name}.safetensors"
        made.save(path)
        again = Schedule.load(path)
        assert_same(again, made)
        again.save(tmp_path / "again.safetensors")
        assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    assert predicting(features).features == features
    assert Schedule(keep=masks.fora(5, 3)).features == 1


@pytest.mark.parametrize(
    "change, words",
    [
        ({"keep": torch.ones(3, 2)}, "torch.bool"),
        ({"keep": torch.zeros(3, 2, dtype=torch.bool)}, "first row"),
        ({"keep": [[True, True]] * 5}, "'list' is not possible; keep must be a tensor"),
        ({"timesteps": (3, 2)}, "timesteps"),
        ({"timesteps": ("a",) * 5}, "a schedule of 5 rows needs as many numbers"),
        ({"timesteps": 5}, "timesteps: 5 is not possible"),
        ({"weights": [1]}, "weights: 'list' is not possible; they are a dict of tensors"),
        ({"weights": {(0, 0): torch.zeros(3, 4).half()}}, "only a skipped entry"),
        ({"weights": {(1, 0): torch.zeros(3, 4)}}, "float16"),
        ({"weights": {(1, 0): torch.full((3, 4), float("nan")).half()}}, "finite"),
        ({"weights": {(1, 0): torch.ones(3, 4).half()}}, "only 1 features of the block"),
        (
            {"weights": {(1, 0): torch.zeros(3, 4).half(), (3, 0): torch.zeros(3, 5).half()}},
            "the same for a whole block",
        ),
        (
            {"weights": {(1, 0): torch.zeros(3, 4).half(), (3, 0): torch.zeros(2, 4).half()}},
            "channels",
        ),
    ],
)
def test_what_is_no_schedule_is_refused(change, words):
    with pytest.raises(BadInput, match=words):
        Schedule(**{"keep": masks.fora(5, 3), **change})


@pytest.mark.parametrize("form", [torch.tensor, list, lambda t: tuple(torch.tensor(t))])
def test_timesteps_may_come_as_a_scheduler_holds_them(form, tmp_path):
    keep, timesteps = masks.fora(3, 2), (900.0, 500.0, 100.0)
    schedule = Schedule(keep=keep, timesteps=form(timesteps))
    router = Router(logits=torch.zeros(3, 2), timesteps=form(timesteps))
    assert schedule.timesteps == router.timesteps == timesteps
    schedule.save(tmp_path / "s.safetensors")
    assert Schedule.load(tmp_path / "s.safetensors").timesteps == timesteps


@pytest.mark.parametrize("damage", ["cut", "router", "no weights", "no metadata", "text", "absent"])
def test_a_damaged_file_is_refused_with_its_name(tmp_path, damage):
    path = tmp_path / "s.safetensors"
    predicting().save(path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    elif damage == "router":
        Router(logits=torch.zeros(3, 2)).save(path)
    elif damage == "no weights":
        tensors = {"keep": masks.fora(5, 3), "predicted": ~masks.fora(5, 3)}
        save_file(tensors, path, {"about": '{"timesteps": null}'})
    elif damage == "no metadata":
        save_file({"keep": masks.fora(5, 3)}, path)
    elif damage == "text":
        path.write_text("no tensors")
    else:
        path.unlink()
    with pytest.raises(BadInput, match="schedule: .*s.safetensors"):
        Schedule.load(path)


def test_a_folder_holds_the_schedule_and_a_card_that_says_what_it_is(tmp_path):
    made = predicting(about=ABOUT)
    made.save_pretrained(tmp_path / "folder")
    assert_same(Schedule.from_pretrained(tmp_path / "folder"), made)
    card = (tmp_path / "folder" / "README.md").read_text()
    for words in (
        "# Cache schedule for m",
        "predicted",
        "num_inference_steps=5",
        "guidance_scale=1.5",
    ):
        assert words in card
    assert "| search | 1.000e-04 |" in card and "| FORA | 2.000e-04 |" in card


def test_a_readme_of_the_user_s_own_stays_and_a_card_is_renewed(tmp_path):
    readme, made = tmp_path / "README.md", predicting(about=ABOUT)
    readme.write_text("my project")
    made.save_pretrained(tmp_path)
    assert readme.read_text() == "my project"
    assert_same(Schedule.from_pretrained(tmp_path), made)
    readme.unlink()
    made.save_pretrained(tmp_path)
    Schedule(keep=made.keep, about={"model": "another"}).save_pretrained(tmp_path)
    assert "# Cache schedule for another" in readme.read_text()


def test_the_card_says_predicted_only_of_what_is_predicted():
    some, reusing = predicting(), Schedule(keep=masks.fora(5, 3))
    first = next(iter((~some.keep).nonzero().tolist()))
    weights = {**some.weights, tuple(first): next(iter(some.weights.values()))}
    all_of_it = Schedule(keep=some.keep, weights=weights)
    for made, words in (
        (some, "the others are predicted or reused from"),
        (all_of_it, "the others are predicted from"),
        (reusing, "the others are reused from"),
    ):
        assert words in card(made)


def test_a_router_gives_its_mask_as_a_schedule():
    router = Router(
        logits=torch.randn(4, 3), timesteps=(3, 2, 1, 0), about={"model": "m", "sampler": "ddim"}
    )
    for cur in (None, 50):
        made = router.schedule(cur)
        assert torch.equal(made.keep, router.keep(cur)) and made.timesteps == (3, 2, 1, 0)
        assert made.about == {"method": "router", "model": "m", "sampler": "ddim"}


def test_a_router_is_applied_as_its_schedule_whether_by_itself_or_from_a_file(tmp_path):
    """Of the CUR given, else of the one it was trained for, else by its threshold."""
    from harmonica.pipeline.schedules import read_schedules

    torch.manual_seed(1)
    for about in ({}, {"training": {"cur_percent": 25}}):
        router = Router(logits=torch.randn(4, 4), about=about, timesteps=(3, 2, 1, 0))
        router.save_pretrained(tmp_path)
        for cur, mask in ((50, router.keep(50)), (None, router.keep(25 if about else None))):
            for source in (router, tmp_path, tmp_path / "router.safetensors"):
                made = read_schedules(source, torch.nn.Module(), cur)[4]
                assert torch.equal(made.keep, mask) and torch.equal(router.schedule(cur).keep, mask)
