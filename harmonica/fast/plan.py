"""Compiles a schedule into fast steps: which blocks a step computes is known in advance.

    plan = compile_schedule(backbone, schedule, backend="eager")
    cache = plan.empty()
    out, cache = plan.step(step, x, t, ctx, cache)             # the raw output of the model

Backends: "eager" gives the bits of method/cache.py's policies, on a CPU at the same batch shape;
"cudagraph" captures every step once per input shape (cudagraph.py), with units that are compiled
once for all rows (fused.py).
"""

import torch

from harmonica.errors import check
from harmonica.fast.cudagraph import GraphPlan
from harmonica.fast.fused import has_compiler, lazy
from harmonica.fast.steps import Plan

BACKENDS = ("eager", "cudagraph")


def compile_schedule(backbone, schedule, backend="eager"):
    """-> the Plan of a Schedule on a backbone, whose weights must not change any more.

    BadInput where the schedule is of another number of blocks, or the backend cannot be used here.
    """
    check(backend in BACKENDS, "backend", backend, f"choose one of {', '.join(BACKENDS)}")
    check(
        schedule.num_blocks == backbone.num_blocks,
        "schedule",
        f"N = {schedule.num_blocks}",
        f"this backbone has {backbone.num_blocks} blocks",
    )
    if backend == "eager":
        return Plan(backbone, schedule)
    check(
        torch.cuda.is_available(),
        "backend",
        backend,
        "CUDA graphs need a CUDA device and there is none; choose eager",
    )
    check(
        has_compiler(),
        "backend",
        backend,
        "its kernels need a C compiler and there is none; install gcc or choose eager",
    )
    backbone, predict = lazy(backbone)
    return GraphPlan(backbone, schedule, predict=predict)


def follow(denoiser, plan):
    """The forward of Denoiser.advance that follows a Plan.

    The timesteps' embeddings are computed once per schedule. The output is cast to x's dtype, in
    which guidance and sampler work.
    """

    def forward(step, x, cache):
        time = plan.times(denoiser.timesteps[step], len(x), x.device)
        out, cache = plan.run(step, x, time, denoiser.ctx, cache)
        return denoiser.guided(out.to(x.dtype)), cache

    return forward
