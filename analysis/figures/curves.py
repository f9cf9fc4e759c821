"""How routers were trained: hard CUR, data loss, and lambda per step at first and at last."""
from matplotlib.ticker import MaxNLocator

from harmonica import plot

from .. import routers
from ..style import PANEL, WIDTH, legend, look, name


def shows(group):
    return any(map(routers.own, group.lines))


def draw(root, group, paths):
    """The routers of base model 0; the highest CUR in full lines."""
    lines = [line for line in group.lines if routers.own(line)]
    highest = max(line.row.cur_percent or 0 for line in lines)
    with plot.drawing(paths, WIDTH, PANEL + 0.7) as figure:
        cur, loss, weight = axes = figure.subplots(1, 3)
        for line in lines:
            log = routers.logs(root, line.row)[0]
            own = {"markevery": len(log) // 6 or 1, **look(name(line.row)), "linestyle": "-" if line.row.cur_percent == highest else ":"}
            cur.plot([entry["cur_percent"] for entry in log], label=f"{name(line.row)} {line.row.cur_percent:g} %", **own)
            loss.plot([entry["data_loss"] for entry in log], **own)
            lambdas = routers.lambdas(log)
            for lambda_, fill in ((lambdas[0], "none"), (lambdas[-1], None)) if lambdas else ():
                weight.plot(range(1, len(lambda_)), lambda_[1:], **{**own, "markevery": 1, "markerfacecolor": fill})
        for ax in axes:
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        cur.set(xlabel="trajectory", ylabel="CUR at tau, before the cut, %")
        loss.set(xlabel="trajectory", ylabel="data loss", yscale="log")
        weight.set(xlabel="step (0 = noise)", ylabel="lambda (open: first, full: last)", yscale="log")
        legend(figure, [cur])
