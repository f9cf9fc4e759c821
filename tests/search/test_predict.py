"""Prediction of skipped features: reuse is one case of it, bit for bit; what the fit finds."""

from dataclasses import replace

import pytest
import torch

from harmonica.method import masks
from harmonica.method.cache import predicted
from harmonica.method.schedule import Schedule
from harmonica.search import refit
from harmonica.search.measure import Measure
from harmonica.search.predict import fit, least_squares, moments
from harmonica.search.settings import Settings
from harmonica.search.state import State
from harmonica.search.walks import follow, uncached

INDICES = range(6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_the_weights_1_0_0_are_reuse_bit_for_bit(dtype):
    last, before = (torch.randn(2, 5, 4).to(dtype) for _ in range(2))
    weights = torch.tensor([1, 0, 0])[:, None].expand(3, 4).half()
    for history in ([last, before], [last]):
        out = predicted(weights, history)
        assert torch.equal(out, last) and out.dtype == dtype


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_so_it_is_along_a_whole_walk(walk_of, guidance):
    walk = walk_of(guidance=guidance)
    keep = masks.random(4, 4, 7, seed=0)
    reuse = torch.tensor([1, 0, 0])[:, None].expand(3, 32).half()
    weighted = Schedule(keep=keep, weights={tuple(e): reuse for e in (~keep).nonzero().tolist()})
    plain = walk(follow(Schedule(keep=keep)), 3, INDICES)
    assert torch.equal(walk(follow(weighted), 3, INDICES), plain)
    assert not torch.equal(walk(uncached, 3, INDICES), plain)


def test_a_feature_is_the_weighted_sum_of_the_last_ones_of_every_stream():
    history = [(torch.randn(2, 5, 4), torch.randn(2, 3, 2)) for _ in range(2)]
    weights = torch.randn(3, 6).half()
    for k, (out, part) in enumerate(zip(predicted(weights, history), weights.split([4, 2], 1))):
        w1, w2, bias = part.float()
        torch.testing.assert_close(out, w1 * history[0][k] + w2 * history[1][k] + bias)


def test_least_squares_finds_the_weights_that_made_the_target():
    inputs = [torch.randn(3, 50, 4, dtype=torch.float64) for _ in range(2)]
    w1, w2, bias = torch.randn(3, 4, dtype=torch.float64)
    mean, cov = moments([*inputs, w1 * inputs[0] + w2 * inputs[1] + bias])
    weights = least_squares(cov[:, :-1, :-1], cov[:, :-1, -1])
    torch.testing.assert_close(weights.T, torch.stack([w1, w2]), rtol=5e-3, atol=5e-3)


def test_a_fit_makes_the_image_better_and_follows_the_schedules_own_walk(walk_of):
    walk = walk_of(num_steps=40)
    keep, exact = masks.fora(40, 4), walk(uncached, 4, INDICES)
    fitted = fit(walk, keep, 3, INDICES)
    errors = [
        float((walk(follow(one), 4, INDICES) - exact).square().mean())
        for one in (fitted, Schedule(keep=keep))
    ]
    assert errors[0] < errors[1]
    assert fitted.features == 2 and set(fitted.weights) == {
        tuple(e) for e in (~keep).nonzero().tolist()
    }
    assert all(not fitted.weights[1, i][1].any() for i in range(4))  # one feature is there by then
    again = fit(walk, keep, 3, INDICES)
    assert all(torch.equal(again.weights[e], fitted.weights[e]) for e in fitted.weights)


def test_refitted_weights_lower_the_error_of_other_images(walk_of):
    walk, few = walk_of(num_steps=6), Settings(images=12)
    keep, exact = masks.random(6, 4, 12, seed=0), walk(uncached, 3, range(40))
    fitted = fit(walk, keep, 3, range(8))
    before = {entry: values.clone() for entry, values in fitted.weights.items()}
    states = State("once"), State("again")
    better, again = (refit.refitted(Measure(walk, few, state), fitted) for state in states)
    errors = [
        float((walk(follow(one), 3, range(40)) - exact).square().mean()) for one in (better, fitted)
    ]
    assert errors[0] < errors[1]
    assert torch.equal(better.keep, keep) and better.weights.keys() == fitted.weights.keys()
    assert all(torch.equal(before[entry], fitted.weights[entry]) for entry in before)
    assert all(torch.equal(again.weights[entry], better.weights[entry]) for entry in before)
    assert states[0].values["forwards"] == few.refitting(6)


@pytest.mark.parametrize("rate", [10.0, 1e9])  # worse weights, and infinite ones
def test_a_refit_that_is_no_better_on_other_noise_is_not_kept(walk_of, monkeypatch, rate):
    walk = walk_of()
    fitted = fit(walk, masks.random(4, 4, 7, seed=0), 3, range(8))
    monkeypatch.setattr(refit, "LEARNING_RATE", rate)
    assert refit.refitted(Measure(walk, Settings(images=6), State("any")), fitted) is fitted


def test_a_walk_over_few_conditions_draws_no_others(walk_of):
    walk, drawn = walk_of(), []
    cond = walk.loaded.cond
    walk.loaded = replace(walk.loaded, cond=lambda some: drawn.append(list(some)) or cond(some))
    for conds in (walk.conds, 2):
        walk.conds = conds
        walk(uncached, 3, range(12))
    every, few = map(set, drawn)
    assert len(every) > 2 and few == {0, 1}
