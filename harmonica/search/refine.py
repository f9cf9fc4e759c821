"""Refits the weights of a schedule's predictions to the error of the final image itself."""

from dataclasses import replace

import torch

from harmonica.search.settings import REFITS
from harmonica.search.walks import follow, uncached

LEARNING_RATE = 3e-3
AT_ONCE = 12  # images whose walk is differentiated at once


def refined(walk, schedule, seed, images):
    """Lower the mean squared error of the final latents of this many images, by gradient descent on
    the weights alone -> Schedule with the same mask.

    The weights of `schedule` are where it begins: a least-squares fit of each block's own feature,
    which does not know what an error of that feature does to the image.
    """
    weights = {entry: values.float().requires_grad_() for entry, values in schedule.weights.items()}
    optimizer = torch.optim.Adam(weights.values(), lr=LEARNING_RATE)
    batches = [range(k, min(k + AT_ONCE, images)) for k in range(0, images, AT_ONCE)]
    exact = [walk(uncached, seed, batch) for batch in batches]
    for _ in range(REFITS):
        optimizer.zero_grad()
        for batch, x_0 in zip(batches, exact):
            x = walk(follow(schedule, weights), seed, batch, grad=True)
            ((x - x_0).square().mean() * len(batch) / images).backward()
        optimizer.step()
    halves = {entry: values.detach().half() for entry, values in weights.items()}
    return replace(schedule, weights=halves)
