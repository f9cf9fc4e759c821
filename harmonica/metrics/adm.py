"""ADM's evaluation protocol (Dhariwal & Nichol, 2021): scores a set of images against a reference
file, in one pass over them.

A reference is an .npz as published by ADM (VIRTUAL_imagenet256_labeled.npz). Its arr_0 holds
images, used for precision and recall only. FID and sFID use its statistics, which are those of many
more images: mu and sigma, mu_s and sigma_s.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from harmonica import files
from harmonica.errors import check
from harmonica.metrics.features import extract
from harmonica.metrics.images import ImageSet, counted, open_images, reading, write_npz
from harmonica.metrics.scores import frechet, scores, statistics, warn_if_few

STATISTICS = {"pool": ("mu", "sigma"), "spatial": ("mu_s", "sigma_s")}
REFERENCE_IMAGES = 10_000  # how many images ADM's own references hold
FEWEST = 4  # an image and its 3 nearest neighbours


@dataclass(frozen=True)
class Reference:
    """images: arr_0. statistics: {"pool": (mu, sigma), "spatial": (mu_s, sigma_s)} float64. sha256:
    of the whole file.
    """

    images: ImageSet
    statistics: dict
    sha256: str


def evaluate_images(batches, reference_path, *, inception, num_images, clean=None):
    """IS, FID, sFID, precision and recall (percent) of `num_images` images against a reference
    file.

    batches: uint8 arrays (n, 3, H, W) in the order of the images, on which IS depends. Memory holds
    their features, 40 KB per image. inception: the network, on the device that shall compute.
    clean: a CleanInception adds clean_FID, against the images of the reference, as a reference has
    no statistics for it. BadInput where the number of images, their resolution or the reference's
    arrays are wrong. Warns where there are too few images.
    """
    check(
        num_images >= FEWEST,
        "num_images",
        num_images,
        f"precision and recall need at least {FEWEST}",
    )
    reference, real = _reference(Path(reference_path), inception, clean)
    generated = _features(batches, num_images, reference.images.resolution, inception, clean)
    metrics = scores(generated, real, reference.statistics)
    if clean:
        metrics["clean_FID"] = frechet(generated["clean"], real["clean"])
    return {
        **metrics,
        "num_images": num_images,
        "resolution": reference.images.resolution,
        "reference_images": reference.images.num_images,
        "reference_sha256": reference.sha256,
        "inception_sha256": inception.sha256,
    }


def read_reference(path):
    """-> Reference. BadInput names an array that is missing or has a wrong type or shape."""
    path = Path(path)
    check(
        path.is_file(),
        "reference",
        str(path),
        "give ADM's .npz, or make one of images: evaluate --make-reference IMAGES",
    )
    images = open_images(path, "reference")
    _enough(images)
    with reading(path, "statistics"), np.load(path, allow_pickle=False) as arrays:
        moments = {layer: _moments(path, arrays, *names) for layer, names in STATISTICS.items()}
    return Reference(images, moments, files.sha256(path))


def write_reference(path, images, inception):
    """Make a reference file of an ImageSet: statistics over all its images, and in arr_0 at most
    10 000 of them, evenly spread. Memory holds 40 KB per image.
    """
    _enough(images)
    features = _features(images.batches(), images.num_images, images.resolution, inception)
    arrays = {}
    for layer, names in STATISTICS.items():
        warn_if_few("reference", layer, features[layer])
        arrays |= dict(zip(names, statistics(features[layer])))
    num_kept = min(images.num_images, REFERENCE_IMAGES)
    write_npz(path, _evenly(images, num_kept), num_kept, **arrays)


@lru_cache(maxsize=1)  # all runs of a table use the same reference
def _reference(path, inception, clean):
    """-> Reference, the features of its images. Before this long work, the sizes of its statistics
    are checked against the features of one image.
    """
    reference = read_reference(path)
    first_features = extract(next(reference.images.batches())[:1], inception)
    for layer, (mean, _) in STATISTICS.items():
        width = len(reference.statistics[layer][0])
        needed = first_features[layer].shape[1]
        check(
            width == needed,
            f"{path}'s {mean}",
            width,
            f"these features have {needed} values; it is of others",
        )
    images = reference.images
    return reference, _features(
        images.batches(), images.num_images, images.resolution, inception, clean
    )


def _features(batches, num_images, resolution, inception, clean=None):
    """-> {layer: (num_images, D) float64}, with a layer "clean" if `clean` is given."""
    features = {}
    start = 0
    for batch in counted(batches, num_images, resolution):
        extracted = extract(batch, inception) | ({"clean": clean(batch)} if clean else {})
        for layer, values in extracted.items():
            features.setdefault(layer, np.empty((num_images, values.shape[1])))[
                start : start + len(batch)
            ] = values
        start += len(batch)
    return features


def _enough(images):
    right = f"recall needs at least {FEWEST}"
    check(images.num_images >= FEWEST, "reference", f"{images.num_images} images", right)


def _moments(path, arrays, mean, covariance):
    """Read and check two arrays of a reference -> mu (D,), sigma (D, D) float64."""
    moments = []
    for name, ndim in ((mean, 1), (covariance, 2)):
        check(
            name in arrays.files,
            "reference",
            str(path),
            f"it has no {name}; a reference holds arr_0, mu, sigma, mu_s and sigma_s",
        )
        with reading(path, name):
            array = arrays[name]
        form = f"{array.dtype} {array.shape}"
        right = f"float32 or float64 ({', '.join('DD'[:ndim])}) is needed"
        real = array.dtype.kind == "f" and array.dtype.itemsize in (4, 8)
        square = array.ndim == ndim and len(set(array.shape)) == 1
        check(real and square, f"{path}'s {name}", form, right)
        right = "all must be finite; copy the file anew"
        check(np.isfinite(array).all(), f"{path}'s {name}", "nan or inf", right)
        moments.append(array.astype(np.float64))
    width = len(moments[0])
    check(
        width == len(moments[1]),
        f"{path}'s {covariance}",
        moments[1].shape,
        f"its {mean} has {width} values",
    )
    return tuple(moments)


def _evenly(images, count):
    """Yield the batches of an ImageSet, reduced to `count` images that are evenly spread."""
    start = 0
    for batch in images.batches():
        indices = np.arange(start, start + len(batch))
        start += len(batch)
        yield batch[
            (indices + 1) * count // images.num_images > indices * count // images.num_images
        ]
