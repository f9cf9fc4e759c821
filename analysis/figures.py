"""The figures of a table, one set per group of rows: samples, routers, error along the trajectory, training."""
import re
from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator

from harmonica import plot

from . import records, routers
from .compare import settings
from .style import METHOD, PANEL, WIDTH
from .table import label

DIGITS = 10         # images k = 0 .. 9 of a run have the labels 0 .. 9
SHOWN_DIFFERENCE = 0.5


def draw(root, groups, folder):
    """Draw all figures of records.Group's below `folder` -> their paths. BadInput where samples or a router are missing."""
    paths = []
    for group in groups:
        for name, figure in (("samples", samples), ("routers", heat_maps), ("error", error), ("training", training)):
            paths.append(Path(folder) / file_name(group, name))
            figure(root, group, paths[-1])
    return paths


def file_name(group, figure):
    stem = re.sub(r"[^a-z0-9]+", "-", group.name.lower()).strip("-")
    return f"{stem}.{figure}.png"


def samples(root, group, path):
    """Images from the same noise, one line per row of the table; at the right their difference to the uncached ones."""
    grids = [records.images(root, line.row.runs[0], DIGITS)[:, 0] for line in group.lines]
    size = (WIDTH - 2.5) / (2 * DIGITS)      # of one image; the rest of the width is for names and the colour bar
    with plot.drawing(path, WIDTH, max(size * len(grids) + 0.45, 1.95)) as figure:     # room for the colour bar's label
        figure.get_layout_engine().set(w_pad=0.08)
        left, right = figure.subplots(1, 2)
        left.imshow(_strip(grids), cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
        image = right.imshow(_strip([own - grids[0] for own in grids]), cmap="RdBu_r", vmin=-SHOWN_DIFFERENCE,
                             vmax=SHOWN_DIFFERENCE, interpolation="nearest")
        left.set(title=f"{group.name}: images from the same noise", xticks=[], yticks=_middles(grids))
        left.set_yticklabels([_where(line, group) for line in group.lines])
        right.set(title="difference to uncached", xticks=[], yticks=[])
        for ax in (left, right):
            ax.spines[:].set_visible(False)
            ax.tick_params(length=0)
        figure.colorbar(image, ax=right, label="difference (pixels lie in -1 .. 1)", extend="both",
                        ticks=[-SHOWN_DIFFERENCE, 0, SHOWN_DIFFERENCE], pad=0.02)


def _strip(grids):
    """[(count, 8, 8)] -> one picture, a frame of one pixel (nan, not drawn) between images."""
    return np.concatenate([np.concatenate([np.pad(image, 1, constant_values=np.nan)[:, 1:] for image in grid], axis=1)[1:]
                           for grid in grids])


def _middles(grids):
    height = grids[0].shape[1] + 1
    return [height * i + height / 2 - 1 for i in range(len(grids))]


def _where(line, group):
    """A row's name with its CUR, where it reuses anything."""
    cur = line.row.cur_percent or line.mean("cur_percent")
    return label(line.row, group) + (f" {cur:g} %" if cur else "")


def heat_maps(root, group, path):
    """Scores of the learned methods at each CUR, one panel per kind of block (base model 0)."""
    maps = [(line, routers.of_run(root, line.row.runs[0])) for line in group.lines if line.row.runs[0].router]
    curs, methods = (list(dict.fromkeys(getattr(line.row, field) for line, _ in maps)) for field in ("cur_percent", "method"))
    kinds = plot.kinds_of(maps[0][1])
    height = 0.55 + 0.085 * len(maps[0][1].scores)
    with plot.drawing(path, WIDTH, 0.5 + len(curs) * max(height, 1.5)) as figure:
        axes = figure.subplots(len(curs), len(methods) * len(kinds), sharey=True, squeeze=False)
        for line, trained in maps:
            own = axes[curs.index(line.row.cur_percent)][len(kinds) * methods.index(line.row.method):][:len(kinds)]
            image = plot.draw_scores(own, trained.scores, tau=trained.tau, reused=trained.reused, kinds=kinds)
            for ax, kind in zip(own, kinds):
                form = f" ({line.row.form})" if line.row.form else ""
                ax.set(title=f"{line.row.method} {line.row.cur_percent:g} %\n{plot.KINDS.get(kind, kind)}{form}", xlabel="")
        for ax in axes[:, 0]:
            ax.set_ylabel("step (0 = noise)")
        for ax in axes[-1]:
            ax.set_xlabel("block")
        plot.explain(figure, image, axes.flat, maps[0][1].tau)


def error(root, group, path):
    """Mean squared error of x_t against the uncached run, step by step: the mean, and all runs' range as a band."""
    found = settings(group)
    with plot.drawing(path, min(WIDTH, 1.2 + 3.2 * len(found)), 2.9) as figure:
        axes = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
        for ax, setting in zip(axes, found):
            for name in METHOD:
                line = setting.methods.get(name)
                if line and line.curve is not None:
                    _curve(ax, name, line.curve.reshape(-1, line.curve.shape[-1])[:, 1:])
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            ax.set(yscale="log", xlabel="steps done", title=f"{group.name}, CUR {setting.cur:g} %")
        axes[0].set_ylabel("mean squared error of $x_t$")
        handles = {text: handle for ax in axes for handle, text in zip(*ax.get_legend_handles_labels())}
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles))


def _curve(ax, method, curves):
    """curves (runs, T), those after the first steps that compute all being zero: not drawn on a log axis."""
    shown = np.where(curves > 0, curves, np.nan)
    steps = np.arange(1, curves.shape[1] + 1)
    seen = ~np.isnan(shown).all(axis=0)
    ax.plot(steps[seen], np.nanmean(shown[:, seen], axis=0), label=method, **METHOD[method])
    if len(curves) > 1:
        ax.fill_between(steps[seen], np.nanmin(shown[:, seen], axis=0), np.nanmax(shown[:, seen], axis=0),
                        color=METHOD[method]["color"], alpha=0.15, linewidth=0)


def training(root, group, path):
    """How the routers of base model 0 were trained: hard CUR, data loss, and lambda per step at first and at last."""
    lines = [line for line in group.lines if line.row.runs[0].router]
    with plot.drawing(path, WIDTH, PANEL + 0.5) as figure:
        cur, loss, weight = figure.subplots(1, 3)
        for line in lines:
            log = routers.of_run(root, line.row.runs[0]).log
            look = {**METHOD[line.row.method], "linestyle": "-" if line.row.cur_percent == 50 else ":", "marker": None}
            name = f"{line.row.method} {line.row.cur_percent:g} %"
            cur.plot([entry["cur_percent"] for entry in log], label=name, **look)
            loss.plot([entry["data_loss"] for entry in log], **look)
            lambdas = [entry["lambda"] for entry in log if entry["lambda"]]
            for lambda_, fill in ((lambdas[0], "none"), (lambdas[-1], None)) if lambdas else ():
                weight.plot(range(1, len(lambda_)), lambda_[1:], **{**look, "marker": "D"}, markerfacecolor=fill)
        for ax in (cur, loss, weight):
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        cur.set(xlabel="trajectory", ylabel="CUR at tau, before the exact cut, %")
        loss.set(xlabel="trajectory", ylabel="data loss", yscale="log")
        weight.set(xlabel="step", ylabel="lambda (open: first, full: last)", yscale="log")
        figure.legend(loc="outside lower center", ncols=len(lines))
