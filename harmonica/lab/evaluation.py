"""The metrics of a sampled run: by the judge (a small classifier) of a small scale, or by ADM's
protocol at paper scale.
"""

import warnings
from functools import cache

import numpy as np

from harmonica import weights
from harmonica.clothes import reference as clothes
from harmonica.digits import data, judge
from harmonica.files import read_array
from harmonica.lab.sampling import blocks_of, load_samples
from harmonica.lab.store import trajectory_path
from harmonica.metrics import adm, features, scores
from harmonica.weights import extractors


def evaluate(run, store):
    """-> the metrics of a run's record, by the protocol of its scale."""
    return by_adm(run, store) if run.model.scale == "paper" else by_judge(run, store)


def by_adm(run, store):
    """-> IS, FID, sFID, precision, recall against the run's reference, clean_FID where its weights
    are there, and the curve of the latents' error, over the first block of images. Blocks hold
    uint8 RGB images; only one block is in memory at a time.
    """
    reference = weights.find(run.images.reference, "reference")
    inception = _inception(run.images.inception)
    second_opinion, left_out = _clean()
    metrics = adm.evaluate_images(
        blocks_of(run, store),
        reference,
        inception=inception,
        num_images=run.num_images,
        clean=second_opinion,
    )
    if run.images.clip:
        metrics |= _clip_score(run, store)
    metrics |= {"clean_FID_left_out": left_out} if left_out else {}
    return metrics | {"x_mse_curve": _curve(run, store)}


def by_judge(run, store):
    """-> IS, FID, sFID, precision, recall against the training images; rFID against the uncached
    model's images from independent noise; x0_mse and its curve against the uncached run from the
    same noise; agreement: per cent of the images that the judge classifies as their label.
    """
    images = load_samples(run, store)
    scale = run.model.scale
    generated = _features(images, scale)
    uncached = load_samples(run.baseline(), store)
    reference = _features(load_samples(run.reference(), store), scale)
    labels = np.arange(len(images)) % data.NUM_CLASSES
    with warnings.catch_warnings():
        if scale == "smoke":  # 32 images: the scores warn, and mean nothing
            warnings.simplefilter("ignore")
        against_data = scores.scores(generated, *_of_data(scale))
    return {
        **against_data,
        "num_images": len(images),
        "rFID": scores.frechet(generated["pool"], reference["pool"]),
        "x0_mse": float(np.square(images - uncached, dtype=np.float64).mean()),
        "x_mse_curve": _curve(run, store),
        "agreement": 100 * float((generated["logits"].argmax(1) == labels).mean()),
    }


def _curve(run, store):
    """Mean squared error of x_t after each step against the uncached run, over the first block;
    None where the uncached run has another number of steps.
    """
    if run.num_steps != run.against:
        return None
    latents, uncached = (
        read_array(trajectory_path(store.samples(r)), "samples", "give the command again")
        for r in (run, run.baseline())
    )
    return np.square(latents - uncached, dtype=np.float64).mean(axis=(1, 2, 3, 4)).tolist()


def _clip_score(run, store):
    from harmonica.metrics.clip import clip_score  # transformers takes seconds to import
    from harmonica.weights.prompts import read_captions

    prompts = run.model.prompts
    captions = read_captions(weights.checked(prompts.name, prompts.sha256, "captions"))
    model = extractors.clip(run.images.clip)
    return {
        "CLIP": clip_score(blocks_of(run, store), captions, model, run.num_images),
        "clip_checkpoint": model.name,
    }


@cache
def _inception(spec=None):
    """The Inception network of a FileSpec, or the published one."""
    return extractors.inception(
        *(weights.find(spec.name, "inception"), spec.sha256) if spec else ()
    )


@cache
def _clean():
    return extractors.clean_inception(weights.folder())


@cache
def _judge(scale):
    return clothes.load_judge() if scale == "clothes" else judge.load()


@cache
def _of_data(scale):
    """-> features of training images; if these are a part, the statistics of all, else None."""
    if scale == "clothes":
        return clothes.features_and_statistics()
    return _features(data.load("train")[0], scale), None


def _features(images, scale):
    return features.extract(data.to_uint8(images), _judge(scale))
