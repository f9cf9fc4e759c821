"""Any diffusers transformer as a backbone: its units ask at(i, compute) what feature to add.

    with Units(model) as units:
        out = units.run(at, *args, **kwargs)     # the model's own forward under a policy

The `forward` of every branch (branches.py) is replaced on the instance, and put back by remove() or
at the end of the `with` block. Norms, modulation, gates and sums stay the model's own code. A
feature is what the branch returns: a tensor, or a tuple of tensors where one attention serves two
streams. Units are numbered in the order in which the first forward calls them; a module that is
called twice is two units.

A unit of several modules asks `at` before the first of them runs. Its feature cannot be computed
yet, so this compute() raises an exception that ends the policy's call; the modules then run, and
`at` is asked again at the last one. If the policy answers without compute(), the modules before the
last return zeros that take no memory. So a policy must change nothing before it calls compute().
"""

import functools
from contextlib import contextmanager

import torch
from torch.utils._pytree import tree_leaves

from harmonica.backbones.branches import branches
from harmonica.backbones.hooked import check_free, check_hooks, holds, replace, restore
from harmonica.errors import BadInput
from harmonica.method.cache import compute_all, mapped

# Units whose output is (B, channels, H, W). Policies get their features with the channels last, as
# those of all other units.
CHANNELS_FIRST = ("GLUMBConv",)


class Units:
    """The units of one model, from now until remove().

    names: unit i's path in the model. blocks: the path of the block it belongs to. Both are
    complete after the first forward. ask(args, kwargs): called with the arguments of every forward
    of the model; returns this forward's `at`, or None for the plain forward.
    """

    def __init__(self, model, ask=None):
        check_free(model)
        self.model, self.ask = model, ask
        self.names, self.blocks, self.index = [], [], {}
        self.placed, self.zeros, self.checkpoint, self.handles = {}, {}, None, []
        self._enter(None)
        try:
            for branch in branches(model):
                self._place(branch.module, self._unit, branch)
                for module in branch.before:
                    self._place(module, self._before, branch)
            self.handles.append(model.register_forward_pre_hook(self._open, with_kwargs=True))
            self.handles.append(model.register_forward_hook(self._end, always_call=True))
        except BaseException:
            self.remove()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.remove()

    def run(self, at, *args, **kwargs):
        """The model's forward, each unit answered by `at`."""
        ask, self.ask = self.ask, lambda args, kwargs: at
        try:
            return self.model(*args, **kwargs)
        finally:
            self.ask = ask

    def remove(self):
        """Put every forward back. A second call does nothing."""
        for handle in self.handles:
            handle.remove()
        for module, (placed, earlier) in self.placed.items():
            restore(module, placed, earlier)
        self.placed = {}

    def check_placed(self):
        """BadInput where a branch was exchanged since, something else replaced its forward, or
        another cache was switched on.
        """
        check_hooks(self.model)
        for branch in branches(self.model):
            for module in (branch.module, *branch.before):
                if module not in self.placed or not holds(module, self.placed[module][0]):
                    raise BadInput(
                        f"transformer: {branch.block}.{branch.name} was exchanged after caching "
                        "was applied (by an adapter, or by a change of offloading); "
                        "remove and apply again"
                    )

    def _place(self, module, answer, branch):
        self.placed[module] = replace(module, functools.partial(answer, branch, module))

    def _enter(self, at):
        """Reset the state of one forward: its policy, the number of calls of each branch so far,
        the units that asked in advance, and the features that those were given.
        """
        self.at, self.calls, self.asked, self.given = at, {}, set(), {}

    @contextmanager
    def answering(self, at):
        """Let `at` answer within the context, for a forward that does not run the model's hooks."""
        self._begin(at)
        try:
            yield
        finally:
            self._end()

    def _open(self, model, args, kwargs):
        self._begin(self.ask(args, kwargs) if self.ask else None)

    def placed_names(self):
        """[(path of the block, the unit's name in it)] of all units."""
        return [
            (block, name.removeprefix(f"{block}.")) for block, name in zip(self.blocks, self.names)
        ]

    def _begin(self, at):
        self._enter(at)
        if at is not None and getattr(self.model, "gradient_checkpointing", False):
            self.checkpoint = self.model._gradient_checkpointing_func
            self.model._gradient_checkpointing_func = self._checkpointed

    def _end(self, *of_hook):
        self._enter(None)
        if self.checkpoint is not None:
            self.model._gradient_checkpointing_func, self.checkpoint = self.checkpoint, None

    def _number(self, branch):
        """The unit number of this branch's present call."""
        key = branch.block, branch.name, self.calls.get(branch.module, 0)
        if key not in self.index:
            self.index[key] = len(self.names)
            suffix = f" (call {key[2] + 1})" if key[2] else ""
            self.names.append(f"{branch.block}.{branch.name}{suffix}")
            self.blocks.append(branch.block)
        return self.index[key]

    def _unit(self, branch, module, forward, *args, **kwargs):
        if self.at is None:
            return forward(*args, **kwargs)
        i = self._number(branch)
        self.calls[module] = self.calls.get(module, 0) + 1
        if i in self.given:
            return self.given.pop(i)
        compute = functools.partial(forward, *args, **kwargs)
        if type(module).__name__ not in CHANNELS_FIRST:
            return self.at(i, compute)
        return self.at(i, lambda: compute().movedim(1, -1)).movedim(-1, 1)

    def _before(self, branch, module, forward, *args, **kwargs):
        """The forward of a module whose output only the unit's last module reads."""
        if self.at is None:
            return forward(*args, **kwargs)
        i = self._number(branch)
        if i not in self.asked:
            self.asked.add(i)
            try:
                self.given[i] = self.at(i, _stop)
            except _Wanted:
                pass
        key = module, form(args, kwargs)
        if i in self.given and key in self.zeros:
            return self.zeros[key]
        out = forward(*args, **kwargs)
        if key not in self.zeros:
            self.zeros[key] = mapped(lambda tensor: tensor.new_zeros(()).expand(tensor.shape), out)
        return out

    def _checkpointed(self, function, *args, **kwargs):
        """The model's gradient checkpointing. It runs a block a second time, in the backward pass;
        for this run the state is set back to that of the first, so units have the same answers.
        """
        at, calls = self.at, dict(self.calls)
        runs = []

        def block(*args, **kwargs):
            runs.append(None)
            if len(runs) == 1:
                return function(*args, **kwargs)
            state = self.at, self.calls, self.asked, self.given
            self._enter(at)
            self.calls = dict(calls)
            try:
                return function(*args, **kwargs)
            finally:
                self.at, self.calls, self.asked, self.given = state

        return self.checkpoint(block, *args, **kwargs)


