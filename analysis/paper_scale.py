"""Tables at paper scale: what was measured with the published models, and in a column of its own
what the paper prints.

There is one base model, and a replicate is a router seed and an evaluation noise. No ordering is
claimed: the reader compares. The files are named *.paper.*, and none of their numbers is shown
beside one of digits scale.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from experiments.rows import CURS_STEPS, latency_specs
from harmonica.lab.store import Store

from .document import markdown, text, write
from .methods import label
from .paper_numbers import block as paper_block
from .paper_numbers import published
from .records import groups_of, record

ABOUT = (
    "Measured with the published weights by ADM's protocol. Numbers are means over replicates "
    "(router or search seed n and evaluation noise n), with [lowest, highest] if they differ."
)
BESIDE = (
    "The last column is the paper's FID of the row; it is of other trainings, noises and "
    "conditions. Where a router was trained here, beta was steered to the paper's CUR."
)
PAPER = "FID in the paper"
BEFORE = ("group", "model", "T", "method", "form", "CUR_percent")
AFTER = ("clean_FID", "latency_ms", "speedup", "speedup_theoretical")
LAST = ("num_images", "num_replicates", "run_ids")


def render(root, out, rows, table):
    """Write tables/<name>.paper.csv and .md of a tables.Table below `out` from the records of rows
    below `root` -> (paths, text to print).

    All runs' records must be there (records.require). Without a latency record its cells are empty.
    """
    store = Store(root)
    latencies = {spec.group: record(store, spec) for spec in latency_specs(rows)}
    groups = [
        (name, [_cells(store, row, latencies[name], table) for row in group_rows])
        for name, group_rows in groups_of(rows)
    ]
    about = " ".join(
        filter(None, [ABOUT, _has_rows(table) * BESIDE, table.about_paper or table.about])
    )
    blocks = [("heading", 1, f"{table.title} at paper scale"), ("text", about)]
    for name, cells in groups:
        note = _how(cells, latencies[name])
        blocks += [("heading", 2, name), _table(cells, table), ("text", note)]
    columns = BEFORE + table.measured + AFTER + LAST
    plain = [_plain(row, columns) for _, cells in groups for row in cells]
    csv = pd.DataFrame(plain, columns=columns).to_csv(index=False, lineterminator="\n")
    contents = {"csv": csv, "md": markdown(blocks + paper_block(table.published))}
    folder, stem = Path(out) / "tables", table.stem("paper")
    paths = [write(folder / f"{stem}.{kind}", content) for kind, content in contents.items()]
    return paths, text(blocks)


def _has_rows(table):
    """Whether the paper prints this table's rows, with an FID for each."""
    return table.published is not None and "FID" in published(table.published)[0]


def _cells(store, row, latency, table):
    """{column: its values over replicates, or one value}; None for what was not measured."""
    records = [record(store, run) for run in row.runs]
    timings = (latency or {"rows": {}})["rows"].get(row.runs[0].id, {})
    metrics = (*table.measured, "clean_FID")
    return {
        "label": label(row),
        "group": row.group,
        "model": row.model,
        "T": row.num_steps,
        "method": row.method,
        "form": row.form,
        "CUR_percent": [stored["cost"]["cur_percent"] for stored in records],
        **{name: [stored["metrics"].get(name) for stored in records] for name in metrics},
        "latency_ms": timings.get("latency_ms"),
        "speedup": timings.get("speedup"),
        "speedup_theoretical": [stored["cost"]["speedup_theoretical"] for stored in records],
        "num_images": records[0]["metrics"]["num_images"],
        "num_replicates": len(records),
        "run_ids": " ".join(run.id for run in row.runs),
        PAPER: _in_paper(row, table),
        "clip": records[0]["metrics"].get("clip_checkpoint"),
    }


def _in_paper(row, table):
    """The paper's FID of the same method at the same T, "" where it has none. A row of a published
    router or beta, or of fewer steps at a CUR's compute, is none of the paper's.
    """
    if not _has_rows(table) or row.form.startswith("published") or row.form == CURS_STEPS:
        return ""
    for line in published(table.published):
        sampler = line.get("sampler", "")  # only Table 2 has it; there "none" is uncached
        method = sampler if line["method"] == "none" else line["method"]
        method = method.split(" (")[0]  # without a beta in brackets
        steps = str(row.num_steps)
        equal = (line["model"], method, line.get("T", steps)) == (row.model, row.method, steps)
        if equal and sampler in row.group:
            return line["FID"]
    return ""


def _table(cells, table):
    columns = {
        "CUR %": "CUR_percent",
        **{name: name for name in table.measured},
        "speedup": "speedup",
        "by MACs": "speedup_theoretical",
        **({PAPER: PAPER} if _has_rows(table) else {}),
    }
    rows = [
        [row["label"], row["form"], *(_shown(row[column]) for column in columns.values())]
        for row in cells
    ]
    return "table", ["method", "form", *columns], rows


def _shown(values):
    """One value; or their mean, and [lowest, highest] where they differ; "" where there is none."""
    if isinstance(values, str):
        return values
    values = values if isinstance(values, list) else [values]
    if None in values:
        return ""
    spread = f" [{min(values):.4g}, {max(values):.4g}]" if min(values) < max(values) else ""
    return f"{np.mean(values):.4g}{spread}"


def _plain(row, columns):
    """A row of the CSV, with means over replicates."""

    def one(value):
        if not isinstance(value, list):
            return value
        return "" if None in value else f"{np.mean(value):.6g}"

    return {name: one(row[name]) for name in columns}


def _how(cells, latency):
    """How one group was measured, as text."""
    count = cells[0]["num_replicates"]
    summary = f"{cells[0]['num_images']} images per cell, {count} replicate{'s' * (count > 1)}."
    if cells[0]["clip"]:
        summary += f" CLIP: {cells[0]['clip']}."
    if not latency:
        return f"{summary} Speedup is empty: there is no finished latency record of this group."
    return (
        f"{summary} Speedup: a batch of {latency['config']['batch']} on "
        f"{latency['provenance']['device']}, decoding left out."
    )
