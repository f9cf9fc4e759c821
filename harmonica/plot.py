"""Plots of routers and schedules, and the style of every figure of this project. The same numbers
give the same bytes. Imports no torch.
"""

from contextlib import contextmanager

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from PIL import Image

from harmonica.files import atomic

STYLE = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "legend.frameon": False,
    "hatch.linewidth": 0.6,
    "pdf.fonttype": 42,
}
DPI = 160
UNDATED = {"Creator": None, "Producer": None, "CreationDate": None}
COLOURS = 256  # of the palette: it makes a PNG three times smaller
KINDS = {"attn": "attention", "cross": "cross-attention", "mlp": "feed-forward"}
DIT_KINDS = ("attn", "mlp")
THRESHOLD = "#d55e00"
FILLS = {"computed": "#fee838", "reused": "#00224e", "predicted": "#5f9ac4"}


@contextmanager
def drawing(paths, width, height):
    """Yield an empty figure of width x height inches; on leaving, write it to each of `paths`, as
    PDF where the path ends in .pdf, else as PNG.

    Dates and versions are left out, so that the bytes depend on the figure alone.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user's matplotlibrc says
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        for path in paths:
            with atomic(path) as temporary:
                if str(path).endswith(".pdf"):
                    figure.savefig(temporary, format="pdf", dpi=DPI, metadata=UNDATED)
                else:
                    _png(figure, temporary)
            figure.set_layout_engine("none")  # a second layout could differ between the files


def _png(figure, path):
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    image = image.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    image.save(path, format="png", optimize=True)


def heat_map(router, path, cur=None):
    """Draw a router (anything with scores (T, N), tau, keep and about) as PNG or PDF: scores,
    threshold, reused entries.

    Where a CUR is given, or the router was trained for one, the entries of lowest score are reused
    until that share is reached; otherwise all entries with a score of at most tau.
    """
    scores = np.asarray(router.scores)
    kinds = kinds_of(router)
    trained_for = router.about.get("training", {}).get("cur_percent")
    reused = ~np.asarray(router.keep(trained_for if cur is None else cur))
    panels = len(kinds)
    num_steps = len(scores)
    columns = scores.shape[1] // panels
    with drawing([path], 1.4 + panels * (0.5 + 0.16 * columns), 1.3 + 0.16 * num_steps) as figure:
        axes = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
        image = draw_scores(axes, scores, tau=router.tau, reused=reused, kinds=kinds)
        axes[0].set_ylabel("step (0 = noise end)")
        explain(figure, image, axes, router.tau)


def schedule_map(schedule, path):
    """Draw a Schedule as PNG or PDF, a row for each step and a column for each unit: computed,
    reused or predicted.
    """
    predicted = np.zeros(schedule.keep.shape, dtype=bool)
    for entry in schedule.weights:
        predicted[entry] = True
    steps, units = predicted.shape
    with drawing([path], 1.6 + 0.09 * max(units, 24), 1.2 + 0.13 * steps) as figure:
        axes = figure.subplots()
        _entries(axes, np.asarray(schedule.keep), predicted)
        axes.set(xlabel="unit", ylabel="step (0 = noise end)")
        axes.set(xticks=_ticks(units), yticks=_ticks(steps))
        shown = {
            name: fill for name, fill in FILLS.items() if name != "predicted" or schedule.weights
        }
        patches = [Rectangle((0, 0), 1, 1, facecolor=fill) for fill in shown.values()]
        figure.legend(patches, shown.keys(), loc="outside upper center", ncols=3)


def kinds_of(router):
    """The kinds of block that alternate in a router's columns: those that it records; else "unit"
    where it names its units, else DiT's. "block" where the columns cannot be divided among them.
    """
    kinds = tuple(router.about.get("kinds", ("unit",) if "units" in router.about else DIT_KINDS))
    return kinds if np.shape(router.scores)[1] % len(kinds) == 0 else ("block",)


def draw_scores(axes, scores, *, tau, reused, kinds):
    """Draw scores (T, N) into one axes per kind of block: hatched where `reused` (T, N) is True,
    with a line around the entries r <= tau. -> the last image, for a colour bar.
    """
    for offset, (ax, kind) in enumerate(zip(axes, kinds)):
        kind_scores = scores[:, offset :: len(kinds)]
        image = ax.imshow(
            kind_scores, vmin=0, vmax=1, cmap="cividis", aspect="auto", interpolation="nearest"
        )
        _hatch(ax, reused[:, offset :: len(kinds)])
        _outline(ax, kind_scores <= tau)
        _label(ax, kind, kind_scores.shape)
    return image


def draw_mask(axes, keep, predicted, *, kinds):
    """Draw a schedule's masks (T, N) into one axes per kind of block, in the colours of the highest
    score (computed) and the lowest (reused): hatched where skipped, a lighter blue where predicted.
    """
    for offset, (ax, kind) in enumerate(zip(axes, kinds)):
        kind_keep = keep[:, offset :: len(kinds)]
        _entries(ax, kind_keep, predicted[:, offset :: len(kinds)])
        _hatch(ax, ~kind_keep)
        _label(ax, kind, kind_keep.shape)


def _entries(ax, keep, predicted):
    """Draw the entries (T, n) in the colours of FILLS."""
    fills = np.where(keep, 0, np.where(predicted, 2, 1))
    colours = ListedColormap(list(FILLS.values()))
    ax.imshow(fills, cmap=colours, vmin=0, vmax=2, aspect="auto", interpolation="nearest")


def _label(ax, kind, shape):
    ax.set(
        title=KINDS.get(kind, kind),
        xlabel="block",
        xticks=_ticks(shape[1]),
        yticks=_ticks(shape[0]),
    )
    ax.spines[:].set_visible(False)


def explain(figure, image, axes, tau, masks=False, predicted=False):
    """Add the colour bar of `draw_scores`, and a legend for hatching and line. masks: whether the
    figure has panels of `draw_mask`, too; predicted: whether these have predicted entries.
    """
    bar = figure.colorbar(
        image,
        ax=list(axes),
        label="score r",
        fraction=0.05,
        pad=0.02,
        aspect=max(20, 5 * figure.get_figheight()),
    )
    bar.ax.axhline(tau, color=THRESHOLD, linewidth=1.5)
    handles = {
        "reused by the schedule": _patch(FILLS["reused"], hatch="//////"),
        f"r at most tau = {tau:g}": Rectangle(
            (0, 0), 1, 1, fill=False, edgecolor=THRESHOLD, linewidth=1.5
        ),
    }
    if predicted:
        handles["predicted by the schedule"] = _patch(FILLS["predicted"], hatch="//////")
    if masks:
        handles["computed by a searched schedule"] = _patch(FILLS["computed"])
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles))


def _patch(fill, hatch=None):
    return Rectangle((0, 0), 1, 1, facecolor=fill, hatch=hatch, edgecolor="white", linewidth=0)


def _hatch(ax, mask):
    """Hatch the cells that are True in a mask (T, n), as one patch."""
    cells = [
        Path.unit_rectangle().vertices + (block - 0.5, step - 0.5)
        for step, block in np.argwhere(mask)
    ]
    if cells:
        patch = Path.make_compound_path(
            *(Path(cell, Path.unit_rectangle().codes) for cell in cells)
        )
        ax.add_patch(PathPatch(patch, fill=False, hatch="////", edgecolor="white", linewidth=0))


def _outline(ax, mask):
    """Draw a line along the border of the cells that are True in a mask (T, n)."""
    padded = np.pad(mask, 1)
    lines = [
        ((x - 0.5, y - 0.5), (x - 0.5, y + 0.5))
        for y, x in np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1])
    ]
    lines += [
        ((x - 0.5, y - 0.5), (x + 0.5, y - 0.5))
        for y, x in np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1])
    ]
    ax.add_collection(
        LineCollection(lines, colors=THRESHOLD, linewidths=1.3, capstyle="projecting"),
        autolim=False,
    )


def _ticks(count):
    return range(0, count, 1 if count <= 10 else 5 if count <= 40 else 10)
