"""What of Fashion-MNIST ships with the package, made from the whole of it: 10 000 training images,
for Learning-to-Cache, and how the judge sees them: features of these, for precision and recall,
and statistics of all 60 000, for FID and sFID.

Copyright 2017 Zalando SE, MIT licence (weights/LICENSE.fashion-mnist).
"""

from functools import cache
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

from harmonica.clothes import data, judge
from harmonica.digits.data import to_uint8
from harmonica.files import atomic

FOLDER = Path(__file__).parent / "weights"
IMAGES, JUDGED = FOLDER / "images.npz", FOLDER / "judged.safetensors"
OF_EACH = 1000  # images of a class: its first ones, classes in turn


def make():
    """Write both files anew, judged by the shipped judge."""
    from harmonica.metrics import features, scores

    images, labels = data.load("train")
    firsts = np.stack([np.flatnonzero(labels == k)[:OF_EACH] for k in range(len(data.NAMES))])
    chosen = firsts.T.reshape(-1)
    of_all = features.extract(to_uint8(images), features.Extractor(judge.load()))
    judged = {"pool": of_all["pool"][chosen].astype(np.float32)}
    for layer in ("pool", "spatial"):
        judged[f"{layer}_mu"], judged[f"{layer}_sigma"] = scores.statistics(of_all[layer])
    shown = {"images": to_uint8(images[chosen]), "labels": labels[chosen].astype(np.uint8)}
    with atomic(JUDGED) as temporary:
        temporary.write_bytes(save(judged))
    with atomic(IMAGES) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **shown)


@cache
def training_images():
    """-> images (10 000, 1, 28, 28) float32 in [-1, 1], labels (10 000,) int64, classes in turn."""
    with np.load(IMAGES, allow_pickle=False) as file:
        images = file["images"].astype(np.float32) / np.float32(127.5) - 1
        return images, file["labels"].astype(np.int64)


@cache
def reference():
    """-> what scores.scores compares with: the judge's features {"pool": (10 000, 64)} of the
    training images above, and {"pool": (mu, sigma), "spatial": (mu, sigma)} of all 60 000.
    """
    judged = load_file(JUDGED)
    statistics = {
        layer: (judged[f"{layer}_mu"], judged[f"{layer}_sigma"]) for layer in ("pool", "spatial")
    }
    return {"pool": judged["pool"].astype(np.float64)}, statistics
