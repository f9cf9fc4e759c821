"""Both lambdas are what walking from the start for every step gives, bit for bit."""

import pytest
import torch

from harmonica.method import iepo

SETTINGS = [
    dict(num_steps=2),
    dict(num_steps=5),
    dict(num_steps=5, scale=1.0, dtype=torch.float32),
    dict(num_steps=6, channels=1, out_channels=1, batch=3),
    dict(num_steps=4, tied=False),
]


def end(denoiser, x, scores):
    """Final Point of a walk from the start with these scores."""
    with torch.no_grad():
        return denoiser.walk(denoiser.begin(x), denoiser.soft(scores, 0.1))


def row_set(scores, steps, value=1.0):
    scores = scores.clone()
    scores[steps] = value
    return scores


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("seed", [0, 1])
def test_leave_one_out_is_brute_force(tiny_walk, tiny_scores, setting, seed):
    denoiser, x = tiny_walk(**setting)
    scores = tiny_scores(setting["num_steps"], denoiser.backbone.num_blocks, seed, x.dtype)
    last = denoiser.images(end(denoiser, x, scores))
    brute = [
        (denoiser.images(end(denoiser, x, row_set(scores, step))) - last).square().sum() / len(x)
        for step in range(setting["num_steps"])
    ]
    got = iepo.leave_one_out(denoiser, x, scores, 0.1)
    assert got.dtype == x.dtype and torch.equal(got, torch.stack(brute))
    assert got[0] == 0 and (got[1:] > 0).all()


def test_distances_are_what_they_are_called():
    a, b = torch.randn(2, 3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    rows = (a - b).flatten(1)
    expected = {"absolute": rows.norm(1, dim=1).mean()}
    expected["relative"] = (rows.norm(dim=1) / b.flatten(1).norm(dim=1)).square().mean()
    for name, distance in iepo.DISTANCES.items():
        torch.testing.assert_close(distance(a, b), expected[name])
        assert distance(b, b) == 0
    torch.testing.assert_close(iepo.squared(a, b), rows.norm(dim=1).square().mean())


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("seed", [0, 1])
def test_cumulative_is_brute_force(tiny_walk, tiny_scores, setting, seed):
    """From "reuse nowhere", rows are switched on one after another; both guidance halves count."""
    denoiser, x = tiny_walk(**setting)
    scores = tiny_scores(setting["num_steps"], denoiser.backbone.num_blocks, seed, x.dtype)
    chain = [
        end(denoiser, x, row_set(scores, slice(on + 1, None))).x
        for on in range(setting["num_steps"])
    ]
    brute = [(b - a).square().mean() for a, b in zip(chain, chain[1:])]
    got = iepo.cumulative(denoiser, x, scores, 0.1)
    assert got[0].isnan() and torch.equal(got[1:], torch.stack(brute))
    assert len(chain[0]) == len(x) * denoiser.copies and (got[1:] > 0).all()


@pytest.mark.parametrize("measure", [iepo.leave_one_out, iepo.cumulative])
def test_with_hard_scores_a_row_that_reuses_nothing_costs_exactly_nothing(tiny_walk, measure):
    denoiser, x = tiny_walk(num_steps=6)
    scores = torch.ones(6, 4, dtype=torch.float64)
    scores[2, 1] = scores[2, 3] = scores[4, 0] = 0
    lambda_ = measure(denoiser, x, scores, 0.1)
    assert (lambda_[[1, 3, 5]] == 0).all() and (lambda_[[2, 4]] > 0).all()


def test_no_graph_is_kept(tiny_walk, tiny_scores):
    denoiser, x = tiny_walk()
    assert not iepo.leave_one_out(denoiser, x, tiny_scores().requires_grad_(), 0.1).requires_grad
