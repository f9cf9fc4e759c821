"""How often lambda must be measured anew: C, in trajectories."""

from ..ablation import HARMONICA, group_of, learned, training

CUR = 50
# of the interval that the tables use; at digits scale the last one is "once, before training"
FACTORS = (0.2, 1, 5, 10)


def table(scale, rows="core", num_seeds=1):
    group = group_of("refresh of lambda", scale, num_seeds)
    usual = training(scale, HARMONICA, CUR).refresh
    every = [max(1, round(factor * usual)) for factor in FACTORS]
    return [
        group.uncached(),
        *(
            learned(
                group, HARMONICA, CUR, name=None if c == usual else f"HarmoniCa, C = {c}", refresh=c
            )
            for c in every
        ),
    ]
