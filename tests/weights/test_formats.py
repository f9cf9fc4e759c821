"""Published formats: read safely, written both ways, and refused with a sentence when they are not
what they should be.
"""

import argparse
import json
import os
import pickle
import random
import warnings
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from harmonica.cli.schedules import router_figures as figures
from harmonica.errors import BadInput
from harmonica.method.router import CLAMP, Router
from harmonica.weights import formats


def some_router(num_steps=6, num_blocks=4):
    logits = (
        torch.randn(num_steps, num_blocks, generator=torch.Generator().manual_seed(0))
        .mul(3)
        .clamp(-CLAMP, CLAMP)
    )
    logits[0] = CLAMP
    return Router(logits=logits)


def test_a_learning_to_cache_file_of_u_vit_is_of_first_calls_in_sampling_order(tmp_path):
    """As many rows as calls; row i is of update i, the first and the later half are untrained."""
    rows = OrderedDict((f"{i}.prob", torch.tensor([float(i), -3.0])) for i in range(8))
    torch.save(rows, tmp_path / "dpm8_router.pth")
    router = formats.read(tmp_path / "dpm8_router.pth", tau=0.9)
    expected = torch.full((8, 2), CLAMP)
    expected[2], expected[4], expected[6] = rows["1.prob"], rows["2.prob"], rows["3.prob"]
    assert torch.equal(router.logits, expected)
    assert router.keep().tolist()[2:5] == [[False, False], [True, True], [False, False]]
    assert router.keep()[6].tolist() == [True, False]


def test_pt_round_trips(tmp_path):
    """HarmoniCa's layout: all rows trained, the first step's fixed to 5. i = 0 is the last step."""
    router = some_router()
    formats.write(tmp_path / "r.pt", router)
    rows = torch.load(tmp_path / "r.pt", weights_only=True)["routers"]
    assert list(rows) == [f"{i}.prob" for i in range(6)] and torch.equal(
        rows["0.prob"], router.logits[5]
    )
    again = formats.read(tmp_path / "r.pt")
    assert torch.equal(again.logits, router.logits) and (again.tau, again.about) == (
        0.1,
        {"format": "published"},
    )


@pytest.mark.parametrize("num_steps", [20, 7])
@pytest.mark.parametrize("zip_file", [True, False])
def test_in_a_learning_to_cache_file_rows_of_odd_index_were_never_trained(
    tmp_path, num_steps, zip_file
):
    """They hold their initial value and compute everything. Its `args` is an argparse.Namespace."""
    rows = {f"{i}.prob": torch.full((4,), -3.0) for i in range(num_steps)}
    arguments = argparse.Namespace(
        model="DiT-XL/2", image_size=256, lr=1e-3, data_path="/some/where"
    )
    torch.save(
        {"routers": rows, "opt": {"state": {}, "param_groups": [{"lr": 1e-3}]}, "args": arguments},
        tmp_path / "r.pt",
        _use_new_zipfile_serialization=zip_file,
    )
    keep = formats.read(tmp_path / "r.pt").keep()
    assert formats.read(tmp_path / "r.pt").about["model"] == "DiT-XL/2 256"
    for step in range(1, num_steps):
        i = num_steps - 1 - step
        assert keep[step].tolist() == [i % 2 == 1] * 4
    assert keep[0].all()


@pytest.mark.skipif(
    "HARMONICA_ROUTERS" not in os.environ,
    reason="HARMONICA_ROUTERS names no folder with published routers",
)
def test_the_published_learning_to_cache_router():
    path = Path(os.environ["HARMONICA_ROUTERS"]) / "learning_to_cache_dit_xl2_256_ddim20.pt"
    info = figures(formats.read(path))
    assert (info["T"], info["N"], info["computed"], info["CUR_percent"], info["distinct_rows"]) == (
        20,
        56,
        872,
        22.14,
        7,
    )
    assert (info["MAC_fraction"], info["speedup_theoretical"]) == (0.7785, 1.285)


def test_smoothcache_round_trips(tmp_path):
    router = some_router()
    formats.write(tmp_path / "s.json", router)
    lists = json.loads((tmp_path / "s.json").read_text())
    assert sorted(lists) == ["attn-0", "attn-1", "mlp-0", "mlp-1"]
    assert lists["mlp-0"] == router.keep()[:, 1].int().tolist()  # sampling order, 1 = compute
    again = formats.read(tmp_path / "s.json")
    assert torch.equal(again.keep(), router.keep()) and again.about == {
        "format": "smoothcache",
        "kinds": ("attn", "mlp"),
    }


