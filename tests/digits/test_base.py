"""Training of base models: resumed anywhere it ends in the same bits; what it starts from; its
data.
"""

import numpy as np
import torch

from harmonica.backbones.dit import DiT
from harmonica.backbones.dit_official import from_official
from harmonica.digits import base, data
from harmonica.method.denoise import run_all

CONFIG = base.BaseTraining(seed=0, width=16, depth=2, heads=2, steps=6, batch=4)


def test_resuming_gives_the_same_bits(tmp_path, resumed):
    straight = base.train(CONFIG, tmp_path / "none", save_every=100)
    again = resumed(base.train, CONFIG)
    assert straight.keys() == again.keys() and all(
        torch.equal(straight[name], again[name]) for name in straight
    )
    assert {value.dtype for value in straight.values()} == {torch.float16}
    other = base.train(
        base.BaseTraining(**{**vars(CONFIG), "seed": 1}), tmp_path / "none", save_every=100
    )
    assert not torch.equal(straight["x_embedder.proj.weight"], other["x_embedder.proj.weight"])


def test_the_initial_model_predicts_nothing_and_every_label_is_used():
    backbone = DiT(base._initialised(CONFIG, 8))
    x, labels = torch.randn(3, 1, 8, 8), torch.tensor([0, 5, 10])
    assert (run_all(backbone, x, torch.tensor([0, 500, 999]), backbone.prepare(labels)) == 0).all()
    trained = from_official(base.train(CONFIG, "none", save_every=100), heads=2)
    assert (
        trained.config.num_embeds_ada_norm == data.NUM_CLASSES and len(DiT(trained).embedders) == 1
    )


def test_data():
    (train_x, train_y), (test_x, test_y) = data.load("train"), data.load("test")
    assert (
        train_x.shape == (1437, 1, 8, 8)
        and test_x.shape == (360, 1, 8, 8)
        and train_x.dtype == np.float32
    )
    assert (
        train_x.min() == -1 and train_x.max() == 1 and set(train_y) == set(test_y) == set(range(10))
    )
    assert not {x.tobytes() for x in train_x} & {x.tobytes() for x in test_x}
    assert data.to_uint8(np.array([-2.0, -1, 0, 1, 3])).tolist() == [0, 0, 128, 255, 255]
