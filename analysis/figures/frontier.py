"""Error of the final image against theoretical and against measured speedup: all methods, with a
panel of each kind for every group.

The grey line is the frontier: the lowest error that any method has at a speedup or beyond it. Each
panel is as wide as its own speedups.
"""

import textwrap

from matplotlib.ticker import MaxNLocator

from harmonica import plot

from ..compare import places
from ..methods import look, place_of
from .speedup import by_series, draw_series, measured, theoretical
from .style import GRID, PANEL, WIDTH, legend, log_ticks

CAPTION = (
    "Error of the final image against speedup by MACs and as measured: points are means over "
    "replicates, upright bars their 95 % intervals, level bars the quartiles of measured speedups, "
    "and the grey line is the lowest error that any method has at a speedup or beyond it."
)
METRIC = "x0_mse"
BESIDE = 4  # groups side by side; further ones go below
LETTERS = 104  # that fit into all titles of a line of panels
MARKER = {"markersize": 5.5, "markeredgewidth": 0.8}
FRONTIER = {"color": "#cccccc", "linewidth": 2.5, "zorder": 0, "solid_capstyle": "butt"}
BEST = "frontier: lowest error"
SPEEDS = {"theoretical speedup": theoretical, "measured speedup": measured}


def shows(groups):
    return any(len(group.lines) > 2 for group in groups)


def draw(groups, paths):
    """Theory above measurement for each records.Group; for a single group the two side by side."""
    beside = min(len(groups), BESIDE)
    rows = len(SPEEDS) * -(-len(groups) // beside)
    shape = (1, len(SPEEDS)) if len(groups) == 1 else (rows, beside)
    titles = places(groups)
    with plot.drawing(paths, WIDTH, 0.95 * PANEL * shape[0] + 0.5) as figure:
        axes = figure.subplots(*shape, squeeze=False, sharey="row")
        below = axes.T if len(groups) == 1 else axes
        for index, group in enumerate(groups):
            row, column = divmod(index, beside)
            panels = below[len(SPEEDS) * row :, column]
            if len(groups) > 1:
                panels[0].set_title(_in_lines(titles[index], LETTERS // beside))
            for ax, (title, speed) in zip(panels, SPEEDS.items()):
                _panel(ax, group, speed)
                ax.set_xlabel(title)
        for ax in axes[:, 0]:
            ax.set_ylabel("$x_0$ error")
        for ax in axes.flat:
            if not ax.has_data():
                ax.set_axis_off()
        if len(groups) == 1:
            figure.suptitle(groups[0].title, fontsize=8)
        spare = rows > len(SPEEDS) and len(groups) % beside  # the last place has no group
        legend(figure, axes.flat, axes[-len(SPEEDS), -1] if spare else None)


def _in_lines(title, letters):
    """A title in lines as wide as a panel; "T = 10" and "CUR 50 %" stay together."""
    unbroken = title
    for words in (" = ", " %", "CUR "):
        unbroken = unbroken.replace(words, words.replace(" ", "\xa0"))
    return textwrap.fill(unbroken, letters, break_on_hyphens=False)


def _panel(ax, group, speed):
    lines_by_name = by_series(group)
    for name in sorted(lines_by_name, key=place_of):
        draw_series(ax, lines_by_name[name], METRIC, speed, label=name, **look(name), **MARKER)
    lines = [line for line in group.lines[1:] if line.values[METRIC] is not None and speed(line)]
    if not lines:
        return
    _frontier(ax, [(speed(line)[0], line.mean(METRIC)) for line in lines])
    ax.set(yscale="log")
    ax.margins(x=0.08)
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 2.5, 5, 10), min_n_ticks=3))
    ax.grid(**GRID)
    log_ticks(ax.yaxis)


def _frontier(ax, points):
    """A step line through the points (speedup, error) that no other one beats in both."""
    best = []
    for x, y in sorted(points, key=lambda point: (-point[0], point[1])):
        if not best or y < best[-1][1]:
            best.append((x, y))
    if best:
        ax.step(*zip(*best), where="post", label=BEST, **FRONTIER)
