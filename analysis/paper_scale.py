"""Table 1 at paper scale: what was measured with the published models, and apart from it what the paper prints.

One base model, so no ordering is claimed here: the reader compares. Figures stand in table1.paper.*, never beside digits.
"""
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.dit_xl2_256 import config as dit_xl2_256
from experiments.dit_xl2_512 import config as dit_xl2_512
from harmonica.runs import latency_specs
from harmonica.store import Store, atomic

from .document import markdown, text
from .paper_numbers import block as paper_block
from .paper_numbers import published
from .records import groups_of, record

MEASURED = ("IS", "FID", "sFID", "precision", "recall")
COLUMNS = ("model", "T", "method", "form", "CUR_percent", *MEASURED, "clean_FID", "latency_ms", "speedup", "speedup_theoretical",
           "num_images", "num_seeds", "run_ids")
SHOWN = {"CUR %": "CUR_percent", **{name: name for name in MEASURED}, "speedup": "speedup", "by MACs": "speedup_theoretical"}
ABOUT = ("Measured with the published weights by ADM's protocol; a mean over evaluation noises, [lowest, highest] with more than "
         "one. The last column is the paper's FID of the row, for other trainings, noises and labels. Trained here: beta steered "
         "to the paper's CUR. Published router, published beta: as their authors give them, the scores over tau decide.")


def rows(which, num_seeds):
    """[experiments.Row] of all blocks of the table."""
    return [row for config in (dit_xl2_256, dit_xl2_512) for row in config.table("paper", which, num_seeds)]


def render(root, out, rows):
    """Write tables/table1.paper.csv and .md below `out` from the records of rows below `root` -> (paths, text to print).

    All runs' records must be there (records.require); a latency record may be missing, its cells are then empty.
    """
    store = Store(root)
    latencies = {spec.group: record(store, spec) for spec in latency_specs(rows)}
    groups = [(name, [_cells(store, row, latencies[name]) for row in own]) for name, own in groups_of(rows)]
    blocks = [("heading", 1, "Table 1 at paper scale"), ("text", ABOUT)]
    for name, cells in groups:
        blocks += [("heading", 2, name), _table(cells), ("text", _how(cells, latencies[name]))]
    csv = pd.DataFrame([_plain(row) for _, cells in groups for row in cells], columns=COLUMNS).to_csv(index=False, lineterminator="\n")
    document = markdown(blocks + paper_block("table1_class_conditional", "The paper's own numbers"))
    tables = Path(out) / "tables"
    return [_write(tables / "table1.paper.csv", csv), _write(tables / "table1.paper.md", document)], text(blocks)


def _cells(store, row, latency):
    """{column: list of values over noises, or one value}; None for what was not measured."""
    found = [record(store, run) for run in row.runs]
    timed = (latency or {"rows": {}})["rows"].get(row.runs[0].id, {})
    return {"model": row.model, "T": row.num_steps, "method": row.method, "form": row.form,
            "CUR_percent": [r["cost"]["cur_percent"] for r in found],
            **{name: [r["metrics"].get(name) for r in found] for name in (*MEASURED, "clean_FID")},
            "latency_ms": timed.get("latency_ms"), "speedup": timed.get("speedup"),
            "speedup_theoretical": [r["cost"]["speedup_theoretical"] for r in found], "num_images": found[0]["metrics"]["num_images"],
            "num_seeds": len(found), "run_ids": " ".join(run.id for run in row.runs), "paper": _in_paper(row)}


def _in_paper(row):
    """FID of this row in the paper, "" where it has none: the same method and T, not what others published or chose."""
    if row.form.startswith("published"):
        return ""
    return next((line["FID"] for line in published("table1_class_conditional")
                 if (line["model"], line["method"], line["T"]) == (row.model, row.method, str(row.num_steps))), "")


def _table(cells):
    rows = [[_name(row, cells[0]), row["form"], *(_shown(row[column]) for column in SHOWN.values()), row["paper"]] for row in cells]
    return "table", ["method", "form", *SHOWN, "FID in the paper"], rows


def _name(row, uncached):
    return row["method"] if row["method"] != "DDIM" else "uncached" if row is uncached else f"DDIM, {row['T']} steps"


def _shown(values):
    """One value; or their mean, and [lowest, highest] where they differ; "" where there is none."""
    values = [values] if not isinstance(values, list) else values
    if None in values:
        return ""
    spread = f" [{min(values):.4g}, {max(values):.4g}]" if min(values) < max(values) else ""
    return f"{np.mean(values):.4g}{spread}"


def _plain(row):
    values = {name: row[name] for name in COLUMNS}
    return {name: value if not isinstance(value, list) else "" if None in value else f"{np.mean(value):.6g}"
            for name, value in values.items()}


def _how(cells, latency):
    said = f"{cells[0]['num_images']} images per cell, {cells[0]['num_seeds']} evaluation noise(s)."
    if not latency:
        return f"{said} Speedup is empty: there is no finished latency record of this group."
    return f"{said} Speedup: a batch of {latency['config']['batch']} on {latency['provenance']['device']}, decoding left out."


def _write(path, content):
    with atomic(path) as temporary:
        temporary.write_text(content)
    return path
