"""The frontier: the error of every method against its compute, on DiT-digits and PixArt-digits; at
clothes scale on DiT-clothes under guidance.

Ours (search, with and without prediction) beside HarmoniCa, Learning-to-Cache, FORA as it is and
with predicted features, SmoothCache and fewer steps. Every base model has schedules of its own,
and all of them run from the same noises.
"""

from typing import NamedTuple

from ..small_scale import HARMONICA, LEARNING_TO_CACHE, group, search, searched, training

CURS, INTERVALS = (20, 35, 50, 65, 80), (2, 3, 4, 5)


class Rows(NamedTuple):
    """Which rows one setting has: those at these CURs, and FORA at these intervals. ltc:
    Learning-to-Cache too. more: Taylor's second order, and routers' masks with predictions, too.
    """

    curs: tuple = ()
    intervals: tuple = ()
    ltc: bool = False
    more: bool = False


NONE, ONE, SEVERAL = Rows(), Rows((50,), (2,)), Rows((35, 50, 65), (2, 3))
OF_CLOTHES, ALL = Rows((50, 65), (2, 3), ltc=True), Rows(CURS, INTERVALS, ltc=True, more=True)
ONE_MORE, SEVERAL_MORE = ONE._replace(more=True), SEVERAL._replace(more=True)
EVERY_CUR = ALL._replace(ltc=False)
ROWS = ("core", "settings", "all")
# model, label, sampler, T, guidance, the core rows and those of "settings"
SETTINGS = (
    ("dit-digits", "DiT-digits 16 tokens", "ddim", 20, 1.0, ONE, EVERY_CUR),
    ("dit-digits", "DiT-digits 16 tokens", "ddim", 10, 1.0, SEVERAL, EVERY_CUR),
    ("dit-digits-fine", "DiT-digits-fine 64 tokens", "ddim", 20, 1.0, NONE, ONE_MORE),
    ("pixart-digits", "PixArt-digits 16 tokens", "dpm++", 10, 1.0, NONE, EVERY_CUR),
    ("pixart-digits", "PixArt-digits 16 tokens", "dpm++", 10, 4.5, NONE, EVERY_CUR),
    ("pixart-digits", "PixArt-digits 16 tokens", "iddpm", 20, 1.0, NONE, SEVERAL_MORE),
    ("pixart-digits", "PixArt-digits 16 tokens", "sa-solver", 12, 1.0, NONE, SEVERAL_MORE),
)
CLOTHES = (
    ("dit-clothes", "DiT-clothes 49 tokens", "ddim", 20, 1.5, OF_CLOTHES, OF_CLOTHES),
    ("dit-clothes", "DiT-clothes 49 tokens", "ddim", 50, 1.5, NONE, NONE),
)


def table(scale, rows="core", num_seeds=1):
    """The rows of every setting. core: DiT-digits at T = 20 at CUR 50 % and at T = 10 at three
    CURs, or DiT-clothes at T = 20. settings: every setting of the digits, at the CURs that are
    committed. all: every method at every CUR. None at paper scale.
    """
    if scale == "paper":
        return []
    if scale == "smoke":
        return rows_of(group(scale, "smoke", "smoke", 4, num_seeds, title="Frontier, {}"), ONE)
    table_rows = []
    for *setting, core, several in CLOTHES if scale == "clothes" else SETTINGS:
        which = {"core": core, "settings": several, "all": ALL}[rows]
        if which.curs:
            table_rows += rows_of(_group(scale, *setting, num_seeds), which)
    return table_rows


def _group(scale, prefix, label, sampler, num_steps, guidance, num_seeds):
    title = "Frontier, {}" + ("" if sampler == "ddim" else f", {sampler}")
    sampling = {"sampler": sampler, "guidance": guidance}
    return group(scale, prefix, label, num_steps, num_seeds, title=title, **sampling)


def rows_of(group, which):
    """The rows of one setting (Rows), each at every CUR that it can have."""
    rows = [group.uncached()]
    for interval in which.intervals:
        if interval < group.num_steps:
            rows += _of_fora(group, interval, which.more)
    for cur in which.curs:
        if cur <= 100 * (group.num_steps - 1) / group.num_steps:
            rows += _at(group, cur, which)
    return rows


def _of_fora(group, interval, more):
    variant = "" if interval == 2 else f", interval {interval}"
    options = {"interval": interval, "settings": search(group.scale)}
    rows = [
        group.fora(interval),
        group.made(f"FORA + Taylor{variant}", "taylor", order=1, **options),
        group.made(f"FORA + prediction{variant}", "fitted", **options),
    ]
    if more:
        rows.insert(2, group.made(f"FORA + Taylor 2{variant}", "taylor", order=2, **options))
    return rows


def _at(group, cur, which):
    ltc_form = "all-pairs"
    trained = [("HarmoniCa", "", training(group.scale, HARMONICA, cur))]
    if which.ltc and cur >= 50:
        of_ltc = training(group.scale, LEARNING_TO_CACHE, cur, ltc_form=ltc_form)
        trained.append(("Learning-to-Cache", ltc_form, of_ltc))
    options = {"settings": search(group.scale)}
    rows = [
        group.uncached(round(group.num_steps * (1 - cur / 100))),
        group.made("SmoothCache", "smoothcache", cur, **options),
    ]
    for method, form, router in trained:
        rows.append(group.learned(method, router, form=form))
        if which.more:
            name = f"{method} + prediction"
            rows.append(group.made(name, "fitted", cur, training=router, **options))
    return rows + searched(group, cur)
