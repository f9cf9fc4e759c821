"""apply_router(pipe, router): a diffusers pipeline that computes only what the router keeps. One
line for its user.

The pipeline's own numerics, scheduler and guidance run untouched. Two instance attributes are
replaced and put back: `transformer.forward`, by the steps of plan.py, and
`scheduler.set_timesteps`, which resets the step counter. The step is never found from `timestep` on
a GPU: that would wait for it at every step.
"""

import functools
import inspect
import math
import warnings
from contextlib import contextmanager
from types import MethodType

import torch
from accelerate.hooks import add_hook_to_module, remove_hook_from_module
from diffusers.models.modeling_outputs import Transformer2DModelOutput

from harmonica.errors import BadInput, check
from harmonica.fast.plan import compile_mask
from harmonica.method.router import Router
from harmonica.pipeline.transformers import backbone_of, check_drivable, conditioning
from harmonica.weights.formats import read


def apply_router(pipe, router, *, cur=None, assume_timesteps=False, backend="eager"):
    """Let `pipe` reuse features as `router` says, until remove_router(pipe) or the end of a `with`
    block.

        with harmonica.apply_router(pipe, router):
            images = pipe(...).images

    pipe: a DiTPipeline, PixArtAlphaPipeline or PixArtSigmaPipeline, or another one over a
    transformer of their classes. router: a Router, a path of any format that formats.read knows, or
    a folder of Router.save_pretrained. cur: reuse exactly round(cur / 100 T N) entries instead of
    the router's natural mask. backend: "compile" (torch.compile) or "cudagraph" (on a GPU) make the
    steps faster to call; what they make is kept from call to call, so apply the router again after
    weights were changed in place (an adapter fused, say). BadInput where they cannot work.

    A call of the pipeline raises BadInput before its first step unless the scheduler's timesteps
    are those that the router records. assume_timesteps=True accepts a router that records none, or
    others, of the right number.
    """
    return AppliedRouter(pipe, router, cur, assume_timesteps, backend)


def remove_router(pipe):
    """Undo apply_router: the pipeline is as it was."""
    applied = find_applied(pipe)
    if applied is None:
        raise BadInput("pipe: no router is applied to it; there is nothing to remove")
    applied.remove()


class AppliedRouter:
    """A router at work on the transformer and scheduler of one pipeline; as a context manager it
    removes itself.

    pipe, router, cur, assume_timesteps and backend are apply_router's. keep: the mask (T, N) that
    is followed.

    Between two calls of the pipeline it holds no tensor but the model's, with backend "eager".
    """

    def __init__(self, pipe, router, cur, assume_timesteps, backend):
        if find_applied(pipe):
            raise BadInput("pipe: a router is applied to it already; remove_router(pipe) first")
        self.backbone = backbone_of(pipe)
        self.pipe, self.transformer, self.scheduler = pipe, pipe.transformer, pipe.scheduler
        check(
            "set_timesteps" not in vars(self.scheduler),
            "scheduler",
            type(self.scheduler).__name__,
            "its set_timesteps is replaced already; remove what replaced it first",
        )
        router = _read(router, self.backbone)
        check(
            router.num_blocks == self.backbone.num_blocks,
            "router",
            f"N = {router.num_blocks}",
            f"this {type(self.transformer).__name__} has {self.backbone.num_blocks} cacheable blocks",
        )
        check(
            router.kinds in (None, self.backbone.kinds),
            "router",
            f"blocks {', '.join(router.kinds or ())}",
            f"this {type(self.transformer).__name__} has {', '.join(self.backbone.kinds)} in turn",
        )
        if router.timesteps is None and not assume_timesteps:
            raise BadInput(
                "router: it records no timesteps (published files hold T and N alone); if it was made for those "
                "of this pipeline's scheduler, say so with assume_timesteps=True"
            )
        if router.timesteps is None:
            warnings.warn(
                "the router records no timesteps: it is taken to fit this pipeline's scheduler",
                stacklevel=3,
            )
        self.keep, self.expected, self.assume = router.keep(cur), router.timesteps, assume_timesteps
        self.backend, self.kept, self.places = backend, None, None
        check_backend(self.transformer, backend)
        self.forget()
        if backend != "eager":
            self.compiled()  # lazily: here it only refuses what is not possible
        with _inside_offload_hook(self.transformer):
            check(
                _is_plain(self.transformer),
                "transformer",
                type(self.transformer).__name__,
                "its forward is replaced already, by another caching method or hook; remove that first",
            )
            self.transformer.forward = self.forward
        own = self.scheduler.set_timesteps
        self.begins = functools.update_wrapper(
            functools.partial(self.begin, own), own
        )  # pipelines look at its signature
        self.scheduler.set_timesteps = self.begins

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if (
            vars(self.scheduler).get("set_timesteps") is self.begins
        ):  # else remove_router was called inside the block
            self.remove()

    def remove(self):
        """Put both attributes back. BadInput, and nothing is changed, where something else has
        replaced forward since.
        """
        with _inside_offload_hook(self.transformer):
            check(
                vars(self.transformer).get("forward") == self.forward,
                "transformer",
                type(self.transformer).__name__,
                "its forward was replaced after the router was applied; remove that first",
            )
            del self.transformer.forward
        del self.scheduler.set_timesteps
        self.kept = None
        self.forget()

    def forget(self):
        """Between trajectories: no step, no conditioning, no features, no copy of weights."""
        self.step = self.timesteps = self.tensors = self.ctx = self.plan = self.cache = None

    def begin(self, set_timesteps, *args, **kwargs):
        """scheduler.set_timesteps, and a trajectory from its start. BadInput where the router does
        not fit.
        """
        self.forget()
        set_timesteps(*args, **kwargs)
        check(
            self.pipe.transformer is self.transformer and _owner(self.transformer.forward) is self,
            "transformer",
            type(self.pipe.transformer).__name__,
            "the router was applied to another; apply it again",
        )
        check_drivable(self.transformer)
        check_backend(self.transformer, self.backend)
        timesteps = (
            self.scheduler.timesteps.tolist()
        )  # the one time per call that a GPU is waited for
        check(
            len(timesteps) == len(self.keep),
            "num_inference_steps",
            len(timesteps),
            f"this router is for {len(self.keep)} calls of the transformer: use as many, or another router",
        )
        if not all(map(math.isclose, timesteps, self.expected or timesteps)):
            self.differ(timesteps)
        self.step, self.timesteps = 0, timesteps

    def differ(self, timesteps):
        """What is done about timesteps that are not the router's: BadInput, or a warning where that
        is accepted.
        """
        said = f"the scheduler gives {_shown(timesteps)}, the router was trained for {_shown(self.expected)}"
        if not self.assume:
            raise BadInput(
                f"timesteps: {said}; train a router on this pipeline (python -m harmonica train), set the "
                "scheduler's timestep_spacing to the router's, or accept it with assume_timesteps=True"
            )
        warnings.warn(f"timesteps differ, as accepted: {said}", stacklevel=4)

    def forward(self, hidden_states, timestep=None, return_dict=True, **inputs):
        """The transformer's forward of the current step: (B, C, H, W) -> (B, C_out, H, W)."""
        check(
            self.step is not None and self.pipe.scheduler is self.scheduler,
            "transformer",
            "a call outside the steps",
            "a router counts the steps from set_timesteps on, of the scheduler that it was applied with; after a change "
            "of pipe.scheduler apply it again",
        )
        if timestep.device.type == "cpu":
            check(
                float(timestep.flatten()[0]) == self.timesteps[self.step],
                "timestep",
                float(timestep.flatten()[0]),
                f"step {self.step} of this call is timestep {self.timesteps[self.step]}",
            )
        self.ctx = self.prepared(
            **{name: value for name, value in inputs.items() if value is not None}
        )
        if (
            self.plan is None
        ):  # not before the first step: offload hooks and the user move the weights it copies from
            self.plan = self.compiled()
            self.cache = self.plan.empty()
        out, self.cache = self.plan.step(self.step, hidden_states, timestep, self.ctx, self.cache)
        self.step += 1
        if self.step == len(self.keep):
            self.forget()
        return Transformer2DModelOutput(sample=out) if return_dict else (out,)

    def compiled(self):
        """The mask's plan. What is dear to make is made once, and again where the weights have
        moved since.
        """
        if self.backend == "eager":
            return compile_mask(self.backbone, self.keep)
        places = [parameter.data_ptr() for parameter in self.transformer.parameters()]
        if places != self.places:
            self.kept, self.places = compile_mask(self.backbone, self.keep, self.backend), places
        return self.kept

    def prepared(self, **inputs):
        """backbone.prepare of what conditions this call, done once: the pipelines give the same
        tensors at every step. Another tensor, or one that was written into, is prepared anew.
        """
        make, tensors = conditioning(self.transformer, inputs)
        if self.ctx is not None and all(map(_unchanged, tensors, self.tensors)):
            return self.ctx
        self.tensors = [_remembered(tensor) for tensor in tensors]
        return self.backbone.prepare(make(*tensors))


