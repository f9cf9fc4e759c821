"""A table of measured rows: the CSV with its fixed columns, and the blocks of the document beside
it.
"""

import pandas as pd

from .bootstrap import interval
from .records import COSTS, METRICS

ONE_SAMPLER = "DDIM"  # a table with no other has no column for it
COLUMNS = (
    "group",
    "model",
    "sampler",
    "T",
    "method",
    "CUR_percent",
    "CUR_natural_percent",
    "IS",
    "FID",
    "sFID",
    "precision",
    "recall",
    "rFID",
    "rFID_floor",
    "x0_mse",
    "agreement",
    "latency_ms",
    "speedup",
    "speedup_theoretical",
    "num_images",
    "num_seeds",
    "run_ids",
)
RENAMED = {"CUR_percent": "cur_percent", "CUR_natural_percent": "cur_natural_percent"}
MEASURED = {
    column: RENAMED.get(column, column)
    for column in COLUMNS
    if RENAMED.get(column, column) in METRICS + COSTS
}


def cells(group):
    """[{column: text}] of a records.Group, one per row; "" for what is missing."""
    floor = group.lines[0].mean("rFID")
    return [_cells(line, floor) for line in group.lines]


def _cells(line, floor):
    row, latency = line.row, line.latency or {}
    numbers = {column: line.mean(metric) for column, metric in MEASURED.items()}
    numbers |= {
        "rFID_floor": floor,
        "latency_ms": latency.get("latency_ms"),
        "speedup": latency.get("speedup"),
    }
    texts = {
        "group": row.group,
        "model": row.model,
        "sampler": row.sampler,
        "T": str(row.num_steps),
        "method": row.method,
        "num_seeds": str(len(row.runs)),
        "run_ids": " ".join(run.id for run in row.runs),
    }
    return {
        column: texts[column] if column in texts else _plain(numbers[column]) for column in COLUMNS
    }


def _plain(number):
    return "" if number is None else f"{number:.6g}"


def csv_text(groups):
    rows = [row for group in groups for row in cells(group)]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    first = {
        (row.model, row.sampler, row.num_steps) for row in (group.lines[0].row for group in groups)
    }
    if len(first) == len(groups):  # these three tell the groups apart
        frame = frame.drop(columns="group")
    if set(frame["sampler"]) == {ONE_SAMPLER}:
        frame = frame.drop(columns="sampler")
    return frame.to_csv(index=False, lineterminator="\n")


def read_csv(path):
    """A table written earlier: {key: {column: text}}, {} where there is none."""
    if not path.exists():
        return {}
    rows = pd.read_csv(path, dtype=str, keep_default_na=False).to_dict("records")
    return {key(row): row for row in rows}


def key(row):
    """What makes a row of the CSV the same row in another measurement; uncached and fewer steps
    differ in their MACs.
    """
    sampler = row.get("sampler", ONE_SAMPLER)
    setting = (
        f"{float(row['speedup_theoretical']):.2f}"
        if row["method"] == sampler
        else row["CUR_percent"]
    )
    if setting == row["CUR_natural_percent"]:  # as the scores gave it, which is a result
        setting = "natural"
    return row.get("group", ""), row["model"], sampler, row["T"], row["method"], setting


# heading -> column; the first block is what carries the comparison, the second stands beside it
CARRYING = {"rFID": "rFID", "x_0 error": "x0_mse", "FID": "FID", "agreement %": "agreement"}
BESIDE = {
    "CUR natural %": "CUR_natural_percent",
    "IS": "IS",
    "sFID": "sFID",
    "precision %": "precision",
    "recall %": "recall",
}
SPEED = {"speedup": "speedup", "by MACs": "speedup_theoretical"}
LATENCY = {"latency ms": "latency_ms"}


def carrying_block(group, committed):
    return _block(group, {**CARRYING, **SPEED}, committed, _with_spread)


def beside_block(group, committed):
    return _block(group, {**BESIDE, **LATENCY}, committed, _with_spread)


def means_block(group, committed):
    """carrying_block without intervals: as wide as a terminal."""
    return _block(
        group,
        {**CARRYING, **SPEED},
        committed,
        lambda line, row, column: f"{float(row[column]):.4g}",
    )


def _block(group, columns, committed, shown):
    """("table", headings, rows): each cell as `shown` has it, then (committed value) where there is
    one.
    """
    rows = []
    for line, row in zip(group.lines, cells(group)):
        known = committed.get(key(row)) or committed.get(
            key(row | {"group": ""}), {}
        )  # most tables have no such column
        rows.append([label(line.row), line.row.form, f"{line.mean('cur_percent'):.4g}"])
        for column in columns.values():
            there = f" ({float(known[column]):.4g})" if known.get(column) else ""
            rows[-1].append(shown(line, row, column) + there if row[column] else "")
    return "table", ["method", "form", "CUR %", *columns], rows


def label(row):
    """A row's method in words; that of the uncached rows is their sampler."""
    if not row.uncached:
        return row.method
    return (
        "uncached"
        if row.num_steps == row.runs[0].against
        else f"{row.sampler}, {row.num_steps} steps"
    )


def _with_spread(line, row, column):
    """Mean, and [interval] where there is one."""
    spread = _spread(line, column)
    return f"{float(row[column]):.4g}" + (f" [{spread[0]:.3g}, {spread[1]:.3g}]" if spread else "")


def _spread(line, column):
    """Bootstrap interval over seeds, interquartile range over repeats of what is timed, None where
    there is neither.
    """
    if column in ("latency_ms", "speedup"):
        return line.latency["latency_iqr_ms" if column == "latency_ms" else "speedup_iqr"]
    values = line.values[MEASURED[column]]
    return interval(values) if values.size > 1 and values.min() < values.max() else None
