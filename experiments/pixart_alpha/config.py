"""Table 2, PixArt-alpha 256, 512 and 1024: SCALE=paper."""
from . import paper


def table(scale, rows="core", num_seeds=1):
    """The rows of this block of Table 2."""
    return paper.rows(rows, num_seeds) if scale == "paper" else []
