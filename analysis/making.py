"""What a row's schedules took to make, and the cache that its runs hold: a block of the document
and columns of the CSV.
"""

from dataclasses import dataclass

import numpy as np

from harmonica.lab.estimates import training_forwards
from harmonica.lab.ids import with_needs
from harmonica.lab.store import Store

from . import table
from .records import record

FLOAT_BYTES = 4  # of what is cached at the scales without a GPU
COLUMNS = ("cache_kB_per_image", "making_seconds", "making_forwards")
HEADINGS = ("cache kB", "seconds", "forwards")
ABOUT = (
    "Cache is the largest amount held between two steps, for one image; a block that will be "
    "predicted holds two features, once two were computed. Seconds are those that making a "
    "schedule took on one of the devices below, with other processes beside it. Forwards are "
    "counted for one image, a backward as two: a router's follow from its settings, all others "
    "were counted as they were made. A mask or a router that had to be made first is included. "
    "Where nothing is made, both are 0."
)


@dataclass(frozen=True, kw_only=True)
class Making:
    """Means over a row's runs."""

    cache_kb: float
    seconds: float
    forwards: float

    @property
    def texts(self):
        return [f"{self.cache_kb:.4g}", f"{self.seconds:.3g}", f"{self.forwards:,.0f}"]

    @property
    def cells(self):
        """Texts for the columns COLUMNS of the CSV."""
        return [f"{n:.6g}" for n in (self.cache_kb, self.seconds, self.forwards)]


def makings(root, groups):
    """For each group (records.Group) the Makings of its lines, from the records below `root`."""
    store = Store(root)
    return [[_of(store, line.row.runs) for line in group.lines] for group in groups]


def _of(store, runs):
    elements = [record(store, run)["cost"]["cache_elements_per_image"] for run in runs]
    efforts = np.array([_made(store, run.router or run.made) for run in runs])
    return Making(
        cache_kb=FLOAT_BYTES * float(np.mean(elements)) / 1000,
        seconds=float(efforts[:, 0].mean()),
        forwards=float(efforts[:, 1].mean()),
    )


def _made(store, spec):
    """Seconds and forwards of a router or schedule, with those of the artefacts that it needs."""
    parts = [need for need in with_needs([spec] if spec else []) if need.kind != "compressed"]
    records = [record(store, part) for part in parts]
    forwards = [
        training_forwards(part) if part.kind == "router" else stored["metrics"]["forwards"]
        for part, stored in zip(parts, records)
    ]
    return sum(stored["provenance"]["wall_s"] for stored in records), sum(forwards)


def block(group, line_makings):
    """The table of a records.Group. line_makings: [Making] of its lines."""
    headings, names = table.named(group)
    rows = [[*name, *effort.texts] for name, effort in zip(names, line_makings)]
    return "table", [*headings, *HEADINGS], rows


def columns(makings_by_group):
    """{column of the CSV: its texts} for all lines of all groups."""
    rows = [effort.cells for group in makings_by_group for effort in group]
    return dict(zip(COLUMNS, zip(*rows)))
