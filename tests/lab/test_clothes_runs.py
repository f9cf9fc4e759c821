"""A run at clothes scale: what it is measured by is made of the data, it is sampled and evaluated,
and a router is trained. Model and data are tiny.
"""

import hashlib
import json
import warnings

import numpy as np
import pytest
from safetensors.torch import save

from experiments.ablation import ALL_PAIRS, training
from harmonica.backbones.dit_official import to_official
from harmonica.clothes import data, judge, reference
from harmonica.clothes.base import ClothesTraining
from harmonica.digits import base
from harmonica.lab import evaluation
from harmonica.lab.make import make
from harmonica.lab.makings import ModelSpec, RouterSpec
from harmonica.lab.specs import RunSpec
from harmonica.lab.store import Store

LABELS = np.arange(60) // 6  # sorted, as no data set is
IMAGES = np.random.default_rng(0).integers(256, size=(60, 1, 28, 28))


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A base model whose folder holds nothing else yet."""
    shape = {"patch": 7, "width": 16, "depth": 1}
    built = base._initialised(ClothesTraining(seed=0, heads=4, **shape), 28)
    content = save(to_official(built))
    about = {"sha256": hashlib.sha256(content).hexdigest(), "heads": 4, "side": 28}
    (tmp_path / "dit-clothes-s0.safetensors").write_bytes(content)
    listed = {"dit-clothes-s0": {**about, "training": shape}}
    (tmp_path / "models.json").write_text(json.dumps(listed))
    monkeypatch.setenv("HARMONICA_MODELS", str(tmp_path))
    return ModelSpec(name="dit-clothes-s0", sha256=about["sha256"], scale="clothes")


@pytest.fixture
def made(model, tmp_path, monkeypatch):
    images = (IMAGES / np.float32(127.5) - 1).astype(np.float32)
    monkeypatch.setattr(data, "load", lambda part: (images, LABELS))
    monkeypatch.setattr(judge, "EPOCHS", 1)
    monkeypatch.setattr(reference, "OF_EACH", 2)
    monkeypatch.setattr(reference, "FOLDER", tmp_path)
    for kept in (evaluation._judge, evaluation._of_data):
        kept.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sixty images are few
        yield reference.make(tmp_path)
    for kept in (evaluation._judge, evaluation._of_data):
        kept.cache_clear()


def test_what_runs_are_measured_by_holds_each_garment_equally_often(made):
    assert 0 <= made <= 100
    images, labels = reference.training_images()
    assert images.shape == (20, 1, 28, 28) and images.dtype == np.float32
    assert np.array_equal(labels, np.arange(20) % 10)
    chosen = np.concatenate([6 * np.arange(10), 6 * np.arange(10) + 1])
    assert np.array_equal(np.round((images + 1) * 127.5), IMAGES[chosen])
    features, statistics = reference.features_and_statistics()
    assert features["pool"].shape == (20, 64)
    assert [statistics[layer][1].shape for layer in ("pool", "spatial")] == [(64, 64), (343, 343)]


def test_a_run_is_measured_by_it(model, made, tmp_path):
    run = RunSpec(model=model, num_steps=2, against=2, guidance=1.5, num_images=10, batch=5)
    store = Store(tmp_path / "results")
    make(run.reference(), store)
    metrics = make(run, store)["metrics"]
    assert metrics["x0_mse"] == 0 and metrics["num_images"] == 10
    assert metrics["FID"] > 0 and 0 <= metrics["agreement"] <= 100


def test_learning_to_cache_trains_on_its_images(model, made, tmp_path):
    learned = training("smoke", ALL_PAIRS, 25, trajectories=1, batch=2)
    router = RouterSpec(model=model, num_steps=2, training=learned)
    assert make(router, Store(tmp_path / "results"))["metrics"]["beta"] >= 0