def _remembered(tensor):
    """What is kept of a tensor to know it again: itself, and its version or a copy of it."""
    if not isinstance(tensor, torch.Tensor):
        return tensor, None
    # tensors made in inference mode count no versions
    return tensor, tensor.clone() if tensor.is_inference() else tensor._version


def _unchanged(tensor, remembered):
    same, version = remembered
    if tensor is not same or not isinstance(tensor, torch.Tensor):
        return tensor is same
    return torch.equal(tensor, version) if tensor.is_inference() else tensor._version == version


def check_backend(transformer, backend):
    """BadInput where steps of that backend could not run this transformer."""
    check(
        backend == "eager" or not hasattr(transformer, "_hf_hook"),
        "backend",
        backend,
        "offloading moves the weights at every call; choose eager, or do without offload",
    )
    check(
        backend != "cudagraph" or transformer.device.type == "cuda",
        "backend",
        backend,
        f"the transformer is on {transformer.device}, CUDA graphs need it on a GPU; choose eager or compile",
    )


def find_applied(pipe):
    """The AppliedRouter at work on a pipeline's transformer or scheduler, or None."""
    own = getattr(pipe, "transformer", None), getattr(pipe, "scheduler", None)
    counting = getattr(getattr(own[1], "set_timesteps", None), "func", None)
    owners = [_owner(function) for function in (getattr(own[0], "forward", None), counting)]
    return next((owner for owner in owners if isinstance(owner, AppliedRouter)), None)


def _owner(function):
    """The object of the method that a function is, below all that wraps it; else None."""
    return getattr(inspect.unwrap(function), "__self__", None)


def _read(router, backbone):
    if isinstance(router, Router):
        return router
    return read(router, num_blocks=backbone.num_blocks, kinds=backbone.kinds)


def _is_plain(module):
    return module.forward == MethodType(type(module).forward, module)


@contextmanager
def _inside_offload_hook(module):
    """accelerate's hook of a module (CPU offload) wraps its forward: taken off, so that forward is
    changed below it.
    """
    hook = getattr(module, "_hf_hook", None)
    if hook is not None:
        remove_hook_from_module(module)
    try:
        yield
    finally:
        if hook is not None:
            add_hook_to_module(module, hook)


def _shown(timesteps):
    return ", ".join(f"{t:g}" for t in timesteps[:3]) + f", ..., {timesteps[-1]:g}"
