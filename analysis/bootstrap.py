"""Intervals over base models and evaluation noises, by a seeded hierarchical bootstrap.

A resample draws base models with replacement, then for each drawn one its noises with replacement.
A comparison of two methods is paired: both are measured with the same base models and noises, so
the difference is taken cell by cell first. Errors (rFID, x_0 error) are compared as the mean of log
ratios: levels differ by factors over base models and settings, and the bias that rFID has from
finitely many images is in both, which draws a ratio towards 1.
"""

from functools import cache

import numpy as np

from harmonica.errors import check

RESAMPLES = 10_000
COVERAGE = 0.95


@cache
def _cells(models, noises):
    """Drawn cells (resamples, models, noises) as flat indices, the same for every metric and
    method.
    """
    rng = np.random.default_rng(0)
    drawn = rng.integers(models, size=(RESAMPLES, models, 1))
    return drawn * noises + rng.integers(noises, size=(RESAMPLES, models, noises))


def interval(values):
    """95 % interval (low, high) of the mean of values (base models, noises)."""
    means = np.asarray(values).ravel()[_cells(*np.shape(values))].mean(axis=(1, 2))
    tail = (1 - COVERAGE) / 2
    return tuple(float(q) for q in np.quantile(means, [tail, 1 - tail]))


def log_ratios(left, right):
    """Cell by cell log(left / right) of positive errors (base models, noises), paired."""
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
