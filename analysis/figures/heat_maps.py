"""Scores of the learned methods at each CUR: steps by blocks, a panel for each kind of block."""

from harmonica import plot

from ..methods import name
from . import routers
from .style import WIDTH

PANELS = 4  # side by side


def shows(group):
    return any(map(routers.own, group.lines))


def draw(root, group, paths):
    """The routers of replicate 0, with the schedules of its runs."""
    maps = [
        (line, routers.of_run(root, line.row.runs[0])) for line in group.lines if routers.own(line)
    ]
    kinds, num_steps = plot.kinds_of(maps[0][1]), len(maps[0][1].scores)
    beside = min(len(maps), max(1, PANELS // len(kinds)))
    below = -(-len(maps) // beside)
    with plot.drawing(paths, WIDTH, 0.5 + below * max(0.55 + 0.085 * num_steps, 1.75)) as figure:
        axes = figure.subplots(below, beside * len(kinds), sharey=True, squeeze=False)
        groups_of_panels = [
            row[i : i + len(kinds)] for row in axes for i in range(0, len(row), len(kinds))
        ]
        for (line, trained), own in zip(maps, groups_of_panels):
            image = plot.draw_scores(
                own, trained.scores, tau=trained.tau, reused=trained.reused, kinds=kinds
            )
            cur = f"{line.row.cur_percent:g} %" if line.row.cur_percent else "natural CUR"
            for ax, kind, title in zip(
                own, kinds, (f"{name(line.row)}, {cur}", *[""] * len(kinds))
            ):
                ax.set_title(f"{title}\n{plot.KINDS.get(kind, kind)}", loc="left")
                ax.set(title="", xlabel="")
        for own in groups_of_panels[len(maps) :]:
            for ax in own:
                ax.set_axis_off()
        for ax in axes[:, 0]:
            ax.set_ylabel("step (0 = noise)")
        for ax in axes[-1]:
            ax.set_xlabel("block")
        plot.explain(figure, image, axes.flat, maps[0][1].tau)
