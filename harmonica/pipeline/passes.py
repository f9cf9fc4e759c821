"""Follows the call of any diffusers pipeline, and tells for each call of its transformer to which
step and which pass of guidance it belongs.

    with Passes(pipe, begin):
        images = pipe(...).images

The pipeline's code runs as it is. The steps are told apart as follows:

- `pipe.progress_bar` is opened at the start of the loop over the steps, and closed at its end, also
  where the loop raises or is interrupted. Each opening begins a new trajectory.
- `scheduler.step` ends a step; it is wrapped while the loop runs. All calls of the transformer
  between two of them belong to one step.
- The calls within a step are distinguished by the name of the `transformer.cache_context` around
  them, or, where the pipeline opens none, by their order.

No value is read from a GPU.
"""

import functools
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

from harmonica.backbones.generic import Units, form
from harmonica.errors import BadInput, check, warn
from harmonica.pipeline.loop import Bar, Loop


class Turn(NamedTuple):
    """Identifies the passes of a step (a call of the transformer each): every Turn has its own
    cache.

    transformer: its name in the pipeline (some have two, used one after the other). name: the cache
    context's, or 0, 1, ... by order. form: the shapes of the inputs, as cached features of other
    shapes do not fit.
    """

    transformer: str
    name: Any
    form: tuple


class Passes:
    """Puts a policy into every call of a pipeline, until remove() or the end of the `with` block.

    begin(loop) -> answer: called with a loop.Loop before its first step. answer(step, turn) -> at,
    the policy for one call of the transformer; step is an index into loop.timesteps. A policy
    should keep its state in `answer`, which is dropped when the loop ends, however it ends. Calls
    of the transformer outside a loop run unchanged, with a warning at the second one in a row.

    units: {name in the pipeline: Units}, for every transformer of the pipeline.
    """

    def __init__(self, pipe, begin):
        check(
            "progress_bar" not in vars(pipe),
            "pipe",
            type(pipe).__name__,
            "caching is applied to it already; remove that first",
        )
        models = transformers_of(pipe)
        self.pipe, self.begin, self.units = pipe, begin, {}
        self.shown = self.loop = self.answer = self.context = None
        self.outside = 0  # calls of a transformer outside a loop, since the last loop
        self.bar = pipe.progress_bar
        try:
            for name, model in models.items():
                self.units[name] = Units(model, functools.partial(self._ask, name))
                if hasattr(model, "cache_context"):
                    context = functools.partial(self._in_context, model.cache_context)
                    model.cache_context = context
            pipe.progress_bar = self._progress_bar
        except BaseException:
            self.remove()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.remove()

    def remove(self):
        """Put everything back. A second call does nothing."""
        if self.bar is None:
            return
        self._end(self.shown)
        vars(self.pipe).pop("progress_bar", None)
        for units in self.units.values():
            vars(units.model).pop("cache_context", None)
            units.remove()
        self.bar = None

    def _progress_bar(self, *args, **kwargs):
        self._end(self.shown)
        check(
            transformers_of(self.pipe) == {name: units.model for name, units in self.units.items()},
            "transformer",
            type(self.pipe.transformer).__name__,
            "caching was applied to another; remove it and apply it again",
        )
        for units in self.units.values():
            units.check_placed()
        bar = self.bar(*args, **kwargs)
        self.loop, self.outside = Loop(self.pipe, getattr(bar, "total", None)), 0
        self.shown = Bar(bar, self._end, self.loop.check_advanced)
        return self.shown

    def _end(self, bar, whole=False):
        """Called when the loop of a bar ends. A bar may report its end twice, or only after the
        next one was opened; such calls do nothing.
        """
        if bar is None or bar is not self.shown:
            return
        loop = self.loop
        loop.release()
        self.shown = self.loop = self.answer = self.context = None
        if whole:
            loop.check_stepped()

    def _ask(self, name, args, kwargs):
        if self.loop is None:
            self._warn_outside()
            return None
        if self.answer is None:
            self.loop.begin()
            self.answer = self.begin(self.loop)
        step, place = self.loop.count()
        place = place if self.context is None else self.context
        return self.answer(step, Turn(name, place, form(args, kwargs)))

    def _warn_outside(self):
        """A single call may be on purpose; the second one is a loop that is not followed."""
        self.outside += 1
        if self.outside == 2:
            warn(
                "the transformer is called outside the steps of the pipeline that caching was "
                f"applied to (a {type(self.pipe).__name__}), so nothing is cached: apply the "
                "schedule to the very pipeline that is called (one made by from_pipe is another), "
                "and let its loop open self.progress_bar"
            )

    @contextmanager
    def _in_context(self, cache_context, name, **options):
        before, self.context = self.context, name
        try:
            with cache_context(name, **options):
                yield
        finally:
            self.context = before


def transformers_of(pipe):
    """{name: model} of a pipeline's transformers. BadInput where it has none, or where it lacks
    what its steps are told apart by.
    """
    components = getattr(pipe, "components", None)
    right = "give a diffusers pipeline itself, not its transformer or another part"
    check(isinstance(components, dict), "pipe", type(pipe).__name__, right)
    models = {
        name: model
        for name, model in components.items()
        if name.startswith("transformer") and isinstance(model, torch.nn.Module)
    }
    check(
        models, "pipe", type(pipe).__name__, "a pipeline with a transformer is needed, not a U-Net"
    )
    for part, served in (
        ("progress_bar", callable(getattr(pipe, "progress_bar", None))),
        ("scheduler", hasattr(getattr(pipe, "scheduler", None), "step")),
    ):
        right = f"it has no {part}: the DiffusionPipelines of diffusers serve, not modular ones"
        check(served, "pipe", type(pipe).__name__, right)
    return models


def first_transformer(pipe):
    return next(iter(transformers_of(pipe).values()))


def first_call(model, call):
    """-> the positional and keyword arguments of the first call of `model` that call() makes."""

    def stop(model, args, kwargs):
        raise _Reached(args, kwargs)

    hook = model.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        call()
    except _Reached as reached:
        return reached.args
    finally:
        hook.remove()
    raise BadInput("pipe: the call ended without a call of its transformer")


class _Reached(BaseException):
    """Ends a pipeline's call at its first call of the transformer."""
