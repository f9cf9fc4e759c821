"""Published weights, through both doors: tiny DiTs in exactly the published formats load, agree,
and are told apart.
"""

import argparse
import json
from functools import partial

import numpy as np
import pytest
import torch
from safetensors import safe_open
from test_golden import FILES as GOLDEN

from harmonica import weights
from harmonica.__main__ import main
from harmonica.backbones.dit import DiT
from harmonica.backbones.dit_official import to_official
from harmonica.errors import BadInput
from harmonica.fast.plan import compile_schedule
from harmonica.lab import sampling
from harmonica.lab.makings import ModelSpec
from harmonica.lab.models import load_model
from harmonica.lab.specs import RunSpec
from harmonica.method import masks
from harmonica.method.denoise import run_all
from harmonica.method.schedule import Schedule
from harmonica.weights import catalogue
from harmonica.weights.checkpoints import describe, of_folder
from harmonica.weights.published_models import read


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HARMONICA_WEIGHTS", str(tmp_path))
    return tmp_path


@pytest.fixture
def doors(folder, tiny_dit):
    """One tiny DiT as an official .pt, as a diffusers folder (each block an embedder of its own)
    and below a hub id.
    """
    model = tiny_dit(dtype=torch.float32).model
    torch.save(to_official(model), folder / "tiny.pt")
    copies = tiny_dit(dtype=torch.float32, tied=False).model
    copies.load_state_dict(model.state_dict())
    copies.save_pretrained(folder / "tiny-diffusers")
    copies.save_pretrained(folder / "someone" / "tiny" / "transformer")
    return [
        ModelSpec(name=name, sha256=weights.sha256(folder / name), scale="paper", heads=heads)
        for name, heads in (("tiny.pt", 4), ("tiny-diffusers", None), ("someone/tiny", None))
    ]


def sampled(spec, num_steps=4):
    run = RunSpec(
        model=spec, num_steps=num_steps, against=num_steps, num_images=3, batch=3, guidance=1.5
    )
    loaded = load_model(spec)
    plan = compile_schedule(loaded.backbone, Schedule(keep=masks.full(num_steps, 4)))
    return sampling.sample_block(loaded, run, plan, 0)


def test_all_doors_give_the_same_samples(doors):
    first, *others = [sampled(spec) for spec in doors]
    assert all(torch.equal(first, other) for other in others)
    loaded = load_model(doors[1])
    assert len(loaded.backbone.embedders) == 1 and loaded.num_conds == 10 and loaded.images is None
    assert not any(p.requires_grad for p in loaded.backbone.parameters())
    assert loaded.cond(range(12)).tolist() == [*range(10), 0, 1]
    assert (
        len({RunSpec(model=spec, num_steps=4, against=4, num_images=3).id for spec in doors}) == 3
    )


@pytest.mark.parametrize(
    "now, written",
    [
        ("DiTTransformer2DModel", "DiTTransformer2DModel"),
        ("DiTTransformer2DModel", "Transformer2DModel"),
        ("PixArtTransformer2DModel", "Transformer2DModel"),
    ],
)
def test_the_class_name_of_the_published_folders_is_understood(
    folder, tiny_dit, tiny_pixart, now, written
):
    """They were saved when diffusers had one class for both."""
    make = partial(tiny_dit, tied=False) if now.startswith("DiT") else tiny_pixart
    model = make(dtype=torch.float32).model
    model.save_pretrained(folder / "transformer")
    config = folder / "transformer" / "config.json"
    config.write_text(config.read_text().replace(now, written))
    loaded = of_folder(folder, type(model))
    assert all(
        torch.equal(value, loaded.state_dict()[name]) for name, value in model.state_dict().items()
    )
    config.write_text(config.read_text().replace(written, "UNet2DModel"))
    with pytest.raises(
        BadInput, match=f"model: 'UNet2DModel' is not possible; a {now} is expected"
    ):
        of_folder(folder, type(model))


def test_wrong_numerics_are_detected(doors):
    """What the two settings make of one file differs far beyond rounding (1e-6); nothing said means
    official.
    """
    official = sampled(doors[0])[-1]
    of_diffusers = sampled(ModelSpec(**vars(doors[0]) | {"numerics": "diffusers"}))[-1]
    assert (official - of_diffusers).abs().max() > 1e-3 * official.abs().max()
    assert torch.equal(
        official, sampled(ModelSpec(**vars(doors[0]) | {"numerics": "official"}))[-1]
    )


