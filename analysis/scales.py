"""What two scales say to the same questions, and how old the features are that schedules reuse."""

from .cases import cases, found_in
from .claims import answer, why_not
from .compare import LOSES, OPEN, WINS
from .methods import FORA, HARMONICA, SEARCH, UNCACHED
from .tables import CLOTHES

TITLE = "Digits and clothes"
ABOUT = (
    "The same questions at two scales. Each is asked of the table that it names: of all its "
    "settings, and of those with the clothes' number of steps and CUR. Where there are too few "
    "replicates for a verdict, a cell says in how many comparisons the first method has the "
    "lower error."
)
MARKED = "won, lost, open"
HEADINGS = (
    "question",
    "digits",
    MARKED,
    "digits, steps and CUR of the clothes",
    MARKED,
    "clothes",
    MARKED,
)
NEAR = 1  # points of CUR, within which two masks reuse equally much
OF_AGES = ("table1", "frontier", "uvit")  # the tables that show HarmoniCa and FORA at one CUR
ABOUT_AGES = (
    "How old a feature is when it is reused, in steps since it was computed: the mean over all "
    "reused entries, and the oldest in any replicate. FORA's features at interval 2 are one step "
    "old."
)


def side_by_side(groups, clothes):
    """Blocks: what both scales say to the questions that a table is asked at clothes scale, and the
    ages of features; none where nothing is measured at clothes scale. Both are {a table's name:
    [records.Group]}.
    """
    rows = []
    for name, there in clothes.items():
        own, linked = groups.get(name, ()), found_in(there)
        everywhere, places = found_in(own), {_place(setting) for setting, _ in linked}
        shared = [pair for pair in everywhere if _place(pair[0]) in places]
        for question in CLOTHES[name].questions:
            cells = [
                *_two(everywhere, own, question),
                *_two(shared, own, question),
                *_two(linked, there, question),
            ]
            rows.append([f"{CLOTHES[name].title}: {question.title}", *cells])
    if not rows:
        return []
    blocks = [("heading", 2, TITLE), ("text", ABOUT), ("table", list(HEADINGS), rows)]
    return [*blocks, ("text", ABOUT_AGES), ages(groups, clothes)]


def ages(groups, clothes):
    """A table: HarmoniCa's error over FORA's wherever both reuse equally much, and the age of what
    HarmoniCa and a searched schedule reuse there.
    """
    linked = [
        pair
        for by_name in (groups, clothes)
        for name in OF_AGES
        for pair in found_in(by_name.get(name, ()))
    ]
    rows = [
        [
            case.setting.name,
            case.comparisons["x0_mse"].cell if case.left.replicates > 1 else _once(case),
            _age(case.left),
            _age(case.setting.line(SEARCH)),
        ]
        for case in cases(linked, HARMONICA, FORA)
        if abs(case.left.mean("cur_percent") - case.right.mean("cur_percent")) < NEAR
    ]
    headings = ["setting", "HarmoniCa against FORA, x_0 error"]
    return "table", [*headings, f"age in steps: {HARMONICA}", f"age in steps: {SEARCH}"], rows


def _once(case):
    return f"{case.comparisons['x0_mse'].ratio:.3g}, one replicate"


def _age(line):
    if line is None or line.values["feature_age"] is None:
        return ""
    return f"{line.mean('feature_age'):.1f}, oldest {line.values['oldest_feature'].max():.0f}"


def _place(setting):
    return setting.uncached.row.num_steps, setting.cur


def _two(linked, groups, question):
    """Verdict and marks, as text, that settings of records.Groups give to a question, or in how
    many comparisons the first method is lower where replicates are too few; empty where they do not
    have both.
    """
    compared = cases(linked, question.left, question.right)
    if not compared:
        return "", ""
    refused = why_not(groups)
    if refused:
        found = [c for case in compared for c in case.comparisons.values()]
        count = f"lower in {sum(c.ratio < 1 for c in found)} of {len(found)}"
        return refused, "" if question.right == UNCACHED else count
    claim = answer(linked, question, "")
    return f"**{claim.verdict}**", ", ".join(str(claim.marks.count(m)) for m in (WINS, LOSES, OPEN))
