"""Uncached step, labels or captions given embedded: a plan that computes all, against diffusers'
eager forward (reference).
"""

import torch

from harmonica.bench import timing
from harmonica.method import schedules


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
            count = timing.times_at_least(theirs)
            counted = {name: timing.repeated(one, count) for name, one in own.items()}
            times = timing.compare(
                timing.repeated(theirs, count), counted, min(setting.repeats, timing.MOST_REPEATS)
            )
            for backend, row in times.items():
                row = timing.per_call(row, count)
                yield (
                    {"model": case.name, "batch": batch, "backend": backend, **row},
                    (own[backend], 1, case.modules(backend)),
                )
