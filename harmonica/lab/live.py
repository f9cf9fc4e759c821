"""The most memory that tensors take while something runs, counted tensor by tensor, so that a CPU
has such a figure too."""

import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def live_peak(function):
    """Bytes of all tensors that are alive at once, at most, of those that `function` makes."""
    with _Live() as live:
        function()
    return live.peak


class _Live(TorchDispatchMode):
    """Every storage that an operation gives counts once, until nothing holds it any more."""

    def __init__(self):
        super().__init__()
        self.now, self.peak, self.known = 0, 0, weakref.WeakSet()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self.count(leaf.untyped_storage())
        return out

    def count(self, storage):
        if storage in self.known:
            return
        self.known.add(storage)
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self.freed, storage.nbytes())

    def freed(self, num_bytes):
        self.now -= num_bytes
