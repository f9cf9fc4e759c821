"""A table of measured rows: its CSV, and the blocks of the document beside it."""

import math
import re

import pandas as pd

from . import methods
from .compare import ONE_SAMPLER
from .document import listed
from .intervals import interval
from .records import COSTS, METRICS

CORES = re.compile(r", \d+ cores$")
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
    "bits",
    "size_MB",
    "size_ratio",
    "num_images",
    "num_replicates",
    "run_ids",
)
RENAMED = {"CUR_percent": "cur_percent", "CUR_natural_percent": "cur_natural_percent"}
MEASURED = {
    column: RENAMED.get(column, column)
    for column in COLUMNS
    if RENAMED.get(column, column) in METRICS + COSTS
}
# {heading: column}. CARRYING and SPEED make a group's first block, BESIDE and SIZE its second.
CARRYING = {"rFID": "rFID", "x_0 error": "x0_mse", "FID": "FID", "agreement %": "agreement"}
SPEED = {"speedup": "speedup", "by MACs": "speedup_theoretical"}
SIZE = {"size MB": "size_MB", "smaller by": "size_ratio"}  # of compressed models
BESIDE = {
    "CUR natural %": "CUR_natural_percent",
    "IS": "IS",
    "sFID": "sFID",
    "precision %": "precision",
    "recall %": "recall",
    "latency ms": "latency_ms",
}


def csv_text(groups, beside):
    """The CSV. Columns that say nothing are left out: the group where model, sampler and T tell
    groups apart, the sampler where there is one, bits and size where no model is compressed.
    beside: {further column: its texts}.
    """
    rows = [row for group in groups for row in cells(group)]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    first_rows = [group.lines[0].row for group in groups]
    if len({(row.model, row.sampler, row.num_steps) for row in first_rows}) == len(groups):
        frame = frame.drop(columns="group")
    if set(frame["sampler"]) == {ONE_SAMPLER}:
        frame = frame.drop(columns="sampler")
    if not any(map(_has_compressed, groups)):
        frame = frame.drop(columns=["bits", *SIZE.values()])
    return frame.assign(**beside).to_csv(index=False, lineterminator="\n")


def cells(group):
    """[{column: text}] of a records.Group, one for each row; "" for what is missing."""
    floor = group.lines[0].mean("rFID")
    return [_cells(line, floor) for line in group.lines]


def _cells(line, floor):
    row = line.row
    texts = {
        "group": row.group,
        "model": row.model,
        "sampler": row.sampler,
        "T": str(row.num_steps),
        "method": row.method,
        "bits": line.stored["bits"] if line.stored else "",
        "num_replicates": str(len(row.runs)),
        "run_ids": " ".join(run.id for run in row.runs),
    }
    numbers = {column: value(line, column) for column in COLUMNS if column not in texts}
    numbers["rFID_floor"] = floor
    return texts | {column: "" if n is None else f"{n:.6g}" for column, n in numbers.items()}


def value(line, column):
    """A row's mean in a column, None where it is missing."""
    if column in MEASURED:
        return line.mean(MEASURED[column])
    if column in SIZE.values():
        return _size(line)[column] if line.stored else None
    return (line.latency or {}).get(column)


def _size(line):
    """Of a compressed model {column: number}: stored MB; the float32 model's size over it."""
    stored, original = line.stored["stored_bytes"], line.stored["original_bytes"]
    return {"size_MB": stored / 1e6, "size_ratio": original / stored}


def _has_compressed(group):
    return any(line.stored for line in group.lines)


def carrying_block(group, committed):
    return _block(group, CARRYING | SPEED, committed, _with_spread)


def beside_block(group, committed):
    columns = BESIDE | (SIZE if _has_compressed(group) else {})
    return _block(group, columns, committed, _with_spread)


def means_block(group, committed):
    """carrying_block without intervals, so that it fits a terminal."""
    return _block(group, CARRYING | SPEED, committed, lambda line, column: _short(line, column))


