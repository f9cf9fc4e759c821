"""A keep mask compiled into fast steps: a learned schedule does not depend on the input, so each
step is a fixed list.

    plan = compile_mask(backbone, keep, backend="eager")       # keep: bool (T, N), True = compute
    cache = plan.empty()
    out, cache = plan.step(step, x, t, ctx, cache)             # the raw output of the model

Backends: "eager" is bit-identical to the loop of cache.py at the caller's batch shape on CPU;
"compile" gives every distinct row to torch.compile once; "cudagraph" captures every distinct row
once per input shape (cudagraph.py), its units compiled once for all rows (fused.py).
"""

import os
import shutil
from functools import partial

import torch

from harmonica.errors import check
from harmonica.fast.cudagraph import GraphPlan
from harmonica.fast.fused import fused, run
from harmonica.fast.steps import Plan, compiled
from harmonica.method.cache import predicted

COMPILERS = ("gcc", "clang")  # what Triton looks for
BACKENDS = ("eager", "compile", "cudagraph")


def compile_mask(backbone, keep, backend="eager", weights=None):
    """The Plan of a mask (T, N) on a backbone whose weights will not change any more.

    weights: of predicted entries, as a Schedule has them. BadInput for a wrong argument.
    """
    check(backend in BACKENDS, "backend", backend, f"choose one of {', '.join(BACKENDS)}")
    check(
        backend != "cudagraph" or torch.cuda.is_available(),
        "backend",
        backend,
        "CUDA graphs need a CUDA device and there is none; choose eager or compile",
    )
    check(
        keep.dtype == torch.bool and keep.dim() == 2 and keep.shape[1] == backbone.num_blocks,
        "keep",
        f"{keep.dtype} {tuple(keep.shape)}",
        f"it must be torch.bool (T, {backbone.num_blocks})",
    )
    check(
        bool(keep[0].all()),
        "keep",
        "a first row that reuses",
        "nothing can be reused at the first step",
    )
    if backend == "cudagraph":
        check(
            any(map(shutil.which, COMPILERS)) or "CC" in os.environ,
            "backend",
            backend,
            "its kernels need a C compiler and there is none; install gcc or choose eager",
        )
        return GraphPlan(fused(backbone), keep, weights, predict=partial(run, predicted))
    return Plan(backbone, keep, weights, compiled if backend == "compile" else None)


def follow(denoiser, plan):
    """The forward of Denoiser.advance that follows a Plan.

    What the timestep decides is computed once per schedule. The output is in x's dtype, whatever
    the weights are in: guidance and sampler work in that.
    """

    def forward(step, x, cache):
        time = plan.times(denoiser.timesteps[step], len(x), x.device)
        out, cache = plan.run(step, x, time, denoiser.ctx, cache)
        return denoiser.guided(out.to(x.dtype)), cache

    return forward