def test_smoothcache_of_pixart_round_trips_with_its_three_kinds(tmp_path):
    router = some_router(num_blocks=6)
    router = Router(logits=router.logits, about={"kinds": ["attn", "cross", "mlp"]})
    formats.write(tmp_path / "s.json", router)
    lists = json.loads((tmp_path / "s.json").read_text())
    assert sorted(lists) == [f"{kind}-{i}" for kind in ("attn", "cross", "mlp") for i in range(2)]
    assert lists["cross-1"] == router.keep()[:, 4].int().tolist()
    again = formats.read(tmp_path / "s.json")
    assert torch.equal(again.keep(), router.keep())
    assert again.about == {"format": "smoothcache", "kinds": ("attn", "cross", "mlp")}
    theirs = {
        name.replace("attn", "attn1").replace("cross", "attn2").replace("mlp", "ff"): row
        for name, row in lists.items()
    }
    (tmp_path / "s.json").write_text(json.dumps(theirs))
    assert torch.equal(formats.read(tmp_path / "s.json").keep(), router.keep())


def test_what_a_smoothcache_schedule_does_not_name_is_computed(tmp_path):
    """As SmoothCache does with the components that it does not wrap: cross-attention, for one."""
    (tmp_path / "kinds.json").write_text(json.dumps({"attn1": [1, 0, 1], "ff": [1, 1, 0]}))
    (tmp_path / "blocks.json").write_text(
        json.dumps(
            {"attn-0": [1, 0, 1], "attn-1": [1, 0, 1], "mlp-0": [1, 1, 0], "mlp-1": [1, 1, 0]}
        )
    )
    kinds = ("attn", "cross", "mlp")
    for name, how in (("kinds", {"num_blocks": 6}), ("blocks", {}), ("blocks", {"num_blocks": 6})):
        keep = formats.read(tmp_path / f"{name}.json", kinds=kinds, **how).keep()
        assert keep.tolist() == [[True] * 6, [False, True, True] * 2, [True, True, False] * 2]
    with pytest.raises(
        BadInput, match="list 'attn-1'; the kinds of blocks are attn, cross, mlp, 3 blocks in all"
    ):
        formats.read(tmp_path / "blocks.json", kinds=kinds, num_blocks=3)


def test_smoothcache_by_kind_needs_the_number_of_blocks(tmp_path):
    (tmp_path / "s.json").write_text(json.dumps({"attn": [1, 0, 1], "mlp": [1, 1, 0]}))
    keep = formats.read(tmp_path / "s.json", num_blocks=6).keep()
    assert keep.tolist() == [[True] * 6, [False, True] * 3, [True, False] * 3]
    with pytest.raises(BadInput, match="--blocks"):
        formats.read(tmp_path / "s.json")
    with pytest.raises(BadInput):
        formats.read(tmp_path / "s.json", num_blocks=0)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".json"])
def test_tau_is_the_files_own_unless_it_is_given(tmp_path, suffix):
    path = tmp_path / f"r{suffix}"
    formats.write(path, Router(logits=some_router().logits, tau=0.7))
    assert formats.read(path).tau == (0.7 if suffix == ".safetensors" else 0.1)
    assert formats.read(path, tau=0.4).tau == 0.4
    with pytest.raises(BadInput, match="tau: 0.0 is not possible"):
        formats.read(path, tau=0.0)


