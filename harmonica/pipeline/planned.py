"""Applies a schedule to diffusers' own DiT or PixArt by the specialised steps of harmonica.fast.

The pipeline's numerics, scheduler and guidance stay as they are. Three methods are replaced, and
put back at the end: `transformer.forward`, which runs the steps of a plan;
`scheduler.set_timesteps`, which also resets the step counter; and `pipe.progress_bar`, which tells
when a call ends. Steps are counted, and not looked up by `timestep`: reading that from a GPU would
wait for it at every step.
"""

import functools
import inspect
from contextlib import contextmanager

import torch
from accelerate.hooks import add_hook_to_module, remove_hook_from_module
from diffusers.models.modeling_outputs import Transformer2DModelOutput

from harmonica.backbones.hooked import is_plain
from harmonica.errors import check
from harmonica.fast.plan import compile_schedule
from harmonica.pipeline.loop import Bar
from harmonica.pipeline.transformers import backbone_of, check_drivable, conditioning


class Planned:
    """Applies schedules to the transformer and scheduler of one pipeline, until remove() or the end
    of the `with` block.

    With backend "eager" it holds no tensors but the model's between two calls of the pipeline.
    """

    def __init__(self, pipe, schedules, backend):
        self.backbone, self.schedules, self.backend = backbone_of(pipe), schedules, backend
        self.pipe, self.transformer, self.scheduler = pipe, pipe.transformer, pipe.scheduler
        set_timesteps, self.bar = self.scheduler.set_timesteps, pipe.progress_bar
        check(
            "set_timesteps" not in vars(self.scheduler),
            "scheduler",
            type(self.scheduler).__name__,
            "its set_timesteps is replaced already; remove what replaced it first",
        )
        self.kept, self.places = {}, None
        check_backend(self.transformer, backend)
        self.forget()
        if backend != "eager":  # nothing is captured yet; this refuses what is not possible
            self.plan_of(schedules.first)
        with _inside_offload_hook(self.transformer):
            check(
                is_plain(self.transformer),
                "transformer",
                type(self.transformer).__name__,
                "its forward is replaced already, by another caching method or hook; "
                "remove that first",
            )
            self.transformer.forward = self.forward
        # pipelines look at its signature
        self.begins = functools.update_wrapper(
            functools.partial(self.begin, set_timesteps), set_timesteps
        )
        self.scheduler.set_timesteps = self.begins
        pipe.progress_bar = self.progress_bar

    @property
    def keep(self):
        """The keep mask (T, N); of several schedules, that of the one with the fewest steps."""
        return self.schedules.first.keep

    def __enter__(self):
        return self

    def __exit__(self, *error):
        # else remove was called inside the block
        if vars(self.scheduler).get("set_timesteps") is self.begins:
            self.remove()

    def remove(self):
        """Put the replaced methods back. Where something else has replaced forward in the meantime,
        BadInput, and nothing is changed.
        """
        with _inside_offload_hook(self.transformer):
            check(
                vars(self.transformer).get("forward") == self.forward,
                "transformer",
                type(self.transformer).__name__,
                "its forward was replaced after the schedule was applied; remove that first",
            )
            del self.transformer.forward
        del self.scheduler.set_timesteps
        if vars(self.pipe).get("progress_bar") == self.progress_bar:
            del self.pipe.progress_bar
        self.kept = {}
        self.forget()

    def forget(self):
        """Drop all that belongs to one trajectory: step, conditioning, features, copied weights."""
        self.step = self.timesteps = self.tensors = self.ctx = self.plan = self.cache = None
        self.schedule = self.loop = None

    def begin(self, set_timesteps, *args, **kwargs):
        """Set the timesteps and begin a trajectory. BadInput where no schedule fits them."""
        self.forget()
        set_timesteps(*args, **kwargs)
        check(
            self.pipe.transformer is self.transformer and owner(self.transformer.forward) is self,
            "transformer",
            type(self.pipe.transformer).__name__,
            "the schedule was applied to another; apply it again",
        )
        check_drivable(self.transformer)
        check_backend(self.transformer, self.backend)
        # the only place in a call that may wait for the GPU
        timesteps = self.scheduler.timesteps.tolist()
        self.schedule, _ = self.schedules.choose(timesteps, self.scheduler)
        self.step, self.timesteps = 0, timesteps

    def progress_bar(self, *args, **kwargs):
        self.loop = Bar(self.bar(*args, **kwargs), self.ended)
        return self.loop

    def ended(self, bar, whole):
        """A loop over the steps has ended. A failed loop may end only after the next has begun;
        then the new one's state must stay.
        """
        if bar is self.loop:
            self.forget()

    def forward(self, hidden_states, timestep=None, return_dict=True, **inputs):
        """The transformer's forward at the current step: (B, C, H, W) -> (B, C_out, H, W)."""
        scheduler = type(self.pipe.scheduler).__name__
        right = "the schedule was applied with another one; remove it and apply it again"
        check(self.pipe.scheduler is self.scheduler, "scheduler", scheduler, right)
        check(
            self.step is not None,
            "transformer",
            "a call outside the steps",
            "a schedule counts the steps from set_timesteps on, of the scheduler that it was "
            "applied with; where a pipeline has another scheduler, apply it to that one",
        )
        if timestep.device.type == "cpu":
            check(
                float(timestep.flatten()[0]) == self.timesteps[self.step],
                "timestep",
                float(timestep.flatten()[0]),
                f"step {self.step} of this call is timestep {self.timesteps[self.step]}",
            )
        try:
            self.ctx = self.prepared(
                **{name: value for name, value in inputs.items() if value is not None}
            )
            # made at the first step: the plan copies weights, which may be moved until then
            if self.plan is None:
                self.plan = self.plan_of(self.schedule)
                self.cache = self.plan.empty()
            out, self.cache = self.plan.step(
                self.step, hidden_states, timestep, self.ctx, self.cache
            )
        except BaseException:
            self.forget()
            raise
        self.step += 1
        if self.step == self.schedule.num_steps:
            self.forget()
        return Transformer2DModelOutput(sample=out) if return_dict else (out,)

    def plan_of(self, schedule):
        """The plan of a schedule. Captured plans are kept until the weights move."""
        if self.backend == "eager":
            return compile_schedule(self.backbone, schedule)
        places = [parameter.data_ptr() for parameter in self.transformer.parameters()]
        if places != self.places:
            self.kept, self.places = {}, places
        steps = schedule.num_steps
        if steps not in self.kept:
            self.kept[steps] = compile_schedule(self.backbone, schedule, self.backend)
        return self.kept[steps]

    def prepared(self, **inputs):
        """backbone.prepare for the conditioning of this call. It is done once, as the pipelines
        pass the same tensors at every step, and again where a tensor was exchanged or written into.
        """
        make, tensors = conditioning(self.transformer, inputs)
        if self.ctx is not None and all(map(_unchanged, tensors, self.tensors)):
            return self.ctx
        self.tensors = [_remembered(tensor) for tensor in tensors]
        return self.backbone.prepare(make(*tensors))


