"""What training a router costs, method by method: seconds, training images and memory, from records
of the kind "training".
"""

from dataclasses import dataclass

import pandas as pd

from harmonica.errors import check
from harmonica.lab.store import Store

from .claims import Claim, overall
from .compare import LOSES, OPEN, WINS
from .document import capital, listed, markdown, text, write
from .methods import ALL_PAIRS, DIRECT, HARMONICA, RELEASED
from .paper_numbers import block as paper_block
from .records import record
from .report import SAID, csv_path, origins, said

ABOUT = (
    "The methods were measured in turn on one machine, with nothing else running. Seconds per "
    "trajectory are the median [interquartile range] of repeats; there are no replicates here. "
    "Seconds in total are this median times the router's number of trajectories, plus IEPO's "
    "measurements of lambda. Memory is {memory}. Images are the training images that were drawn."
)
OF_UPDATE = "what autograd keeps for one update"
WHOLE = (
    "that of all tensors alive at once in one trajectory, including the weights of linear layers"
)
ON_GPU = "the GPU's peak in one trajectory, above what was allocated before"
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
SHOWN = (
    "method",
    "images",
    "updates",
    "s per trajectory",
    "s per lambda",
    "s in total",
    "memory MB",
)
COMPARED = (
    "setting",
    "against",
    "training images",
    "time per update",
    "time in total (not counted)",
    "memory",
)
RECOMPUTED = f"{DIRECT}, recomputed"  # step by step in its backward pass
PAPERS_TIME, PAPERS_MEMORY = 5, 10  # of training for x_0 itself, over HarmoniCa's


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One method of one group: the rows.<router id> of its record."""

    group: str
    method: str
    router: object
    measured: dict

    @property
    def total(self):
        """Seconds of a whole training."""
        return self.measured["seconds_total"]

    @property
    def per_update_ms(self):
        """Median, first and third quartile; each update has its share of measuring lambda."""
        middle, quartiles = self.measured["seconds_per_trajectory"], self.measured["seconds_iqr"]
        return [
            1000
            * (self.total + self.router.training.trajectories * (seconds - middle))
            / self.measured["updates"]
            for seconds in (middle, *quartiles)
        ]


def load(root, specs):
    """-> ([[Cost] of each TrainingCostSpec], their provenances). The records must be there
    (records.require).
    """
    records = [record(Store(root), spec) for spec in specs]
    groups = [
        [
            Cost(group=spec.group, method=method, router=router, measured=stored["rows"][router.id])
            for method, router in spec.rows
        ]
        for spec, stored in zip(specs, records)
    ]
    return groups, [stored["provenance"] for stored in records]


def render(table, root, out, scale):
    """Write tables/ of a tables.Table without rows below `out` -> (paths, text to print)."""
    specs = table.costs(scale)
    groups, provenances = load(root, specs)
    blocks = [("heading", 1, f"{table.title} at {scale} scale")]
    blocks += document(groups, provenances, any(spec.whole_memory for spec in specs))
    rows = [_plain(cost) for group in groups for cost in group]
    csv = pd.DataFrame(rows, columns=COLUMNS).to_csv(index=False, lineterminator="\n")
    content = markdown(blocks + paper_block(table.published) + origins(provenances))
    path = csv_path(out, table, scale)
    return [write(path, csv), write(path.with_suffix(".md"), content)], text(blocks)


def document(groups, provenances, whole_memory=False):
    """Blocks: a table for each group, and what they say. whole_memory: as in TrainingCostSpec."""
    memory = WHOLE if whole_memory else OF_UPDATE
    if not all(made["device"].endswith(" cores") for made in provenances):
        memory = ON_GPU
    blocks = [("text", ABOUT.format(memory=memory))]
    for group, origin in zip(groups, provenances):
        machine = (
            f"On {origin['device']}, {origin['threads']} thread{'s' * (origin['threads'] > 1)}."
        )
        rows = [_cells(cost) for cost in group]
        blocks += [
            ("heading", 2, capital(group[0].group)),
            ("text", machine),
            ("table", list(SHOWN), rows),
        ]
    return blocks + [("heading", 2, SAID), *said(claim(groups))]


def _cells(cost):
    measured, (low, high) = cost.measured, cost.measured["seconds_iqr"]
    lambda_ = measured["lambda_seconds"]
    return [
        cost.method,
        str(measured["images"]),
        str(measured["updates"]),
        f"{measured['seconds_per_trajectory']:.3g} [{low:.3g}, {high:.3g}]",
        "" if lambda_ is None else f"{lambda_:.3g}",
        f"{cost.total:.3g}",
        f"{measured['memory_bytes'] / 1e6:.3g}",
    ]


def _plain(cost):
    """A row of the CSV."""
    low, high = cost.measured["seconds_iqr"]
    measured = {name: cost.measured[name] for name in COLUMNS if name in cost.measured}
    return measured | {
        "group": cost.group,
        "method": cost.method,
        "router_id": cost.router.id,
        "seconds_q1": low,
        "seconds_q3": high,
        "trajectories": cost.router.training.trajectories,
    }


def claim(groups):
    """The Claim of a table of training costs: what it says of training for x_0 itself if that is
    in it, else of HarmoniCa against Learning-to-Cache.
    """
    direct = any(cost.method == DIRECT for group in groups for cost in group)
    return (of_direct if direct else of_standard)(groups)


def of_direct(groups):
    """The Claim that training for x_0 itself takes as many times HarmoniCa's time and memory as the
    paper says, with all that backpropagation needs kept, and with steps computed again.
    """
    rows, marks = [], []
    for group in groups:
        costs = {cost.method: cost for cost in group}
        ours = costs[HARMONICA]
        for other in (costs[DIRECT], costs[RECOMPUTED]):
            time = other.total / ours.total
            memory = other.measured["memory_bytes"] / ours.measured["memory_bytes"]
            row_marks = [_reached(time, PAPERS_TIME), _reached(memory, PAPERS_MEMORY)]
            marks += row_marks
            factors = [f"**{m}** {f:.2g}" for m, f in zip(row_marks, (time, memory))]
            rows.append((ours.group, other.method, *factors))
    return Claim(
        title=f"Training for x_0 itself takes {PAPERS_TIME} times the time "
        f"and {PAPERS_MEMORY} times the memory",
        verdict=overall(marks),
        sentence="the factors compare with HarmoniCa's whole training. **wins** means that the "
        "paper's factor is reached, **loses** that it is not. Memory grows with the number of "
        "steps",
        marks=tuple(marks),
        headings=("setting", "objective", "time", "memory"),
        rows=tuple(rows),
    )


def _reached(factor, papers):
    return WINS if factor >= papers else LOSES


def of_standard(groups):
    """The Claim that HarmoniCa's training draws no images and that an update takes less time (in
    the paper all methods have equally many). BadInput where a method is missing.
    """
    rows, marks = [], []
    by_group = [{cost.method: cost for cost in group} for group in groups]
    for group, methods in zip(groups, by_group):
        for name in (HARMONICA, RELEASED, ALL_PAIRS):
            check(name in methods, "claim", name, f"{group[0].group} has no such method")
        for name in (RELEASED, ALL_PAIRS):
            row, row_marks = _compared(methods[HARMONICA], methods[name])
            rows.append(row)
            marks += row_marks
    ratios = {
        name: [methods[HARMONICA].total / methods[name].total for methods in by_group]
        for name in (RELEASED, ALL_PAIRS)
    }
    in_total = " and ".join(
        f"{listed(f'{ratio:.2g}' for ratio in totals)} times as long as {name}"
        for name, totals in ratios.items()
    )
    return Claim(
        title="Training HarmoniCa draws no images, and an update takes less time",
        verdict=overall(marks),
        sentence="HarmoniCa's updates start from noise, and their time includes measuring lambda. "
        "**wins** and **loses** refer to HarmoniCa; a difference in time counts only if the "
        "quartiles do not overlap. The time in total does not count, because it depends on how "
        "many rows a form trains: Learning-to-Cache as released trains every second one. In total "
        f"HarmoniCa takes {in_total}",
        marks=tuple(marks),
        headings=COMPARED,
        rows=tuple(rows),
    )


def _compared(ours, other):
    """-> (cells below COMPARED, marks) of HarmoniCa against another method."""
    middle, low, high = ours.per_update_ms
    theirs, other_low, other_high = other.per_update_ms
    time = WINS if high < other_low else LOSES if low > other_high else OPEN
    images = WINS if ours.measured["images"] < other.measured["images"] else LOSES
    mark = OPEN if time == OPEN else f"**{time}**"
    memory = ours.measured["memory_bytes"] / other.measured["memory_bytes"]
    row = (
        ours.group,
        other.method,
        f"**{images}** {ours.measured['images']} / {other.measured['images']}",
        f"{mark} {middle / theirs:.3g}: {middle:.3g} ms [{low:.3g}, {high:.3g}] / {theirs:.3g} ms "
        f"[{other_low:.3g}, {other_high:.3g}]",
        f"{ours.total:.3g} s / {other.total:.3g} s",
        f"ratio {memory:.3g}",
    )
    return row, (images, time)
