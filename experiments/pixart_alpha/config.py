"""Table 2, PixArt-alpha 256, 512 and 1024. At digits scale PixArt-digits (16 tokens) under the same
three samplers.
"""

from dataclasses import replace

from ..small_scale import base_models, check_scale
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
    if scale == "smoke":
        return [
            row
            for block in BLOCKS
            for row in rows_of(
                replace(block, num_steps=4, fewer_steps=3),
                scale=scale,
                models=base_models(scale, "smoke-pixart"),
                label="smoke-pixart",
                num_seeds=num_seeds,
            )
        ]
    blocks = [(block, 1.0) for block in BLOCKS] + ([(BLOCKS[0], GUIDANCE)] if rows == "all" else [])
    return [
        row
        for block, guidance in blocks
        for row in rows_of(
            block,
            scale=scale,
            models=base_models(scale, "pixart-digits"),
            label="PixArt-digits 16 tokens",
            num_seeds=num_seeds,
            guidance=guidance,
        )
    ]
