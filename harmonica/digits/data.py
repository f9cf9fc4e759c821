"""scikit-learn's handwritten digits, 1437 training and 360 test images, in the forms that diffusion
models and metrics take.
"""

from functools import cache

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

NUM_CLASSES, SIDE = 10, 8


@cache
def load(part):
    """-> images (n, 1, 8, 8) float32 in [-1, 1] and labels (n,) int64 of part "train" or "test"; a
    fixed 80/20 split.
    """
    images, labels = load_digits(return_X_y=True)
    images = (images / 8 - 1).astype(np.float32).reshape(-1, 1, SIDE, SIDE)
    train_x, test_x, train_y, test_y = train_test_split(
        images, labels, test_size=360, stratify=labels, random_state=0
    )
    return {"train": (train_x, train_y), "test": (test_x, test_y)}[part]


def to_uint8(images):
    """Floats in [-1, 1] (clipped) -> uint8, the form in which all metrics read images. numpy arrays
    of any shape.
    """
    return np.round((np.clip(images, -1, 1) + 1) * 127.5).astype(np.uint8)
