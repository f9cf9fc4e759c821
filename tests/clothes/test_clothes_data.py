"""Fashion-MNIST's files: read as they are, refused where they are something else."""

import gzip

import numpy as np
import pytest

from harmonica.clothes import data
from harmonica.errors import BadInput

IMAGES = np.random.default_rng(0).integers(256, size=(6, 28, 28), dtype=np.uint8)
LABELS = np.arange(6, dtype=np.uint8)


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.tobytes()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HARMONICA_CLOTHES", str(tmp_path))
    monkeypatch.setattr(data, "PARTS", {"train": ("train", 6)})
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(IMAGES)))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(LABELS))
    data.load.cache_clear()
    yield tmp_path
    data.load.cache_clear()


def test_images_and_labels_are_those_of_the_files_gzipped_or_not(folder):
    images, labels = data.load("train")
    assert images.shape == (6, 1, 28, 28) and images.dtype == np.float32
    assert np.array_equal(np.round((images[:, 0] + 1) * 127.5), IMAGES)
    assert np.array_equal(labels, LABELS) and labels.dtype == np.int64


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no gzip",
        gzip.compress(idx(IMAGES))[:-9],
        gzip.compress(idx(IMAGES[:5])),
        gzip.compress(idx(IMAGES)[:-1]),
        gzip.compress(b"\0\0\x0d\x03" + idx(IMAGES)[4:]),
    ],
)
def test_a_damaged_file_or_another_is_named(folder, content):
    (folder / "train-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(BadInput, match="HARMONICA_CLOTHES.*train-images-idx3-ubyte.gz"):
        data.load("train")


def test_a_missing_file_is_named_with_what_brings_it(folder):
    (folder / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(BadInput, match="dataset-fashion-mnist"):
        data.load("train")
