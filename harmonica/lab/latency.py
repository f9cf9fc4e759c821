"""Measured latency of a group of runs: all schedules take turns with the uncached one, in one
process and one thread.
"""

import torch

from harmonica import samplers
from harmonica.fast.plan import compile_mask, follow
from harmonica.lab import cost
from harmonica.lab.models import load_model
from harmonica.lab.schedules import schedule_of
from harmonica.method import seeds
from harmonica.method.denoise import Denoiser
from harmonica.method.precision import float32_products


@torch.no_grad()
def measure(spec, store):
    """Time a LatencySpec -> {"rows": {run id: latency of one batch over all steps, speedup
    over the first run}}.

    Medians with interquartile ranges over the repeats; a speedup is the median of the ratios within
    one repeat, so that a drift of the machine's speed cancels.
    """
    seconds = cost.interleaved(
        {run.id: _sampler_of(run, spec.batch, store) for run in spec.runs}, spec.repeats
    )
    uncached = seconds[spec.runs[0].id]
    rows = {}
    for run_id, run_seconds in seconds.items():
        latency, latency_iqr = cost.quartiles([1000 * s for s in run_seconds])
        speedup, speedup_iqr = cost.quartiles([u / s for u, s in zip(uncached, run_seconds)])
        rows[run_id] = {
            "latency_ms": latency,
            "latency_iqr_ms": latency_iqr,
            "speedup": speedup,
            "speedup_iqr": speedup_iqr,
        }
    return {"rows": rows}


def _sampler_of(run, batch, store):
    """-> a function that generates one batch under the run's schedule."""
    loaded = load_model(run.model, run.precision, store)
    schedule, _ = schedule_of(run, store, loaded.backbone.num_blocks)
    sampler = samplers.load(run.sampler)
    x = seeds.normal(seeds.generators(seeds.EVALUATION, 0, indices=range(batch)), loaded.shape).to(
        loaded.device
    )
    denoiser = Denoiser(
        loaded.backbone,
        sampler,
        sampler.timesteps(run.num_steps),
        loaded.cond(range(batch)),
        scale=run.guidance,
        noise=lambda step: x,  # the same at every step: drawing noise is not timed
    )
    forward = follow(
        denoiser,
        compile_mask(loaded.backbone, schedule.keep, weights=schedule.weights),
    )

    def sample():
        with float32_products("tf32" if run.precision == "tf32" else "ieee"):
            denoiser.walk(denoiser.begin(x), forward)
        if x.is_cuda:
            torch.cuda.synchronize()

    return sample
