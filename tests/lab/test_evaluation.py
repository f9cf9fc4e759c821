"""The protocol follows the scale: at paper scale the blocks of a run go through ADM's, as any other
images do.
"""

import numpy as np
import pytest

from harmonica.errors import BadInput
from harmonica.files import save_array
from harmonica.lab import evaluation
from harmonica.lab.makings import ModelSpec
from harmonica.lab.sampling import load_samples
from harmonica.lab.specs import RunSpec
from harmonica.lab.store import Store, block_path
from harmonica.metrics import adm
from harmonica.metrics.images import open_images, write_npz
from harmonica.weights import catalogue, extractors
from harmonica.weights.specs import FileSpec, ImageSpec

MODEL = ModelSpec(name="tiny", sha256="0" * 64, scale="paper")
IMAGES = ImageSpec(decoder=FileSpec(name="vae", sha256="0" * 64), reference="reference.npz")
RUN = RunSpec(model=MODEL, num_steps=4, against=5, num_images=30, batch=8, images=IMAGES)


@pytest.fixture
def store(tmp_path, images, few_features, monkeypatch):
    """A sampled run, its last block padded; a folder with its reference; a quick extractor."""
    store = Store(tmp_path / "results")
    for block in range(4):
        save_array(
            block_path(store.samples(RUN), block), images(32, seed=1)[8 * block : 8 * block + 8]
        )
    write_npz(tmp_path / "real.npz", [images(40)], 40)
    monkeypatch.setenv("HARMONICA_WEIGHTS", str(tmp_path))
    adm.write_reference(
        tmp_path / "reference.npz", open_images(tmp_path / "real.npz"), few_features
    )
    monkeypatch.setattr(extractors, "inception", lambda: few_features)
    for kept in (evaluation._inception, evaluation._clean):
        kept.cache_clear()
    yield store
    for kept in (evaluation._inception, evaluation._clean):
        kept.cache_clear()


def test_a_run_at_paper_scale_is_evaluated_as_its_images_are(store, tmp_path, images, few_features):
    found = evaluation.evaluate(RUN, store)
    left_out = found.pop("clean_FID_left_out")
    assert catalogue.CLEAN_INCEPTION in left_out and str(tmp_path) in left_out
    assert found.pop("x_mse_curve") is None  # the uncached run has more steps
    made = images(32, seed=1)[:30]
    assert found == adm.evaluate_images(
        [made], tmp_path / "reference.npz", inception=few_features, num_images=30
    )
    assert found["num_images"] == 30 and np.array_equal(load_samples(RUN, store), made)


def test_what_is_missing_is_named(store, tmp_path):
    block_path(store.samples(RUN), 0).unlink()
    with pytest.raises(BadInput, match="block-00000.npy is missing"):
        evaluation.evaluate(RUN, store)
    (tmp_path / "reference.npz").unlink()
    with pytest.raises(BadInput, match="reference.npz does not exist"):
        evaluation.evaluate(RUN, store)


def test_float_blocks_are_refused(store, images):
    save_array(block_path(store.samples(RUN), 3), images(8).astype(np.float32))
    with pytest.raises(BadInput, match="images: 'float32"):
        evaluation.evaluate(RUN, store)
