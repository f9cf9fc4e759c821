"""What measured rows say: claims, each with a verdict, one sentence and a table of its settings."""

from collections import Counter
from dataclasses import dataclass
from itertools import product

from harmonica.errors import check

from . import methods
from .cases import cases, distinct, found_in
from .compare import CARRYING, LOSES, OPEN, WINS, settings
from .document import capital, listed
from .lossless import CRITERION, MARKED, bounds, headings, together
from .methods import RANDOM, UNCACHED

NOT_CLAIMED = "nothing is claimed"
SPEEDS, SHOWN = "by MACs", "shown in"
COMPARED = ("setting", "against", SPEEDS, *CARRYING.values())
MARKS = (
    "A cell says who wins, the ratio of the two errors (below 1: the first-named method has the "
    "lower one), its 95 % interval, and in how many replicates the first-named method is lower. "
    "**wins** and **loses** refer to the first-named method; open means that the interval contains "
    "1. A cell is empty where the sampler draws noise at each step: fewer steps then give other "
    "images, which are not compared one by one. By MACs shows the theoretical speedups of the two "
    "methods. CUR is the share that was asked for; the tables show the share that T x N entries "
    "allow (23.75 for 23.68)."
)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A verdict with its sentence and its table, whose cells are text. marks: WINS, LOSES or OPEN,
    one for each comparison that counts. cases: what it compares.
    """

    title: str
    verdict: str
    sentence: str
    marks: tuple[str, ...] = ()
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    cases: tuple = ()

    @property
    def whole_sentence(self):
        """The sentence with a capital letter and a full stop."""
        return f"{capital(self.sentence)}."


def claims(groups, table):
    """[Claim] that the groups (records.Group) of a Table give. The first one says where plain
    baselines win.
    """
    linked = found_in(groups)
    answers = [plain_wins(linked, table.plain_wins)] if table.plain_wins else []
    answers += [answer(linked, question, table.title) for question in questions_of(table, linked)]
    if any(setting.cur is None for setting, _ in linked):
        answers.append(
            Claim(
                title="CUR and quality as the scores give them",
                verdict=NOT_CLAIMED,
                sentence="CUR differs from row to row, so no ordering is claimed",
            )
        )
    return answers


def questions_of(table, linked):
    """The Questions of a Table to ask of settings [(Setting, link)]: all about core rows, and
    others if both methods are there.
    """
    return [
        question
        for question in table.questions
        if question.core or cases(linked, question.left, question.right)
    ]


def answer(linked, question, table):
    """The Claim that settings [(Setting, link)] of a table give to a Question.

    BadInput where no setting has both methods: one of them has another name by now.
    """
    compared = cases(linked, question.left, question.right)
    check(
        compared,
        "claim",
        question.title,
        f"no setting of {table} has both {question.left!r} and {question.right!r}",
    )
    if question.right == UNCACHED:
        return nearly_lossless(compared, question.title)
    return better(compared, question.left, question.title)


def better(compared, left, title):
    """The Claim on whether the left method of the given Cases is better than the right one."""
    marks = tuple(mark for case in compared for mark in case.marks)
    return Claim(
        title=title,
        verdict=overall(marks),
        sentence=counts(compared, left),
        marks=marks,
        headings=COMPARED + (SHOWN,) * any(case.where for case in compared),
        rows=tuple(case.cells for case in compared),
        cases=tuple(compared),
    )


def counts(compared, left):
    """In how many settings a method has the lower error, metric by metric, as a clause."""
    clauses = []
    for metric, name in CARRYING.items():
        marks = [case.comparisons[metric].mark for case in compared if metric in case.comparisons]
        if marks:
            clauses.append(_lower_in(name, marks))
    return f"{left} has {' and '.join(clauses)}"


def _lower_in(name, marks):
    counted = Counter(marks)
    others = {"higher": counted[LOSES], "open": counted[OPEN]}
    beside = " and ".join(f"{word} in {count}" for word, count in others.items() if count)
    most = f"the lower {name} in {counted[WINS]} of {len(marks)} settings"
    return most + (f" ({beside})" if beside else "")


def by_fid(compared, left):
    """What FID to the data says of Cases, as a sentence: the paper measures by it."""
    lower = _lower_in("FID to the data", [case.in_fid.mark for case in compared if case.in_fid])
    return f"By the paper's measure, which this verdict does not count, {left} has {lower}"


def why_not(groups):
    """Why no ordering may be claimed from records.Groups, as a sentence; "" where one may."""
    reasons = {setting.why_not for group in groups for setting in settings(group)} - {""}
    sentence = f"{'; '.join(sorted(reasons))}: no ordering is claimed."
    return capital(sentence) if reasons else ""


def overall(marks):
    """One verdict for many comparisons. In part: more won than lost, and at least half decided."""
    won, lost = marks.count(WINS), marks.count(LOSES)
    if won == len(marks):
        return "holds"
    if lost and lost >= won:
        return "does not hold"
    return "holds in part" if won and 2 * (won + lost) >= len(marks) else "undecided"


def plain_wins(linked, title, learned=()):
    """The Claim on where a plain baseline has a lower error than a trained or searched method: than
    one of those named in `learned`, or than any.
    """
    compared = distinct(_plain_pairs(linked, learned))
    comparisons = [c for case in compared for c in case.comparisons.values()]
    marks = tuple(c.mark for c in comparisons)
    lower = sum(c.mark == OPEN and c.ratio < 1 for c in comparisons)
    won = [case for case in compared if WINS in case.marks]
    beaten = listed(learned or ["a trained or searched method"], "or")
    return Claim(
        title=title,
        verdict="somewhere" if won else "nowhere",
        sentence=f"a plain baseline beats {beaten} in {marks.count(WINS)} of {len(marks)} "
        "comparisons of errors"
        + (f"; in {lower} more its error is lower on average, but open" if lower else ""),
        marks=marks,
        headings=("baseline", *COMPARED, *(SHOWN,) * any(case.where for case in won)),
        rows=tuple((methods.called(case.left.row), *case.cells) for case in won),
    )


def ahead_of(linked, learned):
    """{setting: {plain baseline: whether it beats the method `learned` there in x_0 error}}."""
    ahead = {}
    for case in distinct(_plain_pairs(linked, (learned,))):
        if comparison := case.comparisons.get("x0_mse"):
            baselines = ahead.setdefault(case.setting.name, {})
            baselines[methods.name(case.left.row)] = comparison.mark == WINS
    return ahead


def _plain_pairs(linked, learned):
    """(Setting, a plain baseline's line, another method's line, link) of all pairs. A random
    schedule is no rival and left out.
    """
    for setting, link in linked:
        plain = [name for name in setting.methods if methods.method(name).plain]
        others = [name for name in setting.methods if name not in plain]
        for baseline, other in product([name for name in plain if name != RANDOM], others):
            if other in learned or not learned:
                yield setting, setting.methods[baseline], setting.methods[other], link


def nearly_lossless(compared, title, over=UNCACHED):
    """The Claim on whether a method is nearly lossless, by the bounds of lossless.py. compared:
    Cases of the method against `over`, the uncached model or the method that caching was added to.
    """
    triples = [bounds(case.left, case.right) for case in compared]
    rows = [_bounds_row(case, triple) for case, triple in zip(compared, triples)]
    marks = tuple(map(together, triples))
    per_bound = [sum(triple[index].mark == WINS for triple in triples) for index in range(3)]
    sentence = (
        f"all three bounds are kept in {marks.count(WINS)} of {len(marks)} settings (FID in "
        f"{per_bound[0]}, rFID in {per_bound[1]}, agreement in {per_bound[2]}), at least one is "
        f"broken in {marks.count(LOSES)}"
    )
    return Claim(
        title=title,
        verdict=overall(marks),
        sentence=f"{sentence}. {CRITERION}",
        marks=marks,
        headings=("setting", "speedup by MACs", *headings(over), "all three", "kept in replicates")
        + (SHOWN,) * any(case.where for case in compared),
        rows=tuple(rows),
    )


def _bounds_row(case, triple):
    """Cells of a Case and its Bounds, with the number of replicates in which all three are kept."""
    kept_in = [all(marks) for marks in zip(*(bound.kept_in for bound in triple))]
    return (
        case.setting.name,
        f"{case.left.mean('speedup_theoretical'):.2f}x",
        *(bound.cell for bound in triple),
        MARKED[together(triple)],
        f"{sum(kept_in)} of {len(kept_in)}",
        *([", ".join(case.where)] if case.where else []),
    )
