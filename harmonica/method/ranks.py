"""Several processes work on one router or schedule: each has a contiguous part of every batch;
gradients, lambda and errors are averaged.

The only state is torch.distributed's default group. In a process that has not joined one, every
function returns its input unchanged, so a single process computes the same bits as without them.
"""

from datetime import timedelta

import torch
from torch import distributed

from harmonica.errors import BadInput

# Long, because the first rank may wait for a lock. A rank that died is noticed at once anyway.
WAIT = timedelta(days=2)


def join():
    """Join the group that MASTER_ADDR, MASTER_PORT, RANK and WORLD_SIZE describe. torchrun sets
    these variables, and so do the Slurm jobs.
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
    """-> the range of this rank's samples in a batch. BadInput where the parts cannot be equal."""
    if count() == 1:
        return range(batch)
    if batch % count():
        raise BadInput(
            f"batch: {batch} samples cannot be divided over {count()} ranks; "
            "choose a number that they can share equally"
        )
    size = batch // count()
    rank = distributed.get_rank()
    return range(rank * size, (rank + 1) * size)


def mean(tensor):
    """The mean over ranks of a tensor that each computed from its equal part."""
    if count() == 1:
        return tensor
    total = tensor.clone()
    distributed.all_reduce(total)
    return total / count()


def agree(value):
    """The first rank's value, on all ranks: for what one decides for all, say if a file exists."""
    if count() == 1:
        return value
    values = [value]
    distributed.broadcast_object_list(values)
    return values[0]


def gather(tensor):
    """The tensors of all ranks, of one shape, joined along the first dimension, on every rank."""
    if count() == 1:
        return tensor
    parts = [torch.empty_like(tensor) for _ in range(count())]
    distributed.all_gather(parts, tensor.contiguous())
    return torch.cat(parts)
