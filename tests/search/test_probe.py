"""The probe: its numbers are derivatives of the final image, and E is exact where it must be."""

from itertools import product

import numpy as np
import pytest
import torch

from harmonica.method import masks
from harmonica.method.cache import predicted
from harmonica.method.schedule import Schedule
from harmonica.search import probe as probing
from harmonica.search.predict import RIDGE, fit
from harmonica.search.probe import probe, random_directions
from harmonica.search.quadratic import Quadratic, options, pairs
from harmonica.search.walks import follow, uncached

INDICES = range(3)
WINDOW = 3
OPTIONS = [(0,), (1,), (2,), (3,), *pairs(WINDOW)]


def moved(schedule, step, block, option, amount):
    """The policy of a schedule but that one entry's feature, as used there, moves towards another:
    that of `option`, a function of the block's computed features, newest first.
    """
    keep = schedule.keep.tolist()

    def policy(t, call, state):
        state = list(state or [((), ())] * len(keep[0]))

        def at(i, compute):
            history, past = state[i]
            past = (compute(), *past)
            if keep[t][i]:
                history = (past[0], *history[:1])
                used = past[0]
            else:
                own = schedule.weights.get((t, i))
                used = history[0] if own is None else predicted(own, history)
            state[i] = history, past
            return used + amount * (option(past) - used) if (t, i) == (step, block) else used

        return call(at), state

    return policy


def fitted(inputs, target, guided):
    """The ridge regression of a feature on others, channel by channel."""
    out = torch.empty_like(target)
    if guided:
        target, *inputs = (torch.cat([one, guided(one)]) for one in (target, *inputs))
    for channel in range(target.shape[-1]):
        X = np.stack([one[..., channel].flatten().numpy() for one in inputs], 1)
        y = target[..., channel].flatten().numpy()
        centred = X - X.mean(0)
        gram = centred.T @ centred / len(y)
        gram += np.eye(len(inputs)) * (RIDGE * np.trace(gram) / len(inputs) + 1e-12)
        w = np.linalg.solve(gram, centred.T @ (y - y.mean()) / len(y))
        fit = torch.from_numpy(X @ w + y.mean() - X.mean(0) @ w)
        out[..., channel] = fit.view(-1, out.shape[1])[: len(out)]
    return out


def value_of(ages, paired, guided):
    if not paired or ages == (0,):
        return lambda past: past[ages[0]]
    return lambda past: fitted([past[age] for age in ages], past[0], guided)


def schedule_for(walk, paired):
    keep = masks.random(walk.num_steps, walk.num_blocks, 6, seed=3)
    return fit(walk, keep, 5, INDICES) if paired else Schedule(keep=keep)


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize(
    "sampler, guidance", [("ddim", 1.0), ("ddim", 2.5), ("dpm++", 2.5), ("sa-solver", 2.5)]
)
def test_every_option_changes_the_image_as_finite_differences_say(
    walk_of, sampler, guidance, paired
):
    walk = walk_of(sampler, guidance=guidance)
    schedule = schedule_for(walk, paired)
    _, Q = probe(walk, schedule, 7, INDICES, directions=1, window=WINDOW, paired=paired)
    x = walk(follow(schedule), 7, INDICES)
    (v,) = random_directions(7, INDICES, x, 1)
    own = options(schedule.keep.T.numpy(), WINDOW, paired).T
    tried = 0
    for t, i in product(range(1, walk.num_steps), range(walk.num_blocks)):
        for o, ages in enumerate(OPTIONS if paired else OPTIONS[:4]):
            if max(ages) > t:
                continue
            if o == own[t, i]:
                assert not Q[:, 0, t, o, i].any()
                continue
            option = value_of(ages, paired, walk.guided)
            plus, minus = (
                walk(moved(schedule, t, i, option, amount), 7, INDICES) for amount in (1e-3, -1e-3)
            )
            slope = (v * (plus - minus)).flatten(1).sum(1) / 2e-3
            torch.testing.assert_close(Q[:, 0, t, o, i], slope, rtol=1e-6, atol=1e-8)
            tried += slope.abs().max() > 1e-6
    assert tried > 12


