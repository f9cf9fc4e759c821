"""How good a digits base model is, and whether it merely remembers its training images."""

import numpy as np
import torch

from harmonica.digits import data, judge
from harmonica.method import seeds
from harmonica.method.denoise import Denoiser
from harmonica.method.precision import float32_products
from harmonica.metrics import features, scores
from harmonica.samplers import DDIM

NUM_IMAGES, NUM_STEPS = 1000, 20


@torch.no_grad()
def sampled(loaded):
    """Images (1000, 1, 8, 8) of a Loaded, its conditions in turn, in 20 steps of DDIM without
    guidance.
    """
    indices, sampler = range(NUM_IMAGES), DDIM()
    noise = seeds.normal(seeds.generators(seeds.EVALUATION, 0, indices=indices), loaded.shape)
    cond, timesteps = loaded.cond(indices), sampler.timesteps(NUM_STEPS)
    denoiser = Denoiser(loaded.backbone, sampler, timesteps, cond)
    with float32_products("ieee"):
        return denoiser.walk(denoiser.begin(noise), denoiser.computed).x.numpy()


def quality(images):
    """Generated images, classes in turn -> FID to the training images (and that of the held-out
    images, as a yardstick), agreement with the classes in percent, and the median distance to the
    nearest training image of generated and of held-out images (a model that memorises has a much
    smaller one for what it generates).
    """
    extractor = features.Extractor(judge.load())
    own, train, test = (
        features.extract(data.to_uint8(x), extractor)
        for x in (images, data.load("train")[0], data.load("test")[0])
    )
    labels = np.arange(NUM_IMAGES) % data.NUM_CLASSES
    return {
        "num_images": NUM_IMAGES,
        "num_steps": NUM_STEPS,
        "FID": scores.frechet(own["pool"], train["pool"]),
        "FID_held_out": scores.frechet(test["pool"], train["pool"]),
        "agreement": 100 * float((own["logits"].argmax(1) == labels).mean()),
        "nearest_generated": _nearest(images),
        "nearest_held_out": _nearest(data.load("test")[0]),
    }


def _nearest(images):
    """Median Euclidean distance to the nearest training image."""
    own, train = (x.reshape(len(x), -1).astype(np.float64) for x in (images, data.load("train")[0]))
    squared = (own**2).sum(1)[:, None] + (train**2).sum(1) - 2 * own @ train.T
    return float(np.median(np.sqrt(squared.min(1).clip(0))))
