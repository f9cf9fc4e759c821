"""The Image Error Proxy-guided Objective against a plain MSE: two definitions of lambda, two kinds
of scores behind it.
"""

from ..ablation import ALL_PAIRS, IEPO_VARIANTS, SDT_MSE, Group

CUR = 50


def table(scale, rows="core", num_seeds=1):
    """As trained; and with the last step reused whole by all methods, as that one row decides much
    by itself.
    """
    group = Group(name="IEPO against MSE", scale=scale, seeds=num_seeds)
    forced = Group(name="IEPO against MSE, last step reused", scale=scale, seeds=num_seeds)
    return [
        group.uncached(),
        *(group.learned(method, CUR) for method in (SDT_MSE, *IEPO_VARIANTS)),
        forced.uncached(),
        *(
            forced.learned(method, CUR, reuse_last_step=True)
            for method in (ALL_PAIRS, SDT_MSE, *IEPO_VARIANTS)
        ),
    ]
