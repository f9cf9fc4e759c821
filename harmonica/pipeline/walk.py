"""Makes a pipeline's own call the walk that a search runs over (see harmonica.search).

The pipeline's code, scheduler, guidance and arguments stay as they are; a policy only acts around
the forward of its transformer. With `grad` the call is differentiated through scheduler and
guidance; for this the torch.no_grad around a pipeline's __call__ is taken off.
"""

import inspect
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial

import torch
from torch.utils._pytree import tree_leaves, tree_map

from harmonica.backbones.branches import described
from harmonica.backbones.generic import Units, free_units
from harmonica.backbones.hooked import replace, restore
from harmonica.errors import BadInput, check, sentence
from harmonica.files import first_line
from harmonica.method.masks import budget
from harmonica.pipeline.about import by_content
from harmonica.pipeline.calls import latents_of, parameters_of
from harmonica.pipeline.estimate import measure
from harmonica.pipeline.loop import replaced
from harmonica.pipeline.passes import Passes, first_call, first_transformer, transformers_of
from harmonica.search.walks import uncached

DIFFERENTIABLE = (
    "its result has no gradient: "
    "call the pipeline without torch.no_grad or inference_mode, and return its latents"
)


@contextmanager
def walking(pipe, draw, offload):
    """Yield the PipelineWalk of draw(seed, indices), and the Memory that one call of the
    transformer takes. offload: blocks are checkpointed, and features may be kept in CPU memory.
    """
    with checkpointed(pipe) if offload else nullcontext():
        with differentiable(pipe), torch.no_grad():
            free, memory = _of_one_call(pipe, partial(draw, 0, range(1)), offload)
        with PipelineWalk(pipe, draw, free, offload) as walk:
            yield walk, memory


def _of_one_call(pipe, call, offload):
    """-> the free units of the pipeline's first transformer, and the Memory of one call of it. What
    the pipeline's call() refuses is a BadInput.
    """
    model = first_transformer(pipe)
    with refused():
        args, kwargs = first_call(model, call)
    with Units(model) as units:
        free = free_units(units, *args, **kwargs)
        return free, measure(pipe, units, args, kwargs, offload)


@contextmanager
def refused(images=1):
    """Makes what the call of a pipeline for so many images raises within the `with` block a
    BadInput, but for errors that have a sentence of their own (too little memory, a file).
    """
    try:
        yield
    except Exception as error:
        if sentence(error):
            raise
        kind = "" if isinstance(error, (TypeError, ValueError)) else f"{type(error).__name__}: "
        at_once = f" for {images} images at once (batch=1 calls it for one)" if images > 1 else ""
        raise BadInput(f"pipe: its call fails{at_once}: {kind}{first_line(error)}") from error


