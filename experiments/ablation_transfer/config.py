"""Does a router carry over? One base model's used with another, and DDIM's under DPM-Solver++."""

from ..ablation import ALL_PAIRS, HARMONICA, group_of, learned

CUR = 50


def table(scale, rows="core", num_seeds=1):
    """Transfer between base models only where there are several: at paper scale there is one."""
    solver = group_of("transfer between samplers", scale, num_seeds, sampler="dpm++")
    under_solver = [
        solver.uncached(),
        solver.uncached(round(solver.num_steps * (1 - CUR / 100))),
        solver.fora(),
        learned(solver, HARMONICA, CUR),
        learned(solver, HARMONICA, CUR, name="HarmoniCa, DDIM's router", sampler="ddim"),
    ]
    models = group_of("transfer between base models", scale, num_seeds)
    if len(models.models) == 1:
        return under_solver
    return [
        models.uncached(),
        *(
            learned(models, method, CUR, name=name, of=of)
            for method, foreign in ((HARMONICA, "HarmoniCa"), (ALL_PAIRS, "Learning-to-Cache"))
            for name, of in ((None, 0), (f"{foreign}, another model's router", 1))
        ),
        *under_solver,
    ]
