"""Error along the trajectory: mean squared error of x_t against the uncached run, step by step."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from harmonica import plot

from ..compare import settings
from ..methods import look, name
from .style import WIDTH, legend, log_ticks

TICKS = 20  # step numbers that fit side by side into a figure
MARKS = 10  # on a curve, at most


def shows(group):
    return bool(_panels(group))


def _panels(group):
    """[(CUR, [records.Line])] of the rows that have a curve."""
    by_cur = {
        setting.cur: [line for line in setting.methods.values() if line.curve is not None]
        for setting in settings(group)
    }
    return [(cur, lines) for cur, lines in by_cur.items() if lines]


def draw(root, group, paths):
    """The mean over replicates, and their range as a band."""
    panels = _panels(group)
    with plot.drawing(paths, WIDTH, 3 if len(panels) > 1 else 2.6) as figure:
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for ax, (cur, lines) in zip(axes, panels):
            for line in lines:
                _curve(ax, name(line.row), line.curve[:, 1:])
            ax.xaxis.set_major_locator(MaxNLocator(max(3, TICKS // len(panels)), integer=True))
            title = "" if cur is None else f"CUR {cur:g} %"
            ax.set(yscale="log", xlabel="steps done", title=title)
        log_ticks(axes[0].yaxis)
        axes[0].set_ylabel("mean squared error of $x_t$")
        figure.suptitle(group.title, fontsize=8)
        legend(figure, axes)


def _curve(ax, method, curves):
    """curves (replicates, T). They are zero as long as all steps compute everything; a log axis
    cannot show that, so zeros are left out.
    """
    positive = np.where(curves > 0, curves, np.nan)
    style = look(method)
    steps = np.arange(1, curves.shape[1] + 1)
    drawn = ~np.isnan(positive).all(axis=0)
    mean = np.nanmean(positive[:, drawn], axis=0)
    ax.plot(steps[drawn], mean, label=method, markevery=-(-len(mean) // MARKS), **style)
    if len(curves) > 1:
        ax.fill_between(
            steps[drawn],
            np.nanmin(positive[:, drawn], axis=0),
            np.nanmax(positive[:, drawn], axis=0),
            color=style["color"],
            alpha=0.15,
            linewidth=0,
        )
