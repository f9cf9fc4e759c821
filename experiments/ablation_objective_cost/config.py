"""What training on the final image itself takes, beside IEPO's proxy: time and peak memory."""

from harmonica.lab.specs import TrainingCostSpec

from ..ablation import ALL_PAIRS, DIRECT, HARMONICA, RELEASED, SDT_MSE, group_of, training


def table(scale, rows="core", num_seeds=1):
    """No images are made here: see `costs`."""
    return []


def costs(scale):
    """Routers at CUR 35 %: those of the other ablations, and one trained through the walk whose
    activations are computed again for the backward pass.
    """
    group = group_of("cost of the objective", scale, 1)
    methods = [(name, name, {}) for name in (RELEASED, ALL_PAIRS, SDT_MSE, HARMONICA, DIRECT)]
    methods.append((f"{DIRECT}, recomputed", DIRECT, {"checkpoint": True}))
    rows = tuple(
        (name, group.router(training(scale, method, 35, **settings)))
        for name, method, settings in methods
    )
    title = f"cost of the objective, T = {group.num_steps}"
    return [TrainingCostSpec(group=title, rows=rows, whole_memory=True)]
