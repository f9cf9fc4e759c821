"""The headline of the first page: our two methods and HarmoniCa, over the settings of several
tables.
"""

from . import methods
from .cases import cases, found_in
from .claims import ahead_of
from .compare import LOSES, OPEN, WINS
from .document import listed
from .methods import HARMONICA, SEARCH, SEARCH_PREDICTION
from .quotes import HALF

TABLES = ("table1", "table2", "frontier")


def headline(groups, results):
    """The error of our two methods over HarmoniCa's where half of all blocks are skipped; in how
    many settings schedules that nobody trains or searches are ahead of ours and of HarmoniCa's.
    """
    linked = [pair for name in TABLES for pair in found_in(groups.get(name, ()))]
    half = [pair for pair in linked if pair[0].cur == HALF]
    searched, predicted = (cases(half, left, HARMONICA) for left in (SEARCH, SEARCH_PREDICTION))
    models = dict.fromkeys(case.setting.uncached.row.model.split("-digits")[0] for case in searched)
    steps = sorted({case.left.row.num_steps for case in searched})
    count = (
        f"{len(searched)} settings of the digits ({listed(models)}, T = {steps[0]} to {steps[-1]})"
    )
    return (
        f"In {count}, half of all blocks skipped, a searched schedule has {_between(searched)} of "
        f"HarmoniCa's x_0 error, and with skipped blocks predicted {_between(predicted)}. "
        f"{_in_rfid(cases(linked, SEARCH, HARMONICA))} {_ahead(linked)}"
    )


def _between(compared):
    """The least and the largest ratio of x_0 errors of Cases, in words."""
    ratios = [case.comparisons["x0_mse"].ratio for case in compared]
    return f"{min(ratios):.2g} to {max(ratios):.2g}"


def _ahead(linked):
    """In how many settings a plain baseline has a smaller x_0 error than HarmoniCa, and than ours,
    as a sentence.
    """
    names = {
        "HarmoniCa": HARMONICA,
        "a search for reuse": SEARCH,
        "a search with predictions": SEARCH_PREDICTION,
    }
    parts = [f"than {words} {_counted(linked, name)}" for words, name in names.items()]
    return (
        "Baselines without training or search (fewer steps, FORA with or without predictions, "
        f"SmoothCache) have a smaller x_0 error {', '.join(parts)}."
    )


def _counted(linked, name):
    """In how many settings plain baselines beat a method in x_0 error, of those that have one of
    the baselines that do so anywhere; which ones these are, where not all settings have one.
    """
    by_setting = ahead_of(linked, name).values()
    ahead = {_family(baseline) for wins in by_setting for baseline, won in wins.items() if won}
    having = [wins for wins in by_setting if ahead & set(map(_family, wins))]
    won = sum(any(wins.values()) for wins in having)
    if len(having) in (0, len(by_setting)):
        return f"in {won or 'none'} of {len(by_setting)}"
    *most, last = [baseline for baseline in methods.METHODS if baseline in ahead]
    which = f"{', '.join(most)} or {last}" if most else last
    return f"in {won} of the {len(having)} with {which}"


def _family(baseline):
    """A baseline's name without its interval and order."""
    return baseline.split(", ")[0].removesuffix(" 2")


def _in_rfid(compared):
    marks = [case.comparisons["rFID"].mark for case in compared]
    return (
        f"At all shares, its rFID is lower than HarmoniCa's in {marks.count(WINS)} of {len(marks)} "
        f"settings, higher in {marks.count(LOSES) or 'none'}, open in {marks.count(OPEN) or 'none'}."
    )
