"""Step-Wise Denoising Training against standard training (Learning-to-Cache), both with a plain
MSE, at equal CUR.
"""

from ..ablation import ALL_PAIRS, HARMONICA, RELEASED, SDT_MSE, group_of, learned


def table(scale, rows="core", num_seeds=1):
    """CUR 35 %, which Learning-to-Cache's released form can reach, and 50 %, where that form is
    FORA and left out. HarmoniCa beside them.
    """
    group = group_of("SDT against standard training", scale, num_seeds)
    return [
        group.uncached(),
        *(learned(group, method, 35) for method in (RELEASED, ALL_PAIRS, SDT_MSE, HARMONICA)),
        *(learned(group, method, 50) for method in (ALL_PAIRS, SDT_MSE, HARMONICA)),
    ]