@pytest.mark.parametrize("paired", [False, True])
def test_at_the_schedule_itself_E_is_what_the_walk_shows(walk_of, paired):
    walk = walk_of("dpm++", guidance=2.0)
    schedule = schedule_for(walk, paired)
    r, Q = probe(walk, schedule, 7, INDICES, directions=2, window=WINDOW, paired=paired)
    error = walk(follow(schedule), 7, INDICES) - walk(uncached, 7, INDICES)
    shown = [
        (v * error).flatten(1).sum(1).square().mean()
        for v in random_directions(7, INDICES, error, 2)
    ]
    model = Quadratic(r.flatten().numpy(), Q.flatten(0, 1).numpy(), WINDOW)
    assert model.error(schedule.keep.numpy()) == pytest.approx(float(sum(shown)) / 2, rel=1e-9)


def test_the_full_schedule_has_no_error(walk_of):
    walk = walk_of()
    full = Schedule(keep=masks.full(4, 4))
    r, Q = probe(walk, full, 7, INDICES, directions=2, window=WINDOW)
    assert not r.any() and Q.any() and not Q[:, :, :, 0].any()


def test_where_the_image_is_linear_in_the_features_E_is_the_error_of_every_schedule(linear_walk):
    walk = linear_walk
    shape = walk.num_steps, walk.num_blocks
    at = Schedule(keep=masks.random(*shape, 5, seed=0))
    r, Q = probe(walk, at, 7, INDICES, directions=2, window=4)
    model = Quadratic(r.flatten().numpy(), Q.flatten(0, 1).numpy(), 4)
    exact = walk(uncached, 7, INDICES)
    for seed in range(20):
        keep = masks.random(*shape, seed % 13, seed)
        error = walk(follow(Schedule(keep=keep)), 7, INDICES) - exact
        shown = [
            (v * error).flatten(1).sum(1).square().mean()
            for v in random_directions(7, INDICES, error, 2)
        ]
        assert model.error(keep.numpy()) == pytest.approx(float(sum(shown)) / 2, rel=1e-5)


@pytest.mark.parametrize("paired", [False, True])
def test_steps_whose_graph_is_built_again_give_what_one_graph_of_the_whole_walk_gives(
    walk_of, monkeypatch, paired
):
    walk = walk_of("dpm++", guidance=2.0)
    schedule = schedule_for(walk, paired)

    def both():
        return probe(walk, schedule, 7, INDICES, directions=2, window=WINDOW, paired=paired)

    again = both()
    monkeypatch.setattr(probing, "checkpoint", lambda run, **options: run())
    for one, other in zip(again, both()):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def held_by_graph(walk, schedule):
    """Bytes that autograd holds between forward and backward, nothing counted twice."""
    sizes = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    linear = probing.Linearised(schedule, len(INDICES), WINDOW, False, None)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        walk(linear, 7, INDICES, grad=True)
    return sum(sizes.values())


def test_between_the_passes_the_graph_holds_next_to_nothing_of_the_steps(walk_of, monkeypatch):
    walk = walk_of(num_steps=12)
    schedule = Schedule(keep=masks.full(12, 4))
    few = held_by_graph(walk, schedule)
    monkeypatch.setattr(probing, "checkpoint", lambda run, **options: run())
    assert few < held_by_graph(walk, schedule) / 50


def test_features_that_are_tuples_count_leaf_by_leaf(linear_walk):
    """One block whose feature has two streams gives what two blocks of one schedule give."""
    walk = linear_walk

    class Joined(type(walk)):
        num_blocks = 2

        def run(self, step, x, begin, at):
            one, two, three = (self.mean[step, i] + self.slope[step, i] * begin for i in range(3))
            first, (second, third) = at(0, lambda: one), at(1, lambda: (two, three))
            gate = self.gate[step]
            return 0.1 * x + gate[0] * first + gate[1] * second + gate[2] * third

    keep = masks.random(5, 2, 4, seed=1)
    apart = keep[:, [0, 1, 1]]
    for weighted in (False, True):
        joined, single = Joined(), walk
        schedules_ = [
            fit(one, mask, 5, INDICES) if weighted else Schedule(keep=mask)
            for one, mask in ((joined, keep), (single, apart))
        ]
        torch.testing.assert_close(
            *(one(follow(s), 7, INDICES) for one, s in zip((joined, single), schedules_))
        )
        found = [
            probe(one, s, 7, INDICES, directions=2, window=3, paired=weighted)
            for one, s in zip((joined, single), schedules_)
        ]
        torch.testing.assert_close(found[0][0], found[1][0])
        torch.testing.assert_close(found[0][1][..., 0], found[1][1][..., 0])
        torch.testing.assert_close(found[0][1][..., 1], found[1][1][..., 1:].sum(-1))
