"""Table 1, DiT-XL/2 512x512: T = 20. At digits scale T = 20 on DiT-digits-fine (64 tokens), the patch-1 sibling."""
from ..table1 import base_models, group, refuse_paper

PAPER_CUR = 25.98


def table(scale, rows="core", num_seeds=1):
    """The rows of this block of Table 1; only with rows = "all" at digits scale, none at smoke scale."""
    refuse_paper(scale)
    if scale == "smoke" or rows == "core":
        return []
    return group(scale=scale, models=base_models(scale, "dit-digits-fine"), label="DiT-digits-fine 64 tokens",
                 num_steps=20, cur_percents=[50, PAPER_CUR], num_seeds=num_seeds)
