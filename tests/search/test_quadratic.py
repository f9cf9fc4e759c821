"""The quadratic model: options, E and the descent, each against a slow plain version."""

from itertools import combinations, product

import numpy as np
import pytest

from harmonica.errors import BadInput
from harmonica.search.quadratic import Descent, Quadratic, descend, options, pairs


def random_model(T, N, S=24, window=4, paired=False, seed=0):
    rng = np.random.default_rng(seed)
    ages = np.array([0, *range(1, window + 1), *(a for a, b in pairs(window) if paired)])
    Q = rng.standard_normal((S, T, len(ages), N)) * ages[:, None] * rng.random((T, 1, N))
    return Quadratic(0.1 * rng.standard_normal(S), Q.astype(np.float32), window), Q


def plain_option(column, t, window, paired):
    computed = [step for step in range(t + 1) if column[step]][::-1]
    age = t - computed[0]
    if age > window:
        return -1
    if age == 0 or not paired or len(computed) == 1 or t - computed[1] > window:
        return age
    return 1 + window + pairs(window).index((age, t - computed[1]))


@pytest.mark.parametrize("paired", [False, True])
def test_options_are_the_ages_of_the_last_computed_features(paired):
    columns = np.array([(True, *rest) for rest in product([False, True], repeat=7)])
    found = options(columns, 4, paired)
    for column, row in zip(columns, found):
        assert row.tolist() == [plain_option(column, t, 4, paired) for t in range(8)]


@pytest.mark.parametrize("paired", [False, True])
def test_E_is_the_mean_square_of_r_and_what_every_entry_adds(paired):
    model, Q = random_model(6, 3, paired=paired)
    keep = np.random.default_rng(1).random((6, 3)) < 0.6
    keep[0] = True
    e = model.r.copy()
    for t, i in product(range(6), range(3)):
        e += Q.astype(np.float32)[:, t, plain_option(keep[:, i], t, 4, paired), i]
    assert model.error(keep) == pytest.approx(np.mean(e**2), rel=1e-6)


@pytest.mark.parametrize("paired", [False, True])
def test_every_change_that_the_descent_believes_in_is_the_true_change_of_E(paired):
    model, _ = random_model(7, 3, paired=paired)
    keep = np.ones((7, 3), bool)
    keep[[2, 3, 5, 6, 6], [0, 0, 1, 2, 1]] = False
    state, base = Descent(model, keep, np.ones(3, int)), model.error(keep)
    changes = state.flipped()
    for t, i in product(range(1, 7), range(3)):
        other = keep.copy()
        other[t, i] = not other[t, i]
        assert changes[i, t] == pytest.approx(model.error(other) - base, abs=1e-9)
    swaps = {}
    for (t, i), (u, j) in product(np.argwhere(keep[1:]) + [1, 0], np.argwhere(~keep)):
        other = keep.copy()
        other[t, i], other[u, j] = False, True
        if (options(other.T, 4, paired) >= 0).all() and (i != j or abs(t - u) <= 4):
            swaps[(t, i), (u, j)] = model.error(other) - base
    assert state.swap_best(0)
    best = min(swaps, key=swaps.get)
    assert model.error(state.keep) - base == pytest.approx(swaps[best], abs=1e-9)


@pytest.mark.parametrize("reused", [0, 1, 7, 12])
def test_exactly_so_many_entries_are_skipped_and_swaps_only_help(reused):
    model, _ = random_model(6, 3, window=5)
    path = descend(model, np.ones((6, 3), bool), reused)
    assert all((~keep).sum() == reused and keep[0].all() for keep in path)
    errors = [model.error(keep) for keep in path]
    assert errors == sorted(errors, reverse=True)
    again = descend(model, np.ones((6, 3), bool), reused)
    assert all(np.array_equal(a, b) for a, b in zip(path, again)) and len(path) == len(again)


def test_a_schedule_that_skips_too_much_is_brought_back_to_the_budget():
    model, _ = random_model(6, 3)
    keep = np.zeros((6, 3), bool)
    keep[::2] = True
    assert (~descend(model, keep, 4)[0]).sum() == 4


def test_no_entry_is_older_than_the_window():
    model, _ = random_model(12, 2, window=2)
    path = descend(model, np.ones((12, 2), bool), 14)
    assert all((options(keep.T, 2, False) >= 0).all() for keep in path)
    with pytest.raises(BadInput, match="window: 2 is not possible; no further entry"):
        descend(model, np.ones((12, 2), bool), 17)


@pytest.mark.parametrize("T, N, window", [(10, 6, 6), (12, 2, 2), (20, 3, 6), (50, 2, 6)])
@pytest.mark.parametrize("seed", range(5))
def test_the_most_that_a_window_allows_can_be_skipped(T, N, window, seed):
    """Where single flips end before, whole columns change."""
    model, _ = random_model(T, N, window=window, seed=seed)
    most = N * (T - 1 - (T - 1) // (window + 1))
    (keep, *_) = descend(model, np.ones((T, N), bool), most, swaps=0)
    assert (~keep).sum() == most and (options(keep.T, window, False) >= 0).all()


def test_a_budget_in_operations_is_met_with_less_than_one_entry_to_spare():
    model, _ = random_model(8, 4, window=7)
    costs = np.array([7, 3, 5, 11])
    for target in (0, 10, 50, 90):
        for keep in descend(model, np.ones((8, 4), bool), target, costs):
            saved = (~keep * costs).sum()
            assert target <= saved and not (~keep & (saved - costs >= target)).any()


def test_among_all_schedules_of_a_small_model_the_descent_finds_one_of_the_best():
    ranks = []
    for seed in range(10):
        model, _ = random_model(4, 4, window=3, seed=seed)
        errors = []
        for chosen in combinations(range(12), 6):
            keep = np.ones((4, 4), bool)
            keep[1:].ravel()[list(chosen)] = False
            errors.append(model.error(keep))
        found = model.error(descend(model, np.ones((4, 4), bool), 6)[-1])
        ranks.append(np.mean(np.array(errors) < found * (1 - 1e-9)))
    assert np.median(ranks) < 0.01 and max(ranks) < 0.1
