"""Measures how good a small base model is, and whether it merely memorises its training images.

SmallScale holds what differs between the small scales; the rest of the code in this folder serves
all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from harmonica.digits import data, judge
from harmonica.method import seeds
from harmonica.method.denoise import Denoiser
from harmonica.method.precision import float32_products
from harmonica.metrics import features, scores
from harmonica.samplers import DDIM


@dataclass(frozen=True, kw_only=True)
class SmallScale:
    """load("train" | "test") -> images (n, 1, side, side) float32 in [-1, 1], labels (n,) int64 of
    ten classes. judge() -> the classifier whose layers feed the metrics, frozen.

    A base model's quality is measured on num_images samples, `batch` at once, with num_steps of
    DDIM at this guidance; the distance to the nearest training image on the first num_nearest of
    them.
    """

    load: Callable
    judge: Callable
    num_images: int
    batch: int
    num_steps: int
    guidance: float
    num_nearest: int


DIGITS = SmallScale(
    load=data.load,
    judge=judge.load,
    num_images=1000,
    batch=1000,
    num_steps=20,
    guidance=1.0,
    num_nearest=1000,
)


@torch.no_grad()
def sampled(loaded, scale=DIGITS):
    """Sample images (N, 1, side, side) from a Loaded, its conditions in turn, by its sampler or
    DDIM. N, number of steps and guidance are the SmallScale's.
    """
    sampler = loaded.sampler or DDIM()
    timesteps = sampler.timesteps(scale.num_steps)
    images = []
    for start in range(0, scale.num_images, scale.batch):
        indices = range(start, min(start + scale.batch, scale.num_images))
        noise = seeds.normal(seeds.generators(seeds.EVALUATION, 0, indices=indices), loaded.shape)
        cond = loaded.cond(indices)
        denoiser = Denoiser(loaded.backbone, sampler, timesteps, cond, scale=scale.guidance)
        with float32_products("ieee"):
            point = denoiser.walk(denoiser.begin(noise.to(loaded.device)), denoiser.computed)
        images.append(denoiser.images(point).cpu().numpy())
    return np.concatenate(images)


def quality(images, scale=DIGITS, device="cpu"):
    """Measure generated images whose classes take turns -> a dict: FID to the training images, for
    comparison that of the held-out images, the percentage that the judge assigns to the right
    class, and the median distance to the nearest training image, of generated and of held-out
    images. If the model memorises, generated images are much nearer than held-out ones.
    """
    network = scale.judge().to(device)
    train, test = scale.load("train")[0], scale.load("test")[0]
    generated, of_train, of_test = (
        features.extract(data.to_uint8(x), network) for x in (images, train, test)
    )
    labels = np.arange(len(images)) % data.NUM_CLASSES
    return {
        "num_images": len(images),
        "num_steps": scale.num_steps,
        "guidance": scale.guidance,
        "FID": scores.frechet(generated["pool"], of_train["pool"]),
        "FID_held_out": scores.frechet(of_test["pool"], of_train["pool"]),
        "agreement": 100 * float((generated["logits"].argmax(1) == labels).mean()),
        "nearest_generated": _nearest(images[: scale.num_nearest], train),
        "nearest_held_out": _nearest(test[: scale.num_nearest], train),
    }


def _nearest(images, train):
    """Median Euclidean distance to the nearest training image."""
    points, train = (x.reshape(len(x), -1).astype(np.float64) for x in (images, train))
    of_train = (train**2).sum(1)
    squared = []
    for part in np.array_split(points, -(-len(points) // 100)):
        squared.append(((part**2).sum(1)[:, None] + of_train - 2 * part @ train.T).min(1))
    return float(np.median(np.sqrt(np.concatenate(squared).clip(0))))
