"""Training, faster: a router's (teacher and student of one step, the `pair` of sdt.update_by), and a
base model's (forward and backward pass as one CUDA graph).
"""

from functools import partial

import torch

from harmonica.fast.cudagraph import Capture, Static
from harmonica.fast.fused import fused, has_compiler, run_compiled
from harmonica.fast.steps import Times, starts
from harmonica.method.cache import blended
from harmonica.method.sdt import compare


def compiles_on(device):
    """Whether training compiles the model's units there: on a GPU with a C compiler. On an H200 this
    took about 0.7 of the time and memory at DiT-XL/2 (results/bench).
    """
    return torch.device(device).type == "cuda" and has_compiler()


def fast_pair(backbone, recompute=False, compile=False):
    """-> pair(x, timestep, ctx, r, cache), for many router updates on one model.

    It copies the weights of the modulations (see DiT.starts), so the model's must not change any
    more. recompute: activations are computed again in the backward pass. compile: units, gates and
    mixes are compiled (fused.py).
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
