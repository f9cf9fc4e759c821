"""Table 2, PixArt-alpha 256, 512 and 1024. At digits scale PixArt-digits (16 tokens) under the same
three samplers.
"""

from dataclasses import replace

from harmonica.lab.makings import SAMPLERS

from ..small_scale import check_scale, group
from ..table2 import BLOCKS, rows_of
from . import paper

# The paper's. At digits scale FID to the data misleads under guidance: not in the core rows.
GUIDANCE = 4.5


def table(scale, rows="core", num_seeds=1):
    """The rows of this block of Table 2. core: guidance 1; all: the paper's too, for DPM-Solver++.
    For paper scale see paper.py.
    """
    check_scale(scale, "digits", "paper", "smoke")
    if scale == "paper":
        return paper.rows(rows, num_seeds)
    blocks = [(block, 1.0) for block in BLOCKS] + ([(BLOCKS[0], GUIDANCE)] if rows == "all" else [])
    model = "pixart-digits", "PixArt-digits 16 tokens"
    if scale == "smoke":
        blocks = [(replace(block, num_steps=4, fewer_steps=3), 1.0) for block in BLOCKS]
        model = "smoke-pixart", "smoke-pixart"
    table_rows = []
    for block, guidance in blocks:
        sampling = {"sampler": block.sampler, "guidance": guidance}
        title = "{}, " + SAMPLERS[block.sampler]
        of_block = group(scale, *model, block.num_steps, num_seeds, title=title, **sampling)
        table_rows += rows_of(of_block, block)
    return table_rows
