"""Error along the trajectory: mean squared error of x_t against the uncached run, step by step, in
a panel for each CUR.
"""

import textwrap

import numpy as np
from matplotlib.ticker import MaxNLocator

from harmonica import plot

from ..compare import NEAR, settings, share
from ..methods import look, series
from .speedup import told
from .style import LETTER, WIDTH, legend, log_ticks

CAPTION = (
    "Mean squared error of x_t after each step on a log axis: lines are means over replicates, "
    "bands reach from the lowest replicate to the highest, steps without an error are left out, "
    "and percentages in the legend are CURs that differ from the panel's."
)
TICKS = 20  # step numbers that fit side by side into a figure
MARKS = 6  # on a curve, at most
ROUNDING = 0.5  # per cent by which a whole number of entries may miss a CUR, unsaid
ROW = 0.15  # inches: height of a line of the legend


def shows(group):
    return any(lines for _, lines in _panels(group))


def _panels(group):
    """[(CUR, [records.Line])] of the rows that have a curve, each in the panel whose CUR it misses
    by at most NEAR. A group with one CUR, or none, has all rows in one panel.
    """
    curs = [setting.cur for setting in settings(group)]
    lines = _curves(group)
    if len(curs) == 1:
        return [(curs[0], lines)]
    near = {cur: [line for line in lines if abs(share(line) - cur) <= NEAR] for cur in curs}
    return [(cur, lines) for cur, lines in near.items() if lines]


def _curves(group):
    return [line for line in group.lines[1:] if line.curve is not None]


def draw(root, group, paths):
    """The mean over replicates, and their range as a band."""
    panels = _panels(group)
    labels = _labels(panels)
    note = _left_out(group, panels)
    height = 2.6 if len(panels) == 1 else 2.4 + ROW * (len(labels) / 2 + note.count("\n"))
    with plot.drawing(paths, WIDTH, height) as figure:
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for ax, (cur, lines) in zip(axes, panels):
            for index, line in enumerate(lines):
                method = series(line.row)
                _curve(ax, line.curve[:, 1:], index, label=labels[method], **look(method))
            ax.xaxis.set_major_locator(MaxNLocator(max(3, TICKS // len(panels)), integer=True))
            title = "" if cur is None else f"CUR {cur:g} %"
            ax.set(yscale="log", xlabel="steps done", title=title)
        log_ticks(axes[0].yaxis)
        axes[0].set_ylabel("mean squared error of $x_t$")
        figure.suptitle(group.title + note, fontsize=8)
        legend(figure, axes)


def _labels(panels):
    """{series: how the legend calls it}, with the CURs of its curves, from left to right, where the
    heading of a panel says another.
    """
    found = {}
    for cur, lines in panels:
        for line in lines:
            found.setdefault(series(line.row), []).append((cur, line))
    return {method: _label(method, pairs) for method, pairs in found.items()}


def _label(method, pairs):
    """pairs: [(CUR of the panel, records.Line)]."""
    label = told(method, [line for _, line in pairs])
    own = [line.mean("cur_percent") for _, line in pairs]
    missed = [abs(cur - mean) for (cur, _), mean in zip(pairs, own) if cur is not None]
    if all(apart <= ROUNDING for apart in missed):
        return label
    return f"{label} ({_listed(own)} %)"


def _left_out(group, panels):
    """Which rows with a curve are in no panel, in lines for below the title; "" where all are."""
    drawn = {id(line) for _, lines in panels for line in lines}
    others = {}
    for line in _curves(group):
        if id(line) not in drawn:
            others.setdefault(series(line.row), []).append(line.mean("cur_percent"))
    names = [f"{method} at {_listed(curs)} %" for method, curs in others.items()]
    sentence = f"Not shown, far from the CUR of any panel: {'; '.join(names)}"
    return "\n" + textwrap.fill(sentence, int(WIDTH / LETTER)) if names else ""


def _listed(curs):
    return ", ".join(dict.fromkeys(f"{cur:.4g}" for cur in curs))


def _curve(ax, curves, index, **style):
    """curves (replicates, T). They are zero as long as all steps compute everything; a log axis
    cannot show that, so zeros are left out.

    Broken lines lie over solid ones, and the curves of a panel, counted by `index`, have their
    markers at different steps: so two that coincide are both to be seen.
    """
    positive = np.where(curves > 0, curves, np.nan)
    steps = np.arange(1, curves.shape[1] + 1)
    drawn = ~np.isnan(positive).all(axis=0)
    mean = np.nanmean(positive[:, drawn], axis=0)
    every = -(-len(mean) // MARKS)
    over = 2.1 if style["linestyle"] == "-" else 2.2
    ax.plot(steps[drawn], mean, markevery=(index % every, every), zorder=over, **style)
    if len(curves) > 1:
        ax.fill_between(
            steps[drawn],
            np.nanmin(positive[:, drawn], axis=0),
            np.nanmax(positive[:, drawn], axis=0),
            color=style["color"],
            alpha=0.15,
            linewidth=0,
        )
