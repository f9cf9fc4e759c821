"""The threshold tau at one beta: the natural CUR that results, and its quality. beta is not steered
to a CUR, and no CUR is met exactly.
"""

from ..ablation import HARMONICA, group_of, learned

TAUS = (0.05, 0.1, 0.3, 0.5)
# digits: the geometric mean of the last betas of Table 1's three routers at T = 10, CUR 50 %,
# rounded. paper: the published beta, which belongs to the lambda of the released code.
SETTINGS = {
    "digits": {"beta": 2e-4},
    "smoke": {"beta": 2e-4},
    "paper": {"beta": 7e-8, "objective": "cumulative"},
}


def table(scale, rows="core", num_seeds=1):
    group = group_of("threshold", scale, num_seeds)
    return [
        group.uncached(),
        *(
            learned(group, HARMONICA, name=f"HarmoniCa, tau = {tau:g}", tau=tau, **SETTINGS[scale])
            for tau in TAUS
        ),
    ]
