"""What training a router costs, per method: seconds, training images and memory, from records of
the kind "training".
"""

from dataclasses import dataclass

import pandas as pd

from harmonica.lab.store import Store

from .claims import Claim, overall
from .document import markdown, text, write
from .paper_numbers import block as paper_block
from .records import record
from .report import SAID, csv_path, origins, said

OURS, STANDARD = "HarmoniCa", "Learning-to-Cache"
ABOUT = (
    "Measured alone on one machine, the methods in turn: seconds of one trajectory, median [interquartile range]; "
    "seconds in total are that times the router's trajectories, and IEPO's measurements of lambda. Memory is what "
    "autograd keeps of one update. Images are training images drawn. No seeds: the intervals are those of repeats."
)
COLUMNS = (
    "group",
    "method",
    "router_id",
    "trajectories",
    "updates",
    "images",
    "seconds_per_trajectory",
    "seconds_q1",
    "seconds_q3",
    "lambda_seconds",
    "seconds_total",
    "memory_bytes",
)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One method of one group. total: seconds of a whole training."""

    group: str
    method: str
    router: object
    measured: dict

    @property
    def total(self):
        return self.measured["seconds_total"]

    @property
    def per_update_ms(self):
        """Median, first and third quartile, lambda's share included."""
        middle, quartiles = self.measured["seconds_per_trajectory"], self.measured["seconds_iqr"]
        return [
            1000
            * (self.total + self.router.training.trajectories * (seconds - middle))
            / self.measured["updates"]
            for seconds in (middle, *quartiles)
        ]


def load(root, specs):
    """-> ([[Cost] per specs.TrainingCostSpec], their provenances). The records must be there
    (records.require).
    """
    found = [record(Store(root), spec) for spec in specs]
    return (
        [
            [
                Cost(
                    group=spec.group, method=method, router=router, measured=own["rows"][router.id]
                )
                for method, router in spec.rows
            ]
            for spec, own in zip(specs, found)
        ],
        [own["provenance"] for own in found],
    )


def render(table, root, out, scale):
    """Write tables/ of a tables.Table without rows below `out` -> (paths, text to print)."""
    groups, provenances = load(root, table.costs(scale))
    blocks = [("heading", 1, f"{table.title} at {scale} scale"), *document(groups, provenances)]
    rows = [_plain(cost) for group in groups for cost in group]
    csv = pd.DataFrame(rows, columns=COLUMNS).to_csv(index=False, lineterminator="\n")
    whole = markdown(blocks + paper_block(table.published) + origins(provenances))
    path = csv_path(out, table, scale)
    return [write(path, csv), write(path.with_suffix(".md"), whole)], text(blocks)


def document(groups, provenances):
    """Blocks: a table per group, and what it says."""
    blocks = [("text", ABOUT)]
    for group, made in zip(groups, provenances):
        where = f"On {made['device']}, {made['threads']} thread{'s' * (made['threads'] > 1)}."
        blocks += [("heading", 2, group[0].group), ("text", where), _shown(group)]
    return (
        blocks
        + [("heading", 2, SAID)]
        + [block for claim in claims(groups) for block in said(claim)]
    )


def _shown(group):
    rows = []
    for cost in group:
        own, (low, high) = cost.measured, cost.measured["seconds_iqr"]
        rows.append(
            [
                cost.method,
                str(own["images"]),
                str(own["updates"]),
                f"{own['seconds_per_trajectory']:.3g} [{low:.3g}, {high:.3g}]",
                "" if own["lambda_seconds"] is None else f"{own['lambda_seconds']:.3g}",
                f"{cost.total:.3g}",
                f"{own['memory_bytes'] / 1e6:.3g}",
            ]
        )
    return (
        "table",
        [
            "method",
            "images",
            "updates",
            "s per trajectory",
            "s per lambda",
            "s in total",
            "memory MB",
        ],
        rows,
    )


def _plain(cost):
    low, high = cost.measured["seconds_iqr"]
    own = {name: cost.measured[name] for name in COLUMNS if name in cost.measured}
    return {
        "group": cost.group,
        "method": cost.method,
        "router_id": cost.router.id,
        "seconds_q1": low,
        "seconds_q3": high,
        "trajectories": cost.router.training.trajectories,
        **own,
    }


def claims(groups):
    """-> [Claim]: training needs no images; an update takes less time than in standard training, as
    the paper's equally many do.
    """
    pairs = [
        (ours, other)
        for group in groups
        for ours in group
        if ours.method == OURS
        for other in group
        if other.method.startswith(STANDARD)
    ]
    return [image_free(groups), faster(pairs)] if pairs else []


def image_free(groups):
    drawn = [
        f"{cost.group}, {cost.method}: {cost.measured['images']} training images"
        for group in groups
        for cost in group
    ]
    free = all(
        cost.measured["images"] == 0
        for group in groups
        for cost in group
        if not cost.method.startswith(STANDARD)
    )
    return Claim(
        title="Training with SDT draws no training images",
        verdict="holds" if free else "does not hold",
        summary="this follows from what an update draws: noise alone, or noised images",
        findings=tuple(drawn),
    )


def faster(pairs):
    verdicts, findings = [], []
    for ours, other in pairs:
        (own, low, high), (theirs, other_low, other_high) = ours.per_update_ms, other.per_update_ms
        verdicts.append("lower" if high < other_low else "higher" if low > other_high else "open")
        memory = ours.measured["memory_bytes"] / other.measured["memory_bytes"]
        findings.append(
            f"{ours.group}: {ours.method} {own:.3g} ms an update [{low:.3g}, {high:.3g}], {other.method} "
            f"{theirs:.3g} ms [{other_low:.3g}, {other_high:.3g}], ratio {own / theirs:.3g}; ratio of memory {memory:.3g}"
        )
    return Claim(
        title="An update of HarmoniCa takes less time than one of Learning-to-Cache",
        verdict=overall(verdicts),
        summary="measuring lambda is counted in; an ordering needs quartiles that do not overlap",
        findings=tuple(findings),
    )