def _block(group, columns, committed, cell_text):
    """("table", headings, rows): each cell as `cell_text(line, column)` has it, then (committed
    value) where there is one.
    """
    rows = []
    headings, names = named(group)
    for line, name in zip(group.lines, names):
        committed_line = committed.get(line.row.runs)
        texts = [_cell(line, committed_line, column, cell_text) for column in columns.values()]
        rows.append([*name, *texts])
    return "table", [*headings, *columns], rows


def named(group):
    """-> headings, and for each line of a group the cells below: its method, its form where any
    line has one, its CUR.
    """
    formed = any(line.row.form for line in group.lines)
    names = [
        [
            methods.label(line.row),
            *[line.row.form] * formed,
            f"{line.mean('cur_percent'):.4g}",
        ]
        for line in group.lines
    ]
    return ["method", *["form"] * formed, "CUR %"], names


def _cell(line, committed_line, column, cell_text):
    if value(line, column) is None:
        return ""
    repeated = committed_line and column in MEASURED and column not in SPEED.values()
    committed_text = _short(committed_line, column) if repeated else ""
    return cell_text(line, column) + (f" ({committed_text})" if committed_text else "")


def _short(line, column):
    """A mean as cells show it, "" where it is missing."""
    number = value(line, column)
    return "" if number is None else f"{float(f'{number:.6g}'):.4g}"


def repeats(groups, committed):
    """How many means in the columns CARRYING equal the committed ones, in sentences."""
    pairs = [
        (line, committed[line.row.runs], column)
        for line in (line for group in groups for line in group.lines)
        if line.row.runs in committed
        for column in CARRYING.values()
    ]
    pairs = [
        (line, committed_line, column)
        for line, committed_line, column in pairs
        if None not in (value(line, column), value(committed_line, column))
    ]
    differ = [pair for pair in pairs if len({_short(line, pair[2]) for line in pair[:2]}) > 1]
    summary = f"{len(pairs) - len(differ)} of {len(pairs)} are equal to the digits shown"
    if not differ:
        return f"{summary}."
    apart = [
        (_apart(line, committed_line, column), line, column)
        for line, committed_line, column in pairs
    ]
    most, line, column = max(apart, key=lambda entry: entry[0])
    by = f"by {most:.2g} %" if math.isfinite(most) else "whose committed value is 0"
    row = f"{methods.label(line.row)} in {line.row.group}"
    return f"{summary}; furthest apart is {column} of {row}, {by}.{_elsewhere(differ)}"


def _elsewhere(differ):
    """How many of the committed values that differ were made on other processors, as a sentence."""
    others = [_processors(committed_line) - _processors(line) for line, committed_line, _ in differ]
    names = dict.fromkeys(name for processors in others for name in sorted(processors))
    if not names:
        return ""
    return (
        f" Of the {len(differ)} that differ the committed value of {sum(map(bool, others))} was "
        f"made on {listed(names)}: another processor rounds sums differently, and a search may end "
        "at another schedule (docs/yours.md)."
    )


def _processors(line):
    """Where a line's runs were made, without the number of cores."""
    return {CORES.sub("", device) for device in line.devices}


def _apart(line, committed_line, column):
    """Percent by which a mean differs from the committed one; infinite where that one is 0."""
    mean, committed_mean = value(line, column), value(committed_line, column)
    if mean == committed_mean:
        return 0.0
    return 100 * abs(mean - committed_mean) / abs(committed_mean) if committed_mean else math.inf


def _with_spread(line, column):
    """Mean, and [interval] where there is one."""
    spread = _spread(line, column)
    return _short(line, column) + (f" [{spread[0]:.3g}, {spread[1]:.3g}]" if spread else "")


def _spread(line, column):
    """The interval to show beside a mean: over replicates, or, for timings, the quartiles of the
    repeats. None where all values are equal.
    """
    if column in ("latency_ms", "speedup"):
        return line.latency["latency_iqr_ms" if column == "latency_ms" else "speedup_iqr"]
    if column not in MEASURED:
        return None
    values = line.values[MEASURED[column]]
    return interval(values) if len(values) > 1 and values.min() < values.max() else None