class _Wanted(BaseException):
    """Ends the policy's call where a unit asks in advance and the policy wants it computed."""


def _stop():
    raise _Wanted


def form(args, kwargs):
    """A key for the form of a module's output: shapes, dtypes and devices of tensor arguments, and
    the values of strings and bools.
    """
    return tuple(_form(leaf) for leaf in tree_leaves((args, kwargs)))


def _form(leaf):
    if hasattr(leaf, "shape"):
        return leaf.shape, leaf.dtype, leaf.device
    return leaf if isinstance(leaf, (str, bool)) else None


@torch.no_grad()
def free_units(units, *args, **kwargs):
    """The units of the last block whose features never reach the model's output; for example, in a
    model with two streams, what the last block adds to the prompt's stream. Skipping them changes
    nothing, so they do not count in a schedule's CUR.

    Found by replacing each unit's feature by NaN, in one forward per unit after one that numbers
    them all: if the feature is used, the output has NaN.
    """
    units.run(compute_all, *args, **kwargs)
    last = [i for i, block in enumerate(units.blocks) if block == units.blocks[-1]]
    kwargs = kwargs | {"return_dict": False}

    def poisoned(unit):
        def at(i, compute):
            feature = compute()
            return mapped(lambda tensor: tensor * torch.nan, feature) if i == unit else feature

        return at

    return frozenset(
        unit for unit in last if not _has_nan(units.run(poisoned(unit), *args, **kwargs))
    )


def _has_nan(out):
    tensors = (leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor))
    return any(bool(tensor.isnan().any()) for tensor in tensors)
