"""How routers were trained: CUR at tau, data loss, and where it is weighted the first and last
lambda of each step. A line of panels for each CUR.
"""

from matplotlib.ticker import MaxNLocator

from harmonica import plot

from ..methods import look, name
from . import routers
from .style import PANEL, WIDTH, legend, log_ticks

CAPTION = (
    "The training of the first replicate's routers: CUR at tau, data loss and, if the loss is "
    "weighted, lambda at each step, with open markers for its first measurement and filled ones "
    "for its last."
)


def shows(group):
    return any(map(routers.own, group.lines))


def draw(root, group, paths):
    """The routers of replicate 0."""
    lines = [line for line in group.lines if routers.own(line)]
    curs = list(dict.fromkeys(line.row.cur_percent for line in lines))
    logs = [routers.logs(root, line.row)[0] for line in lines]
    columns = 3 if any(map(routers.lambdas, logs)) else 2
    with plot.drawing(paths, WIDTH, 0.6 + (PANEL - 0.3) * len(curs)) as figure:
        axes = figure.subplots(len(curs), columns, squeeze=False, sharex="col")
        for cur, panels in zip(curs, axes):
            for line, log in zip(lines, logs):
                if line.row.cur_percent == cur:
                    _router(panels, name(line.row), log)
            panels[0].set(
                ylabel="CUR at tau, %", title=f"trained for CUR {cur:g} %" if cur else "natural CUR"
            )
            panels[1].set(ylabel="data loss", yscale="log")
            if columns > 2:
                panels[2].set(ylabel="lambda", yscale="log")
            for ax in panels:
                ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            for ax in panels[1:]:
                log_ticks(ax.yaxis)
        if columns > 2:
            axes[0, 2].set_title("open: first lambda, full: last")
        for ax, label in zip(axes[-1], ("trajectory", "trajectory", "step (0 = noise)")):
            ax.set_xlabel(label)
        figure.suptitle(group.title, fontsize=8)
        legend(figure, axes[:, 0])


def _router(panels, method, log):
    style = look(method)
    few = {"markevery": max(1, len(log) // 6), **style}
    panels[0].plot([entry["cur_percent"] for entry in log], label=method, **few)
    panels[1].plot([entry["data_loss"] for entry in log], **few)
    lambdas = routers.lambdas(log)
    for lambda_, fill in ((lambdas[0], "none"), (lambdas[-1], style["color"])) if lambdas else ():
        panels[2].plot(range(1, len(lambda_)), lambda_[1:], **{**style, "markerfacecolor": fill})
