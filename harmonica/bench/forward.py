"""Uncached step, labels or captions given embedded: a plan that computes all, against diffusers'
eager forward (reference).
"""

import torch

from harmonica.bench import timing
from harmonica.method import schedules

AT_LEAST_MS = 30  # a measurement repeats shorter forwards
MOST_REPEATS = 15


def rows(setting):
    for case, batches in setting.forward_cases():
        for batch in batches:
            x, cond = case.noise(batch), case.cond(batch)
            t = torch.full((batch,), 500, device=x.device)
            keep, own = schedules.full(1, case.backbone.num_blocks), {}
            with torch.no_grad():
                ctx = case.backbone.prepare(cond)
            for backend, plan in setting.plans(case, batch, batches[:1], keep).items():
                own[backend] = timing.waiting(
                    lambda plan=plan: plan.step(0, x, t, ctx, plan.empty())
                )
            theirs = timing.waiting(lambda: case.theirs(x, t, cond))
            count = _count(theirs)
            counted = {name: _times(one, count) for name, one in own.items()}
            times = timing.compare(
                _times(theirs, count), counted, min(setting.repeats, MOST_REPEATS)
            )
            for backend, row in times.items():
                per_call = {
                    key: [v / count for v in value] if isinstance(value, list) else value / count
                    for key, value in row.items()
                    if key.endswith("ms")
                }
                yield (
                    {"model": case.name, "batch": batch, "backend": backend, **row, **per_call},
                    (own[backend], 1, case.modules(backend)),
                )


def _count(function):
    function()
    seconds = timing.interleaved({"": function}, 2)[""]
    return max(1, round(AT_LEAST_MS / (1000 * min(seconds))))


def _times(function, count):
    return lambda: [function() for _ in range(count)]
