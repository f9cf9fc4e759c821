"""Learning-to-Cache as its authors train it: a tenth of the labels dropped, steps drawn at random
by each of several GPUs. Everywhere else here labels are kept, and the trained steps take turns.
"""

from ..ablation import RELEASED, group_of, learned

CUR = 35
AS_AUTHORS = {
    "Learning-to-Cache, labels dropped": {"label_dropout": 0.1},
    "Learning-to-Cache, steps drawn": {"drawn_steps": 4},
    "Learning-to-Cache, labels dropped and steps drawn": {"label_dropout": 0.1, "drawn_steps": 4},
}


def table(scale, rows="core", num_seeds=1):
    group = group_of("Learning-to-Cache's training", scale, num_seeds)
    return [
        group.uncached(),
        learned(group, RELEASED, CUR),
        *(
            learned(group, RELEASED, CUR, name=name, **settings)
            for name, settings in AS_AUTHORS.items()
        ),
    ]
