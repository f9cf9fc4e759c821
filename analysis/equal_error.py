"""How much compute each method needs for the error that HarmoniCa has at CUR 50 %."""

from itertools import pairwise

import numpy as np

from . import methods
from .compare import places
from .methods import HARMONICA

CUR, METRIC = 50, "x0_mse"
TITLE = f"Compute for HarmoniCa's error at CUR {CUR} %"
ABOUT = (
    "How much compute a method needs for the x_0 error that HarmoniCa has at "
    f"CUR {CUR} %, in per cent of the uncached model's multiply-accumulates (less is better). "
    "Between two of a method's rows, the log error is taken to change linearly with compute. < "
    "means that even the row with the least compute has a lower error, > that even the row with "
    "the most compute has a higher one. Methods and settings with only one row are left out."
)


def blocks(groups):
    """Blocks: a heading, a text and a table with a column for each group; [] without anything."""
    by_group = {place: needed(group) for place, group in zip(places(groups), groups)}
    by_group = {name: by_method for name, by_method in by_group.items() if len(by_method) > 1}
    if not by_group:
        return []
    every = dict.fromkeys(name for by_method in by_group.values() for name in by_method)
    names = sorted(every, key=methods.place_of)
    rows = [[name, *(by_method.get(name, "") for by_method in by_group.values())] for name in names]
    return [("heading", 2, TITLE), ("text", ABOUT), ("table", ["method", *by_group], rows)]


def needed(group):
    """{method: per cent of the uncached model's compute, as text} in a records.Group; {} where
    HarmoniCa has no row at this CUR.
    """
    points = {}
    goal = None
    for line in group.lines[1:]:
        if line.values[METRIC] is None:
            continue
        name, error = methods.series(line.row), line.mean(METRIC)
        points.setdefault(name, []).append((100 / line.mean("speedup_theoretical"), error))
        if name == HARMONICA and line.row.cur_percent == CUR:
            goal = error
    if goal is None:
        return {}
    curves = {name: curve for name, curve in points.items() if len(curve) > 1 or name == HARMONICA}
    return {name: _at(sorted(curve), goal) for name, curve in curves.items()}


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
