"""What all figures share: sizes, the line of the uncached model's own error, legends, log ticks."""

import textwrap

import numpy as np
from matplotlib.container import ErrorbarContainer
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from ..compare import share
from ..intervals import interval
from ..methods import called, place_of

# the line of the uncached model's own rFID
FLOOR = {"color": "#000000", "linewidth": 0.8, "linestyle": (0, (1, 3))}
GRID = {"which": "both", "linewidth": 0.3, "color": "#dddddd"}
WIDTH = 7.6  # inches: a README's column, read without zooming
PANEL = 2.3
LETTER = 0.062  # inches: mean width of a letter of a legend
LONG = 36  # letters: longer lines of a legend are folded
HANDLE = 4  # letters: length of a line in a legend, long enough for its dashes


def legend(figure, axes, place=None):
    """One legend, each name once and without error bars, in the order of METHODS: below several
    panels, in as many lines as its names need; beside a single one; or, where there is one, in an
    empty panel (`place`) and the empty ones below it. Names that are too long for that are folded.
    """
    drawn = {text: handle for ax in axes for handle, text in zip(*ax.get_legend_handles_labels())}
    handles = {}
    for text in sorted(drawn, key=place_of):
        handle = drawn[text]
        shown = handle[0] if isinstance(handle, ErrorbarContainer) else handle
        handles[with_symbols(text)] = shown
    if place is not None:
        small = {"fontsize": 6.5, "handlelength": 2.8, "borderaxespad": 0}
        inside = place.legend(handles.values(), _folded(handles), loc="upper right", **small)
        inside.set_in_layout(False)
    elif len(figure.axes) == 1:
        figure.legend(
            handles.values(), handles.keys(), loc="outside right center", handlelength=HANDLE
        )
    elif handles:
        texts, beside = [*handles], _beside(figure, handles)
        if beside < 2:
            texts = _folded(handles)
            beside = _beside(figure, texts)
        rows = -(-len(handles) // max(1, beside))
        figure.legend(
            handles.values(),
            texts,
            loc="outside lower center",
            ncols=-(-len(handles) // rows),
            handlelength=HANDLE,
        )


def _beside(figure, texts):
    """How many entries of a legend with these texts fit side by side."""
    letters = max(len(line) for text in texts for line in text.split("\n"))
    return int(figure.get_figwidth() / (0.75 + LETTER * letters))


def _folded(texts):
    """Texts of a legend in lines that are not LONG; the words of a form stay together."""
    forms = [text.split(", ") for text in texts]
    unbroken = [", ".join([*method, form.replace(" ", "\xa0")]) for *method, form in forms]
    return [textwrap.fill(text, LONG) for text in unbroken]


def line_name(line):
    """A records.Line's method, with its CUR where it reuses anything."""
    cur = share(line)
    return with_symbols(called(line.row)) + (f", {cur:.4g} %" if cur else "")


def with_symbols(text):
    """A text with the paper's symbols in it as matplotlib sets them."""
    return text.replace("x_0", "$x_0$")


def drawn_interval(values):
    """The interval (low, high) of the mean of positive values (replicates,), for a log axis: where
    it would reach zero it begins at the lowest of them.
    """
    low, high = interval(values)
    return (low, high) if low > 0 else (float(np.min(values)), high)


def log_ticks(axis):
    """Set the ticks of a log axis whose limits are final: powers of ten, or, where fewer than two
    of them fit, plain numbers in between.
    """
    low, high = np.log10(axis.get_view_interval())
    axis.set_minor_formatter(NullFormatter())
    if np.floor(high) - np.ceil(low) < 1:
        few = MaxNLocator(3, steps=(1, 2, 2.5, 5, 10))
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)) if high - low > 0.5 else few)
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
