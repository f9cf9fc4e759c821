"""Reads the finished records behind the rows of an experiment, as arrays (replicates,)."""

import json
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from experiments.rows import Row, latency_specs
from harmonica.errors import BadInput, check
from harmonica.lab.ids import canonical, with_needs
from harmonica.lab.store import Store

from .document import capital
from .methods import method, name

METRICS = ("IS", "FID", "sFID", "precision", "recall", "rFID", "x0_mse", "agreement", "num_images")
COSTS = ("cur_percent", "cur_natural_percent", "speedup_theoretical")


@dataclass(frozen=True, kw_only=True)
class Line:
    """A measured row.

    values: metric -> float64 array (replicates,), None where the method has no such figure. curve:
    mean squared error of x_t against the uncached run (replicates, T + 1), or None. latency: the
    row's entry in the group's latency record, or None. devices: where its runs were made. stored:
    what a compressed model's record says, of the first replicate, or None.
    """

    row: Row
    values: dict
    curve: np.ndarray | None
    latency: dict | None
    devices: tuple[str, ...] = ()
    stored: dict | None = None

    def mean(self, metric):
        return None if self.values[metric] is None else float(self.values[metric].mean())

    @property
    def replicates(self):
        """How many there are."""
        return len(self.row.runs)


@dataclass(frozen=True, kw_only=True)
class Group:
    """The lines that share one uncached model, which is the first. latency: the whole latency
    record, or None.
    """

    name: str
    lines: tuple[Line, ...]
    latency: dict | None
    latency_id: str
    provenances: dict[str, dict]  # of all runs, by their ids

    @property
    def title(self):
        """The name as a heading has it, with a capital letter."""
        return capital(self.name)


def groups_of(rows):
    """-> [(name of the group, rows)] in order. A row with the method and runs of another one is
    left out: two CURs may ask for the same number of fewer steps.
    """

    def distinct(rows):
        return list({(row.method, row.runs): row for row in rows}.values())

    return [(group, distinct(rows)) for group, rows in groupby(rows, key=lambda row: row.group)]


def artefacts(rows, costs=()):
    """Every artefact behind rows and training costs, the latencies of rows included, once each."""
    return with_needs([run for row in rows for run in row.runs] + latency_specs(rows) + list(costs))


def require(root, needed, command):
    """BadInput naming the first of `needed` whose record is not below `root`, and the command that
    makes it.
    """
    store = Store(root)
    missing = [artefact for artefact in needed if record(store, artefact) is None]
    if missing:
        others = f" and {len(missing) - 1} more are" if len(missing) > 1 else " is"
        raise BadInput(
            f"record: {store.record_path(missing[0])}{others} missing; "
            f"`{command}` makes what is missing"
        )


def finished(root, rows, costs):
    """-> those rows that have all their records below `root`, of groups whose first row has; those
    costs that have theirs; a sentence for each of the others.
    """
    store = Store(root)
    whole, sentences = [], []
    for group, all_rows in groups_of(rows):
        lacking = {}
        for row in all_rows:
            if missing := [a for a in with_needs(row.runs) if record(store, a) is None]:
                lacking[row] = missing[0].id
        if all_rows[0] in lacking:  # nothing to compare with
            lacking |= {row: lacking[all_rows[0]] for row in all_rows}
        whole += [row for row in all_rows if row not in lacking]
        sentences += [
            f"left out: {group}, {name(row)}: {id_} is missing" for row, id_ in lacking.items()
        ]
    measured = [cost for cost in costs if record(store, cost)]
    sentences += [f"left out: {cost.id} is missing" for cost in costs if cost not in measured]
    return whole, measured, sentences


def record(store, artefact):
    """The record of an artefact, or None. BadInput for one that is damaged, or that was made with
    another schema, scale or config.
    """
    stored = store.record(artefact)
    if stored is None:
        return None
    config = json.loads(canonical(artefact))
    for field in sorted({*config, *stored.get("config", {})}):
        value = stored.get("config", {}).get(field)
        if value != config.get(field):
            raise BadInput(
                f"record: {store.record_path(artefact)} was made with "
                f"{field} = {json.dumps(value)}, not {json.dumps(config.get(field))}; "
                "delete it to have it made again"
            )
    return stored


