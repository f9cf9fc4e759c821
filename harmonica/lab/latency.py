"""Measured latency of a group of runs: all schedules take turns with the uncached one, in one
process and one thread. bench/ times everything else in the same way.
"""

import statistics
import time

import torch

from harmonica.fast.plan import compile_schedule, follow
from harmonica.lab.models import load_model
from harmonica.lab.sampling import denoiser_of, initial_noise, products_of
from harmonica.lab.schedules import schedule_of


@torch.no_grad()
def measure(spec, store):
    """Time a LatencySpec -> {"rows": {run id: latency of one batch over all steps, speedup
    over the first run}}.

    Medians with interquartile ranges over the repeats; a speedup is the median of the ratios within
    one repeat, so that a drift of the machine's speed cancels.
    """
    seconds = interleaved(
        {run.id: _sampler_of(run, spec.batch, store) for run in spec.runs}, spec.repeats
    )
    uncached = seconds[spec.runs[0].id]
    rows = {}
    for run_id, run_seconds in seconds.items():
        latency, latency_iqr = quartiles([1000 * s for s in run_seconds])
        speedup, speedup_iqr = quartiles([u / s for u, s in zip(uncached, run_seconds)])
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
    x = initial_noise(loaded, run, range(batch))
    # the same noise at every step: drawing it is not timed
    denoiser = denoiser_of(loaded, run, range(batch), lambda step: x)
    forward = follow(denoiser, compile_schedule(loaded.backbone, schedule))

    def sample():
        with products_of(run):
            denoiser.walk(denoiser.begin(x), forward)

    return synchronized(sample)


def synchronized(function):
    """-> a function that calls `function` and returns when the device has finished."""

    def run():
        function()
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return run


def interleaved(functions, repeats):
    """Time several functions in turn, so that a drift of the machine's speed affects all alike.

    functions: {name: callable}, each called once before, as a warm-up. -> {name: list of `repeats`
    seconds}.
    """
    seconds = {name: [] for name in functions}
    for repeat in range(1 + repeats):
        for name, function in functions.items():
            begin = time.perf_counter()
            function()
            if repeat:
                seconds[name].append(time.perf_counter() - begin)
    return seconds


def quartiles(values):
    """-> median, and the interquartile range as [first, third]."""
    first, median, third = statistics.quantiles(values, n=4, method="inclusive")
    return median, [first, third]
