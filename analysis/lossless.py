"""Is caching nearly lossless? Three bounds, fixed before anything was measured: with several
replicates the end of the interval must keep to a bound, not the mean alone.
"""

from dataclasses import dataclass

import numpy as np

from .compare import LOSES, OPEN, WINS
from .intervals import interval, log_ratios
from .methods import UNCACHED

FID_FACTOR = 1.10  # FID over the uncached model's; the paper's own rows lie between 1.04 and 1.39
FLOOR_FACTOR = 2.0  # rFID over its floor: caching may add as much as finitely many images do
AGREEMENT_LOSS = 1.0  # percentage points of classifier agreement
CRITERION = (
    f"The bounds were fixed beforehand: FID to the data rises by at most {FID_FACTOR - 1:.0%}, "
    f"rFID is at most {FLOOR_FACTOR:g} times its floor, and classifier agreement falls by at most "
    f"{AGREEMENT_LOSS:g} point. A bound is kept where the whole interval keeps to it, broken where "
    "the whole interval lies beyond it, and open otherwise"
)
MARKED = {WINS: "**kept**", LOSES: "**broken**", OPEN: "open"}


def headings(over):
    """The headings over the cells of `bounds`. over: the method that caching was added to; if that
    is the uncached model, its rFID is called the floor.
    """
    floor = "its floor" if over == UNCACHED else over
    return (
        f"FID over {over}, at most {FID_FACTOR:.2f}",
        f"rFID over {floor}, at most {FLOOR_FACTOR:.2f}",
        f"agreement in points, at least -{AGREEMENT_LOSS:.2f}",
    )


@dataclass(frozen=True, kw_only=True)
class Bound:
    """Whether one bound is kept. text: the number with its interval. mark: WINS where the whole
    interval keeps to the bound, LOSES where it lies beyond it, else OPEN. kept_in: whether each
    replicate keeps to it.
    """

    text: str
    mark: str
    kept_in: tuple[bool, ...]

    @property
    def cell(self):
        return f"{MARKED[self.mark]} {self.text}"


def together(bounds):
    """The mark of several Bounds: WINS where all are kept, LOSES where one is broken."""
    marks = {bound.mark for bound in bounds}
    return marks.pop() if len(marks) == 1 else LOSES if LOSES in marks else OPEN


def bounds(cached, uncached):
    """[Bound] of a cached records.Line against the uncached one, in the order of `headings`."""
    change = cached.values["agreement"] - uncached.values["agreement"]
    return [
        _factor("FID", cached, uncached, FID_FACTOR),
        _factor("rFID", cached, uncached, FLOOR_FACTOR),
        Bound(
            text=_numbers(change, "+.2f"),
            mark=_mark(-change, AGREEMENT_LOSS),
            kept_in=tuple(bool(difference >= -AGREEMENT_LOSS) for difference in change),
        ),
    ]


def _factor(metric, cached, uncached, most):
    logs = log_ratios(cached.values[metric], uncached.values[metric])
    return Bound(
        text=_numbers(logs, ".2f", np.exp),
        mark=_mark(logs, np.log(most)),
        kept_in=tuple(bool(ratio <= most) for ratio in np.exp(logs)),
    )


def _mark(values, most):
    """How the interval of values (replicates,) lies to an upper bound."""
    low, high = interval(values)
    return WINS if high <= most else LOSES if low > most else OPEN


def _numbers(values, form, back=float):
    """The mean of values (replicates,) and, for more than one, its interval, as text. back: from
    the scale of the values to the one that is shown.
    """
    text = f"{back(values.mean()):{form}}"
    if values.size == 1:
        return text
    low, high = interval(values)
    return f"{text} [{back(low):{form}}, {back(high):{form}}]"
