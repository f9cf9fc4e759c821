"""95 % intervals over replicates, by Student's t; and which ratios so many replicates tell from 1.

A replicate is a whole repetition: its own base model, router or search seed and evaluation noise.
Two methods share all of these within a replicate, so they are compared replicate by replicate.
Errors (rFID, x_0 error) are compared as means of log ratios: their levels differ by factors between
replicates and settings. The bias that rFID has from finitely many images is in both errors and
draws a ratio towards 1.
"""

import numpy as np
from scipy import optimize, stats

from harmonica.errors import check

COVERAGE = 0.95
POWER = 0.8  # with which a difference is to be found
METHOD = (
    "A replicate is a whole repetition: base model n, router or search seed n and evaluation noise "
    "n. Both methods of a comparison share them, so the ratio of their errors is taken replicate "
    "by replicate; it is given as the geometric mean of these ratios, with the t interval of their "
    "logarithms (degrees of freedom: one less than replicates) and the number of replicates "
    "in which the first-named method has the lower error. An ordering is claimed only if the "
    "interval excludes 1; otherwise it is open. This has limits. With so few replicates, the "
    "interval assumes that log ratios are roughly normal. Nothing is widened for the number of "
    "comparisons: where there is no difference, one in twenty would still be claimed. Comparisons "
    "of one table share runs. What all replicates have in common (data, architecture, "
    "hyper-parameters) is not varied."
)


def interval(values):
    """The interval (low, high) of the mean of values (replicates,); a single value has no width."""
    values = np.asarray(values, dtype=np.float64)
    half = 0.0
    if len(values) > 1:
        half = _critical(len(values)) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def log_ratios(left, right):
    """log(left / right) replicate by replicate, of positive errors (replicates,)."""
    left, right = np.asarray(left), np.asarray(right)
    check(
        left.shape == right.shape,
        "comparison",
        (left.shape, right.shape),
        "both need the same replicates",
    )
    check(
        bool((left > 0).all() and (right > 0).all()),
        "comparison",
        "an error of zero or less",
        "ratios of errors need positive errors",
    )
    return np.log(left / right)


def detectable(spread, replicates):
    """The ratio above 1 that so many replicates tell from 1 in 80 % of cases, by the paired t test
    at 5 % behind the interval. spread: standard deviation of log ratios over replicates.
    """
    squared = _critical(replicates) ** 2  # the square of a noncentral t is a noncentral F

    def short_of_power(shift):
        return stats.ncf.sf(squared, 1, replicates - 1, shift**2) - POWER

    shift = optimize.brentq(short_of_power, 0.1, 10)
    return float(np.exp(shift * spread / np.sqrt(replicates)))


def _critical(replicates):
    return float(stats.t.ppf((1 + COVERAGE) / 2, replicates - 1))
