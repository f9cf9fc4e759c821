"""Is the setup right? DiT-XL/2 256, T = 20, 5000 images in bfloat16: uncached, and under a
published router.
"""

from dataclasses import replace

from .. import paper_scale
from ..dit_xl2_256.config import settings


def table(scale, rows="core", num_seeds=1):
    """Two rows at paper scale, none at others."""
    if scale != "paper":
        return []
    base = paper_scale.dit_xl2_256()
    setting = next(setting for setting in settings() if setting.num_steps == 20)
    table_rows = paper_scale.rows_of(
        base, setting, paper_scale.Budget(num_images=5000), num_seeds=num_seeds
    )
    chosen = table_rows[0], next(row for row in table_rows if row.form == "published router")
    return [
        replace(row, runs=tuple(replace(run, precision="bfloat16") for run in row.runs))
        for row in chosen
    ]
