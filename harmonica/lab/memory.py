"""Memory: how much a function takes, counted on a GPU, by autograd or tensor by tensor; and a
setting of the C library's allocator for our processes.
"""

import ctypes
import sys
import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak_bytes(function):
    """Most memory on the GPU while it runs, above what was allocated before."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    allocated = torch.cuda.memory_allocated()
    function()
    return torch.cuda.max_memory_allocated() - allocated


def saved_tensors(storages):
    """A context that adds to `storages` {address: bytes} each storage that autograd keeps for the
    backward pass. Weights are left out.
    """

    def pack(tensor):
        owner = tensor._base if tensor._is_view() else tensor
        if not isinstance(owner, torch.nn.Parameter):
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    return torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)


def saved_bytes(function):
    """The bytes that autograd saves for the backward pass while `function` runs."""
    saved = {}
    with saved_tensors(saved):
        function()
    return sum(saved.values())


def live_peak(function):
    """The most bytes that the tensors which operations of `function` return take at one time. It
    can be counted on a CPU too. Tensors that were there before count as soon as an operation
    returns them or a view of them: the weights of linear layers do (transposed), what is changed in
    place does, other weights do not.
    """
    with Live() as live:
        function()
    return live.peak


class Live(TorchDispatchMode):
    """Counts the storage of every tensor that an operation returns, once, until it is freed. A view
    counts as the whole storage that it views. known: the storages that are counted, or need not be.
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


def keep_freed():
    """Keep freed memory in the process.

    glibc gives large freed tensors back to the system and faults their pages in again at the next
    allocation. This takes up to a sixth of the time of sampling on a CPU, or none, depending on how
    the heap happens to be laid out.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(-4, 0)  # M_MMAP_MAX: large blocks come from the heap too
        libc.mallopt(-1, -1)  # M_TRIM_THRESHOLD: the heap never shrinks
