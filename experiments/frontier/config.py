"""The frontier: the error of every method against its compute, on DiT-digits and PixArt-digits; at
clothes scale on DiT-clothes under guidance.

Ours (search, with and without prediction) beside HarmoniCa, Learning-to-Cache, FORA as it is and
with predicted features, SmoothCache and fewer steps. Every base model has schedules of its own,
and all of them run from the same noises.
"""

from ..rows import Group
from ..small_scale import (
    HARMONICA,
    IMAGES,
    LEARNING_TO_CACHE,
    base_models,
    search,
    searched,
    training,
)

CURS = {"core": (50,), "all": (20, 35, 50, 65, 80)}
INTERVALS = {"core": (2,), "all": (2, 3, 4, 5)}
# model, label, sampler, T, guidance
SETTINGS = (
    ("dit-digits", "DiT-digits 16 tokens", "ddim", 20, 1.0),
    ("dit-digits", "DiT-digits 16 tokens", "ddim", 10, 1.0),
    ("dit-digits-fine", "DiT-digits-fine 64 tokens", "ddim", 20, 1.0),
    ("pixart-digits", "PixArt-digits 16 tokens", "dpm++", 10, 1.0),
    ("pixart-digits", "PixArt-digits 16 tokens", "dpm++", 10, 4.5),
    ("pixart-digits", "PixArt-digits 16 tokens", "iddpm", 20, 1.0),
    ("pixart-digits", "PixArt-digits 16 tokens", "sa-solver", 12, 1.0),
)
CORE = 2  # the first so many settings
CLOTHES = (
    ("dit-clothes", "DiT-clothes 49 tokens", "ddim", 20, 1.5),
    ("dit-clothes", "DiT-clothes 49 tokens", "ddim", 50, 1.5),
)


def table(scale, rows="core", num_seeds=1):
    """The rows of every setting. core: DiT-digits at T = 20 and 10, CUR 50 %, or DiT-clothes at
    T = 20; none at paper scale.
    """
    if scale == "paper":
        return []
    if scale == "smoke":
        group = Group(
            title="Frontier, smoke",
            label="smoke",
            models=base_models(scale, "smoke"),
            seeds=num_seeds,
            num_steps=4,
            images=IMAGES[scale],
        )
        return rows_of(group, scale, "core")
    settings, core = (CLOTHES, 1) if scale == "clothes" else (SETTINGS, CORE)
    return [
        row
        for setting in (settings if rows == "all" else settings[:core])
        for row in rows_of(_group(scale, *setting, num_seeds), scale, rows)
    ]


def _group(scale, prefix, label, sampler, num_steps, guidance, num_seeds):
    if guidance != 1:
        label = f"{label}, guidance {guidance:g}"
    return Group(
        title="Frontier, " + (label if sampler == "ddim" else f"{label}, {sampler}"),
        label=label,
        models=base_models(scale, prefix),
        seeds=num_seeds,
        sampler=sampler,
        num_steps=num_steps,
        guidance=guidance,
        images=IMAGES[scale],
    )


def rows_of(group, scale, which):
    """All methods of one setting, each at every CUR that it can have."""
    rows = [group.uncached()]
    for interval in INTERVALS[which]:
        if interval < group.num_steps:
            rows += _of_fora(group, scale, interval)
    for cur in CURS[which]:
        if cur <= 100 * (group.num_steps - 1) / group.num_steps:
            rows += _at(group, scale, cur, which)
    return rows


def _of_fora(group, scale, interval):
    variant = "" if interval == 2 else f", interval {interval}"
    options = {"interval": interval, "settings": search(scale)}
    return [
        group.fora(interval),
        group.made(f"FORA + Taylor{variant}", "taylor", order=1, **options),
        group.made(f"FORA + prediction{variant}", "fitted", **options),
    ]


def _at(group, scale, cur, which):
    harmonica = training(scale, HARMONICA, cur)
    options = {"settings": search(scale)}
    rows = [
        group.uncached(round(group.num_steps * (1 - cur / 100))),
        group.made("SmoothCache", "smoothcache", cur, **options),
        group.learned("HarmoniCa", harmonica),
    ]
    if which == "all":
        rows.append(
            group.made("HarmoniCa + prediction", "fitted", cur, training=harmonica, **options)
        )
        if cur >= 50:
            ltc = training(scale, LEARNING_TO_CACHE, cur, ltc_form="all-pairs")
            rows.append(group.learned("Learning-to-Cache", ltc, form="all-pairs"))
    return rows + searched(group, cur)
