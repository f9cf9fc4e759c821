"""Intervals are paired and seeded, and wider where base models differ."""

import numpy as np
import pytest

from analysis.bootstrap import interval, log_ratios
from harmonica.errors import BadInput


def test_the_same_values_give_the_same_interval_around_their_mean():
    values = np.random.default_rng(0).normal(2, 1, (3, 3))
    low, high = interval(values)
    assert interval(values) == (low, high)
    assert values.min() <= low < values.mean() < high <= values.max()


def test_one_value_has_an_interval_of_no_width():
    assert interval([[3.0]]) == (3.0, 3.0)


def test_spread_over_base_models_counts_more_than_the_same_spread_over_noises():
    spread = np.array([-1.0, 0.0, 1.0])
    over_models, over_noises = (
        np.repeat(spread[:, None], 3, axis=1),
        np.repeat(spread[None], 3, axis=0),
    )
    width = [high - low for low, high in map(interval, (over_models, over_noises))]
    assert width[0] > 1.3 * width[1]


def test_a_comparison_is_paired():
    """A common factor per cell, however large, leaves the comparison as it is."""
    rng = np.random.default_rng(1)
    right = rng.uniform(1, 2, (3, 3))
    left, factor = 0.9 * right, rng.uniform(1, 100, (3, 3))
    assert interval(log_ratios(left * factor, right * factor)) == pytest.approx(
        (np.log(0.9), np.log(0.9))
    )


def test_zero_errors_and_unequal_designs_are_refused():
    with pytest.raises(BadInput, match="positive"):
        log_ratios(np.zeros((1, 1)), np.ones((1, 1)))
    with pytest.raises(BadInput, match="same base models"):
        log_ratios(np.ones((1, 3)), np.ones((3, 1)))
