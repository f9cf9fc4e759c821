"""A base model is its bytes: loaded by name and hash, frozen, and refused as another file."""

import json
import shutil

import pytest
import torch

from harmonica.digits import data, pixart_folder
from harmonica.digits import manifest as manifests
from harmonica.errors import BadInput
from harmonica.lab.makings import ModelSpec
from harmonica.lab.models import load_model


def test_every_shipped_model_loads_under_its_hash():
    for name, about in manifests.manifest().items():
        if manifests.side(about) != 8:
            continue
        loaded = load_model(ModelSpec(name=name, sha256=about["sha256"], scale="digits"))
        assert (
            not any(p.requires_grad for p in loaded.backbone.parameters())
            and not loaded.backbone.model.training
        )
        assert loaded.shape == (1, 8, 8) and loaded.num_conds == (200 if "pixart" in name else 10)
        images, labels = loaded.images
        assert images.shape == (1437, 1, 8, 8) and images.abs().max() == 1 and len(labels) == 1437


def test_numerics_are_the_specs(smoke_model):
    for numerics, channels in ((None, 3), ("official", 3), ("diffusers", 4)):
        backbone = load_model(
            ModelSpec(name="smoke-s0", sha256=smoke_model.sha256, scale="smoke", numerics=numerics)
        ).backbone
        assert backbone.numerics.guided_channels == channels


def test_a_missing_or_other_file_is_refused(smoke_model, tmp_path, monkeypatch):
    monkeypatch.setenv("HARMONICA_MODELS", str(tmp_path))
    with pytest.raises(BadInput, match="make base-models"):
        load_model(smoke_model)
    with pytest.raises(BadInput, match="models.json does not exist"):
        manifests.manifest()
    shutil.copy(manifests.SHIPPED / "smoke-s0.safetensors", tmp_path)
    content = bytearray((tmp_path / "smoke-s0.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "smoke-s0.safetensors").write_bytes(content)
    with pytest.raises(BadInput, match="has sha256 .* restore the file"):
        load_model(smoke_model)
    (tmp_path / "models.json").write_text(json.dumps(manifests.SHIPPED.name)[:-1])
    with pytest.raises(BadInput, match="not a whole JSON file"):
        manifests.manifest()
    (tmp_path / "models.json").write_text("[]")
    with pytest.raises(BadInput, match="no list of base models"):
        manifests.manifest()


def test_a_shipped_file_that_is_missing_is_named_in_its_own_folder(monkeypatch, tmp_path):
    """And git is what brings it back."""
    for shipped in ("SHIPPED", "SHIPPED_CLOTHES"):
        folder = tmp_path / shipped
        folder.mkdir()
        shutil.copy(getattr(manifests, shipped) / "models.json", folder)
        monkeypatch.setattr(manifests, shipped, folder)
    spec = ModelSpec(name="dit-clothes-s0", sha256="0" * 64, scale="clothes")
    with pytest.raises(BadInput, match="SHIPPED_CLOTHES/dit-clothes-s0.safetensors.*git checkout"):
        load_model(spec)


@pytest.fixture
def smoke_pixart():
    return ModelSpec(
        name="smoke-pixart-s0",
        sha256=manifests.manifest()["smoke-pixart-s0"]["sha256"],
        scale="smoke",
    )


def test_captions_come_in_turn_and_are_embedded_as_a_pipeline_would(smoke_pixart):
    """A pipeline pads to 120; what is padded is masked, so that the rest is the same."""
    loaded = load_model(smoke_pixart)
    cond = loaded.cond(range(195, 205))
    _, text_encoder = pixart_folder.load(manifests.SHIPPED / smoke_pixart.name)
    ids, mask = pixart_folder.tokenize(
        [data.caption(k) for k in range(195, 205)] + [data.EMPTY], length=120
    )
    embeds = text_encoder(ids, attention_mask=mask).last_hidden_state
    bytes_ = cond.embeds.shape[1]
    assert (
        torch.equal(cond.mask, mask[:-1, :bytes_])
        and mask[:, bytes_:].sum() == 0
        and cond.null_mask.sum() == 1
    )
    kept = cond.mask.bool()
    torch.testing.assert_close(cond.embeds[kept], embeds[:-1, :bytes_][kept], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(cond.null_embeds[0, 0], embeds[-1, 0], atol=1e-5, rtol=1e-5)


def test_an_images_caption_names_its_class(smoke_pixart):
    images, conds = load_model(smoke_pixart).images
    assert (conds % 10).tolist() == data.load("train")[1].tolist() and len(images) == len(conds)


def test_a_changed_file_in_a_folder_is_refused(smoke_pixart, tmp_path, monkeypatch):
    monkeypatch.setenv("HARMONICA_MODELS", str(tmp_path))
    shutil.copytree(manifests.SHIPPED / smoke_pixart.name, tmp_path / smoke_pixart.name)
    load_model(smoke_pixart)
    config = tmp_path / smoke_pixart.name / "transformer" / "config.json"
    config.write_text(config.read_text() + "\n")
    with pytest.raises(BadInput, match="has sha256 .* restore the file"):
        load_model(smoke_pixart)


def test_classes_come_in_turn(smoke_model):
    cond = load_model(smoke_model).cond
    assert cond(range(12)).tolist() == [*range(10), 0, 1] and torch.equal(
        cond(range(7, 9)), torch.tensor([7, 8])
    )
