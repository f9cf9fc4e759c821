"""Several trajectories at the same step, walked as one batch. IEPO's lambda uses it for its forks,
where memory allows (iepo.py).

A single point is walked without any change, bit for bit. Several give the same up to rounding: a
larger matrix product may be summed in another order.
"""

from copy import copy
from dataclasses import replace
from functools import partial

import torch
from torch.utils._pytree import tree_map


class Together:
    """Points of one denoiser, all at one step. after(denoiser) -> the forward that all follow."""

    def __init__(self, denoiser, after):
        self.denoiser, self.after, self.points = denoiser, after, []

    def advance(self):
        """One step for all points."""
        count = len(self.points)
        if count == 0:
            return
        joined = self.denoiser if count == 1 else self._times(count)
        point = self.points[0] if count == 1 else self._join()
        point = joined.advance(point, self.after(joined))
        self.points = [point] if count == 1 else self._split(point)

    def finish(self):
        """Walk all points to the end -> the final Points. None is held afterwards."""
        if len(self.points) == 1:
            self.points = [self.denoiser.walk(self.points[0], self.after(self.denoiser))]
        while self.points and self.points[0].step < len(self.denoiser.timesteps):
            self.advance()
        points, self.points = self.points, []
        return points

    def _join(self):
        x, state, cache = zip(*((p.x, p.state, p.cache) for p in self.points))
        return replace(
            self.points[0],
            x=self._joined(*x),
            state=tree_map(self._joined_state, *state),
            cache=tree_map(self._joined, *cache),
        )

    def _split(self, point):
        return [
            replace(
                point,
                x=self._part(k, point.x),
                state=tree_map(partial(self._part_of_state, k), point.state),
                cache=tree_map(partial(self._part, k), point.cache),
            )
            for k in range(len(self.points))
        ]

    def _times(self, count):
        """The denoiser for a batch that is repeated `count` times."""
        joined = copy(self.denoiser)
        noise = self.denoiser.noise
        joined.ctx = tree_map(lambda leaf: self._joined(*[leaf] * count), self.denoiser.ctx)
        joined.noise = noise and (lambda step: noise(step).repeat(count, 1, 1, 1))
        return joined

    def _joined(self, *leaves):
        """Tensors (copies x B, ...) -> one (copies x count x B, ...), as under guidance all
        conditional samples come first.
        """
        if not isinstance(leaves[0], torch.Tensor):
            return leaves[0]
        return torch.stack(
            [leaf.unflatten(0, (self.denoiser.copies, -1)) for leaf in leaves], 1
        ).flatten(0, 2)

    def _part(self, k, leaf):
        if not isinstance(leaf, torch.Tensor):
            return leaf
        return leaf.unflatten(0, (self.denoiser.copies, len(self.points), -1))[:, k].flatten(0, 1)

    # In a sampler's state only tensors shaped like x, (B, C, H, W), differ between samples; the
    # rest (coefficients, counters) is the same for all.

    def _joined_state(self, *leaves):
        return self._joined(*leaves) if getattr(leaves[0], "ndim", 0) == 4 else leaves[0]

    def _part_of_state(self, k, leaf):
        return self._part(k, leaf) if getattr(leaf, "ndim", 0) == 4 else leaf
