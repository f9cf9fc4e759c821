"""Sampling by a schedule, against a plan of the same backend that computes every block (reference).
achieved: the measured speedup, divided by the theoretical one.
"""

from harmonica.backbones.counts import count
from harmonica.bench import timing
from harmonica.lab import cost
from harmonica.method import masks
from harmonica.method.schedule import Schedule


def rows(bench):
    for case, batches in bench.sampling_cases():
        copies = 1 if case.guidance == 1 else 2
        counts = count(case.backbone, case.cond(1))
        element_bytes = next(case.backbone.parameters()).element_size()
        full = Schedule(keep=masks.full(case.num_steps, case.backbone.num_blocks))
        for batch in batches:
            by_name = case.schedules()
            plans = {
                name: bench.plans(case.backbone, schedule) for name, schedule in by_name.items()
            }
            for backend, uncached in bench.plans(case.backbone, full).items():
                functions = {
                    name: case.sampled(batch, plan[backend]) for name, plan in plans.items()
                }
                times = timing.compare(case.sampled(batch, uncached), functions, case.repeats)
                for name, row in times.items():
                    costs = cost.summary(
                        counts, by_name[name], case.num_steps, copies, element_bytes
                    )
                    theoretical = costs["speedup_theoretical"]
                    yield (
                        {
                            "model": case.name,
                            "T": case.num_steps,
                            "batch": batch,
                            "backend": backend,
                            "schedule": name,
                            **row,
                            "theoretical": theoretical,
                            "achieved": row["ratio"] / theoretical,
                            "achieved_fastest": row["ratio_fastest"] / theoretical,
                            "cache_bytes_per_image": costs["cache_bytes_per_image"],
                        },
                        (functions[name], case.num_steps, case.modules(backend)),
                    )
