"""What our own search needs, and where its schedules carry over: one change in each row."""

from .. import small_scale
from ..ablation import HARMONICA, METHODS, group_of, learned

CUR = 50
GUIDANCE, ELSEWHERE = 2.0, 1.0  # the second group's; and at which its last row is searched
SMALL_STAGES = {"smoke": {"stages": (0.5, 1.0)}}  # so that leaving them out is a change there, too
CHANGES = {
    "12 images": {"images": 12},
    "24 images": {"images": 24},
    "without stages": {"stages": (1.0,)},
    "without polish": {"rounds": 0},
    "window 3": {"window": 3},
    "other search noise": {"seed": 1},
}
MORE = {"96 images": {"images": 96}, "2 directions": {"directions": 2}}  # with rows = "all"
LONGER = 10  # times as many trajectories, or forwards
CLASSES, CAPTIONS = 5, 20  # of the 10 and 200 that are sampled


def table(scale, rows="core", num_seeds=1):
    """DiT-digits at T = 10, CUR 50 %. all: more images and directions, half of the
    multiply-accumulates in place of half of the entries, weights refitted to the image error, masks
    that evolve, HarmoniCa trained ten times longer, and schedules searched on few classes or, for
    PixArt-digits, captions. None at paper scale.
    """
    if scale == "paper":
        return []
    group = group_of("our search", scale, num_seeds)
    reuse = settings(scale, predict=False)
    changes = CHANGES | (MORE if rows == "all" else {})
    table_rows = [
        *_plain(group, scale),
        learned(group, HARMONICA, CUR),
        group.made("Search", "search", CUR, settings=reuse),
        group.made("Search, then predictions", "fitted", CUR, mask=reuse, settings=settings(scale)),
        group.made("Search, then Taylor", "taylor", CUR, mask=reuse, order=1),
        _searched(group, scale),
        *(_searched(group, scale, name, **changed) for name, changed in changes.items()),
    ]
    if rows == "all":
        half = {"settings": settings(scale), "by_macs": True}
        table_rows.append(group.made("Search + prediction, share of MACs", "search", CUR, **half))
        table_rows.append(small_scale.refitted(group, CUR, settings(scale)))
        table_rows.append(small_scale.fora_refitted(group, settings(scale)))
        table_rows.append(_searched(group, scale, "searched on 5 classes", conds=CLASSES))
    if len(group.models) > 1:
        table_rows.append(
            group.made(
                "Search + prediction, another model's",
                "search",
                CUR,
                of=1,
                settings=settings(scale),
            )
        )
    if rows == "all":
        longer = {"method": "Evolution, ten times longer", "times": LONGER}
        table_rows += [
            small_scale.evolved(group, CUR, reuse),
            small_scale.evolved(group, CUR, reuse, **longer),
            _longer(group, scale),
        ]
    captions = rows == "all" and scale == "digits"
    return (
        table_rows
        + _under_guidance(scale, num_seeds)
        + (_with_captions(scale, num_seeds) if captions else [])
    )


def settings(scale, **changed):
    return small_scale.search(scale, **{**SMALL_STAGES.get(scale, {}), **changed})


def _searched(group, scale, change=None, conds=None, **changed):
    """conds: the search sees only the first so many classes or captions."""
    name = "Search + prediction" + (f", {change}" if change else "")
    return group.made(name, "search", CUR, conds=conds, settings=settings(scale, **changed))


def _plain(group, scale):
    fitted = group.made("FORA + prediction", "fitted", interval=2, settings=settings(scale))
    return [group.uncached(), group.fora(), fitted]


def _longer(group, scale):
    once = small_scale.training(scale, METHODS[HARMONICA], CUR).trajectories
    return learned(
        group, HARMONICA, CUR, name="HarmoniCa, ten times longer", trajectories=LONGER * once
    )


def _under_guidance(scale, num_seeds):
    """A schedule that was searched at another guidance, beside one searched at this guidance."""
    group = group_of("our search under guidance", scale, num_seeds, guidance=GUIDANCE)
    elsewhere = group.made(
        "Search + prediction, searched at guidance 1",
        "search",
        CUR,
        guidance=ELSEWHERE,
        settings=settings(scale),
    )
    return [*_plain(group, scale), _searched(group, scale), elsewhere]


def _with_captions(scale, num_seeds):
    """A schedule that was searched on few captions, beside one searched on all of them."""
    group = small_scale.group(
        scale,
        "pixart-digits",
        "PixArt-digits 16 tokens",
        10,
        num_seeds,
        title="our search with captions",
        sampler="dpm++",
    )
    few = _searched(group, scale, "searched on 20 captions", conds=CAPTIONS)
    return [*_plain(group, scale), _searched(group, scale), few]
