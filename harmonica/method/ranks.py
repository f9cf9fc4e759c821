"""Several processes work on one router or schedule: each has a contiguous part of every batch;
gradients, lambda and errors are averaged.

torch.distributed's group is the state. In a process that never joined one every function gives back
what it was given, so training alone is the same in every bit.
"""

from contextlib import nullcontext
from datetime import timedelta

import torch
from torch import distributed

from harmonica.errors import BadInput

WAIT = timedelta(
    days=2
)  # the first rank may wait for a lock meanwhile; a rank that died is noticed at once


def join():
    """Join the group that MASTER_ADDR, MASTER_PORT, RANK and WORLD_SIZE describe (torchrun sets
    them, as do our jobs).
    """
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=WAIT
    )


def leave():
    if distributed.is_initialized():
        distributed.destroy_process_group()


def count():
    return distributed.get_world_size() if distributed.is_initialized() else 1


def is_first():
    return not distributed.is_initialized() or distributed.get_rank() == 0


def part(batch):
    """-> range of sample indices of this rank. BadInput where the ranks cannot have equal parts."""
    if count() == 1:
        return range(batch)
    if batch % count():
        raise BadInput(
            f"batch: {batch} samples cannot be divided over {count()} ranks; choose a number that "
            "divides it"
        )
    each, rank = batch // count(), distributed.get_rank()
    return range(rank * each, (rank + 1) * each)


def mean(tensor):
    """The mean over ranks of a tensor that each computed from its equal part."""
    if count() == 1:
        return tensor
    total = tensor.clone()
    distributed.all_reduce(total)
    return total / count()


def only_first(context):
    """The context on the first rank, none on the others."""
    return context if is_first() else nullcontext()


def agree(value):
    """The first rank's value, on all; for what only it may decide, such as whether a file is there."""
    if count() == 1:
        return value
    values = [value]
    distributed.broadcast_object_list(values)
    return values[0]


def gather(tensor):
    """The equal parts of all ranks along the first dimension, in the ranks' order, on all."""
    if count() == 1:
        return tensor
    parts = [torch.empty_like(tensor) for _ in range(count())]
    distributed.all_gather(parts, tensor.contiguous())
    return torch.cat(parts)
