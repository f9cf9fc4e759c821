"""lambda of IEPO at each step, before and after training, by its definitions: leave-one-out or
cumulative, soft or hard scores.
"""

import numpy as np
from matplotlib.ticker import MaxNLocator

from harmonica import plot

from ..methods import look, name
from . import routers
from .style import PANEL, WIDTH, legend, log_ticks

CAPTION = (
    "lambda at each step, before training and as last measured, on a log axis: lines are means "
    "over replicates, bands reach from the lowest replicate to the highest, open markers are hard "
    "scores, and steps where lambda is zero are left out."
)


def shows(group):
    return any(map(_weighted, group.lines))


def _weighted(line):
    return routers.own(line) and line.row.runs[0].router.training.objective != "mse"


def draw(root, group, paths):
    """The first and the last measurement: the mean over replicates, and their range as a band."""
    measurements = {
        name(line.row): [routers.lambdas(log) for log in routers.logs(root, line.row)]
        for line in group.lines
        if _weighted(line)
    }
    with plot.drawing(paths, WIDTH, PANEL + 0.5) as figure:
        axes = figure.subplots(1, 2, sharey=True)
        for ax, index, title in zip(axes, (0, -1), ("before training", "last refresh")):
            zero = [
                method
                for method, logs in measurements.items()
                if not _lines(ax, method, np.array([log[index] for log in logs]))
            ]
            if zero:
                ax.text(
                    0.98,
                    0.03,
                    "all zero: " + ",\n".join(zero),
                    transform=ax.transAxes,
                    ha="right",
                    va="bottom",
                    fontsize=7,
                )
            ax.set(title=f"{group.title}: {title}", xlabel="step (0 = noise)", yscale="log")
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        log_ticks(axes[0].yaxis)
        axes[0].set_ylabel("lambda (error of $x_0$, squared)")
        legend(figure, axes)


def _lines(ax, method, lambdas):
    """Draw lambdas (replicates, T) -> whether there is anything to draw. Steps where all are zero,
    as the first is by definition, are left out.
    """
    positive = np.where(lambdas > 0, lambdas, np.nan)
    style = look(method)
    steps = np.flatnonzero(~np.isnan(positive).all(axis=0))
    if len(steps):
        mean, low, high = (
            form(positive[:, steps], axis=0) for form in (np.nanmean, np.nanmin, np.nanmax)
        )
        ax.plot(steps, mean, label=method, **style)
        if len(lambdas) > 1:
            ax.fill_between(steps, low, high, color=style["color"], alpha=0.12, linewidth=0)
    return len(steps) > 0
