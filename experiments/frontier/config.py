"""The frontier: the error of every method against its compute, on DiT-digits and PixArt-digits; at
clothes scale on DiT-clothes under guidance.

Ours (search, without predictions, with them, and with refitted ones) beside HarmoniCa,
Learning-to-Cache, FORA as it is and with features predicted by Taylor's formula or by fitted
weights, SmoothCache, evolution and fewer steps. Every base model has schedules of its own, and all
of them run from the same noises.
"""

from dataclasses import dataclass, replace

from harmonica.lab.makings import SAMPLERS

from ..small_scale import (
    HARMONICA,
    LEARNING_TO_CACHE,
    evolved,
    fora_refitted,
    group,
    is_large,
    ltc_form,
    search,
    searched,
    training,
)

CURS, INTERVALS = (20, 35, 50, 65, 80), (2, 3, 4, 5)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The rows of one setting: all methods at these CURs, and FORA at these intervals. ltc:
    Learning-to-Cache too. more: also Taylor's second order and, at interval 2, refitted predictions
    on FORA's mask, fitted ones on the masks of trained routers, and ECAD's evolution of masks.
    """

    curs: tuple = ()
    intervals: tuple = ()
    ltc: bool = False
    more: bool = False


NONE, HALF = Choice(), Choice(curs=(50,), intervals=(2,))
THREE = Choice(curs=(35, 50, 65), intervals=(2, 3))
ALL = Choice(curs=CURS, intervals=INTERVALS, ltc=True, more=True)
OF_CLOTHES = Choice(curs=(50, 65), intervals=(2, 3), ltc=True)
# model, label, sampler, T, guidance and the core rows
SETTINGS = (
    ("dit-digits", "DiT-digits 16 tokens", "ddim", 20, 1.0, HALF),
    ("dit-digits", "DiT-digits 16 tokens", "ddim", 10, 1.0, THREE),
    ("dit-digits-fine", "DiT-digits-fine 64 tokens", "ddim", 20, 1.0, NONE),
    ("pixart-digits", "PixArt-digits 16 tokens", "dpm++", 10, 1.0, NONE),
    ("pixart-digits", "PixArt-digits 16 tokens", "dpm++", 10, 4.5, NONE),
    ("pixart-digits", "PixArt-digits 16 tokens", "iddpm", 20, 1.0, NONE),
    ("pixart-digits", "PixArt-digits 16 tokens", "sa-solver", 12, 1.0, NONE),
)
CLOTHES = (
    ("dit-clothes", "DiT-clothes 49 tokens", "ddim", 20, 1.5, OF_CLOTHES),
    ("dit-clothes", "DiT-clothes 49 tokens", "ddim", 50, 1.5, NONE),
)


def table(scale, rows="core", num_seeds=1):
    """The rows of every setting. core: DiT-digits at T = 20 at CUR 50 % and at T = 10 at three
    CURs, or DiT-clothes at T = 20. all: every method at five CURs in every setting, but for
    evolution and refitted predictions on large models. None at paper scale.
    """
    if scale == "paper":
        return []
    if scale == "smoke":
        return rows_of(
            group(scale, "smoke", "smoke", 4, num_seeds, title="Frontier, {}"),
            replace(HALF, more=True),
        )
    table_rows = []
    for prefix, label, *sampling, core in CLOTHES if scale == "clothes" else SETTINGS:
        choice = ALL if rows == "all" else core
        if choice.curs:
            table_rows += rows_of(_group(scale, prefix, label, *sampling, num_seeds), choice)
    return table_rows


def _group(scale, prefix, label, sampler, num_steps, guidance, num_seeds):
    title = "Frontier, {}" + ("" if sampler == "ddim" else f", {SAMPLERS[sampler]}")
    sampling = {"sampler": sampler, "guidance": guidance}
    return group(scale, prefix, label, num_steps, num_seeds, title=title, **sampling)


def rows_of(group, choice):
    """The rows of one setting, each at every CUR that it can have."""
    rows = [group.uncached()]
    for interval in choice.intervals:
        if interval < group.num_steps:
            rows += _of_fora(group, interval, choice.more)
    for cur in choice.curs:
        if cur <= 100 * (group.num_steps - 1) / group.num_steps:
            rows += _at(group, cur, choice)
    return rows


def _of_fora(group, interval, more):
    variant = "" if interval == 2 else f", interval {interval}"
    options = {"interval": interval, "settings": search(group.scale)}
    # of two computed steps the second order is the first
    second = more and group.num_steps > 2 * interval
    taylor = {"Taylor": 1, "Taylor 2": 2} if second else {"Taylor": 1}
    refitted = more and interval == 2 and not is_large(group)
    return [
        group.fora(interval),
        *(
            group.made(f"FORA + {name}{variant}", "taylor", order=order, **options)
            for name, order in taylor.items()
        ),
        group.made(f"FORA + prediction{variant}", "fitted", **options),
        *([fora_refitted(group)] if refitted else []),
    ]


def _at(group, cur, choice):
    trained = [("HarmoniCa", "", training(group.scale, HARMONICA, cur))]
    if choice.ltc:
        form = ltc_form(cur)
        of_ltc = training(group.scale, LEARNING_TO_CACHE, cur, ltc_form=form)
        trained.append(("Learning-to-Cache", form, of_ltc))
    options = {"settings": search(group.scale)}
    rows = [
        group.uncached(round(group.num_steps * (1 - cur / 100))),
        group.made("SmoothCache", "smoothcache", cur, **options),
    ]
    for method, form, settings in trained:
        rows.append(group.learned(method, settings, form=form))
        if choice.more:
            name = f"{method} + prediction"
            rows.append(group.made(name, "fitted", cur, form=form, training=settings, **options))
    if choice.more and not is_large(group):
        rows.append(evolved(group, cur))
    return rows + searched(group, cur)
