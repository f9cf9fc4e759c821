"""A backbone whose units are compiled by torch.compile, so that norm, modulation, activation, gate
and sum run as a few kernels.

Compiling whole steps would take a compilation for every row of every schedule. A unit is compiled
once per kind and shape: its weights are arguments, so one compilation serves all blocks of all
schedules, also with gradients.
"""

import copy
from functools import partial

import torch
from torch.utils._pytree import tree_leaves

from harmonica.fast.steps import compiled

# {(function, shapes, strides, dtypes, devices of its arguments): compiled function}. Kept as long as
# the process, like torch.compile's own: models of these shapes that come later compile nothing. The
# functions take modules as arguments, so no weights are kept.
_compiled = {}


def fused(backbone):
    """A copy of the backbone with compiled units and gates. Each of its compute() must be a
    functools.partial; `gated`, if it has one, is its function that adds a feature to the stream.
    """
    fused_backbone = copy.copy(backbone)
    if hasattr(backbone, "gated"):
        fused_backbone.gated = partial(run_compiled, backbone.gated)

    def through(h, c, at):
        return type(backbone).through(
            fused_backbone, h, c, lambda i, compute: at(i, partial(_unit, compute))
        )

    fused_backbone.through = through
    return fused_backbone


def _unit(compute):
    function, args = compute.func, compute.args
    if hasattr(function, "__self__"):
        function, args = function.__func__, (function.__self__, *args)
    return run_compiled(function, *args)


def run_compiled(function, *args):
    """function(*args), compiled for arguments of these shapes."""
    tensors = [tensor for tensor in tree_leaves(args) if isinstance(tensor, torch.Tensor)]
    key = (
        function,
        *((tensor.shape, tensor.stride(), tensor.dtype, tensor.device) for tensor in tensors),
    )
    if key not in _compiled:
        _compiled[key] = compiled(function, dynamic=False)
    return _compiled[key](*args)
