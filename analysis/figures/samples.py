"""Images from the same noise, a line for each row of the table, and beside those of 8 x 8 pixels
their difference to the uncached ones. A row that draws other noise on its way has a word instead.
"""

import matplotlib
import numpy as np

from harmonica import plot

from .. import records
from .style import LETTER, WIDTH, line_name

CAPTION = (
    "Ten images of every row's first replicate, from the same noise. Small images have their "
    "difference to the uncached images beside them: red where a pixel is brighter, blue where "
    "darker."
)
DIGITS = 10  # images k = 0 .. 9 of a run have the labels 0 .. 9
SMALL = 8  # pixels
BAR = 3  # inches: the colour bar's height, at most
OTHER_NOISE = "not compared: other noise is drawn at each step"
SCALES = (0.1, 0.25, 0.5)  # of the differences: the first into which nearly all of them fit


def shows(group):
    return len(group.lines) > 1


def draw(root, group, paths):
    """The first run of every row."""
    grids = [records.images(root, line.row.runs[0], DIGITS)[:, 0] for line in group.lines]
    if grids[0].shape[-1] > SMALL:
        _draw_large(grids, group, paths)
    else:
        _draw_small(grids, group, paths)


def _draw_large(grids, group, paths):
    """The images alone, without differences, as wide as the page: here details can be seen."""
    names = [line_name(line) for line in group.lines]
    size = (WIDTH - 0.2 - LETTER * max(map(len, names))) / DIGITS
    with plot.drawing(paths, WIDTH, size * len(grids) + 0.3) as figure:
        ax = figure.subplots()
        ax.imshow(_strip(grids), cmap=_framed("gray"), vmin=-1, vmax=1, interpolation="nearest")
        ax.set_anchor("E")  # what is left over goes to the names
        ax.set(
            title=f"{group.title}: images from the same noise", xticks=[], yticks=_middles(grids)
        )
        ax.set_yticklabels(names)
        ax.spines[:].set_visible(False)
        ax.tick_params(length=0)


def _draw_small(grids, group, paths):
    differences = _differences(grids, group)
    largest = np.nanquantile(np.abs(differences), 0.995)
    scale = next((scale for scale in SCALES if largest <= scale), SCALES[-1])
    names = [line_name(line) for line in group.lines]
    left_over = WIDTH - 1 - LETTER * max(map(len, names))  # 1 inch is the colour bar's
    size = left_over / (2 * DIGITS)  # of one image
    height = max(size * len(grids) + 0.6, 2.1)  # the colour bar's label needs room
    with plot.drawing(paths, WIDTH, height) as figure:
        figure.get_layout_engine().set(w_pad=0.08, rect=(0.01, 0, 0.99, 1))
        left, right = figure.subplots(1, 2)
        left.imshow(_strip(grids), cmap=_framed("gray"), vmin=-1, vmax=1, interpolation="nearest")
        image = right.imshow(
            _strip(differences),
            cmap=_framed("RdBu_r"),
            vmin=-scale,
            vmax=scale,
            interpolation="nearest",
        )
        left.set(title="images from the same noise", xticks=[], yticks=_middles(grids))
        left.set_yticklabels(names)
        right.set(title="difference to uncached", xticks=[], yticks=[])
        for middle, line in zip(_middles(grids), group.lines):
            if not _compared(line):
                right.text(0, middle, OTHER_NOISE, va="center", fontsize=6)
        figure.suptitle(group.title, fontsize=8)
        for ax in (left, right):
            ax.spines[:].set_visible(False)
            ax.tick_params(length=0)
        figure.colorbar(
            image,
            ax=right,
            label="difference (pixels lie in -1 .. 1)",
            extend="both",
            ticks=[-scale, 0, scale],
            pad=0.02,
            shrink=min(1, BAR / height),
            aspect=16,
        )


def _differences(grids, group):
    """The differences of all grids to the first, nan in rows that are not compared."""
    return [
        grid - grids[0] if _compared(line) else np.full_like(grid, np.nan)
        for grid, line in zip(grids, group.lines)
    ]


def _compared(line):
    """Whether a row's images are compared one by one with the uncached ones, as the tables do."""
    return line.values["x0_mse"] is not None


def _framed(name):
    """A colour map with white for nan: some readers of PDF give a transparent frame dark edges."""
    return matplotlib.colormaps[name].with_extremes(bad="white")


def _strip(grids):
    """[(count, side, side)] -> one picture, a frame of one pixel (nan) between images."""

    def line(grid):
        framed = [np.pad(image, 1, constant_values=np.nan)[:, 1:] for image in grid]
        return np.concatenate(framed, axis=1)[1:]

    return np.concatenate([line(grid) for grid in grids])


def _middles(grids):
    height = grids[0].shape[1] + 1
    return [height * i + height / 2 - 1 for i in range(len(grids))]
