"""How a method looks in every figure: one colour, marker and line each; told apart in grey too.

Variants of one method share its colour. HarmoniCa's own tell lambda's definition by marker and line
(diamond, solid: leave-one-out; circle, dashed: cumulative) and its scores by filling (full: soft;
open: hard).
"""

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

LEARNING_TO_CACHE, SDT, HARMONICA, FORA = "#0072b2", "#009e73", "#d55e00", "#56b4e9"
METHOD = {
    "fewer steps": {"color": "#000000", "marker": "o", "linestyle": "-"},
    "FORA": {"color": FORA, "marker": "s", "linestyle": "-"},
    "FORA, interval 3": {"color": FORA, "marker": "s", "linestyle": "--"},
    "FORA, interval 4": {"color": FORA, "marker": "s", "linestyle": "-."},
    "FORA, interval 5": {"color": FORA, "marker": "s", "linestyle": ":"},
    "random": {"color": "#999999", "marker": "x", "linestyle": ":"},
    "Learning-to-Cache": {"color": LEARNING_TO_CACHE, "marker": "^", "linestyle": "--"},
    "Learning-to-Cache, all pairs": {"color": LEARNING_TO_CACHE, "marker": "^", "linestyle": "--"},
    "Learning-to-Cache, released": {"color": LEARNING_TO_CACHE, "marker": "v", "linestyle": ":"},
    "SDT + MSE": {"color": SDT, "marker": "P", "linestyle": "-."},
    "HarmoniCa": {"color": HARMONICA, "marker": "D", "linestyle": "-"},
    "SDT + IEPO, cumulative": {"color": HARMONICA, "marker": "o", "linestyle": "--"},
    "SDT + IEPO, hard scores": {
        "color": HARMONICA,
        "marker": "D",
        "linestyle": "-",
        "markerfacecolor": "none",
    },
    "SDT + IEPO, cumulative, hard scores": {
        "color": HARMONICA,
        "marker": "o",
        "linestyle": "--",
        "markerfacecolor": "none",
    },
}
FLOOR = {
    "color": "#000000",
    "linewidth": 0.8,
    "linestyle": (0, (1, 3)),
}  # the uncached model's own rFID
WIDTH = 7.6  # inches: a README's column, read without zooming
PANEL = 2.3
LETTER = 0.062  # inches, of a legend's text on average


def name(row):
    """A row's method as the legends call it: with its form, and one name for every number of fewer
    steps.
    """
    if row.uncached:
        return "fewer steps"
    return f"{row.method}, {row.form.replace('-', ' ')}" if row.form else row.method


def look(method):
    """Colour, marker and line of a method; a variant that has none of its own looks like its
    method, with an open marker.
    """
    return METHOD.get(method) or {**METHOD[method.split(", ")[0]], "markerfacecolor": "none"}


def legend(figure, axes):
    """One legend, each name once: below several panels, in as many lines as its names need; beside
    a single one.
    """
    handles = {text: handle for ax in axes for handle, text in zip(*ax.get_legend_handles_labels())}
    if len(figure.axes) == 1:
        figure.legend(handles.values(), handles.keys(), loc="outside right center")
    elif handles:
        widest = 0.55 + LETTER * max(map(len, handles))
        rows = -(-len(handles) // max(1, int(figure.get_figwidth() / widest)))
        figure.legend(
            handles.values(),
            handles.keys(),
            loc="outside lower center",
            ncols=-(-len(handles) // rows),
        )


def log_ticks(axis):
    """Of a log axis whose limits are final: powers of ten, or where fewer than two of them fit 1,
    2, 5 in plain numbers.
    """
    low, high = np.log10(axis.get_view_interval())
    axis.set_minor_formatter(NullFormatter())
    if np.floor(high) - np.ceil(low) < 1:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high - low > 0.5 else range(1, 10)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
