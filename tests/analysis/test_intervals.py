"""Intervals are Student's and paired; what can be detected shrinks with more replicates."""

import numpy as np
import pytest
from scipy import stats

from analysis.intervals import detectable, interval, log_ratios
from harmonica.errors import BadInput


def test_an_interval_leaves_out_what_the_t_test_rejects_and_no_more():
    values = np.random.default_rng(0).normal(2, 1, 6)
    low, high = interval(values)
    assert low < values.mean() < high
    for end in (low, high):
        assert stats.ttest_1samp(values, end).pvalue == pytest.approx(0.05)


def test_one_value_has_an_interval_of_no_width():
    assert interval([3.0]) == (3.0, 3.0)


def test_a_comparison_is_paired():
    """A common factor in each replicate, however large, leaves the comparison as it is."""
    rng = np.random.default_rng(1)
    right = rng.uniform(1, 2, 6)
    left, factor = 0.9 * right, rng.uniform(1, 100, 6)
    assert interval(log_ratios(left * factor, right * factor)) == pytest.approx(
        (np.log(0.9), np.log(0.9))
    )


def test_zero_errors_and_unequal_replicates_are_refused():
    with pytest.raises(BadInput, match="positive"):
        log_ratios(np.zeros(3), np.ones(3))
    with pytest.raises(BadInput, match="same replicates"):
        log_ratios(np.ones(1), np.ones(3))


@pytest.mark.parametrize("replicates", [3, 6, 12])
def test_a_detectable_ratio_is_detected_in_four_of_five_cases(replicates):
    shift = np.log(detectable(0.2, replicates)) / 0.2 * np.sqrt(replicates)
    critical = stats.t.ppf(0.975, replicates - 1)
    assert stats.nct.sf(critical, replicates - 1, shift) == pytest.approx(0.8, abs=1e-4)


def test_more_replicates_and_less_spread_detect_smaller_ratios():
    assert 1 < detectable(0.1, 6) < detectable(0.2, 6) < detectable(0.2, 3)
