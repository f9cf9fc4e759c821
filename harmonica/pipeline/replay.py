"""Runs a pipeline's own call from any step on, and forks it there. Training walks over this.

The call of a pipeline cannot be stopped between two steps and resumed later. But its result depends
only on its seed and on the transformer's outputs. So to go on from a step, the pipeline is called
again, and at the earlier steps its transformer returns the outputs that were stored. Only the
pipeline's work outside the transformer is repeated, which is mainly its scheduler's.
"""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch.utils._pytree import tree_map_only

from harmonica.method.cache import mix, reuse
from harmonica.pipeline.loop import replaced


class Point(NamedTuple):
    """Where a walk stands before step `step`. To fork it, keep a reference.

    x: the seed and the indices of its images. states: for each pass of guidance (passes.Turn) a
    pair of its outputs by step and its cache, a list of N features or None. images: the latents,
    known after the last step.
    """

    step: int
    x: tuple
    states: dict
    images: Any = None


class Replay:
    """The counterpart of method.denoise.Denoiser for a pipeline; iepo.py walks with either.
    pipe_walk: a walk.PipelineWalk after its learn().

    A forward is here forward(step, call, cache) -> output of the transformer, new cache. call(at)
    makes one call of the transformer. Each pass of guidance has its own cache, None at first.
    """

    def __init__(self, pipe_walk):
        self.pipe_walk, self.timesteps = pipe_walk, pipe_walk.timesteps
        self.empty = [None] * pipe_walk.num_blocks

    def begin(self, x):
        return Point(0, x, {})

    def advance(self, point, forward):
        """One step -> Point."""
        with torch.no_grad():
            return self._run(point, forward, point.step + 1)[0]

    def walk(self, point, forward):
        """All remaining steps, in one call -> Point."""
        with torch.no_grad():
            return self._run(point, forward, len(self.timesteps))[0]

    def images(self, point):
        return point.images

    def guided(self, point, forward):
        """One step -> Point, and the model output that the pipeline passes to its scheduler, with
        guidance applied, flattened. It has a graph where the forward's output has one.
        """
        after, model_outputs = self._run(point, forward, point.step + 1)
        return after, torch.cat([output.flatten() for output in model_outputs])

    def computed(self, step, call, cache):
        """The forward of the uncached model; it keeps every feature."""
        at, cache = reuse([True] * len(self.empty), cache or self.empty)
        return call(at), cache

    def soft(self, scores, tau):
        """The forward that mixes by router scores (T, N), writing a slot where its score > tau."""
        return lambda step, call, cache: self.mixed(scores[step], tau, step, call, cache)

    def mixed(self, r, tau, step, call, cache):
        """The forward of one step by its router row r, (N,)."""
        at, cache = mix(r, (r > tau).tolist(), cache or self.empty)
        return call(at), cache

    def _run(self, point, forward, until):
        """Walk from a point to just before step `until` -> Point, the model outputs that the
        scheduler was given on the way.
        """
        states = dict(point.states)
        model_outputs, current = [], [0]

        def policy(step, call, state):
            outputs, cache = state or ({}, None)
            if step in outputs:
                return _mapped(torch.clone, outputs[step]), state
            if step >= until:
                raise _Enough
            current[0] = step
            output, cache = forward(step, call, cache)
            return output, (outputs | {step: _mapped(_copy, output)}, cache)

        def step(scheduler_step, *args, **kwargs):
            if current[0] >= point.step:
                model_outputs.append(args[0] if args else kwargs["model_output"])
            return scheduler_step(*args, **kwargs)

        scheduler, images = self.pipe_walk.pipe.scheduler, None
        with replaced(scheduler, "step", partial(step, scheduler.step)):
            try:
                images = self.pipe_walk.run(policy, *point.x, states).detach()
            except _Enough:
                pass
        return Point(until, point.x, states, images), model_outputs


def _copy(tensor):
    # a copy, as the pipeline may change the output in place
    return tensor.detach().clone()


def _mapped(function, output):
    return tree_map_only(torch.Tensor, function, output)


class _Enough(BaseException):
    """Ends a pipeline's call where it reaches a step that is not wanted any more."""
