"""How often lambda must be measured anew: C, in trajectories."""

from ..ablation import HARMONICA, Group, base_refresh

CUR = 50
FACTORS = (
    0.2,
    1,
    5,
    10,
)  # of the interval that the tables use; at digits scale the last is "once, before training"


def table(scale, rows="core", num_seeds=1):
    group, usual = (
        Group(name="refresh of lambda", scale=scale, seeds=num_seeds),
        base_refresh(scale),
    )
    every = [max(1, round(factor * usual)) for factor in FACTORS]
    return [
        group.uncached(),
        *(
            group.learned(
                HARMONICA, CUR, name=None if c == usual else f"HarmoniCa, C = {c}", refresh=c
            )
            for c in every
        ),
    ]
