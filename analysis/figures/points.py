"""Every row of a group as a point: its two errors with intervals, and those of each replicate."""

from harmonica import plot

from ..compare import CARRYING
from ..methods import look, name
from .style import FLOOR, GRID, WIDTH, drawn_interval, line_name, log_ticks

CAPTION = (
    "Errors of every row on log axes: a point is the mean over replicates, the line through it its "
    "95 % interval, the ticks below it are the replicates, open markers are forms of a method, and "
    "the dotted line is the uncached model's own rFID."
)
LABELS = {"rFID": "rFID (dotted: uncached)", "x0_mse": "$x_0$ error"}


def shows(group):
    return len(group.lines) > 2


def draw(root, group, paths):
    """Points are means with 95 % intervals; small bars below them are replicates."""
    lines = group.lines[1:]
    with plot.drawing(paths, WIDTH, 0.85 + 0.2 * len(lines)) as figure:
        axes = figure.subplots(1, len(CARRYING), sharey=True)
        for ax, metric in zip(axes, CARRYING):
            for place, line in enumerate(lines):
                if line.values[metric] is not None:
                    _point(ax, place, line.values[metric], look(name(line.row)))
            if metric == "rFID":
                ax.axvline(group.lines[0].mean(metric), **FLOOR)
            ax.set(xscale="log", xlabel=LABELS[metric])
            log_ticks(ax.xaxis)
            ax.grid(axis="x", **GRID)
        axes[0].set(
            yticks=range(len(lines)),
            yticklabels=[line_name(line) for line in lines],
            ylim=(len(lines) - 0.5, -0.5),
        )
        figure.suptitle(group.title, fontsize=8)


def _point(ax, place, values, style):
    ax.plot(drawn_interval(values), [place, place], color=style["color"], linewidth=1)
    ax.plot(values.mean(), place, **{**style, "linestyle": "none", "markersize": 5})
    if len(values) > 1:
        ax.plot(
            values,
            [place + 0.28] * len(values),
            color=style["color"],
            marker="|",
            linestyle="none",
        )
