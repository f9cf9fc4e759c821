"""The numbers that the paper prints, transcribed once in results/paper/ and shown apart from
everything measured here.
"""

import csv
from pathlib import Path

from .document import markdown, write

FOLDER = Path(__file__).resolve().parent.parent / "results" / "paper"
CITED = {
    "table_compression": "Against compression: quantised and pruned models (T = 20)",
    "table_quantization": "Together with quantisation (EfficientDM)",
    "table_uvit": "U-ViT-H/2",
}


def published(name):
    """Rows of results/paper/<name>.csv as dicts of strings; "" where the paper prints nothing."""
    with open(FOLDER / f"{name}.csv", newline="") as file:
        return list(csv.DictReader(file))


def block(name):
    """Document blocks of one published table, none where there is none."""
    if name is None:
        return []
    return [
        ("heading", 2, "The paper's own numbers"),
        (
            "text",
            "Transcribed from the paper's tables: other models, data and feature extractors than above, so these "
            "numbers compare with each other, not with those measured here. Empty = not reported.",
        ),
        table(name),
    ]


def table(name):
    rows = published(name)
    return "table", list(rows[0]), [list(row.values()) for row in rows]


def cited(out):
    """Write tables/cited.md: what the paper prints and nothing here runs again -> its path."""
    blocks = [
        ("heading", 1, "Tables of the paper that are cited only"),
        (
            "text",
            "Transcribed from the paper; nothing here measures these again. Empty = not reported.",
        ),
    ]
    for name, title in CITED.items():
        blocks += [("heading", 2, title), table(name)]
    return write(Path(out) / "tables" / "cited.md", markdown(blocks))