def load(root, rows):
    """Read all records behind rows -> [Group]. The runs' records must be there (see `require`)."""
    store = Store(root)
    specs = {spec.group: spec for spec in latency_specs(rows)}
    return [_group(store, group, group_rows, specs[group]) for group, group_rows in groups_of(rows)]


def same(root, rows):
    """{row.runs: Line} of those rows whose runs all have their records below `root`."""
    store = Store(root)
    finished = [row for row in rows if all(store.record_path(run).exists() for run in row.runs)]
    return {
        row.runs: _line(row, [record(store, run) for run in row.runs], None) for row in finished
    }


def _group(store, name, rows, spec):
    _check_pairs(rows)
    latency = record(store, spec)
    cells = {row: [record(store, run) for run in row.runs] for row in rows}
    lines = tuple(
        _line(row, records, latency, _stored(store, row)) for row, records in cells.items()
    )
    _check_reference(name, cells)
    stored = [one for records in cells.values() for one in records]
    provenances = {one["id"]: one["provenance"] for one in stored}
    return Group(
        name=name, lines=lines, latency=latency, latency_id=spec.id, provenances=provenances
    )


def _stored(store, row):
    records = [record(store, spec) for spec in row.runs[0].model.needs()]
    return records[0]["metrics"] if records else None


def _line(row, records, latency, stored=None):
    method(name(row))  # BadInput for an unknown method
    values = {metric: _array([r["metrics"][metric] for r in records]) for metric in METRICS}
    values |= {metric: _array([r["cost"][metric] for r in records]) for metric in COSTS}
    if row.stochastic and row.num_steps != row.runs[0].against:
        values["x0_mse"] = None  # another realisation: its distance says nothing of its quality
    values |= _ages([r["keep"] for r in records])
    curves = [r["metrics"]["x_mse_curve"] for r in records]
    return Line(
        row=row,
        values=values,
        curve=None if None in curves else np.array(curves),
        latency=latency and latency["rows"].get(row.runs[0].id),
        devices=tuple(dict.fromkeys(r["provenance"]["device"] for r in records)),
        stored=stored,
    )


def _ages(masks):
    """How many steps ago reused features were computed: the mean and the most, of each replicate.
    masks: as records have them, strings of 1 (compute) and 0 (reuse), one for each step.
    """
    ages = [_reused(np.array([[*step] for step in keep]) == "1") for keep in masks]
    if not all(map(len, ages)):
        return {"feature_age": None, "oldest_feature": None}
    return {
        "feature_age": np.array([age.mean() for age in ages]),
        "oldest_feature": np.array([age.max() for age in ages]),
    }


def _reused(keep):
    """The age of every reused entry of a mask (T, N), which computes all in its first step."""
    step = np.arange(len(keep))[:, None]
    return (step - np.maximum.accumulate(np.where(keep, step, 0)))[~keep]


def _check_pairs(rows):
    """BadInput where the replicates of two rows of a group differ: then nothing is paired."""
    expected, *others = [[(run.model.name, run.seed) for run in row.runs] for row in rows]
    for row, pairs in zip(rows[1:], others):
        message = f"those of the group's first row, {expected}, are needed, or nothing is paired"
        check(pairs == expected, f"replicates of {row.group}, {row.method}", pairs, message)


def _check_reference(group, cells):
    """BadInput where a group's runs were compared with statistics of different files."""
    found = {
        stored["metrics"].get("reference_sha256") for all_ in cells.values() for stored in all_
    }
    right = "delete the records that were compared with another one; they are made again"
    check(len(found) == 1, f"reference of {group}", sorted(map(str, found)), right)


def _array(values):
    return None if None in values else np.array(values, dtype=np.float64)


def images(root, run, count):
    """The first `count` images (count, C, H, W) of a run: of its samples, or of the few that are
    committed. BadInput where neither is there.
    """
    folder, committed = Store(root).samples(run), committed_images(root, run)
    try:
        if committed.exists():
            with np.load(committed, allow_pickle=False) as file:
                return file["images"][:count]
        return np.load(folder / "block-00000.npy", allow_pickle=False)[:count]
    except FileNotFoundError:
        raise BadInput(
            f"samples: neither {committed} nor {folder}/block-00000.npy is there"
        ) from None


def committed_images(root, run):
    return Path(root) / "samples" / f"{run.id}.npz"
