"""A backbone whose parts are compiled by torch.compile, so that norm, modulation, activation, gate
and sum run as a few kernels.

Compiling whole steps would take a compilation for every row of every schedule. A part is compiled
once per kind and shape: its weights are arguments, so one compilation serves all blocks of all
schedules, also with gradients.
"""

import copy
import functools
import itertools
import os
import shutil
import types
from functools import partial
from typing import NamedTuple

import torch
from torch.utils._pytree import tree_leaves

from harmonica.backbones.patches import by_linear
from harmonica.method.cache import predicted

AT_ONCE = 8  # how many features one kernel adds at most
COMPILERS = ("gcc", "clang")  # what Triton looks for

# {(function, shapes, strides, dtypes, devices of its arguments): compiled function}. Kept as long
# as the process, like torch.compile's own: models of these shapes that come later compile nothing.
# The functions take modules as arguments, so no weights are kept.
_compiled = {}


def has_compiler():
    """Whether there is a C compiler, which kernels for a GPU need."""
    return any(map(shutil.which, COMPILERS)) or "CC" in os.environ


def fused(backbone):
    """A copy of the backbone with compiled parts. Each of its compute() must be a
    functools.partial. Patches, gates and the finish are compiled too where the backbone has
    functions for them (see harmonica.backbones).
    """
    fused_backbone = copy.copy(backbone)
    if hasattr(backbone, "gated"):
        fused_backbone.projection = lambda embed: partial(run_compiled, by_linear)
        fused_backbone.gated = partial(run_compiled, backbone.gated)
        fused_backbone.finish = lambda *args: _part(partial(backbone.finish, *args))

    def through(h, c, at):
        return type(backbone).through(
            fused_backbone, h, c, lambda i, compute: at(i, partial(_part, compute))
        )

    fused_backbone.through = through
    return fused_backbone


def lazy(backbone):
    """-> a fused backbone, and the `predict` of its plan. Where the backbone has `gated`, features
    are added, and predicted, by the kernel that next reads the sum: a skipped block is no kernel of
    its own.
    """
    fused_backbone = fused(backbone)
    if not hasattr(backbone, "gated"):
        return fused_backbone, partial(run_compiled, predicted)

    def gated(feature, gate, h):
        weights, features = feature if isinstance(feature, Predicted) else (None, [feature])
        h, terms = (h.h, h.terms) if isinstance(h, Sum) else (h, [])
        return Sum(backbone.gated, h, [*terms, (gate, weights, features)])

    fused_backbone.gated = gated
    return fused_backbone, Predicted


class Predicted(NamedTuple):
    """The arguments of a prediction that has not been computed yet."""

    weights: torch.Tensor
    features: list


class Sum:
    """A stream h and gated features that are still to be added to it: terms of gate, weights of a
    prediction or None, features.
    """

    def __init__(self, gated, h, terms):
        self.gated, self.h, self.terms = gated, h, terms

    def add_all_but_last(self):
        """Add terms until at most one is left, and that is no prediction. In groups of a few sizes,
        so that not every number of terms is compiled.
        """
        last = self.terms.pop() if self.terms and self.terms[-1][1] is None else None
        while self.terms:
            form = _form(self.terms[0])
            alike = next(
                (i for i, term in enumerate(self.terms) if _form(term) != form), len(self.terms)
            )
            count = min(AT_ONCE, 2 ** (alike.bit_length() - 1))
            group, self.terms = self.terms[:count], self.terms[count:]
            self.h = run_compiled(_adding(self.gated), self.h, group)
        self.terms = [last] if last else []


def _form(term):
    gate, weights, features = term
    return gate is None, weights is None, len(features)


def _part(compute):
    """compute(), compiled. Where it reads a Sum, the same kernels add what is left of that."""
    function, args = compute.func, compute.args
    if hasattr(function, "__self__"):
        function, args = function.__func__, (function.__self__, *args)
    place = next((i for i, arg in enumerate(args) if isinstance(arg, Sum)), None)
    if place is None:
        return run_compiled(function, *args)
    total, before, after = args[place], args[:place], args[place + 1 :]
    total.add_all_but_last()
    if not total.terms:
        return run_compiled(function, *before, total.h, *after)
    adding = _adding_first(total.gated, function, place)
    total.h, out = run_compiled(adding, total.h, total.terms, *before, *after)
    total.terms = []
    return out


@functools.cache
def _adding(gated):
    def add(h, terms):
        for gate, weights, features in terms:
            feature = features[0] if weights is None else predicted(weights, features)
            h = gated(feature, gate, h)
        return h

    return add


@functools.cache
def _adding_first(gated, function, place):
    """-> f(h, terms, *the other arguments), which returns the sum and function of it."""
    add = _adding(gated)

    def added_first(h, terms, *others):
        h = add(h, terms)
        return h, function(*others[:place], h, *others[place:])

    return added_first


def run_compiled(function, *args):
    """function(*args), compiled for arguments of these shapes."""
    tensors = [tensor for tensor in tree_leaves(args) if isinstance(tensor, torch.Tensor)]
    key = (
        function,
        *((tensor.shape, tensor.stride(), tensor.dtype, tensor.device) for tensor in tensors),
    )
    if key not in _compiled:
        _compiled[key] = torch.compile(_copied(function), fullgraph=True, dynamic=False)
    return _compiled[key](*args)


_names = itertools.count()


def _copied(function):
    """A copy of a function with a code object and a name of its own. torch limits how often it
    compiles one code object; and it remembers sizes by name, so the sizes of another model would
    make it compile for dynamic sizes, which is slower.
    """
    code = function.__code__.replace(co_name=f"{function.__name__}_{next(_names)}")
    return types.FunctionType(code, function.__globals__, code.co_name, None, function.__closure__)