class Code:
    """Unpickling this runs a command."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def poisoned(path, marker, how):
    content = {"routers": {"0.prob": torch.ones(2)}, "args": Code(marker)}
    if how == "bare pickle":
        path.write_bytes(pickle.dumps(content["args"]))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == "zip")


@pytest.mark.parametrize("how", ["zip", "legacy", "bare pickle"])
def test_code_in_a_pickle_is_not_run(tmp_path, how):
    marker = tmp_path / "executed"
    poisoned(tmp_path / "r.pt", marker, how)
    with warnings.catch_warnings(action="error"):  # the refusal is all that the user sees
        with pytest.raises(BadInput, match="nothing of it was unpickled"):
            formats.read(tmp_path / "r.pt")
    assert not marker.exists()
    if how == "zip":  # the file would do it
        torch.load(tmp_path / "r.pt", weights_only=False)
        assert marker.exists()


ROW = torch.ones(2)
CONTENTS = {
    "rows missing": {"routers": {"0.prob": ROW, "2.prob": ROW}},
    "ragged": {"routers": {"0.prob": ROW, "1.prob": torch.ones(3)}},
    "NaN": {"routers": {"0.prob": ROW, "1.prob": ROW * float("nan")}},
    "no rows": {"routers": {}},
    "no routers": {"opt": 1},
    "a tensor": ROW,
    "a list": [ROW],
    "a number": 5,
    "nothing": None,
    "routers a list": {"routers": [ROW]},
    "routers a tensor": {"routers": ROW},
    "rows are numbers": {"routers": {"0.prob": 1.0}},
    "other names": {"routers": {"a": ROW}},
    "rows of rows": {"routers": {"0.prob": torch.ones(2, 2)}},
    "empty rows": {"routers": {"0.prob": torch.ones(0)}},
    "scalars": {"routers": {"0.prob": torch.tensor(1.0)}},
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_odd_checkpoints_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "r.pt")
    with pytest.raises(BadInput, match="router: "):
        formats.read(tmp_path / "r.pt")


LISTS = {
    "ragged": {"attn-0": [1, 0], "mlp-0": [1]},
    "no lists": {},
    "numbers": {"attn-0": [1, 0.5], "mlp-0": [1, 0]},
    "a list": [1, 0],
    "null": None,
    "empty lists": {"attn-0": [], "mlp-0": []},
    "text": {"attn-0": "10", "mlp-0": "11"},
    "a block missing": {"attn-0": [1, 0], "mlp-0": [1, 0], "attn-2": [1, 0], "mlp-2": [1, 0]},
    "other names": {"cross-0": [1, 0], "attn-0": [1, 0]},
}


@pytest.mark.parametrize("content", LISTS.values(), ids=LISTS)
def test_odd_schedules_are_refused(tmp_path, content):
    (tmp_path / "s.json").write_text(json.dumps(content))
    with pytest.raises(BadInput, match="schedule: "):
        formats.read(tmp_path / "s.json", num_blocks=2)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".json"])
def test_whatever_is_cut_off_or_damaged_is_refused_or_read(tmp_path, suffix):
    """Never another exception; what is cut off is never read."""
    path, rng = tmp_path / f"r{suffix}", random.Random(0)
    formats.write(path, some_router())
    whole = path.read_bytes()
    for size in [*range(0, len(whole) - 1, max(1, len(whole) // 100))]:
        path.write_bytes(whole[:size])
        with pytest.raises(BadInput, match="schedule: " if suffix == ".json" else "router: "):
            formats.read(path)
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[rng.randrange(len(whole))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            formats.read(path)
        except BadInput:
            pass


@pytest.mark.parametrize("name", ["r.txt", "r", "r.npz"])
def test_other_endings_are_refused_both_ways(tmp_path, name):
    (tmp_path / name).write_text("0")
    for attempt in (
        lambda: formats.read(tmp_path / name),
        lambda: formats.write(tmp_path / name, some_router()),
    ):
        with pytest.raises(BadInput, match=r"\.safetensors, \.pt or \.json"):
            attempt()


def test_a_folder_of_save_pretrained_is_read(tmp_path):
    router = some_router()
    router.save_pretrained(tmp_path / "my-router")
    assert torch.equal(formats.read(tmp_path / "my-router").logits, router.logits)


def test_a_missing_file_and_an_empty_folder_are_refused(tmp_path):
    (tmp_path / "folder.pt").mkdir()
    for name in ("none.pt", "folder.pt"):
        with pytest.raises(BadInput, match="does not exist"):
            formats.read(tmp_path / name)


def test_plain_containers_of_any_kind_are_read(tmp_path):
    torch.save(
        OrderedDict(routers=OrderedDict({"0.prob": ROW, "1.prob": ROW * 5})), tmp_path / "r.pt"
    )
    assert formats.read(tmp_path / "r.pt").logits.tolist() == [[5, 5], [1, 1]]
