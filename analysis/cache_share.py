"""The claim that a cache is a small part of the memory of sampling, from what the benchmark counted
on the published shapes.
"""

from pathlib import Path

from harmonica.files import read_json

from .claims import Claim, overall
from .compare import LOSES, WINS

NAME = "cache-memory"  # of the benchmark's table
PAPERS_PERCENT = 6  # of memory, at most; for which batch the paper does not say, as far as we know


def load(results):
    """Rows of the committed table, or [] where there is none."""
    paths = sorted((Path(results) / "bench").glob(f"*.{NAME}.json"))
    return read_json(paths[0])["tables"][NAME] if paths else []


def claim(rows):
    """The Claim that every schedule's cache stays below the paper's share; **wins**: it does."""
    shares = [100 * row["cache_share"] for row in rows]
    marks = tuple(WINS if share < PAPERS_PERCENT else LOSES for share in shares)
    return Claim(
        title=f"A cache takes less than {PAPERS_PERCENT} % of memory",
        verdict=overall(marks),
        sentence="the table shows the cache's share of all tensors alive at once, including "
        "weights. It was counted on the published shapes in bfloat16 with guidance, not measured "
        "on a GPU. It grows with the batch, and we do not know which batch the paper means",
        marks=marks,
        headings=("model", "images at once", "schedule", "share of memory"),
        rows=tuple(
            (row["model"], str(row["batch"]), row["schedule"], f"**{mark}** {share:.1f} %")
            for row, mark, share in zip(rows, marks, shares)
        ),
    )
