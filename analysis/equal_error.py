"""How much compute each method needs for the error that HarmoniCa has at CUR 50 %."""

from itertools import pairwise

import numpy as np

from . import methods
from .methods import HARMONICA

CUR, METRIC = 50, "x0_mse"
TITLE = f"Compute for HarmoniCa's error at CUR {CUR} %"
ABOUT = (
    "Multiply-accumulates in per cent of the uncached model's at which a method's x_0 error is that "
    f"of HarmoniCa at CUR {CUR} %: between two of its rows on a straight line in log error. < and "
    ">: its row of least compute has a lower error still, or that of most compute a higher one. "
    "Methods with one row are left out."
)


def blocks(groups):
    """Blocks: a heading, a text and a table with a column for each group; [] without anything."""
    found = {group.name: needed(group) for group in groups}
    found = {name: own for name, own in found.items() if len(own) > 1}
    if not found:
        return []
    names = dict.fromkeys(name for own in found.values() for name in own)
    rows = [[name, *(own.get(name, "") for own in found.values())] for name in names]
    return [("heading", 2, TITLE), ("text", ABOUT), ("table", ["method", *found], rows)]


def needed(group):
    """{method: per cent of the uncached model's compute, as text} in a records.Group; {} where
    HarmoniCa has no row at this CUR.
    """
    points, goal = {}, None
    for line in group.lines[1:]:
        if line.values[METRIC] is None:
            continue
        name, error = methods.series(line.row), line.mean(METRIC)
        points.setdefault(name, []).append((100 / line.mean("speedup_theoretical"), error))
        if name == HARMONICA and line.row.cur_percent == CUR:
            goal = error
    if goal is None:
        return {}
    told = {name: own for name, own in points.items() if len(own) > 1 or name == HARMONICA}
    return {name: _at(sorted(own), goal) for name, own in told.items()}


def _at(points, goal):
    """The compute at which a method first reaches the error `goal`, as text. points: [(compute,
    error)] by rising compute.
    """
    least, error = points[0]
    if error <= goal:
        return "< " * (error < goal) + f"{least:.1f}"
    for (before, higher), (after, lower) in pairwise(points):
        if lower <= goal:
            share = np.log(higher / goal) / np.log(higher / lower)
            return f"{before + share * (after - before):.1f}"
    return f"> {points[-1][0]:.1f}"
