"""Fashion-MNIST: 60 000 training and 10 000 test images of ten garments, for training base models.

The four files are read from Debian's package dataset-fashion-mnist, or from your own copy (gzipped
or not) in the folder that HARMONICA_CLOTHES names. Copyright 2017 Zalando SE, MIT licence.
"""

import gzip
import os
import zlib
from functools import cache
from pathlib import Path

import numpy as np

from harmonica.errors import BadInput, check

SIDE = 28
DEBIAN = "/usr/share/datasets/fashion-mnist"
PARTS = {"train": ("train", 60_000), "test": ("t10k", 10_000)}
UNSIGNED_BYTES = 8  # the idx format's code for this type


@cache
def load(part):
    """-> images (n, 1, 28, 28) float32 in [-1, 1], labels (n,) int64. part: "train" or "test"."""
    prefix, count = PARTS[part]
    images = _read(f"{prefix}-images-idx3-ubyte", (count, SIDE, SIDE))
    labels = _read(f"{prefix}-labels-idx1-ubyte", (count,))
    return from_uint8(images[:, None]), labels.astype(np.int64)


def from_uint8(images):
    """uint8 images -> float32 in [-1, 1]."""
    return (images / np.float32(127.5) - 1).astype(np.float32)


def _read(name, shape):
    """The uint8 array in an idx file. BadInput where it is missing, damaged or of another shape."""
    path = _find(name)
    content = path.read_bytes()
    try:
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        check(False, "HARMONICA_CLOTHES", str(path), f"it is no whole gzip file ({error})")
    header = bytes([0, 0, UNSIGNED_BYTES, len(shape)]) + np.array(shape, ">u4").tobytes()
    complete = len(content) == len(header) + np.prod(shape)
    right = f"it is no whole idx file of unsigned bytes, {' x '.join(map(str, shape))}"
    check(complete and content.startswith(header), "HARMONICA_CLOTHES", str(path), right)
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)


def _find(name):
    folder = Path(os.environ.get("HARMONICA_CLOTHES") or DEBIAN)
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    raise BadInput(
        f"HARMONICA_CLOTHES: {folder} holds no {name}.gz; install Debian's package "
        "dataset-fashion-mnist, or name the folder that holds Fashion-MNIST's four files"
    )
