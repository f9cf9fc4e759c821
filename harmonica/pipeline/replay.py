"""A pipeline's own call, entered at any step and forked there: what training walks over.

A call cannot be stopped between two steps and gone on with later. But it is a function of its seed
and of what its transformer gives. So a walk goes on from a step by calling the pipeline again and
answering the calls of the earlier steps with what they gave before. What is repeated is what a
pipeline does beside its transformer, the steps of its scheduler above all.
"""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch.utils._pytree import tree_map_only

from harmonica.method.cache import compute_all, mix, reuse
from harmonica.pipeline.calls import replaced


class Point(NamedTuple):
    """Where a walk stands before step `step`. To fork it, keep a reference.

    x: the seed and the indices of its images. states: for each pass of guidance (walk.Turn) its
    outputs by step, and its cache: N features or None. images: the latents, after the last step.
    """

    step: int
    x: tuple
    states: dict
    images: Any = None


class Replay:
    """What method.denoise.Denoiser is to a backbone, for a pipeline that is walked by `sampling`
    (sampling.Sampling, after its learn()): the walk of iepo.py.

    A forward is here forward(step, call, cache) -> output of the transformer, new cache: call(at)
    is one call of the transformer, each pass of guidance has a cache of its own, None at first.
    """

    def __init__(self, sampling):
        self.sampling, self.timesteps = sampling, sampling.timesteps
        self.empty = [None] * sampling.num_blocks

    def begin(self, x):
        return Point(0, x, {})

    def advance(self, point, forward):
        """One step -> Point."""
        with torch.no_grad():
            return self._run(point, forward, point.step + 1)[0]

    def walk(self, point, forward):
        """All steps that are left, in one call -> Point."""
        with torch.no_grad():
            return self._run(point, forward, len(self.timesteps))[0]

    def images(self, point):
        return point.images

    def guided(self, point, forward):
        """One step -> Point, and what the pipeline gives to its scheduler: the model output with
        guidance applied, flat. It has a graph where the forward's output has one.
        """
        after, given = self._run(point, forward, point.step + 1)
        return after, torch.cat([output.flatten() for output in given])

    def computed(self, step, call, cache):
        """The forward of the uncached model; it keeps every feature."""
        at, cache = reuse([True] * len(self.empty), cache or self.empty)
        return call(at), cache

    def soft(self, scores, tau):
        """The forward that mixes by router scores (T, N), writing a slot where its score > tau."""
        return lambda step, call, cache: self.mixed(scores[step], tau, step, call, cache)

    def mixed(self, r, tau, step, call, cache):
        """The forward of one step by its row r, (N,)."""
        at, cache = mix(r, (r > tau).tolist(), cache or self.empty)
        return call(at), cache

    def _run(self, point, forward, until):
        """From a point to before step `until` -> Point, what the scheduler was given at the steps
        of these.
        """
        states, given, now = dict(point.states), [], [0]

        def policy(step, call, state):
            outputs, cache = state or ({}, None)
            if step in outputs:
                return _mapped(torch.clone, outputs[step]), state
            if step >= until:
                raise _Enough
            now[0] = step
            output, cache = forward(step, call, cache)
            return output, (outputs | {step: _mapped(_copy, output)}, cache)

        def step(own, *args, **kwargs):
            if now[0] >= point.step:
                given.append(args[0] if args else kwargs["model_output"])
            return own(*args, **kwargs)

        scheduler, images = self.sampling.pipe.scheduler, None
        with replaced(scheduler, "step", partial(step, scheduler.step)):
            try:
                images = self.sampling.run(policy, *point.x, states).detach()
            except _Enough:
                pass
        return Point(until, point.x, states, images), given


def uncached(step, call, cache):
    """The forward of the uncached model, which keeps nothing."""
    return call(compute_all), None


def _copy(tensor):
    # the pipeline may change in place what it was given
    return tensor.detach().clone()


def _mapped(function, output):
    return tree_map_only(torch.Tensor, function, output)


class _Enough(BaseException):
    """Ends a pipeline's call where it asks for a step beyond those wanted."""
