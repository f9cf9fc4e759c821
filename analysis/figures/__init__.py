"""The figures of a group of rows, one module each: which a group has, what their files are called,
and drawing them.

Every figure is written as PNG, for where the repository is browsed, and as PDF beside it.
"""

import re
from pathlib import Path

from . import curves, error, heat_maps, lambdas, methods, samples, speedup, sweep

FIGURES = {
    "samples": samples,
    "routers": heat_maps,
    "error": error,
    "training": curves,
    "speedup": speedup,
    "lambda": lambdas,
    "methods": methods,
    "sweep": sweep,
}
TABLE = ("samples", "routers", "error", "training", "speedup")
# An ablation shows what it tells something of. By the first words of its group's name; the first
# that fits counts.
ABLATIONS = {
    "SDT against standard training": ("error", "samples", "routers", "training", "methods"),
    "IEPO against MSE, last step reused": ("error", "methods"),
    "IEPO against MSE": ("error", "lambda", "routers", "methods"),
    "refresh of lambda": ("sweep",),
    "threshold": ("sweep",),
    "CUR and quality": ("speedup",),
    "transfer between": ("methods",),
}


def names(group):
    """The figures of a group, given by its name or as a records.Group: of the latter only those
    with something to show.
    """
    if isinstance(group, str):
        return next((own for start, own in ABLATIONS.items() if group.startswith(start)), TABLE)
    return tuple(name for name in names(group.name) if FIGURES[name].shows(group))


def draw(root, groups, folder):
    """Draw all figures of records.Group's below `folder` -> their paths. BadInput where samples or
    a router are missing.
    """
    paths = []
    for group in groups:
        for name in names(group):
            own = [Path(folder) / file_name(group, name, suffix) for suffix in ("png", "pdf")]
            FIGURES[name].draw(root, group, own)
            paths += own
    return paths


def file_name(group, figure, suffix="png"):
    """Of a records.Group, or of whatever else has a group's name."""
    stem = re.sub(r"[^a-z0-9]+", "-", group.name.lower()).strip("-")
    return f"{stem}.{figure}.{suffix}"


def pictured(rows):
    """The runs whose images the sample grids show: of every row the first, in groups that have such
    a grid.
    """
    return list(
        {row.runs[0].id: row.runs[0] for row in rows if "samples" in names(row.group)}.values()
    )
