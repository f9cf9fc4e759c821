"""Refits the weights of a schedule's predictions to the error of the final image itself."""

from dataclasses import replace
from functools import partial

import torch
from torch.utils.checkpoint import checkpoint

from harmonica.search.settings import REFITS
from harmonica.search.walks import follow, uncached

LEARNING_RATE = 3e-3
AT_ONCE = 12  # images whose walk is differentiated at once


def refined(walk, schedule, seed, images, batch=AT_ONCE, bar=None):
    """Lower the mean squared error of the final latents of this many images, by gradient descent on
    the weights alone -> Schedule with the same mask.

    The weights of `schedule` are where it begins: a least-squares fit of each block's own feature,
    which does not know what an error of that feature does to the image. bar: a tqdm that counts
    forwards of one image, of which there are Settings.refitting.
    """
    weights = {entry: values.float().requires_grad_() for entry, values in schedule.weights.items()}
    if not weights:
        return schedule
    optimizer = torch.optim.Adam(weights.values(), lr=LEARNING_RATE)
    batches = [range(k, min(k + batch, images)) for k in range(0, images, batch)]
    exact = [walk(uncached, seed, indices) for indices in batches]
    _advance(bar, images * walk.num_steps)
    policy = _by_steps(follow(schedule, weights))  # the optimizer changes the weights in place
    for _ in range(REFITS):
        optimizer.zero_grad()
        total = 0.0
        for indices, x_0 in zip(batches, exact):
            x = walk(policy, seed, indices, grad=True)
            error = (x - x_0).square().mean() * len(indices) / images
            error.backward()
            total += float(error.detach())
        optimizer.step()
        _advance(bar, 3 * images * walk.num_steps, total)
    halves = {entry: values.detach().half() for entry, values in weights.items()}
    return replace(schedule, weights=halves)


def _by_steps(policy):
    """The same policy, but only one step's graph is in memory at a time: the backward pass builds
    it again when it reaches the step.
    """

    def by_steps(step, call, state):
        run = partial(policy, step, call, state)
        return checkpoint(run, use_reentrant=False, preserve_rng_state=False)

    return by_steps


def _advance(bar, forwards, error=None):
    if bar is not None:
        bar.update(forwards)
        if error is not None:
            bar.set_description("refitting")
            bar.set_postfix(error=f"{error:.2e}")
