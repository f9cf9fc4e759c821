"""One step of denoising, and the walk over all of them: what training, evaluation, latency and MACs
share.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from harmonica.fast.plan import Plan, compile_mask
from harmonica.method.cache import compute_or_reuse, mix


@dataclass(frozen=True)
class Point:
    """Where a trajectory stands before step `step`. Nothing in it is ever changed: keep a reference
    to fork.
    """

    step: int
    x: torch.Tensor  # (B, C, H, W), or (2B, C, H, W) under guidance: the conditional half first
    state: Any  # the sampler's
    cache: list  # N features or None


class Denoiser:
    """A backbone with the conditioning of one batch, guidance, a sampler and its timesteps.

    scale 1.0 means no guidance and no second half. `noise(step)` gives a stochastic sampler's
    noise, (B, C, H, W).
    """

    def __init__(self, backbone, sampler, timesteps, cond, *, scale=1.0, noise=None):
        self.backbone, self.sampler, self.timesteps = backbone, sampler, timesteps
        self.blocks, self.scale, self.noise = backbone.blocks, scale, noise
        self.halves = 1 if scale == 1.0 else 2
        self.ctx = backbone.prepare(cond if self.halves == 1 else backbone.with_null(cond))

    def begin(self, x, step=0):
        """x (B, C, H, W), as noisy as step `step` expects it -> the Point from which to walk, its
        cache empty.
        """
        return Point(
            step,
            x.repeat(self.halves, 1, 1, 1),
            self.sampler.init(self.timesteps),
            [None] * len(self.blocks),
        )

    def advance(self, point, forward):
        """One step. forward(step, x, t, cache) -> (guided model output, cache) decides what is
        computed.
        """
        x, step = point.x, point.step
        # both halves are fed the conditional one
        fed = x if self.halves == 1 else x[: len(x) // self.halves].repeat(self.halves, 1, 1, 1)
        out, cache = forward(
            step, fed, constant(self.timesteps[step], len(x), x.device), point.cache
        )
        noise = (
            self.noise(step).to(x.device).repeat(self.halves, 1, 1, 1)
            if self.sampler.stochastic
            else None
        )
        x, state = self.sampler.step(point.state, out, step, x, noise)
        return Point(step + 1, x, state, cache)

    def walk(self, point, forward):
        """Advance to the end -> the last Point, whose x are the images (both halves under
        guidance).
        """
        while point.step < len(self.timesteps):
            point = self.advance(point, forward)
        return point

    def start(self, x, t):
        """h, c of the backbone."""
        return self.backbone.start(x, t, self.ctx)

    def finish(self, h, c):
        """Model output with guidance applied, (B or 2B, C_out, H, W)."""
        return self.guided(self.backbone.finish(h, c))

    def guided(self, out):
        return out if self.halves == 1 else guide(out, self.scale, self.backbone.guided_channels)

    def images(self, point):
        return point.x[: len(point.x) // self.halves]

    # The three ways to run a step.

    def computed(self, step, x, t, cache):
        """Compute every block, as the uncached model does."""
        h, c = self.start(x, t)
        h, cache = compute_or_reuse(self.blocks, h, c, [True] * len(self.blocks), cache)
        return self.finish(h, c), cache

    def hard(self, keep):
        """Follow a keep mask (T, N), or the Plan of one (plan.py) where many walks share it."""
        plan = keep if isinstance(keep, Plan) else compile_mask(self.backbone, keep)

        def forward(step, x, t, cache):
            out, cache = plan.step(step, x, t, self.ctx, cache, constant=True)
            return self.guided(
                out.to(x.dtype)
            ), cache  # guidance and sampler in x's, whatever the weights are in

        return forward

    def soft(self, scores, tau):
        """Mix by router scores (T, N); slots are written where the score exceeds tau."""
        write = (scores > tau).tolist()

        def forward(step, x, t, cache):
            h, c = self.start(x, t)
            h, cache = mix(self.blocks, h, c, scores[step], write[step], cache)
            return self.finish(h, c), cache

        return forward


@lru_cache(1024, typed=True)
def constant(timestep, count, device):
    """(count,) model timesteps: always the same tensor, by which a plan knows it again; nobody
    writes into it.
    """
    return torch.full((count,), timestep, device=device)


def guide(out, scale, channels):
    """Classifier-free guidance on the first `channels` of out (2B, C_out, H, W), conditional half
    first.

    Both halves get the guided channels; each keeps its own remaining ones, as the official DiT
    does.
    """
    cond, null = out[:, :channels].chunk(2)
    guided = null + scale * (cond - null)
    return torch.cat([guided.repeat(2, 1, 1, 1), out[:, channels:]], dim=1)
