"""The rows of Table 1 at the scales that need no GPU: every method at equal compute."""

from .rows import Group
from .small_scale import HARMONICA, IMAGES, LEARNING_TO_CACHE, training

FORA_CUR = 50.0


def rows_of(*, scale, models, label, num_steps, cur_percents, num_seeds):
    """All rows of one number of steps: uncached, then at each CUR fewer steps, FORA (at 50 % only),
    random, Learning-to-Cache, HarmoniCa.
    """
    group = Group(
        title=label,
        label=label,
        models=models,
        seeds=num_seeds,
        num_steps=num_steps,
        images=IMAGES[scale],
    )
    rows = [group.uncached()]
    for cur in cur_percents:
        form = "all-pairs" if cur >= FORA_CUR else "released"
        rows.append(group.uncached(round(num_steps * (1 - cur / 100))))
        if cur == FORA_CUR:
            rows.append(group.fora())
        ltc = training(scale, LEARNING_TO_CACHE, cur, ltc_form=form)
        rows += [
            group.row("random", cur, schedule="random"),
            group.learned("Learning-to-Cache", ltc, form=form),
            group.learned("HarmoniCa", training(scale, HARMONICA, cur)),
        ]
    return rows
