"""Routers: natural and budgeted masks, what is refused, and files that round-trip to the same
bytes.
"""

import pytest
import torch
from safetensors.torch import save_file

from harmonica.errors import BadInput
from harmonica.method import masks
from harmonica.method.router import Router, from_keep


def random_router(num_steps=6, num_blocks=8, **fields):
    generator = torch.Generator().manual_seed(0)
    return Router(logits=2 * torch.randn(num_steps, num_blocks, generator=generator) - 1, **fields)


def test_the_natural_mask_is_the_scores_above_tau_and_the_whole_first_row():
    router = Router(logits=torch.full((3, 2), -5.0))
    assert router.keep().tolist() == [[True, True], [False, False], [False, False]]
    for tau in (0.1, 0.5, 0.9):
        router = random_router(tau=tau)
        assert (
            torch.equal(router.keep()[1:], torch.sigmoid(router.logits[1:]) > tau)
            and router.keep()[0].all()
        )


@pytest.mark.parametrize("cur", [0, 10, 22.86, 37.5, 50, 80])
def test_a_budget_is_met_exactly_by_the_lowest_scores(cur):
    router = random_router()
    keep = router.keep(cur)
    assert int((~keep).sum()) == round(cur / 100 * 48) and keep[0].all()
    assert cur == 0 or router.scores[1:][~keep[1:]].max() <= router.scores[1:][keep[1:]].min()


def test_units_that_reach_nothing_are_skipped_and_do_not_count():
    units = [f"blocks.{i}" for i in range(8)]
    logits = random_router().logits.index_fill(1, torch.tensor([6]), -5.0)
    router = Router(logits=logits, about={"units": units, "free": ["blocks.6"], "training": {}})
    keep = router.keep(50)
    counted = [0, 1, 2, 3, 4, 5, 7]
    assert int((~keep[:, counted]).sum()) == round(0.5 * 6 * 7)
    assert keep[0].all() and not keep[1:, 6].any()
    assert router.schedule(50).cur_percent == 50 and router.kinds is None


def test_a_mask_becomes_a_router_with_that_mask():
    keep = masks.random(6, 8, 20, seed=0)
    router = from_keep(keep)
    assert torch.equal(router.keep(), keep) and router.logits.abs().unique().tolist() == [5]


def test_files_round_trip_to_the_same_bytes(tmp_path):
    about = {"model": "m", "training": {"lr": 0.1, "walk": "sdt"}, "sampler": "ddim"}
    router = random_router(tau=0.3, timesteps=(999, 800, 600, 400, 200, 0), about=about)
    files = [tmp_path / f"{i}.safetensors" for i in range(8)]
    for file in files:
        router.save(file)
    assert len({file.read_bytes() for file in files}) == 1
    again = Router.load(files[0])
    assert torch.equal(again.logits, router.logits) and again.logits.dtype == torch.float32
    assert (again.tau, again.timesteps, again.about) == (0.3, router.timesteps, about)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        file.name for file in files
    ]  # nothing left over


@pytest.mark.parametrize(
    "logits, words",
    [
        (torch.tensor([[0.0, float("nan")]]), "NaN"),
        (torch.tensor([[0.0, float("inf")]]), "infinite"),
        (torch.zeros(3), "shape"),
        (torch.zeros(0, 4), "shape"),
        (torch.zeros(2, 3, 4), "shape"),
        ([[1.0]], "'list' is not possible; logits must be a tensor"),
    ],
)
def test_logits_that_are_no_router_are_refused(logits, words):
    with pytest.raises(BadInput, match=words):
        Router(logits=logits)


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"tau": 0}, "tau: 0"),
        ({"tau": 1.0}, "tau: 1.0"),
        ({"timesteps": (3, 2, 1)}, "a router of 6 rows needs as many"),
        ({"timesteps": "654321"}, "a router of 6 rows needs as many numbers"),
    ],
)
def test_odd_fields_are_refused(fields, words):
    with pytest.raises(BadInput, match=words):
        random_router(**fields)


def test_files_without_logits_metadata_or_tau_are_refused(tmp_path):
    path = tmp_path / "r.safetensors"
    with pytest.raises(BadInput, match="does not exist"):
        Router.load(path)
    for tensors, metadata in (
        ({"other": torch.zeros(2, 2)}, {"about": "{}"}),
        ({"logits": torch.zeros(2, 2)}, None),
        ({"logits": torch.zeros(2, 2)}, {"about": '{"timesteps": null}'}),
        ({"logits": torch.zeros(2, 2)}, {"about": '{"tau": "high", "timesteps": null}'}),
    ):
        save_file(tensors, path, metadata)
        with pytest.raises(BadInput, match="not a whole router file"):
            Router.load(path)


class TestFolders:
    def test_a_saved_router_comes_back(self, tmp_path):
        router = Router(
            logits=torch.randn(4, 6), tau=0.2, timesteps=(9, 6, 3, 0), about={"model": "x"}
        )
        router.save_pretrained(tmp_path / "new" / "folder")
        loaded = Router.from_pretrained(str(tmp_path / "new" / "folder"))
        assert torch.equal(loaded.logits, router.logits)
        assert (loaded.tau, loaded.timesteps, loaded.about) == (
            router.tau,
            router.timesteps,
            router.about,
        )

    @pytest.mark.parametrize("source", ["nobody/nothing", "not a name", "a/b/c", "../nowhere"])
    def test_what_is_neither_a_folder_nor_on_the_hub_is_one_sentence(
        self, tmp_path, monkeypatch, source
    ):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(
            BadInput, match="no file or folder here, and no hub (repository|id)"
        ) as refused:
            Router.from_pretrained(source)
        assert "\n" not in str(refused.value)

    def test_a_repository_of_the_hub_is_found_in_its_cache(self, tmp_path, monkeypatch):
        commit, cached = "0" * 40, tmp_path / "models--somebody--router"
        router = Router(logits=torch.randn(4, 6))
        router.save_pretrained(cached / "snapshots" / commit)
        (cached / "refs").mkdir()
        (cached / "refs" / "main").write_text(commit)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        assert torch.equal(Router.from_pretrained("somebody/router").logits, router.logits)
        with pytest.raises(BadInput, match="no file or folder here"):
            Router.from_pretrained("somebody/router", revision="v2")

    def test_a_file_is_read_as_it_is(self, tmp_path):
        router = Router(logits=torch.randn(4, 6))
        router.save(tmp_path / "mine.safetensors")
        loaded = Router.from_pretrained(tmp_path / "mine.safetensors")
        assert torch.equal(loaded.logits, router.logits)

    def test_a_folder_without_a_router_says_so(self, tmp_path):
        with pytest.raises(BadInput, match="router.safetensors does not exist"):
            Router.from_pretrained(tmp_path)