def _remembered(tensor):
    """What _unchanged compares later: the tensor, and its version counter or a copy of it."""
    if not isinstance(tensor, torch.Tensor):
        return tensor, None
    # tensors made in inference mode have no version counter
    return tensor, tensor.clone() if tensor.is_inference() else tensor._version


def _unchanged(tensor, remembered):
    before, version = remembered
    if tensor is not before or not isinstance(tensor, torch.Tensor):
        return tensor is before
    return torch.equal(tensor, version) if tensor.is_inference() else tensor._version == version


def check_backend(transformer, backend):
    """BadInput where steps of that backend could not run this transformer."""
    if backend == "eager":
        return
    check(
        not hasattr(transformer, "_hf_hook"),
        "backend",
        backend,
        "offloading moves the weights at every call; choose eager, or do without offload",
    )
    check(
        transformer.device.type == "cuda",
        "backend",
        backend,
        f"the transformer is on {transformer.device}, CUDA graphs need it on a GPU; choose eager",
    )


def owner(function):
    """The object that a method is bound to, looking below its wrappers; None for a function."""
    return getattr(inspect.unwrap(function), "__self__", None)


@contextmanager
def _inside_offload_hook(module):
    """Take accelerate's hook (CPU offload) off a module within the `with` block. The hook wraps the
    module's forward, which so can be changed below it.
    """
    hook = getattr(module, "_hf_hook", None)
    if hook is not None:
        remove_hook_from_module(module)
    try:
        yield
    finally:
        if hook is not None:
            add_hook_to_module(module, hook)
