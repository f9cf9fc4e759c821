"""Training on the error of the final image itself, which the paper calls too expensive and replaces
by IEPO: one walk, one backward pass through all of it, one update of every row by its own gradient
of || x_0 - x_0 of the uncached model ||^2.

The student mixes as in SDT (sdt.py), but cached features keep their graph. So a row's gradient
includes its effect through later steps that reuse its features. There is no teacher at each step
and no lambda, just one uncached walk.
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from harmonica.method.cache import mix


def walk(denoiser, x, learner, recompute=False):
    """One trajectory, one update of each row. x (B, C, H, W) ~ N(0, I).

    recompute: a step's activations are not stored but computed again in the backward pass. Memory
    then holds one step's graph and the new features of every step.
    """
    with torch.no_grad():
        exact = denoiser.images(denoiser.walk(denoiser.begin(x), denoiser.computed))
        point = denoiser.advance(denoiser.begin(x), denoiser.computed)
    rows = {step: learner.scores(step) for step in range(1, len(denoiser.timesteps))}
    advance = denoiser.advance
    if recompute:
        options = {"use_reentrant": False, "preserve_rng_state": False}
        advance = partial(checkpoint, denoiser.advance, **options)
    while point.step < len(denoiser.timesteps):
        point = advance(point, partial(_forward, denoiser, rows, learner.tau))
    dtype = rows[1].dtype
    learner.update_all(rows, F.mse_loss(denoiser.images(point).to(dtype), exact.to(dtype)))


def _forward(denoiser, rows, tau, step, x, cache):
    r = rows[step]
    at, cache = mix(r, (r > tau).tolist(), cache, kept=lambda feature: feature)
    return denoiser.run(step, x, at), cache
