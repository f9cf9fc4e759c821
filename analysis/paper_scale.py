"""Tables 1 and 2 at paper scale: what was measured with the published models, and apart from it what the paper prints.

One base model, so no ordering is claimed here: the reader compares. Figures stand in *.paper.*, never beside digits.
"""
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd

from harmonica.runs import latency_specs
from harmonica.store import Store, atomic

from .document import markdown, text
from .paper_numbers import block as paper_block
from .paper_numbers import published
from .records import groups_of, record

ABOUT = ("Measured with the published weights by ADM's protocol; a mean over evaluation noises, [lowest, highest] with "
         "more than one. The last column is the paper's FID of the row, for other trainings, noises and conditions. Trained here: "
         "beta steered to the paper's CUR.")


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table of the paper: its title, experiments, metrics in the order of its columns, and its file in results/paper."""
    name: str
    title: str
    experiments: tuple[str, ...]
    measured: tuple[str, ...]
    published: str
    about: str

    def rows(self, which, num_seeds):
        """[experiments.Row] of all blocks of the table."""
        return [row for name in self.experiments
                for row in import_module(f"experiments.{name}.config").table("paper", which, num_seeds)]

    @property
    def columns(self):
        return ("model", "T", "method", "form", "CUR_percent", *self.measured, "clean_FID", "latency_ms", "speedup",
                "speedup_theoretical", "num_images", "num_seeds", "run_ids")

    @property
    def shown(self):
        return {"CUR %": "CUR_percent", **{name: name for name in self.measured}, "speedup": "speedup",
                "by MACs": "speedup_theoretical"}


TABLE1 = Table(
    name="table1", title="Table 1", experiments=("dit_xl2_256", "dit_xl2_512"), published="table1_class_conditional",
    measured=("IS", "FID", "sFID", "precision", "recall"),
    about="Published router, published beta: as their authors give them, the scores over tau decide.")
TABLE2 = Table(
    name="table2", title="Table 2", experiments=("pixart_alpha", "pixart_sigma"), published="table2_text_to_image",
    measured=("CLIP", "FID", "sFID"),
    about="CLIP score: 100 x the cosine of image and caption under the checkpoint that stands below each block; the paper "
          "does not say which it used. Of PixArt-Sigma it prints a speedup alone.")
TABLES = {table.name: table for table in (TABLE1, TABLE2)}


def render(root, out, rows, table=TABLE1):
    """Write tables/<table>.paper.csv and .md below `out` from the records of rows below `root` -> (paths, text to print).

    All runs' records must be there (records.require); a latency record may be missing, its cells are then empty.
    """
    store = Store(root)
    latencies = {spec.group: record(store, spec) for spec in latency_specs(rows)}
    groups = [(name, [_cells(store, row, latencies[name], table) for row in own]) for name, own in groups_of(rows)]
    blocks = [("heading", 1, f"{table.title} at paper scale"), ("text", f"{ABOUT} {table.about}")]
    for name, cells in groups:
        blocks += [("heading", 2, name), _table(cells, table.shown), ("text", _how(cells, latencies[name]))]
    plain = [_plain(row, table.columns) for _, cells in groups for row in cells]
    csv = pd.DataFrame(plain, columns=table.columns).to_csv(index=False, lineterminator="\n")
    document = markdown(blocks + paper_block(table.published, "The paper's own numbers"))
    paths = [Path(out) / "tables" / f"{table.name}.paper.{suffix}" for suffix in ("csv", "md")]
    return [_write(path, content) for path, content in zip(paths, (csv, document))], text(blocks)


def _cells(store, row, latency, table):
    """{column: list of values over noises, or one value}; None for what was not measured."""
    found = [record(store, run) for run in row.runs]
    timed = (latency or {"rows": {}})["rows"].get(row.runs[0].id, {})
    return {"model": row.model, "T": row.num_steps, "method": row.method, "form": row.form,
            "CUR_percent": [r["cost"]["cur_percent"] for r in found],
            **{name: [r["metrics"].get(name) for r in found] for name in (*table.measured, "clean_FID")},
            "latency_ms": timed.get("latency_ms"), "speedup": timed.get("speedup"),
            "speedup_theoretical": [r["cost"]["speedup_theoretical"] for r in found],
            "num_images": found[0]["metrics"]["num_images"], "num_seeds": len(found),
            "run_ids": " ".join(run.id for run in row.runs), "paper": _in_paper(row, table),
            "clip": found[0]["metrics"].get("clip_checkpoint")}


def _in_paper(row, table):
    """FID of this row in the paper, "" where it has none: the same method and T, not what others published or chose."""
    if row.form.startswith(("published", "equal")):
        return ""
    for line in published(table.published):
        sampler = line.get("sampler", "")       # Table 2 has several, and calls the rows without a cache "none"
        method = sampler if line["method"] == "none" else line["method"]
        if (line["model"], method, line["T"]) == (row.model, row.method, str(row.num_steps)) and sampler in row.group:
            return line["FID"]
    return ""


def _table(cells, shown):
    rows = [[_name(row, cells[0]), row["form"], *(_shown(row[column]) for column in shown.values()), row["paper"]]
            for row in cells]
    return "table", ["method", "form", *shown, "FID in the paper"], rows


def _name(row, uncached):
    if row["method"] != uncached["method"]:
        return row["method"]
    return "uncached" if row is uncached else f"{row['method']}, {row['T']} steps"


def _shown(values):
    """One value; or their mean, and [lowest, highest] where they differ; "" where there is none."""
    values = [values] if not isinstance(values, list) else values
    if None in values:
        return ""
    spread = f" [{min(values):.4g}, {max(values):.4g}]" if min(values) < max(values) else ""
    return f"{np.mean(values):.4g}{spread}"


def _plain(row, columns):
    values = {name: row[name] for name in columns}
    return {name: value if not isinstance(value, list) else "" if None in value else f"{np.mean(value):.6g}"
            for name, value in values.items()}


def _how(cells, latency):
    said = f"{cells[0]['num_images']} images per cell, {cells[0]['num_seeds']} evaluation noise(s)."
    if cells[0]["clip"]:
        said += f" CLIP: {cells[0]['clip']}."
    if not latency:
        return f"{said} Speedup is empty: there is no finished latency record of this group."
    return f"{said} Speedup: a batch of {latency['config']['batch']} on {latency['provenance']['device']}, decoding left out."


def _write(path, content):
    with atomic(path) as temporary:
        temporary.write_text(content)
    return path
