"""What training takes, method by method: seconds, memory, training images (the paper's table of
training cost).
"""

from harmonica.lab.specs import TrainingCostSpec

from ..ablation import ALL_PAIRS, HARMONICA, RELEASED, SDT_MSE, group_of, training


def table(scale, rows="core", num_seeds=1):
    """No images are made here: see `costs`."""
    return []


def costs(scale):
    """The routers that the other ablations train, at CUR 35 %."""
    group = group_of("cost of training", scale, 1)
    return [
        TrainingCostSpec(
            group=f"cost of training, T = {group.num_steps}",
            rows=tuple(
                (method, group.router(training(scale, method, 35)))
                for method in (RELEASED, ALL_PAIRS, SDT_MSE, HARMONICA)
            ),
        )
    ]
