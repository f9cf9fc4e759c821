"""Training, faster: a router's (teacher and student of one step, the `pair` of sdt.update_by), and
a base model's (forward and backward pass as one CUDA graph).
"""

import functools
from functools import partial

import torch

from harmonica.fast.cudagraph import Capture, Static
from harmonica.fast.fused import fused, run_compiled
from harmonica.fast.steps import Times, starts
from harmonica.method.cache import blended
from harmonica.method.sdt import compare


def training_pair(loaded, recompute=False):
    """The fast_pair of a Loaded model, with compiled units where torch.compile works on its device.
    On a CPU it would take longer to compile than most trainings.
    """
    return fast_pair(loaded.backbone, recompute, compiles_on(torch.device(loaded.device)))


@functools.cache
def compiles_on(device):
    """Whether torch.compile works on a GPU: it needs a C compiler and Python's headers there."""
    if device.type != "cuda":
        return False
    try:
        torch.compile(torch.exp, dynamic=False)(torch.ones(2, device=device))
    except Exception as error:  # whatever is missing, training works without
        reason = str(error).strip().splitlines()[0]
        print(f"units of the model are not compiled, training is slower: {reason}", flush=True)
        return False
    return True


def fast_pair(backbone, recompute=False, compile=False):
    """-> pair(x, timestep, ctx, r, cache), for many router updates on one model.

    It copies the weights of the modulations (see DiT.starts), so the model's must not change any
    more. recompute: activations are computed again in the backward pass. compile: units, gates and
    mixes are compiled (fused.py), and the update's bits change.
    """
    times = Times(backbone)
    blend = blended
    if compile:
        backbone = fused(backbone)
        blend = partial(run_compiled, blend)
    (start,) = starts(backbone, [(True,) * backbone.num_blocks])

    def pair(x, timestep, ctx, r, cache):
        h, c = start(x, times(timestep, len(x), x.device), ctx)
        return compare(backbone, h, c, r, cache, recompute, blend)

    return pair


def backward(loss, parameters):
    """-> run(*batch), which computes loss(*batch), replaces the parameters' .grad by its gradients
    and returns the loss, a detached scalar.
    """

    def run(*batch):
        value = loss(*batch)
        for parameter in parameters:
            parameter.grad = None
        value.backward()
        return value.detach()

    return run


def captured(run, batch):
    """Capture the `run` that `backward` returns as a CUDA graph -> a function like it: for a small
    model the kernels take less time than their launches. batch: tensors on the GPU with the shapes
    and dtypes of all later batches.

    The next call overwrites the memory of the returned loss and of the gradients.
    """
    static = Static(batch)
    replay, value = Capture()(lambda: run(*static.tree), batch[0].device)

    def run_again(*batch):
        static.fill(batch)
        replay()
        return value

    return run_again
