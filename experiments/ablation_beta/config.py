"""Quality against CUR, and so against speed, which beta trades for one another (the paper's
figure); FORA and fewer steps beside.
"""

from ..ablation import ALL_PAIRS, HARMONICA, SDT_MSE, group_of, learned

CURS = (20, 35, 50, 60)
INTERVALS = (2, 3, 4, 5)


def table(scale, rows="core", num_seeds=1):
    """beta is steered to each CUR, and the CUR then met exactly."""
    group = group_of("CUR and quality", scale, num_seeds)
    fewer = range(group.num_steps - 1, round(0.4 * group.num_steps) - 1, -1)
    return [
        group.uncached(),
        *(group.uncached(steps) for steps in fewer),
        *(group.fora(interval) for interval in INTERVALS if interval <= group.num_steps),
        *(
            learned(group, method, cur)
            for cur in CURS
            for method in (ALL_PAIRS, SDT_MSE, HARMONICA)
        ),
    ]
