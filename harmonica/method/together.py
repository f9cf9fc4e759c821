"""Several points of one step, walked as one batch: lambda's suffixes where memory allows (iepo.py).

One point alone is walked as it is, bit for bit. More agree with that to rounding: a larger matrix
product may be summed in another order.
"""

from copy import copy
from dataclasses import replace
from functools import partial

import torch
from torch.utils._pytree import tree_map


class Together:
    """Points over one denoiser. after(denoiser) -> the forward that all of them follow."""

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
        """All points at the end of their walks; none is left here."""
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
        """The denoiser of `count` copies of the batch."""
        joined, noise = copy(self.denoiser), self.denoiser.noise
        joined.ctx = tree_map(lambda leaf: self._joined(*[leaf] * count), self.denoiser.ctx)
        joined.noise = noise and (lambda step: noise(step).repeat(count, 1, 1, 1))
        return joined

    def _joined(self, *leaves):
        """Tensors (halves x B, ...) -> (halves x count x B, ...): guidance wants all conditional
        samples first.
        """
        if not isinstance(leaves[0], torch.Tensor):
            return leaves[0]
        return torch.stack(
            [leaf.unflatten(0, (self.denoiser.halves, -1)) for leaf in leaves], 1
        ).flatten(0, 2)

    def _part(self, k, leaf):
        if not isinstance(leaf, torch.Tensor):
            return leaf
        return leaf.unflatten(0, (self.denoiser.halves, len(self.points), -1))[:, k].flatten(0, 1)

    # of a sampler's state only earlier outputs, shaped like x, belong to samples; the rest is the
    # schedule's

    def _joined_state(self, *leaves):
        return self._joined(*leaves) if getattr(leaves[0], "ndim", 0) == 4 else leaves[0]

    def _part_of_state(self, k, leaf):
        return self._part(k, leaf) if getattr(leaf, "ndim", 0) == 4 else leaf
