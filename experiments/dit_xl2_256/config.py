"""Table 1, DiT-XL/2 256x256: T = 50, 20, 10. At digits scale T = 20, 10, 6 on DiT-digits (16
tokens); on the clothes the paper's T on DiT-clothes (49 tokens), with guidance and without.
"""

from .. import paper_scale
from ..paper_scale import PaperSteps, published_router
from ..small_scale import group
from ..table1 import clothes, rows_of

ROWS = paper_scale.ROWS
# the CUR of the paper's HarmoniCa row at T = 50, 20, 10, which T = 20, 10, 6 stand for
PAPER_CUR = {20: 23.68, 10: 37.5, 6: 22.86}


def table(scale, rows="core", num_seeds=1):
    """The rows of this block of Table 1. core: CUR 50 % at every T, and the paper's at T = 10; for
    the clothes see table1.clothes, for paper scale paper_scale.py.
    """
    if scale == "paper":
        base = paper_scale.dit_xl2_256()
        return [
            row
            for setting in settings()
            for row in paper_scale.rows_of(base, setting, rows=rows, num_seeds=num_seeds)
        ]
    if scale == "clothes":
        return clothes(rows, num_seeds)
    if scale == "smoke":
        return rows_of(group(scale, "smoke", "smoke", 4, num_seeds), [50, 37.5])
    model = "dit-digits", "DiT-digits 16 tokens"
    curs = {
        steps: [50, cur] if rows == "all" or steps == 10 else [50]
        for steps, cur in PAPER_CUR.items()
    }
    return [
        row
        for steps in PAPER_CUR
        for row in rows_of(group(scale, *model, steps, num_seeds), curs[steps])
    ]


def settings():
    return [
        PaperSteps(
            num_steps=50,
            fewer=39,
            ltc_cur=23.39,
            harmonica_cur=23.68,
            ltc_beta=1e-6,
            published=published_router("DDIM50_router.pt"),
        ),
        PaperSteps(
            num_steps=20,
            fewer=14,
            ltc_cur=35.60,
            harmonica_cur=37.50,
            ltc_beta=5e-6,
            published=published_router("DDIM20_router.pt"),
        ),
        PaperSteps(
            num_steps=10,
            fewer=9,
            ltc_cur=19.11,
            harmonica_cur=22.86,
            ltc_beta=1e-6,
            harmonica_beta=7e-8,
        ),
    ]
