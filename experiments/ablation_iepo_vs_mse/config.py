"""The Image Error Proxy-guided Objective against a plain MSE: two definitions of lambda, two kinds
of scores behind it.
"""

from ..ablation import ALL_PAIRS, IEPO_VARIANTS, SDT_MSE, group_of, learned

CUR = 50


def table(scale, rows="core", num_seeds=1):
    """All methods as trained, and once more with the whole last step reused by all of them, as that
    one row decides much by itself.
    """
    group = group_of("IEPO against MSE", scale, num_seeds)
    forced = group_of("IEPO against MSE, last step reused", scale, num_seeds)
    return [
        group.uncached(),
        *(learned(group, method, CUR) for method in (SDT_MSE, *IEPO_VARIANTS)),
        forced.uncached(),
        *(
            learned(forced, method, CUR, last=True)
            for method in (ALL_PAIRS, SDT_MSE, *IEPO_VARIANTS)
        ),
    ]
