"""Scores of the learned methods, and the searched schedules beside them: steps by blocks, a panel
for each kind of block. Every CUR begins a line.
"""

import textwrap
from collections import Counter

from matplotlib.ticker import MaxNLocator

from harmonica import plot

from ..methods import name
from . import routers
from .style import LETTER, WIDTH, with_symbols

CAPTION = (
    "Every block at every step, in the first replicate: a router's scores from 0 (dark blue) to 1 "
    "(yellow) or a searched schedule in the same colours, hatched where the run skips the block; "
    "an orange line encloses scores of at most tau."
)
PANELS = 8  # side by side, at most


def shows(group):
    return any(map(routers.own, group.lines))


def draw(root, group, paths):
    """The routers and searched schedules of replicate 0, with the schedules of its runs."""
    lines = [line for line in group.lines if routers.own(line) or routers.searched(line)]
    curs = [line.row.cur_percent for line in lines]
    lines.sort(key=lambda line: curs.index(line.row.cur_percent))
    first_runs = [line.row.runs[0] for line in lines]
    trained = [
        routers.of_run(root, run) if routers.own(line) else None
        for line, run in zip(lines, first_runs)
    ]
    masks = [
        None if router else routers.searched_mask(root, run)
        for router, run in zip(trained, first_runs)
    ]
    router = next(filter(None, trained))
    kinds, num_steps = plot.kinds_of(router), len(router.scores)
    places = _places(Counter(curs).values(), PANELS // len(kinds))
    below, beside = 1 + places[-1][0], 1 + max(column for _, column in places)
    with plot.drawing(paths, WIDTH, 0.7 + below * max(0.55 + 0.085 * num_steps, 1.75)) as figure:
        axes = figure.subplots(below, beside * len(kinds), sharey=True, squeeze=False)
        panels = axes.reshape(below, beside, len(kinds))
        for line, own, mask, place in zip(lines, trained, masks, places):
            if own:
                image = _scores(panels[place], own, kinds)
            else:
                plot.draw_mask(panels[place], *mask, kinds=kinds)
            _titles(panels[place], line, kinds, letters=int((WIDTH - 1) / beside / LETTER))
        for ax in axes.flat:
            ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            if not ax.has_data():
                ax.set_axis_off()
        for ax in axes[:, 0]:
            ax.set_ylabel("step (0 = noise)")
        for ax in axes[-1]:
            ax.set_xlabel("block")
        figure.suptitle(group.title, fontsize=8)
        predicted = any(mask[1].any() for mask in masks if mask)
        plot.explain(figure, image, axes.flat, router.tau, any(masks), predicted)


def _places(counts, most):
    """[(line, column)] of the maps of each CUR, of which there are `counts`: at most `most` beside
    each other, and as many as leave few places empty.
    """
    widest = max(counts)
    most = min(widest, max(1, most))
    beside = min(range(most, most // 2, -1), key=lambda columns: -widest % columns)
    places = []
    for count in counts:
        first = 1 + places[-1][0] if places else 0
        places += [(first + i // beside, i % beside) for i in range(count)]
    return places


def _scores(axes, trained, kinds):
    return plot.draw_scores(
        axes, trained.scores, tau=trained.tau, reused=trained.reused, kinds=kinds
    )


def _titles(axes, line, kinds, letters):
    """The row above its first panel, in lines of so many letters, the kind of block above each."""
    cur = f"{line.row.cur_percent:g}\xa0%" if line.row.cur_percent else "natural CUR"
    called = with_symbols(name(line.row))
    row = textwrap.fill(f"{called}, {cur}", letters, break_on_hyphens=False)
    for ax, kind, title in zip(axes, kinds, (row, *[""] * len(kinds))):
        ax.set_title(f"{title}\n{plot.KINDS.get(kind, kind)}", loc="left")
        ax.set(title="", xlabel="")
