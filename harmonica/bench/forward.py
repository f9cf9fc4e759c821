"""One step of the uncached model: a plan that computes every block, against diffusers' own eager
forward (reference). What a plan prepares once for all steps, from labels or embedded captions, is
not timed. On a GPU diffusers' own model with compiled blocks stands beside it.
"""

from copy import deepcopy

import torch

from harmonica.bench import timing
from harmonica.method import masks
from harmonica.method.schedule import Schedule

COMPILED, MANY = "diffusers, compiled", 64


def rows(bench):
    for case, batches in bench.forward_cases():
        for batch in batches:
            x, cond = case.noise(batch), case.cond(batch)
            t = torch.full((batch,), 500, device=x.device)
            full = Schedule(keep=masks.full(1, case.backbone.num_blocks))
            functions = {}
            with torch.no_grad():
                ctx = case.backbone.prepare(cond)
            for backend, plan in bench.plans(case.backbone, full).items():
                functions[backend] = timing.waiting(
                    lambda plan=plan: plan.step(0, x, t, ctx, plan.empty())
                )
            theirs = timing.waiting(lambda: case.theirs(case.backbone.model, x, t, cond))
            if bench.cuda and batch in bench.compiled:
                model = _compiled(case.backbone.model)
                functions[COMPILED] = timing.waiting(lambda: case.theirs(model, x, t, cond))
            times = timing.compare_short(theirs, functions, bench.repeats)
            for backend, row in times.items():
                yield (
                    {"model": case.name, "batch": batch, "backend": backend, **row},
                    None if backend == COMPILED else (functions[backend], 1, case.modules(backend)),
                )


def _compiled(model):
    """A copy of diffusers' model, each block compiled, as its documentation advises."""
    torch._dynamo.config.recompile_limit = MANY  # all blocks of all shapes share one code object
    model = deepcopy(model)
    for block in model.transformer_blocks:
        block.compile(fullgraph=True, dynamic=False)
    return model
