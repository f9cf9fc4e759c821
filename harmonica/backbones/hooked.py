"""Replaces a module's forward on the instance, although hooks of accelerate and diffusers may have
done so too. Our forward is called first and calls theirs only to compute, so the offloaded weights
of a module that is not computed are not fetched.
"""

import functools
from types import MethodType

import torch

from harmonica.errors import BadInput, check

# Hooks of diffusers that only move or cast weights. All others change what a model computes.
HARMLESS_HOOKS = {
    "group_offloading",
    "layer_execution_tracker",
    "lazy_prefetch_group_offloading",
    "layerwise_casting",
    "peft_autocast_disable",
}


def check_free(model):
    """BadInput where a model is compiled, or where something else already replaces its forwards."""
    if isinstance(model, torch._dynamo.OptimizedModule):
        raise BadInput(
            f"transformer: {type(model._orig_mod).__name__} is compiled as a whole; "
            "put the model itself back (pipe.transformer = pipe.transformer._orig_mod)"
        )
    check_hooks(model)
    for full_path, module in _paths(model):
        if module._compiled_call_impl is not None:
            raise BadInput(
                f"transformer: {full_path} is compiled; load the model again and leave it so"
            )
        check(
            not _prefetched(module),
            "transformer",
            full_path,
            "its weights are fetched ahead leaf by leaf, in an order that reuse breaks; "
            "offload by block, or without use_stream",
        )
        check(
            not any(isinstance(vars(place).get(name), Placed) for place, name in holders(module)),
            "transformer",
            full_path,
            "caching is applied to it already, perhaps through another pipeline that shares it; "
            "harmonica.remove that pipeline first",
        )
        check(
            is_plain(module) or _hooks(module) or hasattr(module, "_hf_hook"),
            "transformer",
            full_path,
            "its forward is replaced already, by another caching method or hook; remove that first",
        )


def check_hooks(model):
    """BadInput where hooks of diffusers change what a model computes, as those of its caches do."""
    for full_path, module in _paths(model):
        hooks = _hooks(module)
        check(
            hooks.keys() <= HARMLESS_HOOKS,
            "transformer",
            full_path,
            f"another caching method is at work on it ({', '.join(sorted(hooks))}); "
            "disable that first",
        )


def _paths(model):
    name = type(model).__name__
    for path, module in model.named_modules():
        yield f"{name}.{path}" if path else name, module


def _hooks(module):
    """{name: hook} of diffusers' hooks on a module."""
    return getattr(getattr(module, "_diffusers_hook", None), "hooks", {})


def _prefetched(module):
    """Whether diffusers' group offloading fetches this module's weights in advance."""
    config = getattr(_hooks(module).get("group_offloading"), "config", None)
    return bool(config and config.stream is not None and config.offload_type == "leaf_level")


def is_plain(module):
    """Whether a module's forward is its class's own, not replaced on the instance."""
    return module.forward == MethodType(type(module).forward, module)


class Placed(functools.partial):
    """A forward that `replace` has put on a module."""


def replace(module, answer):
    """Let `answer(own forward, *args, **kwargs)` answer a module's calls -> (the new forward, the
    forward that was on the instance before, or None).
    """
    earlier = vars(module).get("forward")
    placed = Placed(answer, earlier or module.forward)
    module.forward = functools.update_wrapper(placed, earlier or module.forward)
    return placed, earlier


def restore(module, placed, earlier):
    """Undo `replace`, also where a hook was put around it since."""
    for holder, name in holders(module):
        if vars(holder).get(name) is not placed:
            continue
        if earlier is None and holder is module and name == "forward":
            del module.forward
        else:
            setattr(holder, name, earlier or MethodType(type(module).forward, module))


def holds(module, placed):
    """Whether the forward that `replace` put there is still in use."""
    return any(vars(holder).get(name) is placed for holder, name in holders(module))


def holders(module):
    """Yield every (object, attribute) that may hold a module's forward: itself, and its hooks."""
    yield module, "forward"
    yield module, "_old_forward"  # accelerate
    for reference in getattr(getattr(module, "_diffusers_hook", None), "_fn_refs", ()):
        yield reference, "forward"
        yield reference, "original_forward"
