"""The numbers that the paper prints, transcribed once in results/paper/ and shown apart from everything measured here."""
import csv
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "results" / "paper"


def published(name):
    """Rows of results/paper/<name>.csv as dicts of strings; "" where the paper prints nothing."""
    with open(FOLDER / f"{name}.csv", newline="") as file:
        return list(csv.DictReader(file))


def block(name, title):
    """Document blocks of one published table."""
    rows = published(name)
    return [("heading", 2, title),
            ("text", "Transcribed from the paper's tables: other models, data and feature extractors than above, so these "
                     "numbers compare with each other, not with those measured here. Empty = not reported."),
            ("table", list(rows[0]), [list(row.values()) for row in rows])]
