"""Refits the weights of a schedule's predictions to the error of the final image itself."""

from dataclasses import replace
from functools import partial

import torch
from torch.utils.checkpoint import checkpoint

from harmonica.method import ranks
from harmonica.search import settings
from harmonica.search.measure import REFIT
from harmonica.search.walks import follow, uncached

LEARNING_RATE = 3e-3  # of the first update; it falls to 0 along a cosine
SMALLEST = 1e-6  # distances below this have no gradient worth following


def refitted(measure, schedule):
    """Lower the distance of the final latents from the uncached ones, by gradient descent on the
    weights alone -> Schedule with the same mask; the given one where that was better on the noise
    on which `measure` judges, or the weights did not stay finite.

    The given weights are least-squares fits to each block's own feature, which do not know what an
    error of that feature does to the image. Every update sees new noise: there are too many weights
    for a few images. The mean is over the images' distances, not over their squares, or a few
    images would decide the direction.
    """
    if not schedule.weights:
        return schedule
    weights = {entry: values.float().requires_grad_() for entry, values in schedule.weights.items()}
    policy = _by_steps(follow(schedule, weights))  # the optimizer changes the weights in place
    optimizer = torch.optim.Adam(weights.values(), lr=LEARNING_RATE)
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, measure.settings.refits)
    for update in range(measure.settings.refits):
        optimizer.zero_grad()
        error = _learn(measure, policy, weights, measure.noise(REFIT, update))
        optimizer.step()
        slower.step()
        measure.tell("refitting", error)
    halves = {entry: values.detach().half() for entry, values in weights.items()}
    if not all(values.isfinite().all() for values in halves.values()):
        return schedule
    return min(schedule, replace(schedule, weights=halves), key=measure.error)


def _learn(measure, policy, weights, seed):
    """Give the weights their gradients, averaged over all ranks' images -> the mean squared
    difference of this rank's images.
    """
    batches, total = measure.batches(settings.REFIT_IMAGES), 0.0
    for indices in batches:
        exact = measure.walk(uncached, seed, indices)
        x = measure.walk(policy, seed, indices, grad=True)
        squares = (x - exact).square().flatten(1).mean(1)
        distance = (squares + SMALLEST**2).sqrt().mean() / len(batches)
        distance.backward()
        total += float(squares.detach().mean()) / len(batches)
        measure.count(settings.REFIT_WALKS * len(indices) * ranks.count())
    for values in weights.values():
        values.grad = ranks.mean(values.grad)
    return total


def _by_steps(policy):
    """The same policy, but only one step's graph is in memory at a time: the backward pass builds
    it again when it reaches the step.
    """

    def by_steps(step, call, state):
        run = partial(policy, step, call, state)
        return checkpoint(run, use_reentrant=False, preserve_rng_state=False)

    return by_steps
