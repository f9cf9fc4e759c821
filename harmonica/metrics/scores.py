"""Scores from features: pure functions on float64 arrays (N, D), which call torch-fidelity with
ADM's settings.
"""

import warnings

import numpy as np
import torch
from torch_fidelity.metric_fid import (
    KEY_METRIC_FID,
    fid_features_to_statistics,
    fid_statistics_to_metric,
)
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric
from torch_fidelity.metric_prc import (
    KEY_METRIC_PRECISION,
    KEY_METRIC_RECALL,
    prc_features_to_metric,
)

IMAGES_PER_SPLIT = 5000  # of the Inception Score
NEIGHBOURS = 3
# rows of the distance matrix of precision and recall: limits memory, the result is the same
ROWS_AT_ONCE = 2500


def scores(generated, reference, reference_statistics=None):
    """-> {"IS", "FID", "sFID", "precision", "recall"}, the last two in percent, from the results of
    features.extract for generated and for real images.

    `reference_statistics` {"pool": (mu, sigma), "spatial": (mu, sigma)}, if given, are used for FID
    and sFID in place of the statistics of `reference`, whose "spatial" is then not read: the
    statistics in ADM's reference files are those of more images than the files hold.
    """
    real = reference_statistics or {
        layer: statistics(reference[layer]) for layer in ("pool", "spatial")
    }
    for layer in real:
        if reference_statistics is None:
            warn_if_few("reference", layer, reference[layer])
        warn_if_few("generated", layer, generated[layer])
    precision, recall = precision_recall(generated["pool"], reference["pool"])
    return {
        "IS": inception_score(generated["logits"]),
        "FID": frechet_of_statistics(statistics(generated["pool"]), real["pool"]),
        "sFID": frechet_of_statistics(statistics(generated["spatial"]), real["spatial"]),
        "precision": precision,
        "recall": recall,
    }


def inception_score(logits):
    """exp E KL(p(y|x) || p(y)) of logits (N, K), the mean over splits of 5000 images in their order
    (one split below 10 000 images).

    nan where an image's logits differ by more than 700, as probabilities then underflow to 0. The
    logits of both extractors are far from that.
    """
    splits = max(1, len(logits) // IMAGES_PER_SPLIT)
    return isc_features_to_metric(torch.from_numpy(logits), splits=splits, shuffle=False)[
        KEY_METRIC_ISC_MEAN
    ]


def statistics(features):
    """-> mu (D,), sigma (D, D) float64: all that a Frechet distance needs of `features` (N, D)."""
    moments = fid_features_to_statistics(torch.from_numpy(features.astype(np.float64, copy=False)))
    return moments["mu"], moments["sigma"]


def frechet_of_statistics(a, b):
    """Frechet distance of two Gaussians, each a pair (mu, sigma)."""
    a, b = (
        {"mu": np.asarray(mu, np.float64), "sigma": np.asarray(sigma, np.float64)}
        for mu, sigma in (a, b)
    )
    return fid_statistics_to_metric(a, b, verbose=False)[KEY_METRIC_FID]


def frechet(features_a, features_b):
    """Frechet distance of the Gaussians fitted to two sets of features, (N, D) and (M, D). FID on
    "pool", sFID on "spatial".
    """
    return frechet_of_statistics(statistics(features_a), statistics(features_b))


def precision_recall(generated, reference):
    """Features (N, D), (M, D) -> precision, recall in percent: the share of generated images that
    lie in a 3-nearest-neighbour ball of the reference, and the reverse.
    """
    scores = prc_features_to_metric(
        torch.from_numpy(generated),
        torch.from_numpy(reference),
        prc_neighborhood=NEIGHBOURS,
        prc_batch_size=ROWS_AT_ONCE,
        save_cpu_ram=True,
        verbose=False,
    )
    return 100 * scores[KEY_METRIC_PRECISION], 100 * scores[KEY_METRIC_RECALL]


def warn_if_few(name, layer, features):
    """Warn where the covariance of `features` (N, D) cannot have full rank."""
    count, width = features.shape
    if count <= width:
        score = "sFID" if layer == "spatial" else "FID"
        warnings.warn(
            f"{score} means nothing here: "
            f"{count} {name} images for a {width}-dimensional covariance",
            stacklevel=3,
        )
