"""Scores of the learned methods at each CUR, and the searched schedules beside them: steps by
blocks, a panel for each kind of block.
"""

import textwrap

from harmonica import plot

from ..methods import name
from . import routers
from .style import LETTER, WIDTH

PANELS = 6  # side by side, at most


def shows(group):
    return any(map(routers.own, group.lines))


def draw(root, group, paths):
    """The routers and searched schedules of replicate 0, with the schedules of its runs."""
    maps = [
        (line, routers.of_run(root, line.row.runs[0]) if routers.own(line) else None)
        for line in group.lines
        if routers.own(line) or routers.searched(line)
    ]
    router = next(trained for _, trained in maps if trained)
    kinds, num_steps = plot.kinds_of(router), len(router.scores)
    beside = _beside(len(maps), PANELS // len(kinds))
    below = -(-len(maps) // beside)
    with plot.drawing(paths, WIDTH, 0.7 + below * max(0.55 + 0.085 * num_steps, 1.75)) as figure:
        axes = figure.subplots(below, beside * len(kinds), sharey=True, squeeze=False)
        groups_of_panels = [
            row[i : i + len(kinds)] for row in axes for i in range(0, len(row), len(kinds))
        ]
        masks = [
            None if trained else routers.searched_mask(root, line.row.runs[0])
            for line, trained in maps
        ]
        for (line, trained), mask, panels in zip(maps, masks, groups_of_panels):
            if trained:
                image = _scores(panels, trained, kinds)
            else:
                plot.draw_mask(panels, *mask, kinds=kinds)
            _titles(panels, line, kinds, letters=int((WIDTH - 1) / beside / LETTER))
        for panels in groups_of_panels[len(maps) :]:
            for ax in panels:
                ax.set_axis_off()
        for ax in axes[:, 0]:
            ax.set_ylabel("step (0 = noise)")
        for ax in axes[-1]:
            ax.set_xlabel("block")
        figure.suptitle(group.title, fontsize=8)
        predicted = any(mask[1].any() for mask in masks if mask)
        plot.explain(figure, image, axes.flat, router.tau, any(masks), predicted)


def _beside(count, most):
    """How many of `count` maps to put in a line, at most `most`, so that few places stay empty."""
    most = min(count, max(1, most))
    return min(range(most, most // 2, -1), key=lambda beside: -count % beside)


def _scores(axes, trained, kinds):
    return plot.draw_scores(
        axes, trained.scores, tau=trained.tau, reused=trained.reused, kinds=kinds
    )


def _titles(axes, line, kinds, letters):
    """The row above its first panel, in lines of so many letters, the kind of block above each."""
    cur = f"{line.row.cur_percent:g}\xa0%" if line.row.cur_percent else "natural CUR"
    row = textwrap.fill(f"{name(line.row)}, {cur}", letters, break_on_hyphens=False)
    for ax, kind, title in zip(axes, kinds, (row, *[""] * len(kinds))):
        ax.set_title(f"{title}\n{plot.KINDS.get(kind, kind)}", loc="left")
        ax.set(title="", xlabel="")
