"""Estimates the memory and time of a search or training on a pipeline before it starts, from
measurements of one step and one walk.
"""

import os
import time
from collections import deque
from dataclasses import dataclass, replace

import torch
from torch.utils._pytree import tree_leaves, tree_map

SHARE = 0.6  # of the device's memory may be filled by the weights and a batch's features and graph
RECENT = 64  # saved tensors that are remembered, to count each only once


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes of memory. weights: of the whole pipeline. features: all that a walk keeps for one
    image. graph: autograd's, of one step of one image. offload: the features are in CPU memory, and
    only one block's graph is held at a time. device: the one that computes.
    """

    weights: int
    features: int
    graph: int
    offload: bool
    device: torch.device

    def of_walk(self, steps, passes, predicted):
        """From the features of one call to those of a whole walk, which makes steps x passes calls.
        predicted: the share of features that are kept twice, as computed and as predicted.
        """
        return replace(self, features=round(steps * passes * (1 + predicted) * self.features))

    def in_cpu_memory(self):
        """The words that tell how much is kept in CPU memory; empty without offload."""
        return f", {gibibytes(self.features)} of features beside it" if self.offload else ""

    def on_device(self, batch):
        return self.weights + batch * (self.graph + (0 if self.offload else self.features))

    def batch(self, images):
        """The largest divisor of `images` that fits the device."""
        if self.offload:
            return 1
        most = SHARE * memory_of(self.device) - self.weights
        per_image = self.features + self.graph
        return max(
            n for n in range(1, images + 1) if images % n == 0 and (n == 1 or n * per_image < most)
        )


def measure(pipe, units, args, kwargs, offload):
    """-> Memory, with the features of one call of the transformer. units: those of the pipeline's
    first one. args, kwargs: with which the pipeline calls it for one image.
    """
    graph, features = graph_bytes(units, args, kwargs)
    if offload:  # blocks are checkpointed: one block's graph, and the inputs of all blocks
        blocks = len(set(units.blocks))
        graph = graph // blocks + blocks * features // max(1, len(units.names))
    weights = sum(
        tensor.nbytes
        for part in pipe.components.values()
        if isinstance(part, torch.nn.Module)
        for tensor in part.parameters()
    )
    return Memory(
        weights=weights,
        features=features,
        graph=graph,
        offload=offload,
        device=units.model.device,
    )


def graph_bytes(units, args, kwargs):
    """-> the bytes that one forward saves for its backward pass, weights excluded; the bytes of all
    features. The graph itself is thrown away. A tensor that is saved several times counts once, if
    fewer than RECENT others come between.
    """
    weights = {parameter.untyped_storage().data_ptr() for parameter in units.model.parameters()}
    leaf = torch.zeros((), requires_grad=True)
    total, features = [0], [0]
    recent = deque(maxlen=RECENT)

    def saved(tensor):
        storage = tensor.untyped_storage()
        counted = weights | {earlier.data_ptr() for earlier in recent}
        if storage.data_ptr() not in counted:
            total[0] += storage.nbytes()
            recent.append(storage)

    def at(i, compute):
        feature = compute()
        features[0] += sum(part.nbytes for part in tree_leaves(feature))
        return tree_map(lambda part: part + leaf.to(part.device, part.dtype), feature)

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(saved, lambda _: None):
        units.run(at, *args, **kwargs)
    return total[0], features[0]


def memory_of(device):
    """All memory of a device, in bytes."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def timed(function):
    """-> the function's result, the seconds it took; a GPU has finished before and after."""
    _wait()
    begin = time.perf_counter()
    out = function()
    _wait()
    return out, time.perf_counter() - begin


def _wait():
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def gibibytes(count):
    return f"{count / 2**30:.2g} GiB"


def duration(seconds):
    """A time in words: in seconds, minutes or hours."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.3g} hours"
