"""The numbers that the paper prints, transcribed once in results/paper/ and shown apart from
everything measured here.
"""

import csv
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "results" / "paper"
NUM_TABLES, NUM_FIGURES = 23, 17  # in the paper
REENACTED = {  # {file of the paper's numbers: (its title, name of the table here)}
    "table1_class_conditional": ("Table 1", "table1"),
    "table2_text_to_image": ("Table 2", "table2"),
    "table_training_cost": ("what training costs", "ablation_training_cost"),
    "table_compression": ("against compressed models", "compression"),
    "table_quantization": ("together with quantisation", "quantisation"),
    "table_uvit": ("U-ViT-H/2", "uvit"),
}
FIGURES = {
    "figure_speedup_vs_quality_T10": "speedup against quality at T = 10",
    "figure_error_along_trajectory_T20": "error along the trajectory at T = 20",
}
HEADINGS = {  # of columns whose names are no words
    "cfg": "guidance",
    "CUR_percent": "CUR %",
    "IS_approx": "IS, about",
    "FID_approx": "FID, about",
    "IS_or_CLIP": "IS or CLIP",
    "latency_s": "latency, s",
    "latency_h800_s": "latency on an H800, s",
    "latency_a100_s": "latency on an A100, s",
    "speedup_h800": "speedup on an H800",
    "speedup_a100": "speedup on an A100",
    "size_GB": "size, GB",
    "size_ratio": "smaller by",
    "time_h": "time, h",
    "memory_GB_per_GPU": "GB per GPU",
    "x_mse_at_x0": "squared error of x_0",
}


def published(name):
    """Rows of results/paper/<name>.csv as dicts of strings; "" where the paper prints nothing."""
    with open(FOLDER / f"{name}.csv", newline="") as file:
        return list(csv.DictReader(file))


def coverage(committed):
    """How much of the paper is known here and how much is re-enacted, as text. committed: names of
    the tables with committed records.
    """
    names = [path.stem for path in FOLDER.glob("*.csv")]
    tables = [name for name in names if name.startswith("table")]
    figures = [name for name in names if name.startswith("figure")]
    again = [title for title, table in REENACTED.values() if table in committed]
    others = [title for title, table in REENACTED.values() if table not in committed]
    clause = f"; of {len(others)} ({', '.join(others)}) no record is committed" if others else ""
    return (
        f"Of the paper's {NUM_TABLES} tables and {NUM_FIGURES} figures we know the numbers of "
        f"{len(tables)} tables and {len(figures)} figures ([paper/](paper)). "
        f"{len(again) if others else 'All'} of these tables ({', '.join(again)}) are reproduced "
        f"here at a small scale{clause}. The known figures "
        f"({', '.join(FIGURES[name] for name in sorted(figures))}) "
        "are drawn from the runs here, and so are three kinds of figure whose numbers we do not "
        "know: sample grids, router maps, and lambda per step. "
        f"Of the other {NUM_TABLES - len(tables)} tables we know nothing, "
        "so no verdict here is about them."
    )


def block(name):
    """Document blocks of one published table; [] where its name is None."""
    if name is None:
        return []
    read_off = any(column.endswith("_approx") for column in published(name)[0])
    source = "Read off a plot of the paper" if read_off else "Transcribed from the paper's tables"
    return [
        ("heading", 2, "The paper's own numbers"),
        (
            "text",
            f"{source}. The paper has other models, data and feature extractors than the tables "
            "above, so its numbers can be compared with each other, but not with those measured "
            "here. Empty means not reported.",
        ),
        table(name),
    ]


def table(name):
    rows = published(name)
    return "table", [HEADINGS.get(c, c) for c in rows[0]], [list(row.values()) for row in rows]
