"""HarmoniCa's errors and CUR against one option of training that differs from row to row: how
often lambda is measured, tau, or beta.
"""

import numpy as np
from matplotlib.ticker import NullLocator

from harmonica import plot

from ..intervals import interval
from ..methods import HARMONICA, look
from .style import FLOOR, PANEL, WIDTH

CAPTION = (
    "Errors and CUR against one option of training: the mean over replicates with its 95 % "
    "interval in orange, every replicate in grey, the uncached model's own rFID dotted."
)
VARIED = {
    "refresh": "C, trajectories between two refreshes of lambda",
    "tau": "threshold tau",
    "beta": "beta",
}
METRICS = {
    "x0_mse": "$x_0$ error",
    "rFID": "rFID (dotted: uncached)",
    "cur_natural_percent": "CUR at tau, %",
}
GREY, MARKERS = "#999999", "osv^<>"  # of replicates


def shows(group):
    return _varied(group) is not None


def _varied(group):
    """The field of RouterTraining in VARIED that differs between the rows, or None."""
    settings = {field: {_setting(line, field) for line in _lines(group)} for field in VARIED}
    return next(
        (field for field, values in settings.items() if len(values) > 1 and None not in values),
        None,
    )


def _lines(group):
    return [line for line in group.lines if line.row.runs[0].router]


def _setting(line, field):
    return getattr(line.row.runs[0].router.training, field)


def draw(root, group, paths):
    """The mean with its 95 % interval, and behind it every replicate."""
    field = _varied(group)
    lines = sorted(_lines(group), key=lambda line: _setting(line, field))
    settings = [_setting(line, field) for line in lines]
    with plot.drawing(paths, WIDTH, PANEL + 0.3) as figure:
        axes = figure.subplots(1, len(METRICS))
        for ax, (metric, label) in zip(axes, METRICS.items()):
            values = np.array([line.values[metric] for line in lines])  # (settings, replicates)
            for replicate, marker in zip(values.T if values.shape[1] > 1 else (), MARKERS):
                ax.plot(settings, replicate, color=GREY, marker=marker, linewidth=0.7, markersize=3)
            low, high = np.array([interval(replicates) for replicates in values]).T
            mean = values.mean(axis=1)
            ax.errorbar(
                settings,
                mean,
                yerr=np.maximum([mean - low, high - mean], 0),
                color=look(HARMONICA)["color"],
                marker="D",
                elinewidth=0.8,
            )
            if metric == "rFID":
                ax.axhline(group.lines[0].mean(metric), **FLOOR)
            ax.set(
                xscale="log",
                ylabel=label,
                xticks=settings,
                xticklabels=[f"{setting:g}" for setting in settings],
            )
            ax.xaxis.set_minor_locator(NullLocator())
        axes[len(METRICS) // 2].set_xlabel(VARIED[field])
        figure.suptitle(f"{group.title}: mean (orange) and replicates (grey)", fontsize=8)
