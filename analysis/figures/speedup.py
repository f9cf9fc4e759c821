"""Both errors of every row against measured and theoretical speedup. For DDIM with T = 10 the
paper's own points are shown too, in separate panels.
"""

import numpy as np

from harmonica import plot

from ..compare import CARRYING
from ..methods import look, name, series
from ..paper_numbers import published
from .style import FLOOR, PANEL, WIDTH, drawn_interval, legend, log_ticks

CAPTION = (
    "Errors, on log axes, against speedup: points are means over replicates, upright bars their "
    "95 % intervals, level bars the quartiles of measured speedups, open markers a form of a "
    "method, and the dotted line is the uncached model's own rFID."
)
PAPER_STEPS = 10  # the T of the paper's figure
LABELS = {"rFID": "rFID", "x0_mse": "$x_0$ error"}
PAPER = {"FID_approx": "FID", "IS_approx": "IS"}


def shows(group):
    return len(group.lines) > 2


def draw(root, group, paths):
    """The rows of a method are joined, in the order of speedup."""
    speeds = {"theoretical speedup (MACs)": theoretical}
    if any(line.latency for line in group.lines[1:]):
        speeds = {"measured speedup (latency)": measured, **speeds}
    paper = _paper(group)
    columns = len(speeds) + bool(paper)
    with plot.drawing(paths, min(WIDTH, 1.6 + PANEL * columns), 2 * PANEL + 0.2) as figure:
        axes = figure.subplots(2, columns, squeeze=False, sharex="col")
        for column, (title, speed) in zip(axes.T, speeds.items()):
            for ax, metric in zip(column, CARRYING):
                _panel(ax, group, metric, speed)
            column[0].set_title("here: " + group.lines[0].row.model)
            column[-1].set_xlabel(title)
        for ax, metric in zip(axes[:, 0], CARRYING):
            ax.set_ylabel(LABELS[metric])
        figure.suptitle(group.title, fontsize=8)
        if paper:
            _paper_panels(axes[:, -1], paper)
        legend(figure, axes[:, : len(speeds)].flat)


def theoretical(line):
    """A line's speedup by MACs as a triple like that of `measured`: it has no spread."""
    return (line.mean("speedup_theoretical"),) * 3


def measured(line):
    """-> (median, first quartile, third quartile) of a line's measured speedup, or None."""
    return line.latency and (line.latency["speedup"], *line.latency["speedup_iqr"])


def by_series(group):
    """{name of a series: its lines}. All intervals of a method are one series, and so are all
    numbers of steps.
    """
    by_name = {}
    for line in group.lines[1:]:
        by_name.setdefault(series(line.row), []).append(line)
    return by_name


def told(method, lines):
    """A series' name for the legend, with what its points differ in where that is not the CUR."""
    rows = [line.row for line in lines]
    if rows[0].uncached:
        return f"{rows[0].sampler}, {', '.join(str(row.num_steps) for row in rows)} steps"
    if len({name(row) for row in rows}) > 1:
        return f"{method}, intervals {_in_words(sorted(map(_interval, rows)))}"
    return method


def _interval(row):
    run = row.runs[0]
    return run.interval or (run.made and run.made.interval) or 2


def _in_words(numbers):
    first, *_, last = numbers
    if numbers == list(range(first, last + 1)) and len(numbers) > 2:
        return f"{first} to {last}"
    return ", ".join(map(str, numbers))


def _panel(ax, group, metric, speed):
    for method, lines in by_series(group).items():
        draw_series(ax, lines, metric, speed, label=told(method, lines), **look(method))
    floor = group.lines[0].mean(metric)
    if floor:
        ax.axhline(floor, **FLOOR, label="uncached")
    ax.set(yscale="log")
    log_ticks(ax.yaxis)


def draw_series(ax, lines, metric, speed, **style):
    """One method's lines in the order of speedup, with the intervals of both axes."""
    drawn = [(speed(line), line.values[metric]) for line in lines]
    drawn = [(speeds, values) for speeds, values in drawn if speeds and values is not None]
    if not drawn:
        return
    drawn.sort(key=lambda pair: pair[0])
    x, left, right = np.array([speeds for speeds, _ in drawn]).T
    y = np.array([values.mean() for _, values in drawn])
    low, high = np.array([drawn_interval(values) for _, values in drawn]).T
    across, up = np.maximum([x - left, right - x], 0), np.maximum([y - low, high - y], 0)
    ax.errorbar(x, y, yerr=up, xerr=across, elinewidth=0.6, **style)


def _paper(group):
    """The paper's points, {method: [row]}; {} where the group has another sampler or T."""
    uncached = group.lines[0].row
    by_method = {}
    if uncached.num_steps == PAPER_STEPS and uncached.sampler == "DDIM":
        for row in published("figure_speedup_vs_quality_T10"):
            by_method.setdefault(row["method"], []).append(row)
    return by_method


def _paper_panels(axes, paper):
    for ax, (column, label) in zip(axes, PAPER.items()):
        for method, rows in paper.items():
            x, y = ([float(row[field]) for row in rows] for field in ("speedup", column))
            ax.plot(x, y, label=method, **look(method))
        ax.set_ylabel(label)
    axes[0].legend(loc="upper left")
    axes[0].set_title("paper: DiT-XL/2 256x256, T = 10")
    axes[-1].set_xlabel("speedup as the paper reports it")
