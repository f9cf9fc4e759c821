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

_known = {}  # (function, shapes, strides, dtypes, devices of its arguments) -> compiled function


def fused(backbone):
    """A copy of the backbone with compiled units and gates. Each of its compute() must be a
    functools.partial; `gated`, if it has one, is its function that adds a feature to the stream.
    """
    own = copy.copy(backbone)
    if hasattr(backbone, "gated"):
        own.gated = partial(run, backbone.gated)

    def through(h, c, at):
        return type(backbone).through(own, h, c, lambda i, compute: at(i, partial(_unit, compute)))

    own.through = through
    return own


def _unit(compute):
    function, args = compute.func, compute.args
    if hasattr(function, "__self__"):
        function, args = function.__func__, (function.__self__, *args)
    return run(function, *args)


def run(function, *args):
    """function(*args), compiled for arguments of these shapes."""
    tensors = [one for one in tree_leaves(args) if isinstance(one, torch.Tensor)]
    key = function, *((one.shape, one.stride(), one.dtype, one.device) for one in tensors)
    if key not in _known:
        _known[key] = compiled(function, dynamic=False)
    return _known[key](*args)
