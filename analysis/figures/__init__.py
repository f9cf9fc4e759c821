"""The figures of a group of rows, one module each: which a group has, their files, drawing them.

Every figure is written as PNG, for where the repository is browsed, and as PDF beside it.
"""

from pathlib import Path

from harmonica.lab.ids import slug_of

from . import curves, error, frontier, heat_maps, lambdas, points, samples, speedup, sweep

FIGURES = {
    "samples": samples,
    "routers": heat_maps,
    "error": error,
    "training": curves,
    "speedup": speedup,
    "lambda": lambdas,
    "methods": points,
    "sweep": sweep,
}
CAPTIONS = {name: module.CAPTION for name, module in FIGURES.items()} | {
    "frontier": frontier.CAPTION
}
WORDS = {  # what each shows, for those who do not see it
    "samples": "images from the same noise",
    "routers": "which blocks are skipped at which step",
    "error": "error along the trajectory",
    "training": "training of the routers",
    "speedup": "errors against speedup",
    "lambda": "lambda at each step",
    "methods": "errors of every row",
    "sweep": "errors and CUR against one option of training",
}
TABLE = ("samples", "routers", "error", "training", "speedup")
# The figures of other groups, by the first words of the group's name; the first entry that fits
# counts.
OTHERS = {
    "Quantisation": ("samples", "routers", "error", "training", "methods"),
    "SDT against standard training": ("error", "samples", "routers", "training", "methods"),
    "IEPO against MSE, last step reused": ("error", "methods"),
    "IEPO against MSE": ("error", "lambda", "routers", "methods"),
    "refresh of lambda": ("sweep",),
    "threshold": ("sweep",),
    "CUR and quality": ("speedup",),
    "transfer between": ("methods",),
    "our search": ("methods",),
    "distance of lambda": ("methods",),
    "router": ("methods",),
    "beta given": ("sweep",),
    "Learning-to-Cache's training": ("training", "methods"),
    "what a router is trained for": ("error", "training", "methods"),
}


def possible(name):
    """All figures that a group of this name may have."""
    return next((figures for start, figures in OTHERS.items() if name.startswith(start)), TABLE)


def names(group):
    """The figures of a records.Group: those possible that have something to show."""
    return tuple(name for name in possible(group.name) if FIGURES[name].shows(group))


def draw(root, groups, folder):
    """Draw all figures of the groups (records.Group) below `folder` -> their paths. BadInput where
    samples or a router are missing.
    """
    paths = []
    for group in groups:
        for name in names(group):
            files = [Path(folder) / file_name(group, name, suffix) for suffix in ("png", "pdf")]
            FIGURES[name].draw(root, group, files)
            paths += files
    return paths


def draw_frontier(groups, folder, table):
    """Draw the frontier of all groups of a table (its name) -> the paths; [] where there is nothing
    to show.
    """
    if not frontier.shows(groups):
        return []
    paths = [Path(folder) / frontier_name(table, suffix) for suffix in ("png", "pdf")]
    frontier.draw(groups, paths)
    return paths


def frontier_name(table, suffix="png"):
    return f"{table}.frontier.{suffix}"


def file_name(group, figure, suffix="png"):
    """group: a records.Group, or any object with a group's name."""
    return f"{slug_of(group.name)}.{figure}.{suffix}"


def pictured(rows):
    """The runs whose images the sample grids show: the first of each row, in groups that have such
    a grid.
    """
    runs = [row.runs[0] for row in rows if "samples" in possible(row.group)]
    return list({run.id: run for run in runs}.values())
