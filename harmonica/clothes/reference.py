"""The files that runs at clothes scale are measured with. They ship, were made once from the whole
data set (`make`), and serve every base model, so that all measure alike: the judge; 10 000 training
images, for Learning-to-Cache; the judge's features of these, for precision and recall; and the
judge's statistics of all 60 000, for FID and sFID.

The images are Fashion-MNIST's, copyright 2017 Zalando SE, MIT licence (weights/
LICENSE.fashion-mnist).
"""

from functools import cache

import numpy as np
from safetensors.numpy import load_file, save
from safetensors.torch import save as save_weights

from harmonica.clothes import data, judge
from harmonica.digits.data import NUM_CLASSES, to_uint8
from harmonica.digits.manifest import SHIPPED_CLOTHES
from harmonica.files import atomic

JUDGE, IMAGES, JUDGED = "judge.safetensors", "images.npz", "judged.safetensors"
FOLDER = SHIPPED_CLOTHES
OF_EACH = 1000  # images kept of each class, its first ones; classes take turns in the file


def make(place, device="cpu"):
    """Make these files in the folder `place`, a Path, as the shipped ones were made: ten minutes on
    a CPU core -> the judge's accuracy on the held-out images, in percent.
    """
    from harmonica.metrics import features, scores

    with atomic(place / JUDGE) as temporary:
        temporary.write_bytes(save_weights(judge.train(0, device)))
    network = judge.load(place / JUDGE).to(device)
    (images, labels), (held_out, held_out_labels) = data.load("train"), data.load("test")
    of_all, of_held_out = (features.extract(to_uint8(part), network) for part in (images, held_out))
    firsts = np.stack([np.flatnonzero(labels == k)[:OF_EACH] for k in range(NUM_CLASSES)])
    chosen = firsts.T.reshape(-1)
    judged = {"pool": of_all["pool"][chosen].astype(np.float32)}
    for layer in ("pool", "spatial"):
        judged[f"{layer}_mu"], judged[f"{layer}_sigma"] = scores.statistics(of_all[layer])
    with atomic(place / JUDGED) as temporary:
        temporary.write_bytes(save(judged))
    arrays = {"images": to_uint8(images[chosen]), "labels": labels[chosen].astype(np.uint8)}
    with atomic(place / IMAGES) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)
    return 100 * float((of_held_out["logits"].argmax(1) == held_out_labels).mean())


def load_judge():
    """The judge, float32, in eval(), frozen."""
    return judge.load(FOLDER / JUDGE)


def training_images():
    """-> images (10 000, 1, 28, 28) float32 in [-1, 1], labels (10 000,) int64, classes in turn."""
    return _images(FOLDER / IMAGES)


@cache
def _images(path):
    with np.load(path, allow_pickle=False) as file:
        return data.from_uint8(file["images"]), file["labels"].astype(np.int64)


def features_and_statistics():
    """-> the reference for scores.scores: the judge's features {"pool": (10 000, 64)} of
    training_images(), and {"pool": (mu, sigma), "spatial": (mu, sigma)} of all 60 000.
    """
    judged = load_file(FOLDER / JUDGED)
    statistics = {
        layer: (judged[f"{layer}_mu"], judged[f"{layer}_sigma"]) for layer in ("pool", "spatial")
    }
    return {"pool": judged["pool"].astype(np.float64)}, statistics
