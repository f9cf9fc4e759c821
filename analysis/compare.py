"""Settings of a group of rows, and two methods compared in one of them."""

from dataclasses import dataclass

import numpy as np

from experiments.rows import PAPERS_STEPS as PAPERS_FORM

from . import methods
from .intervals import interval, log_ratios
from .methods import FEWER, FORA, RELEASED, UNCACHED

CARRYING = {"rFID": "rFID", "x0_mse": "x_0 error"}  # the metrics that carry comparisons, in words
NEAR = 2.5  # per cent by which a row may miss the CUR that was asked for
NEEDED = 3  # replicates below which no ordering is claimed
ONE_SAMPLER = "DDIM"  # the usual one, which names leave out
PUBLISHED = "Learning-to-Cache as published"  # released, or FORA where the two are the same
PAPERS_STEPS = f"{FEWER}, {PAPERS_FORM}"  # where another row of them is nearer in compute
WINS, LOSES, OPEN = "wins", "loses", "open"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One method against another in one metric: the geometric mean of the ratios of their errors
    (below 1: the first one is better) with its interval.

    lower: in how many of the replicates the first one has the lower error. spread: standard
    deviation of the log ratios over replicates.
    """

    ratio: float
    low: float
    high: float
    lower: int
    replicates: int
    spread: float

    @property
    def mark(self):
        """WINS, LOSES or OPEN, of the first method. A setting of too few replicates says nothing
        (Setting.why_not).
        """
        if self.high < 1:
            return WINS
        return LOSES if self.low > 1 else OPEN

    @property
    def cell(self):
        """Who wins, ratio and interval, and in how many replicates the first one is lower."""
        mark = self.mark if self.mark == OPEN else f"**{self.mark}**"
        return f"{mark} {self._shown(3)} {self.interval}, {self.lower} of {self.replicates}"

    @property
    def short_cell(self):
        """The ratio, bold where its interval leaves out 1, and the interval."""
        ratio = self._shown(2)
        return f"{ratio if self.mark == OPEN else f'**{ratio}**'} {self.interval}"

    def _shown(self, digits):
        """The ratio in so many digits; in more where it is decided and would read 1."""
        return f"{self.ratio:.{digits}g}" if self.mark == OPEN else _bound(self.ratio, digits)

    @property
    def interval(self):
        return f"[{_bound(self.low)}, {_bound(self.high)}]"


def _bound(value, digits=3):
    """A ratio in so many digits, or in more where it would read 1: on which side of 1 it lies
    decides.
    """
    texts = [f"{value:.{count}g}" for count in range(digits, 7)]
    return next((text for text in texts if float(text) != 1), texts[0])


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The rows of a group that are compared with each other: those of one CUR, or all of them.

    methods: {name: records.Line}. cur: None where every row has its own CUR, from its scores.
    papers_steps: the line of the paper's number of fewer steps, if another is nearer in compute.
    """

    cur: float | None
    methods: dict
    uncached: object
    papers_steps: object = None

    @property
    def place(self):
        """Model, sampler and number of steps, in words: the same in every table."""
        row = self.uncached.row
        sampler = [row.sampler] * (row.sampler != ONE_SAMPLER)
        forced = any(line.row.runs[0].reuse_last_step for line in self.methods.values())
        parts = [row.model, *sampler, f"T = {row.num_steps}", *["last step reused"] * forced]
        return ", ".join(parts)

    @property
    def name(self):
        return self.place + ("" if self.cur is None else f", CUR {self.cur:g} %")

    @property
    def why_not(self):
        """Why no ordering may be claimed here; "" where one may."""
        count = self.uncached.replicates
        if self.uncached.row.runs[0].model.scale == "smoke":
            return "smoke scale only shows that everything runs"
        if count >= NEEDED:
            return ""
        return "one replicate" if count == 1 else f"only {count} replicates"

    def line(self, name):
        """The records.Line of a method, or None. Learning-to-Cache as published reuses at every
        second step; at CUR 50 % it reuses all that it may there, which is FORA.
        """
        if name in (UNCACHED, PAPERS_STEPS):
            return self.uncached if name == UNCACHED else self.papers_steps
        if name != PUBLISHED:
            return self.methods.get(name)
        fora = self.methods.get(FORA)
        equal = fora is not None and fora.mean("cur_percent") == self.cur == 50
        return self.methods.get(RELEASED) or (fora if equal else None)

    def compare(self, left, right):
        """{metric: Comparison} of two records.Line in the metrics that carry comparisons. A metric
        is left out where one of the lines does not have it, or where an error is zero.
        """
        comparisons = {metric: self.compare_in(left, right, metric) for metric in CARRYING}
        return {metric: comparison for metric, comparison in comparisons.items() if comparison}

    def compare_in(self, left, right, metric):
        """The Comparison in one metric, or None where `compare` leaves it out."""
        a, b = left.values[metric], right.values[metric]
        if a is None or b is None or not ((a > 0).all() and (b > 0).all()):
            return None
        logs = log_ratios(a, b)
        low, high = interval(logs)
        return Comparison(
            ratio=float(np.exp(logs.mean())),
            low=float(np.exp(low)),
            high=float(np.exp(high)),
            lower=int((logs < 0).sum()),
            replicates=len(logs),
            spread=float(logs.std(ddof=1)) if len(logs) > 1 else float("nan"),
        )


def settings(group):
    """[Setting] of a records.Group: one for each CUR; with at most one CUR, one of all rows."""
    curs = {line.row.cur_percent: None for line in group.lines if line.row.cur_percent is not None}
    return [_setting(group, cur, alone=len(curs) < 2) for cur in curs or [None]]


def places(groups):
    """The setting of each records.Group in words, with its CUR where two differ in nothing else."""
    firsts = [settings(group)[0] for group in groups]
    names = [setting.place for setting in firsts]
    return [setting.name if names.count(setting.place) > 1 else setting.place for setting in firsts]


def _setting(group, cur, alone):
    """The Setting of the rows with this CUR (all rows if `alone`), of methods that happen to have
    it (FORA), and of the row whose fewer steps are nearest to T (1 - CUR), of two the one with
    more.
    """
    uncached, *lines = group.lines
    by_name = {
        methods.name(line.row): line
        for line in lines
        if not line.row.uncached and (alone or share(line) == cur)
    }
    fewer = [line for line in lines if line.row.uncached]
    if fewer and cur is not None:
        equal = uncached.row.num_steps * (1 - cur / 100)
        by_name[FEWER] = min(
            fewer, key=lambda line: (abs(line.row.num_steps - equal), -line.row.num_steps)
        )
    others = [line for line in fewer if line is not by_name.get(FEWER)]
    papers = [line for line in others if line.row.form == PAPERS_FORM]
    return Setting(
        cur=cur, uncached=uncached, methods=by_name, papers_steps=papers[0] if papers else None
    )


def share(line):
    """The CUR that a row stands at: the one that was asked for, or its own where none was, or where
    that one is missed by more than NEAR (SmoothCache reuses for three steps at most).
    """
    asked, own = line.row.cur_percent, line.mean("cur_percent")
    return own if asked is None or abs(asked - own) > NEAR else asked
