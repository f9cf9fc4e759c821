"""The peak memory of tensors while a function runs, counted tensor by tensor, so that it can be
measured on a CPU too."""

import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def live_peak(function):
    """The most bytes that the tensors which operations of `function` return take at one time. So
    tensors that were there before count as soon as an operation returns them or a view of them: the
    weights of linear layers do (transposed), what is changed in place does, other weights do not.
    """
    with _Live() as live:
        function()
    return live.peak


class _Live(TorchDispatchMode):
    """Counts the storage of every tensor that an operation returns, once, until it is freed. A view
    counts as the whole storage that it views.
    """

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
