"""A backbone whose units are compiled functions: norm, modulation, activation, and gate and sum run
as few kernels.

A compiled row would have to be compiled anew for every row of every schedule. A unit is compiled
once per kind and shape: its weights are arguments, so one compilation serves all blocks of all
schedules, with gradients too.
"""

import copy
from functools import partial

import torch
from torch.utils._pytree import tree_leaves

from harmonica.fast.steps import compiled

_known = {}  # (function, sizes, strides and dtypes of what it is given) -> compiled function


def fused(backbone):
    """The same backbone, its units and gates compiled. It may have `gated`, how a feature joins the
    stream, a function of tensors; each compute() must be a functools.partial.
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
    """function(*args), compiled for such sizes."""
    tensors = [one for one in tree_leaves(args) if isinstance(one, torch.Tensor)]
    key = function, *((one.shape, one.stride(), one.dtype, one.device) for one in tensors)
    if key not in _known:
        _known[key] = compiled(function, dynamic=False)
    return _known[key](*args)
