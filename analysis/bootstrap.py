"""95 % intervals over base models and evaluation noises, by a seeded bootstrap.

A resample draws base models with replacement, then for each of them its noises. Two methods are
measured with the same base models and noises, so the difference is taken cell by cell first. Errors
(rFID, x_0 error) are compared as means of log ratios: their levels differ by factors between base
models and settings. The bias that rFID has from finitely many images is in both errors and draws a
ratio towards 1.
"""

from functools import cache

import numpy as np

from harmonica.errors import check

RESAMPLES = 10_000
COVERAGE = 0.95
METHOD = (
    "An interval resamples base models, then noises within each; comparisons are paired and are "
    "ratios of errors (means of log ratios). An ordering is claimed only where the interval "
    "leaves out 1 and all base models agree; else it is open. Three base models agree by chance "
    "alone one time in four, and nothing is widened for the number of comparisons."
)


@cache
def _cells(models, noises):
    """Resampled cells (resamples, models, noises) as flat indices: the same for everything."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(models, size=(RESAMPLES, models, 1))
    return drawn * noises + rng.integers(noises, size=(RESAMPLES, models, noises))


def interval(values):
    """The interval (low, high) of the mean of values (base models, noises)."""
    means = np.asarray(values).ravel()[_cells(*np.shape(values))].mean(axis=(1, 2))
    tail = (1 - COVERAGE) / 2
    return tuple(float(q) for q in np.quantile(means, [tail, 1 - tail]))


def log_ratios(left, right):
    """log(left / right) cell by cell, of positive errors (base models, noises)."""
    left, right = np.asarray(left), np.asarray(right)
    check(
        left.shape == right.shape,
        "comparison",
        (left.shape, right.shape),
        "both need the same base models and noises",
    )
    check(
        bool((left > 0).all() and (right > 0).all()),
        "comparison",
        "an error of zero or less",
        "ratios of errors need positive errors",
    )
    return np.log(left / right)
