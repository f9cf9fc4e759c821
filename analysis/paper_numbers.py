"""The numbers that the paper prints, transcribed once in results/paper/ and shown apart from
everything measured here.
"""

import csv
from pathlib import Path

from .document import markdown, write

FOLDER = Path(__file__).resolve().parent.parent / "results" / "paper"
NUM_TABLES, NUM_FIGURES = 23, 17  # in the paper
CITED = {
    "table_compression": "Against compression: quantised and pruned models (T = 20)",
    "table_quantization": "Together with quantisation (EfficientDM)",
    "table_uvit": "U-ViT-H/2",
}
FIGURES = {
    "figure_speedup_vs_quality_T10": "speedup against quality at T = 10",
    "figure_error_along_trajectory_T20": "error along the trajectory at T = 20",
}


def published(name):
    """Rows of results/paper/<name>.csv as dicts of strings; "" where the paper prints nothing."""
    with open(FOLDER / f"{name}.csv", newline="") as file:
        return list(csv.DictReader(file))


def coverage():
    """How much of the paper is known here and how much is re-enacted, as a sentence."""
    known = [path.stem for path in FOLDER.glob("*.csv")]
    tables = [name for name in known if name.startswith("table")]
    figures = [name for name in known if name.startswith("figure")]
    again = len(tables) - len(CITED)
    return (
        f"Of the paper's {NUM_TABLES} tables and {NUM_FIGURES} figures we know the numbers of "
        f"{len(tables)} tables and {len(figures)} figures ([paper/](paper)). {again} of these "
        "tables (Table 1, Table 2, what training costs) are re-enacted here at a small scale, "
        f"{len(CITED)} are cited only ([cited.md](tables/cited.md)). The known figures "
        f"({', '.join(FIGURES[name] for name in sorted(figures))}) are drawn of the runs here, "
        "and so are three kinds whose numbers are unknown to us: sample grids, router maps, "
        f"lambda per step. Of the other {NUM_TABLES - len(tables)} tables we know nothing, so no "
        "verdict here speaks of them."
    )


def block(name):
    """Document blocks of one published table, none where there is none."""
    if name is None:
        return []
    return [
        ("heading", 2, "The paper's own numbers"),
        (
            "text",
            "Transcribed from the paper's tables: other models, data and feature extractors than "
            "above, so these numbers compare with each other, not with those measured here. "
            "Empty = not reported.",
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
