"""How good a digits base model is by itself, and whether it merely remembers its training images."""

from types import SimpleNamespace

import numpy as np

from harmonica.digits import data, judge
from harmonica.fast.plan import compile_mask
from harmonica.lab.sampling import sample_block
from harmonica.method import schedules
from harmonica.metrics import features, scores

NUM_IMAGES, NUM_STEPS = 1000, 20


def sampled(loaded):
    """Images (1000, 1, 8, 8) of a models.Loaded, its conditions in turn, in 20 steps of DDIM
    without guidance.
    """
    run = SimpleNamespace(
        sampler="ddim",
        num_steps=NUM_STEPS,
        guidance=1.0,
        noise="evaluation",
        seed=0,
        batch=NUM_IMAGES,
        precision=None,
    )
    plan = compile_mask(loaded.backbone, schedules.full(NUM_STEPS, loaded.backbone.num_blocks))
    return sample_block(loaded, run, plan, 0)[-1].numpy()


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
