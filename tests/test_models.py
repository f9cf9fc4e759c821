"""A base model is its bytes: loaded by name and hash, frozen, and refused when it is another file."""
import json
import shutil

import pytest
import torch

from harmonica import BadInput
from harmonica.digits import manifest as manifests
from harmonica.models import load_model
from harmonica.runs import ModelSpec


def test_every_shipped_model_loads_under_its_hash():
    for name, about in manifests.manifest().items():
        loaded = load_model(ModelSpec(name=name, sha256=about["sha256"], scale="digits"))
        assert not any(p.requires_grad for p in loaded.backbone.parameters()) and not loaded.backbone.model.training
        assert loaded.shape == (1, 8, 8) and loaded.num_conds == 10 and len(loaded.backbone.embedders) == 1
        images, labels = loaded.images
        assert images.shape == (1437, 1, 8, 8) and images.abs().max() == 1 and len(labels) == 1437


def test_numerics_are_the_specs(smoke_model):
    for numerics, channels in ((None, 3), ("official", 3), ("diffusers", 4)):
        backbone = load_model(ModelSpec(name="smoke-s0", sha256=smoke_model.sha256, scale="smoke", numerics=numerics)).backbone
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
    with pytest.raises(BadInput, match="not whole JSON"):
        manifests.manifest()


def test_classes_come_in_turn(smoke_model):
    cond = load_model(smoke_model).cond
    assert cond(range(12)).tolist() == [*range(10), 0, 1] and torch.equal(cond(range(7, 9)), torch.tensor([7, 8]))
