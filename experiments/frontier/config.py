"""The frontier: the error of every method against its compute, on DiT-digits and PixArt-digits; at
clothes scale on DiT-clothes under guidance.

Ours (search, with and without prediction) beside HarmoniCa, Learning-to-Cache, FORA as it is and
with predicted features, SmoothCache and fewer steps. Every base model has schedules of its own,
and all of them run from the same noises.
"""

from ..small_scale import HARMONICA, LEARNING_TO_CACHE, group, search, searched, training

CURS = (20, 35, 50, 65, 80)
INTERVALS = (2, 3, 4, 5)
ONE, TWO = ((50,), (2,)), ((50, 65), (2, 3))
SEVERAL, NONE = ((35, 50, 65), (2, 3)), ((), ())
ROWS = ("core", "settings", "all")
# model, label, sampler, T, guidance, (CURs, FORA's intervals) of the core rows and of "settings"
SETTINGS = (
    ("dit-digits", "DiT-digits 16 tokens", "ddim", 20, 1.0, ONE, SEVERAL),
    ("dit-digits", "DiT-digits 16 tokens", "ddim", 10, 1.0, SEVERAL, SEVERAL),
    ("dit-digits-fine", "DiT-digits-fine 64 tokens", "ddim", 20, 1.0, NONE, ONE),
    ("pixart-digits", "PixArt-digits 16 tokens", "dpm++", 10, 1.0, NONE, SEVERAL),
    ("pixart-digits", "PixArt-digits 16 tokens", "dpm++", 10, 4.5, NONE, SEVERAL),
    ("pixart-digits", "PixArt-digits 16 tokens", "iddpm", 20, 1.0, NONE, ONE),
    ("pixart-digits", "PixArt-digits 16 tokens", "sa-solver", 12, 1.0, NONE, ONE),
)
CLOTHES = (
    ("dit-clothes", "DiT-clothes 49 tokens", "ddim", 20, 1.5, TWO, TWO),
    ("dit-clothes", "DiT-clothes 49 tokens", "ddim", 50, 1.5, NONE, NONE),
)


def table(scale, rows="core", num_seeds=1):
    """The rows of every setting. core: DiT-digits at T = 20 at CUR 50 % and at T = 10 at three
    CURs, or DiT-clothes at T = 20. settings: every setting of the digits, at the CURs that are
    committed. all: at every CUR. None at paper scale.
    """
    if scale == "paper":
        return []
    if scale == "smoke":
        return rows_of(group(scale, "smoke", "smoke", 4, num_seeds, title="Frontier, {}"), *ONE)
    table_rows = []
    for *setting, core, several in CLOTHES if scale == "clothes" else SETTINGS:
        curs, intervals = {"core": core, "settings": several, "all": (CURS, INTERVALS)}[rows]
        if curs:
            table_rows += rows_of(
                _group(scale, *setting, num_seeds), curs, intervals, rows == "all"
            )
    return table_rows


def _group(scale, prefix, label, sampler, num_steps, guidance, num_seeds):
    title = "Frontier, {}" + ("" if sampler == "ddim" else f", {sampler}")
    sampling = {"sampler": sampler, "guidance": guidance}
    return group(scale, prefix, label, num_steps, num_seeds, title=title, **sampling)


def rows_of(group, curs, intervals, every_method=False):
    """All methods of one setting, each at every CUR that it can have. every_method: with
    Learning-to-Cache, which the clothes always have, and predictions on the masks of HarmoniCa too.
    """
    rows = [group.uncached()]
    for interval in intervals:
        if interval < group.num_steps:
            rows += _of_fora(group, interval)
    for cur in curs:
        if cur <= 100 * (group.num_steps - 1) / group.num_steps:
            rows += _at(group, cur, every_method)
    return rows


def _of_fora(group, interval):
    variant = "" if interval == 2 else f", interval {interval}"
    options = {"interval": interval, "settings": search(group.scale)}
    return [
        group.fora(interval),
        group.made(f"FORA + Taylor{variant}", "taylor", order=1, **options),
        group.made(f"FORA + prediction{variant}", "fitted", **options),
    ]


def _at(group, cur, every_method):
    harmonica = training(group.scale, HARMONICA, cur)
    options = {"settings": search(group.scale)}
    rows = [
        group.uncached(round(group.num_steps * (1 - cur / 100))),
        group.made("SmoothCache", "smoothcache", cur, **options),
        group.learned("HarmoniCa", harmonica),
    ]
    if every_method:
        rows.append(
            group.made("HarmoniCa + prediction", "fitted", cur, training=harmonica, **options)
        )
    if cur >= 50 and (every_method or group.scale == "clothes"):
        ltc = training(group.scale, LEARNING_TO_CACHE, cur, ltc_form="all-pairs")
        rows.append(group.learned("Learning-to-Cache", ltc, form="all-pairs"))
    return rows + searched(group, cur)
