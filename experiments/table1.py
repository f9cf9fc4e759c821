"""The rows of Table 1 at the scales that need no GPU: every method at equal compute."""

from . import small_scale
from .small_scale import FORA_CUR, HARMONICA, LEARNING_TO_CACHE, ltc_form, searched, training

# The clothes' guidances, the paper's and none, and {T: CUR of the paper's HarmoniCa row}.
GUIDANCES, CLOTHES_CURS = (1.5, 1.0), {50: 23.68, 20: 37.5, 10: 22.86}
HALF, MOST = 50, 65  # ints, as in the frontier, so that both name the same artefacts
CORE = ((1.5, 20), (1.5, 10))  # guidance and T, for less than an hour's work
FORA_INTERVALS = {HALF: 2, MOST: 3}  # where FORA reuses as much as the others


def rows_of(group, cur_percents):
    """All rows of a Group: uncached, then at each CUR fewer steps, FORA (at 50 % only), random,
    Learning-to-Cache, HarmoniCa, and our searches.
    """
    scale, rows = group.scale, [group.uncached()]
    for cur in cur_percents:
        form = ltc_form(cur)
        rows.append(group.uncached(round(group.num_steps * (1 - cur / 100))))
        if cur == FORA_CUR:
            rows.append(group.fora())
        ltc = training(scale, LEARNING_TO_CACHE, cur, ltc_form=form)
        rows += [
            group.row("random", cur, schedule="random"),
            group.learned("Learning-to-Cache", ltc, form=form),
            group.learned("HarmoniCa", training(scale, HARMONICA, cur)),
            *searched(group, cur),
        ]
    return rows


def clothes(rows, num_seeds):
    """Table 1 at the paper's numbers of steps on the clothes. core: T = 20 and 10 under guidance at
    CUR 50 %, without the random schedule. rows="all" adds T = 50 and guidance 1, the random
    schedule, the paper's CURs, and at the first setting CUR 65 %, nearly three times the speed.
    """
    settings = [(guidance, num_steps) for guidance in GUIDANCES for num_steps in CLOTHES_CURS]
    table_rows = []
    for guidance, num_steps in settings if rows == "all" else CORE:
        model = ("clothes", "dit-clothes", "DiT-clothes 49 tokens")
        group = small_scale.group(*model, num_steps, num_seeds, guidance=guidance)
        table_rows.append(group.uncached())
        most = (MOST,) if (guidance, num_steps) == CORE[0] else ()
        for cur in (HALF, *most, CLOTHES_CURS[num_steps]) if rows == "all" else (HALF,):
            table_rows += _of_clothes(group, cur, rows)
    return table_rows


def _of_clothes(group, cur, rows):
    """Every method at one CUR. Learning-to-Cache as released is FORA at 50 % and cannot reuse more,
    so there it is left out.
    """
    table_rows = [group.uncached(round(group.num_steps * (1 - cur / 100)))]
    forms = ("all-pairs",) if cur in FORA_INTERVALS else ("released", "all-pairs")
    if cur in FORA_INTERVALS:
        table_rows.append(group.fora(FORA_INTERVALS[cur]))
    if rows == "all":
        table_rows.append(group.row("random", cur, schedule="random"))
    for form in forms:
        ltc = training("clothes", LEARNING_TO_CACHE, cur, ltc_form=form)
        table_rows.append(group.learned("Learning-to-Cache", ltc, form=form))
    table_rows.append(group.learned("HarmoniCa", training("clothes", HARMONICA, cur)))
    return table_rows + searched(group, cur)
