"""The headline of the first page: our methods and HarmoniCa, over the settings of several
tables.
"""

from . import methods
from .cases import cases, found_in
from .claims import ahead_of
from .compare import LOSES, OPEN, WINS
from .document import listed, markdown
from .methods import HARMONICA, OURS
from .quotes import HALF

TABLES = ("table1", "table2", "frontier")


def headline(groups, results):
    """A table: the error of our methods over HarmoniCa's where half of all blocks are skipped;
    in how many settings their rFID is lower; in how many a schedule that nobody trains or searches
    is ahead of them and of HarmoniCa.
    """
    linked = [pair for name in TABLES for pair in found_in(groups.get(name, ()))]
    half = [pair for pair in linked if pair[0].cur == HALF]
    at_half, at_all = (
        [cases(pairs, method, HARMONICA) for method in OURS] for pairs in (half, linked)
    )
    models = dict.fromkeys(
        case.setting.uncached.row.model.split("-digits")[0] for case in at_half[0]
    )
    steps = sorted({case.left.row.num_steps for case in at_half[0]})
    headings = [
        f"settings of the digits ({listed(models)}, T = {steps[0]} to {steps[-1]})",
        HARMONICA,
        *map(methods.marked, OURS),
    ]
    rows = [
        [
            "x_0 error relative to HarmoniCa's, half of all blocks skipped "
            f"({len(at_half[0])} settings)",
            "1",
            *(_between(compared) + _how_many(compared, at_half) for compared in at_half),
        ],
        [
            f"rFID lower, open, higher than HarmoniCa's, at all shares ({len(at_all[0])} settings)",
            "",
            *(_in_rfid(compared) + _how_many(compared, at_all) for compared in at_all),
        ],
        [
            "settings where a baseline without training or search (fewer steps, FORA with or "
            "without predictions, SmoothCache) has a smaller x_0 error",
            *(_counted(linked, method) for method in (HARMONICA, *OURS)),
        ],
    ]
    return markdown([("table", headings, rows)]).strip()


def _how_many(compared, all_compared):
    """How many settings these Cases are of, in words, where the first method has others."""
    return f" ({len(compared)} settings)" if len(compared) != len(all_compared[0]) else ""


def _between(compared):
    """The least and the largest ratio of x_0 errors of Cases, in words."""
    ratios = [case.comparisons["x0_mse"].ratio for case in compared]
    return f"{min(ratios):.2g} to {max(ratios):.2g}"


def _counted(linked, name):
    """In how many settings plain baselines beat a method in x_0 error, of those that have one of
    the baselines that do so anywhere; which ones these are, where not all settings have one.
    """
    by_setting = ahead_of(linked, name).values()
    ahead = {_family(baseline) for wins in by_setting for baseline, won in wins.items() if won}
    having = [wins for wins in by_setting if ahead & set(map(_family, wins))]
    won = sum(any(wins.values()) for wins in having)
    if len(having) in (0, len(by_setting)):
        return f"{won or 'none'} of {len(by_setting)}"
    which = listed((baseline for baseline in methods.METHODS if baseline in ahead), "or")
    return f"{won} of the {len(having)} that have {which}"


def _family(baseline):
    """A baseline's name without its interval and order."""
    return baseline.split(", ")[0].removesuffix(" 2")


def _in_rfid(compared):
    """In how many of these Cases the left method's rFID is lower, open and higher."""
    marks = [case.comparisons["rFID"].mark for case in compared]
    return ", ".join(str(marks.count(mark)) for mark in (WINS, OPEN, LOSES))
