"""Baselines: Taylor's weights, SmoothCache's threshold, the evolution's budget."""

import numpy as np
import pytest
import torch

from harmonica.errors import BadInput
from harmonica.method import masks, seeds
from harmonica.search.baselines import (
    channels_of,
    evolve,
    feature_changes,
    repaired,
    smoothcache,
    taylor,
    taylor_weights,
)
from harmonica.search.walks import follow, uncached


@pytest.mark.parametrize("computed", [[4], [4, 3], [4, 2, 1], [5, 3, 0, -2]])
@pytest.mark.parametrize("order", [1, 2])
def test_taylor_continues_a_line_exactly_and_what_is_there_counts(computed, order):
    for step in (6, 7, 9):
        weights = taylor_weights(step, computed, order)
        assert sum(weights) == pytest.approx(1)
        if len(computed) > 1:
            assert np.dot(weights, computed) == pytest.approx(step)
        assert not np.any(weights[order + 1 :])


def test_second_order_is_as_its_definition_says():
    features, (k, m, n), s = np.random.default_rng(0).standard_normal(3), (6, 4, 1), 8
    first = (features[0] - features[1]) / (k - m)
    earlier = (features[1] - features[2]) / (m - n)
    second = (first - earlier) / (k - m)
    expected = features[0] + first * (s - k) + second * (s - k) ** 2 / 2
    assert taylor_weights(s, [k, m, n], 2) @ features == pytest.approx(expected)


@pytest.mark.parametrize("order", [1, 2])
def test_a_taylor_schedule_uses_no_more_features_than_its_order(order):
    made = taylor(masks.fora(20, 2), [3, 3], order)
    own = taylor_weights(19, list(range(18, -1, -2)), order)[: order + 1]
    assert made.weights[19, 1][:-1, 0].tolist() == pytest.approx(own.tolist(), abs=1e-3)


def test_a_taylor_schedule_extrapolates_what_it_has(linear_walk):
    keep = masks.fora(5, 3)
    made = taylor(keep, channels_of(linear_walk), 2)
    assert made.features == 3 and made.weights[1, 0].tolist() == [[1, 1], [0, 0], [0, 0], [0, 0]]
    assert made.weights[3, 0].tolist() == [[1.5, 1.5], [-0.5, -0.5], [0, 0], [0, 0]]
    assert not torch.equal(
        linear_walk(follow(made), 0, range(2)), linear_walk(uncached, 0, range(2))
    )


def test_feature_changes_are_relative_distances_between_steps(linear_walk):
    changes = feature_changes(linear_walk, 3, range(2))
    assert changes.shape == (3, 5, 3) and torch.isinf(changes[1, 3:]).all()
    begin = linear_walk_begin(linear_walk, 3)
    for j, i, block in ((1, 0, 0), (2, 1, 2), (3, 1, 1)):
        old, new = (
            linear_walk.mean[s, block] + linear_walk.slope[s, block] * begin for s in (i, i + j)
        )
        relative = (old - new).abs().sum((1, 2)) / new.abs().sum((1, 2))
        assert float(changes[j - 1, i, block]) == pytest.approx(float(relative.mean()))


def linear_walk_begin(walk, seed):
    """The noise x that its features depend on."""
    rngs = seeds.generators(seeds.SEARCH, seed, indices=range(2))
    return seeds.normal(rngs, (3, 2)).double()


def test_smoothcache_treats_a_kind_alike_within_the_budget_and_uses_it(walk_of):
    walk = walk_of(num_steps=8)
    for reused in (8, 16):
        keep = smoothcache(walk, 3, range(4), reused, ("attn", "mlp")).keep
        assert torch.equal(keep[:, :2], keep[:, 2:]) and reused - 8 < int((~keep).sum()) <= reused
        ages = np.diff(np.flatnonzero(np.append(keep[:, 0], True)))
        assert ages.max() <= 4
    with pytest.raises(BadInput, match="reused: 0"):
        smoothcache(walk, 3, range(4), 0, ("attn", "mlp"))


def test_an_evolution_keeps_the_budget_and_only_gets_better(walk_of):
    walk = walk_of(num_steps=6)
    exact = walk(uncached, 5, range(4))

    def error(made):
        return float((walk(follow(made), 5, range(4)) - exact).square().mean())

    options = {"images": 4, "population": 6}
    few, many = (evolve(walk, 10, walks, 5, **options) for walks in (30, 200))
    assert all(int((~made.keep).sum()) == 10 and made.keep[0].all() for made in (few, many))
    assert error(many) < error(few)
    assert torch.equal(evolve(walk, 10, 200, 5, **options).keep, many.keep)


def test_a_mask_is_repaired_to_the_budget():
    rng = np.random.default_rng(0)
    for reused in (0, 5, 9, 12):
        keep = repaired(masks.fora(5, 3).numpy(), reused, rng)
        assert (~keep).sum() == reused and keep[0].all()
