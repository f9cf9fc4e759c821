"""The paper's comparison of caching with compression: quantised and pruned models beside
HarmoniCa, DiT-XL/2 256 at T = 20. At digits scale T = 10 on DiT-digits (16 tokens).
"""

from .. import paper_scale, small_scale
from ..compressed import pruned, quantised, row
from ..small_scale import HARMONICA, searched, training

TITLE = "Compression, {}"
CUR = 37.5  # HarmoniCa's in the paper's row; pruning removes as many multiply-accumulates
SMALL = {"digits": ("DiT-digits 16 tokens", "dit-digits", 10), "smoke": ("smoke", "smoke", 4)}


def table(scale, rows="core", num_seeds=1):
    """The paper's five rows; all: fewer steps, searched schedules and four-bit weights as well. At
    paper scale the five rows alone, at clothes scale none.
    """
    if scale == "paper":
        return _paper(num_seeds)
    if scale not in SMALL:
        return []
    label, prefix, num_steps = SMALL[scale]
    group = small_scale.group(scale, prefix, label, num_steps, num_seeds, title=TITLE)
    table_rows = [group.uncached(), group.learned("HarmoniCa", training(scale, HARMONICA, CUR))]
    table_rows += _compressed(group)
    if rows == "all":
        table_rows += [
            group.uncached(round(num_steps * (1 - CUR / 100))),
            *searched(group, CUR),
            row(quantised(group, "adaround", weight_bits=4), "PTQ"),
            row(quantised(group, "efficientdm", weight_bits=4), "EfficientDM"),
        ]
    return table_rows


def _compressed(group):
    return [
        row(pruned(group, CUR), "Diff-Pruning"),
        row(quantised(group, "adaround"), "PTQ"),
        row(quantised(group, "efficientdm"), "EfficientDM"),
    ]


def _paper(num_seeds):
    budget = paper_scale.Budget()
    group = budget.group(paper_scale.dit_xl2_256(), 20, num_seeds, title=TITLE)
    harmonica = paper_scale.harmonica(budget, group.num_steps, cur_percent=CUR)
    return [
        group.uncached(),
        group.learned("HarmoniCa", harmonica, form="trained here"),
        *_compressed(group),
    ]
