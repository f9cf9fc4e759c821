"""A loaded model, one denoising step of it, and the walk over all steps. Training, search,
evaluation and the measurements of latency all use this one loop.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from harmonica.method.cache import compute_all, mix, reuse


@dataclass(frozen=True)
class Loaded:
    """A model ready to be sampled and trained on.

    cond(indices): the conditioning of the images with these indices. Classes or captions take
    turns: every num_conds consecutive images hold each of them once. images: training images (n, C,
    H, W) and their conditioning indices, or None. device: where the backbone and the conditioning
    are. sampler: replaces the one that specs name (a pipeline's own scheduler), or None.
    features(images) -> (B, F): the features of the classifier that judges such images, or None.
    """

    backbone: Any
    cond: Callable
    num_conds: int
    images: Any = None
    device: Any = "cpu"
    sampler: Any = None
    features: Callable | None = None

    @property
    def shape(self):
        return (self.backbone.in_channels, self.backbone.sample_size, self.backbone.sample_size)


@dataclass(frozen=True)
class Point:
    """The state of a trajectory before step `step`. Nothing in it is ever changed in place: to fork
    a trajectory, keep a reference.

    x is (B, C, H, W), or (2B, C, H, W) under guidance with the conditional half first. state is
    the sampler's. cache holds N features or None.
    """

    step: int
    x: torch.Tensor
    state: Any
    cache: list


class Denoiser:
    """A backbone with the conditioning of one batch, guidance, a sampler and its timesteps.

    scale 1.0 means no guidance; else each image is in the batch twice (`copies`), with its own and
    with the null conditioning. `noise(step)` gives a stochastic sampler's
    noise, (B, C, H, W).

    A function `forward(step, x, cache)` decides what is computed at a step; it returns the guided
    model output and the new cache. `computed` is such a function; `hard` and `soft` make others.
    """

    def __init__(self, backbone, sampler, timesteps, cond, *, scale=1.0, noise=None):
        self.backbone, self.sampler, self.timesteps = backbone, sampler, timesteps
        self.scale, self.noise = scale, noise
        self.copies = 1 if scale == 1.0 else 2
        self.ctx = backbone.prepare(cond if self.copies == 1 else backbone.with_null(cond))

    def begin(self, x, step=0):
        """The Point at which a walk begins, its cache empty. x (B, C, H, W), noised to `step`."""
        state = self.sampler.init(self.timesteps)
        return Point(step, x.repeat(self.copies, 1, 1, 1), state, [None] * self.backbone.num_blocks)

    def advance(self, point, forward):
        """One step: the model as `forward` runs it, then the sampler."""
        x, step = point.x, point.step
        # the model sees the conditional half twice, as in the official DiT
        model_x = x if self.copies == 1 else x[: len(x) // self.copies].repeat(self.copies, 1, 1, 1)
        out, cache = forward(step, model_x, point.cache)
        noise = None
        if self.sampler.stochastic:
            noise = self.noise(step).to(x.device).repeat(self.copies, 1, 1, 1)
        x, state = self.sampler.step(point.state, out, step, x, noise)
        return Point(step + 1, x, state, cache)

    def walk(self, point, forward):
        """Advance to the end -> the last Point, whose x holds the images (under guidance twice)."""
        while point.step < len(self.timesteps):
            point = self.advance(point, forward)
        return point

    def images(self, point):
        """The images of a Point, (B, C, H, W): the conditional half."""
        return point.x[: len(point.x) // self.copies]

    def run(self, step, x, at):
        """The guided model output of one step, (B or 2B, C_out, H, W). `at` answers the blocks."""
        t = torch.full((len(x),), self.timesteps[step], device=x.device)
        h, c = self.backbone.start(x, t, self.ctx)
        return self.guided(self.backbone.through(h, c, at))

    def guided(self, out):
        """The model output with guidance applied; unchanged where there is no guidance."""
        return out if self.copies == 1 else guide(out, self.scale, self.backbone.guided_channels)

    def computed(self, step, x, cache):
        """The forward of the uncached model; it keeps every feature."""
        at, cache = reuse([True] * len(cache), cache)
        return self.run(step, x, at), cache

    def hard(self, keep):
        """The forward that follows a keep mask, bool (T, N). fast/plan.py has a faster one."""
        rows = keep.tolist()

        def forward(step, x, cache):
            at, cache = reuse(rows[step], cache)
            return self.run(step, x, at), cache

        return forward

    def soft(self, scores, tau):
        """The forward that mixes new and cached features by router scores (T, N). A block's cache
        is overwritten where its score > tau.
        """
        write = (scores > tau).tolist()

        def forward(step, x, cache):
            at, cache = mix(scores[step], write[step], cache)
            return self.run(step, x, at), cache

        return forward


def run_all(backbone, x, t, ctx):
    """The plain model output: everything computed, nothing cached, no guidance."""
    h, c = backbone.start(x, t, ctx)
    return backbone.through(h, c, compute_all)


def guide(out, scale, channels):
    """Classifier-free guidance on the first `channels` of out (2B, C_out, H, W), conditional half
    first.

    Both halves get the guided channels; each keeps its other channels, as in the official DiT.
    """
    cond, null = out[:, :channels].chunk(2)
    guided = null + scale * (cond - null)
    return torch.cat([guided.repeat(2, 1, 1, 1), out[:, channels:]], dim=1)
