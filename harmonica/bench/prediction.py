"""One step in which every block is predicted from two features, against one in which every block
reuses its last feature (reference). Beside it stands what a predicted block takes beyond a reused
one, and what a computed one takes beyond it. Without CUDA graphs, which cannot repeat one step.
"""

import torch

from harmonica.bench import timing
from harmonica.fast.plan import compile_schedule
from harmonica.method.schedule import Schedule

STEPS = [True, True, False]  # True: all blocks compute. The last two steps are timed


def rows(bench):
    for case, batches in bench.sampling_cases():
        blocks = case.backbone.num_blocks
        for batch in batches:
            x, cond = case.noise(batch), case.cond(batch)
            t = torch.full((batch,), 500, device=x.device)
            with torch.no_grad():
                ctx = case.backbone.prepare(cond)
            reused, predicted = (
                compile_schedule(case.backbone, schedule) for schedule in schedules(case.backbone)
            )
            steps = {
                "reused": step_of(reused, 2, x, t, ctx),
                "predicted": step_of(predicted, 2, x, t, ctx),
                "computed": step_of(reused, 1, x, t, ctx),
            }
            shape = {"model": case.name, "batch": batch, "blocks": blocks}
            yield {**shape, **compared(steps, blocks, bench.repeats)}, None


def schedules(backbone):
    """Two Schedules: at the last step every block reuses, or is predicted from two features."""
    keep = torch.tensor(STEPS)[:, None].repeat(1, backbone.num_blocks)
    column = torch.tensor([[0.8], [0.2], [0.01]]).half().repeat(1, backbone.model.inner_dim)
    weights = {(len(STEPS) - 1, i): column for i in range(backbone.num_blocks)}
    return Schedule(keep=keep), Schedule(keep=keep, weights=weights)


def step_of(plan, step, x, t, ctx):
    """-> a function that runs one step of a plan from the cache that the steps before it leave."""
    cache = plan.empty()
    with torch.no_grad():
        for before in range(step):
            _, cache = plan.step(before, x, t, ctx, cache)
    return timing.waiting(lambda: plan.step(step, x, t, ctx, cache))


def compared(steps, blocks, repeats):
    """A row: the times of a predicted and a computed step beside a reused one, and what they take
    more per block, from the ratios within a repeat.
    """
    others = {name: steps[name] for name in ("predicted", "computed")}
    times = timing.compare_short(steps["reused"], others, repeats)
    row, computed = times["predicted"], times["computed"]
    beyond = {
        name: 1000 * timed["reference_ms"] * (1 / timed["ratio"] - 1) / blocks
        for name, timed in times.items()
    }
    return {
        **row,
        "predicted / reused": 1 / row["ratio"],
        "computed_ms": computed["ms"],
        "predicted_us_per_block": beyond["predicted"],
        "computed_us_per_block": beyond["computed"],
        "predicted / computed": beyond["predicted"] / beyond["computed"],
    }