class PipelineWalk:
    """A walk over draw(seed, indices) -> latents, a function that calls `pipe`. To be used within a
    `with` block. num_steps, num_blocks, first, names, passes, timesteps are known after learn().

    free: the units that no output depends on (see backbones.generic); they are always computed, and
    no policy sees them. num_blocks counts only the others.
    """

    def __init__(self, pipe, draw, free=frozenset(), offload=False):
        self.pipe, self.draw, self.free, self.offload = pipe, draw, free, offload
        self.policy, self.asked, self.states, self.seen = None, None, {}, []
        # only DiT's pipeline has the conditional half first
        self.cond_first = "class_labels" in parameters_of(pipe)

    def __enter__(self):
        with ExitStack() as stack:
            stack.enter_context(differentiable(self.pipe))
            self.units = stack.enter_context(Passes(self.pipe, self._begin)).units.values()
            for units in self.units:
                placed, earlier = replace(units.model, partial(self._forward, units))
                stack.callback(restore, units.model, placed, earlier)
            self.undo = stack.pop_all()
        return self

    def __exit__(self, *error):
        self.undo.close()

    def learn(self, seed, indices):
        """Walk once, computing everything, to learn steps, units and passes -> the latents."""
        self.place, self.seen, self.timesteps = None, [], None
        with refused(len(indices)):
            x = self(uncached, seed, indices)
        right = "they are so without any schedule: try another dtype, bfloat16 say"
        check(bool(x.isfinite().all()), "pipe", "latents of NaN or infinity", right)
        right = "its call runs the transformer outside a loop that opens self.progress_bar"
        check(self.timesteps, "pipe", type(self.pipe).__name__, right)
        called, steps = max(step for step, _ in self.seen) + 1, len(self.timesteps)
        right = f"the call should run all {steps}; take away what interrupts it, such as a callback"
        check(called == steps, "steps", called, right)
        names = {tuple(units.names) for units in self.units if units.names}
        right = "its transformers have the same units, or one transformer"
        check(len(names) == 1, "pipe", type(self.pipe).__name__, right)
        (self.names,) = names
        searched = [i for i in range(len(self.names)) if i not in self.free]
        self.place = {i: k for k, i in enumerate(searched)}
        self.num_blocks, self.num_steps = len(searched), len(self.timesteps)
        self.passes = len(self.seen) / self.num_steps
        return x

    def words(self):
        """The lines that tell what learn() has found."""
        free = f", {len(self.free)} more that reach nothing" if self.free else ""
        calls = f"{self.passes:g} call{'s' * (self.passes != 1)} a step"
        units = next(units for units in self.units if units.names)
        return (
            f"pipeline   {type(self.pipe).__name__}, {type(self.pipe.scheduler).__name__}, "
            f"T = {self.num_steps}, N = {self.num_blocks} units{free}, {calls}\n"
            f"units      {described(units.model, units.placed_names())}"
        )

    def budget(self, cur):
        """How many entries are skipped at a CUR in percent. BadInput where the steps that compute
        everything leave too few.
        """
        T, N, fixed = self.num_steps, self.num_blocks, len(self.fixed)
        entries = budget(cur, T, N)
        check(entries <= (T - fixed) * N, "cur", cur, f"{fixed} of {T} steps compute everything")
        return entries

    @property
    def fixed(self):
        """The steps that must compute everything: those at which a transformer is first called."""
        first = {}
        for step, turn in self.seen:
            first.setdefault(turn.transformer, step)
        return sorted({0, *first.values()})

    @property
    def guided(self):
        """The function that applies guidance to the two halves of a feature, where one call of the
        transformer computes both; None without guidance, or where its scale is not known.
        """
        scale = self.draw.guidance
        return self._guided if scale and scale > 1 and self.passes == 1 else None

    def _guided(self, feature):
        if len(feature) != 2 * self.count:
            return feature[:0]
        null, cond = feature.chunk(2)
        if self.cond_first:
            null, cond = cond, null
        return null + self.draw.guidance * (cond - null)

    def __call__(self, policy, seed, indices, grad=False):
        with torch.set_grad_enabled(grad):
            x = self.run(policy, seed, indices, {})
        check(not grad or x.requires_grad, "call", "without a gradient", DIFFERENTIABLE)
        return x

    def run(self, policy, seed, indices, states):
        """One call -> the latents. states: {turn: its policy's state}, changed in place."""
        self.policy, self.states, self.count = policy, states, len(indices)
        try:
            out = self.draw(seed, indices)
        finally:
            self.policy, self.asked, self.states = None, None, {}
        x = latents_of(out, len(indices))
        return x.to(torch.promote_types(x.dtype, torch.float32))

    def _begin(self, loop):
        self.first = loop.first
        self.timesteps = tuple(loop.timesteps.tolist()[self.first :])
        return self._answer

    def _answer(self, step, turn):
        """Note which call is about to come, for `_forward`, which asks the policy. None is
        returned, so Passes itself lets the transformer run as it is.
        """
        self.asked = step - self.first, turn

    def _forward(self, units, forward, *args, **kwargs):
        if self.policy is None or self.asked is None:
            return forward(*args, **kwargs)
        (step, turn), self.asked = self.asked, None
        if self.place is None:
            self.seen.append((step, turn))

        def call(at):
            with units.answering(self._searched(at)):
                return forward(*args, **kwargs)

        out, self.states[turn] = self.policy(step, call, self.states.get(turn))
        return out

    def _searched(self, at):
        """Turn a policy for the searched units into one for all units."""
        place = self.place
        if place is None:
            return at
        return lambda i, compute: at(place[i], compute) if i in place else compute()


@contextmanager
def checkpointed(pipe):
    """Within the `with` block, the transformers use gradient checkpointing if they can."""
    models = [
        model
        for model in transformers_of(pipe).values()
        if model._supports_gradient_checkpointing and not model.is_gradient_checkpointing
    ]
    try:
        for model in models:
            model.enable_gradient_checkpointing()
        yield
    finally:
        for model in models:
            model.disable_gradient_checkpointing()


@contextmanager
def differentiable(pipe):
    """Within the `with` block the pipeline's call does not switch gradients off, its weights
    require none, embedded prompts are remembered, and no progress bar is shown.
    """
    kind = type(pipe)
    bar = getattr(pipe, "_progress_bar_config", None)
    models = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
    trainable = [
        parameter for model in models for parameter in model.parameters() if parameter.requires_grad
    ]
    call = inspect.unwrap(kind.__call__)
    pipe.__class__ = type(kind.__name__, (kind,), {"__call__": call, "__module__": kind.__module__})
    remembering = nullcontext()
    if hasattr(kind, "encode_prompt"):
        remembering = replaced(pipe, "encode_prompt", Remembered(pipe.encode_prompt))
    try:
        for parameter in trainable:
            parameter.requires_grad_(False)
        pipe.set_progress_bar_config(disable=True)
        with remembering:
            yield
    finally:
        pipe.__class__ = kind
        for parameter in trainable:
            parameter.requires_grad_(True)
        vars(pipe).pop("_progress_bar_config", None)
        if bar is not None:
            pipe._progress_bar_config = bar


class Remembered:
    """A function that remembers its results, for calls without a tensor among the arguments."""

    def __init__(self, function):
        self.function, self.results = function, {}

    def __call__(self, *args, **kwargs):
        if any(isinstance(leaf, torch.Tensor) for leaf in tree_leaves((args, kwargs))):
            return self.function(*args, **kwargs)
        key = repr(tree_map(by_content, (args, sorted(kwargs.items()))))
        if key not in self.results:
            self.results[key] = self.function(*args, **kwargs)
        return self.results[key]