def test_weights_check_says_what_a_file_is(doors, folder, capsys):
    assert main(["weights", "check", str(folder / doors[0].name), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    for spec, naming in zip(doors, ("official", "diffusers", "diffusers")):
        found = describe(folder / spec.name)
        assert [found[key] for key in ("model", "naming", "numerics", "sha256")] == [
            "DiT",
            naming,
            "official",
            spec.sha256,
        ]
        assert found["known"] is False and found["published_as"] is None
        assert [
            found[key] for key in ("width", "depth", "patch", "sample_size", "num_classes")
        ] == [32, 2, 2, 8, 10]
    assert said == describe(folder / "tiny.pt") and found["heads"] == 4
    assert describe(doors[2].name)["sha256"] == found["sha256"]


def test_the_hash_of_a_published_file_is_known(doors, folder, monkeypatch):
    known = catalogue.Published(
        name="DiT-XL-2-256x256.pt", source="somewhere", sha256=doors[0].sha256
    )
    monkeypatch.setitem(catalogue.PUBLISHED, known.name, known)
    assert describe(folder / "tiny.pt")["published_as"] == known.name
    (folder / known.name).write_bytes(b"another")
    with pytest.raises(BadInput, match="sha256 is .* incomplete or another one"):
        load_model(
            ModelSpec(name=known.name, sha256=weights.published_sha256(known.name), scale="paper")
        )


@pytest.mark.parametrize(
    "name", ["DiT-XL-2-256x256.pt", "DiT-XL-2-512x512.pt", "facebook/DiT-XL-2-256"]
)
def test_a_missing_file_is_named_with_its_source_and_its_place(folder, name):
    spec = ModelSpec(name=name, sha256=weights.published_sha256(name), scale="paper")
    with pytest.raises(BadInput) as said:
        load_model(spec)
    assert (
        name in str(said.value)
        and str(folder) in str(said.value)
        and catalogue.PUBLISHED[name].source in str(said.value)
    )


def test_files_that_are_not_what_they_should_be(folder, tiny_dit):
    for name, content in (("cut.pt", b"PK"), ("none.pt", b"")):
        (folder / name).write_bytes(content)
        with pytest.raises(BadInput, match="damaged or holds more than tensors"):
            read(folder / name)
    torch.save({"model": argparse.Action}, folder / "object.pt")
    with pytest.raises(BadInput, match="nothing of it was unpickled"):
        read(folder / "object.pt")
    torch.save({"x": torch.ones(2)}, folder / "odd.pt")
    with pytest.raises(BadInput, match="holds no official DiT"):
        read(folder / "odd.pt")
    with pytest.raises(BadInput, match="expected the tensors of DiT official"):
        describe(folder / "odd.pt")
    torch.save(to_official(tiny_dit().model), folder / "tiny.pt")
    with pytest.raises(BadInput, match="heads: None .* 32 wide"):
        read(folder / "tiny.pt")
    (folder / "empty").mkdir()
    with pytest.raises(BadInput, match="a diffusers folder holds config.json"):
        read(folder / "empty")


@pytest.mark.golden
@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_references_load_through_the_official_door(path, folder):
    """Saved as an official .pt, and as the ema of a training checkpoint, they give the released
    code's first model output.
    """
    with safe_open(path, "pt") as file:
        golden = {
            name[4:]: file.get_tensor(name) for name in file.keys() if name.startswith("dit.")
        }
        heads = int(file.metadata()["heads"])
        step, labels = (file.get_tensor(name) for name in ("timestep_map", "labels"))
    torch.save(golden, folder / "golden.pt")
    torch.save({"ema": golden, "args": argparse.Namespace(model="tiny")}, folder / "checkpoint.pt")
    own = to_official(read(folder / "golden.pt", heads))
    assert own.keys() == golden.keys() and all(
        torch.equal(own[name], golden[name]) for name in golden
    )
    spec = ModelSpec(
        name="golden.pt", sha256=weights.sha256(folder / "golden.pt"), scale="paper", heads=heads
    )
    backbone = load_model(spec).backbone
    x = torch.randn(2, backbone.in_channels, backbone.sample_size, backbone.sample_size)
    inputs = x, step[-1].repeat(2), backbone.prepare(labels.flatten()[:2])
    assert torch.equal(
        run_all(backbone, *inputs), run_all(DiT(read(folder / "checkpoint.pt", heads)), *inputs)
    )


@pytest.mark.parametrize("name", ["cut.npz", "page.pt", "pickle.npz"])
def test_a_file_that_is_cut_off_is_named_before_anything_runs(tmp_path, monkeypatch, name):
    monkeypatch.setenv("HARMONICA_WEIGHTS", str(tmp_path))
    np.savez(tmp_path / "whole.npz", x=np.zeros(4))
    torch.save({}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    content = {"cut.npz": (tmp_path / "whole.npz").read_bytes()[:-30], "pickle.npz": b"\x80\x04N."}
    (tmp_path / name).write_bytes(content.get(name, b"<html>404</html>"))
    for kept in ("whole.npz", "old.pt"):
        weights.whole(kept, None)
    with pytest.raises(BadInput, match=f"{name}' is not possible; it is cut off"):
        weights.whole(name, None)
    with pytest.raises(BadInput, match="its sha256 is"):
        weights.whole("whole.npz", "0" * 64)
