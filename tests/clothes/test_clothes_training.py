"""Base models and judge of the clothes, by the digits' code: tiny ones, on noise."""

import numpy as np
import pytest
import torch

from harmonica.clothes import judge
from harmonica.clothes.base import ClothesTraining
from harmonica.digits import base
from harmonica.digits.quality import SmallScale

NOISE = np.random.default_rng(0).uniform(-1, 1, (70, 1, 28, 28)).astype(np.float32)
LABELS = np.arange(70) % 10


@pytest.fixture
def scale():
    torch.manual_seed(0)
    return SmallScale(
        load=lambda part: (NOISE, LABELS),
        judge=lambda: judge.untrained().eval(),
        num_images=20,
        batch=8,
        num_steps=2,
        guidance=1.5,
        num_nearest=5,
    )


def test_a_base_model_is_trained_sampled_and_measured(scale, tmp_path):
    config = ClothesTraining(seed=0, width=16, depth=1, heads=2, steps=3, batch=4)
    name, about = base.make("tiny", config, tmp_path, scale)
    assert (tmp_path / "tiny.safetensors").is_file() and about["training"]["width"] == 16
    assert about["quality"]["num_images"] == 20 and np.isfinite(about["quality"]["FID"])
    assert about["quality"]["nearest_held_out"] < 1e-5


def test_bfloat16_products_train_to_nearly_the_same(scale, tmp_path):
    plain, narrow = (
        base.train(
            ClothesTraining(
                seed=0, width=16, depth=1, heads=2, steps=3, batch=4, autocast=autocast
            ),
            tmp_path / "none",
            save_every=100,
            scale=scale,
        )
        for autocast in (False, True)
    )
    for name, value in plain.items():
        assert torch.allclose(value.float(), narrow[name].float(), atol=0.01)


def test_the_judge_learns_and_feeds_every_metric(monkeypatch):
    monkeypatch.setattr(judge, "EPOCHS", 1)
    monkeypatch.setattr(judge.data, "load", lambda part: (NOISE, LABELS))
    weights = judge.train(0)
    model = judge.untrained()
    model.load_state_dict(weights)
    out = model.eval()(torch.from_numpy(np.zeros((2, 1, 28, 28), np.uint8)))
    assert {name: tuple(value.shape) for name, value in out.items()} == {
        "pool": (2, 64),
        "spatial": (2, 343),
        "logits": (2, 10),
    }
