"""Two methods in one setting, compared: the cases that claims are made of."""

from dataclasses import dataclass, field
from functools import cached_property

from . import methods
from .compare import CARRYING, settings


@dataclass(frozen=True, kw_only=True)
class Case:
    """Two records.Line in one setting. where: links to the tables that show both."""

    setting: object
    left: object
    right: object
    where: list = field(default_factory=list)

    @cached_property
    def comparisons(self):
        return self.setting.compare(self.left, self.right)

    @cached_property
    def in_fid(self):
        """The Comparison in FID to the data, the paper's measure; it decides no ordering here."""
        return self.setting.compare_in(self.left, self.right, "FID")

    @property
    def marks(self):
        return [comparison.mark for comparison in self.comparisons.values()]

    @property
    def runs(self):
        return self.left.row.runs, self.right.row.runs

    @property
    def first_runs(self):
        """Cases that agree in these are one and the same, over fewer or more replicates."""
        return self.left.row.runs[0], self.right.row.runs[0]

    @property
    def cells(self):
        """Cells under claims.COMPARED, and under SHOWN where the case has links to tables."""
        comparisons = self.comparisons
        errors = [comparisons[metric].cell if metric in comparisons else "" for metric in CARRYING]
        speeds = " / ".join(
            f"{line.mean('speedup_theoretical'):.2f}x" for line in (self.left, self.right)
        )
        links = [", ".join(self.where)] if self.where else []
        return (self.setting.name, methods.called(self.right.row), speeds, *errors, *links)


def found_in(groups, link=""):
    """[(Setting, link)] of records.Groups. link: to their table, to show beside them."""
    return [(setting, link) for group in groups for setting in settings(group)]


def cases(linked, left, right):
    """[Case] of every setting of [(Setting, link)] that has both methods."""
    return distinct(
        (setting, setting.line(left), setting.line(right), link) for setting, link in linked
    )


def distinct(pairs):
    """[Case] of (Setting, left, right, link), ordered by place and CUR. Two tables that show the
    same two methods in the same setting give one case: that of the table with more replicates.
    """
    chosen = {}
    for setting, left, right, link in pairs:
        if not (left and right):
            continue
        case = Case(setting=setting, left=left, right=right)
        known = chosen.setdefault(case.first_runs, case)
        if case.left.replicates > known.left.replicates:
            known = chosen[case.first_runs] = case
        if link and case.runs == known.runs and link not in known.where:
            known.where.append(link)
    places = list(dict.fromkeys(case.setting.place for case in chosen.values()))
    return sorted(
        chosen.values(),
        key=lambda case: (places.index(case.setting.place), case.setting.cur or 0),
    )
