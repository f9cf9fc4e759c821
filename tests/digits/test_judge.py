"""The judge reads digits it never saw, and its training is a function of the seed."""

import numpy as np
import pytest
import torch

from harmonica.digits import data, judge


@pytest.fixture
def heldout():
    images, labels = data.load("test")
    return torch.from_numpy(data.to_uint8(images)), labels


def read(model, images):
    with torch.no_grad():
        return model(images)["logits"].argmax(1).numpy()


def test_shipped_judge_reads_heldout_digits(heldout):
    images, labels = heldout
    assert np.mean(read(judge.load(), images) == labels) > 0.99


def test_shipped_judge_is_what_training_gives(heldout):
    images, labels = heldout
    fresh = judge.untrained()
    fresh.load_state_dict(judge.train(0))
    assert np.mean(read(fresh.eval(), images) == read(judge.load(), images)) > 0.98


def test_layers_are_narrower_than_the_data_and_fully_used(heldout):
    layers = judge.load()(heldout[0])
    assert {name: tuple(values.shape) for name, values in layers.items()} == {
        "pool": (360, 64),
        "spatial": (360, 112),
        "logits": (360, 10),
    }
    for name in ("pool", "spatial"):
        covariance = np.cov(layers[name].double().numpy(), rowvar=False)
        assert np.linalg.matrix_rank(covariance) == len(covariance)


def test_training_is_a_function_of_the_seed_and_reads_training_images_only(monkeypatch):
    train = data.load("train")
    monkeypatch.setattr(judge.data, "load", {"train": train}.__getitem__)
    monkeypatch.setattr(judge, "EPOCHS", 1)
    torch.manual_seed(5)
    first, untouched = judge.train(3), torch.rand(1)
    again, other = judge.train(3), judge.train(4)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["classify.weight"], other["classify.weight"])
    torch.manual_seed(5)
    assert torch.equal(untouched, torch.rand(1))


def test_judge_is_small_frozen_and_in_eval():
    model = judge.load()
    assert 60_000 < sum(p.numel() for p in model.parameters()) < 70_000
    assert not model.training and not any(p.requires_grad for p in model.parameters())
