"""Two rows measured with the same base models and noises: which has the lower error, and may that
be said.
"""

from dataclasses import dataclass

import numpy as np

from .bootstrap import interval, log_ratios

CARRYING = {
    "rFID": "rFID",
    "x0_mse": "x_0 error",
}  # the metrics that carry the comparison, and their names in text
MODELS_NEEDED = 3  # base models below which no ordering is claimed
FEWER = "fewer steps"  # the uncached model with fewer steps, as a method among others
UNCACHED = "uncached"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """left against right in one metric: ratio of errors (left / right, below 1 = left is better)
    with its interval.

    won: in how many of `models` base models the left one is lower, its mean over noises.
    """

    metric: str
    left: float
    right: float
    ratio: float
    low: float
    high: float
    won: int
    models: int
    cells: int

    @property
    def verdict(self):
        """ "lower" or "higher" (of left) where the interval leaves out 1 and all base models agree,
        else "open".

        None with too few base models to say.
        """
        if self.models < MODELS_NEEDED:
            return None
        if self.high < 1 and self.won == self.models:
            return "lower"
        return "higher" if self.low > 1 and self.won == 0 else "open"

    def numbers(self):
        """ "0.012 against 0.015, ratio 0.80 [0.70, 0.90], lower in 3 of 3 base models"; only what
        there is with one seed.
        """
        text = f"{self.left:.3g} against {self.right:.3g}, ratio {self.ratio:.3g}"
        if self.cells == 1:
            return text
        return f"{text} [{self.low:.3g}, {self.high:.3g}], lower in {self.won} of {self.models} base models"


def compare(left, right, metric):
    """Compare two records.Line in an error. -> Comparison, or None where one of the errors is zero
    or none is given.
    """
    a, b = left.values[metric], right.values[metric]
    if a is None or b is None or not ((a > 0).all() and (b > 0).all()):
        return None
    logs = log_ratios(a, b)
    low, high = interval(logs)
    return Comparison(
        metric=CARRYING[metric],
        left=float(a.mean()),
        right=float(b.mean()),
        ratio=float(np.exp(logs.mean())),
        low=float(np.exp(low)),
        high=float(np.exp(high)),
        won=int((logs.mean(axis=1) < 0).sum()),
        models=logs.shape[0],
        cells=logs.size,
    )


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One CUR of one group: the methods compared at it {method: records.Line}, and the uncached
    line.

    cur is None where every row has its own, which its scores give.
    """

    group: str
    cur: float | None
    methods: dict
    uncached: object

    @property
    def too_few(self):
        """Why nothing may be claimed here, "" where it may."""
        models, noises = self.uncached.shape
        if models >= MODELS_NEEDED:
            return ""
        return (
            "one seed" if models * noises == 1 else f"only {models} base model{'s' * (models > 1)}"
        )

    def compare(self, left, right):
        """[Comparison] in each metric that carries the comparison; [] where a method is not
        measured here.
        """
        if left not in self.methods or right not in self.methods:
            return []
        found = (compare(self.methods[left], self.methods[right], metric) for metric in CARRYING)
        return [comparison for comparison in found if comparison is not None]


def settings(group):
    """[Setting] of a records.Group: one with all its rows where these have at most one CUR, else
    one for each CUR.
    """
    curs = dict.fromkeys(
        line.row.cur_percent for line in group.lines if line.row.cur_percent is not None
    )
    return [_setting(group, cur, alone=len(curs) < 2) for cur in curs or [None]]


def _setting(group, cur, alone):
    """The rows of this CUR, a FORA that happens to have it, and of fewer steps the row nearest to T
    (1 - CUR), of two the slower.
    """
    uncached, *rest = group.lines
    fewer = [line for line in rest if line.row.uncached]
    methods = {
        line.row.method: line
        for line in rest
        if not line.row.uncached
        and (
            alone
            or line.row.cur_percent == cur
            or line.row.method.startswith("FORA")
            and line.mean("cur_percent") == cur
        )
    }
    if fewer and cur is not None:
        equal = uncached.row.num_steps * (1 - cur / 100)
        methods[FEWER] = min(
            fewer, key=lambda line: (abs(line.row.num_steps - equal), -line.row.num_steps)
        )
    return Setting(group=group.name, cur=cur, uncached=uncached, methods=methods)
