"""Training of UViT-digits: what it starts from, that it is resumed to the same bits, and that what
is saved is the official form.
"""

from dataclasses import replace

import torch

from harmonica.backbones.uvit import UViT
from harmonica.backbones.uvit_official import from_official, shape_of
from harmonica.digits import base, data, uvit
from harmonica.digits.quality import DIGITS
from harmonica.files import sha256
from harmonica.method.denoise import run_all
from harmonica.samplers.singlestep import Singlestep

CONFIG = uvit.UViTTraining(seed=0, width=16, depth=2, heads=2, steps=6, batch=4)


def test_resuming_gives_the_same_bits(tmp_path, resumed):
    straight = uvit.train(CONFIG, tmp_path / "none", save_every=100)
    again = resumed(uvit.train, CONFIG)
    assert all(torch.equal(straight[name], again[name]) for name in straight)
    assert {value.dtype for value in straight.values()} == {torch.float16}
    shape = shape_of(straight, 2)
    assert (shape.width, shape.depth, shape.num_classes) == (16, 2, data.NUM_CLASSES + 1)
    assert UViT(from_official(straight, heads=2)).num_classes == data.NUM_CLASSES


def test_the_initial_model_predicts_nothing_and_every_matrix_is_trained():
    backbone = UViT(uvit._initialised(CONFIG))
    x, t, labels = torch.randn(3, 1, 8, 8), torch.tensor([1, 500, 1000]), torch.tensor([0, 5, 10])
    assert (run_all(backbone, x, t, backbone.prepare(labels)) == 0).all()
    before = {name: p.detach().clone() for name, p in backbone.model.named_parameters()}
    trained = from_official(uvit.train(CONFIG, "none", save_every=100), heads=2)
    for name, p in trained.named_parameters():
        assert p.ndim < 2 or not torch.equal(p, before[name]), name


def test_a_model_is_made_with_its_entry(tmp_path):
    few = replace(DIGITS, num_images=20, batch=20, num_steps=4, num_nearest=5)
    own = {"train_by": uvit.train, "sampler": Singlestep(), "family": "uvit"}
    about = base.make("tiny", replace(CONFIG, steps=2), tmp_path, few, **own)
    assert (about["family"], about["heads"], about["side"]) == ("uvit", 2, 8)
    assert about["sha256"] == sha256(tmp_path / "tiny.safetensors")
    assert about["training"]["steps"] == 2 and about["quality"]
