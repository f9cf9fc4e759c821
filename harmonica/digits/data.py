"""scikit-learn's handwritten digits, 1437 training and 360 test images, in the forms that diffusion
models and metrics take, and their captions. Imports no torch.

The captions are 20 templates, written for this package, for each of ten classes. Image (or sample)
k has class k mod 10 and template (k // 10) mod 20, so any 10 consecutive ones hold each class once,
and any 200 each caption once. All is lower case, as PixArt's pipelines convert their prompts.
"""

from functools import cache

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

NUM_CLASSES, SIDE = 10, 8

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEMPLATES = (
    "a handwritten {word}",
    "the digit {figure}",
    "{word}",
    "the number {word}",
    "a small grey {figure}",
    "handwriting: {word}",
    "{figure}",
    "a picture of a {figure}",
    "the numeral {word}",
    "digit {word} in ink",
    "a scanned {word}",
    "number {figure}",
    "a pen-drawn {word}",
    "this says {word}",
    "a {figure} by hand",
    "someone wrote {figure}",
    "a blurry {word}",
    "the figure {figure}",
    "a tiny {word}",
    "write me a {word}",
)
EMPTY = ""  # the unconditional prompt of classifier-free guidance
NUM_CAPTIONS = NUM_CLASSES * len(TEMPLATES)


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


def caption(k):
    """The caption of image k, which depends on k alone."""
    figure = k % NUM_CLASSES
    return TEMPLATES[k // NUM_CLASSES % len(TEMPLATES)].format(word=WORDS[figure], figure=figure)


def prompts():
    """All captions, then the empty prompt."""
    return [*map(caption, range(NUM_CAPTIONS)), EMPTY]
