"""Table 1, DiT-XL/2 512x512: T = 20. At digits scale T = 20 on DiT-digits-fine (64 tokens),
whose patch size is 1.
"""

from .. import paper_scale
from ..paper_scale import PaperSteps
from ..small_scale import group
from ..table1 import rows_of

ROWS, PAPER_CUR = paper_scale.ROWS, 25.98


def table(scale, rows="core", num_seeds=1):
    """The rows of this block of Table 1: at digits scale only with rows = "all"; none at smoke and
    clothes scale.
    """
    if scale == "paper":
        setting = PaperSteps(num_steps=20, fewer=16, ltc_cur=23.57, harmonica_cur=PAPER_CUR)
        base = paper_scale.base(
            "DiT-XL/2 512x512", "DiT-XL-2-512x512.pt", "VIRTUAL_imagenet512.npz"
        )
        return paper_scale.rows_of(
            base, setting, paper_scale.Budget(checkpoint=True), rows, num_seeds
        )
    if scale != "digits" or rows == "core":
        return []
    fine = group(scale, "dit-digits-fine", "DiT-digits-fine 64 tokens", 20, num_seeds)
    return rows_of(fine, [50, PAPER_CUR])
