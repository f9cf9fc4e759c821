"""Blocks of pages that sum up the committed tables: verdicts, counts of comparisons, and which
differences so many replicates can show. They are functions of groups, {a table's name:
[records.Group]}, and of the folder of results, and return Markdown.
"""

import numpy as np

from .ablation_tables import ABLATIONS
from .claims import SPEEDS, answer, cases, claims, found_in, questions_of
from .compare import CARRYING, LOSES, OPEN, PUBLISHED, WINS
from .document import markdown
from .intervals import POWER, detectable
from .methods import ALL_PAIRS, FEWER, FORA, HARMONICA, SEARCH_PREDICTION
from .report import together
from .spec import NUM_SEEDS
from .tables import TABLES

SETS = sorted({NUM_SEEDS, 6})  # replicates that are committed, and a full set
SHARES = {"median": 0.5, "90th percentile": 0.9}


def in_short(groups, results):
    """Over all settings of Table 1: how often HarmoniCa beats the others, and ours HarmoniCa."""
    found = found_in(groups["table1"])
    asked = (
        (HARMONICA, "Learning-to-Cache as published (where half is reused: FORA)", PUBLISHED),
        (HARMONICA, "the form of it that may reuse at every step, which is ours", ALL_PAIRS),
        (HARMONICA, "fewer steps at nearly equal compute", FEWER),
        (HARMONICA, "FORA, where half is reused", FORA),
        (SEARCH_PREDICTION, HARMONICA, HARMONICA),
    )
    rows = []
    for left, words, right in asked:
        met = cases(found, left, right)
        if met:
            rows.append([f"{left} against {words}", *(tally(met, metric) for metric in CARRYING)])
    headings = ["", *(f"{words}: lower, higher, open" for words in CARRYING.values())]
    return markdown([("table", headings, rows)]).strip()


def tally(met, metric):
    """In how many of the Cases the left method's error is lower, higher, and open, as text."""
    marks = [case.comparisons[metric].mark for case in met if metric in case.comparisons]
    return ", ".join(str(marks.count(mark)) for mark in (WINS, LOSES, OPEN))


def of_table(name, groups, results):
    """What a table says, as a list: its claims with their verdicts, and for each plain baseline
    where it is ahead of HarmoniCa.
    """
    said = [
        f"**{claim.title}: {claim.verdict}.** {claim.whole_sentence}"
        for claim in claims(groups[name], TABLES[name])
    ]
    found = found_in(groups[name])
    ahead = [_ahead(found, p) for p in (FORA, FEWER) if cases(found, p, HARMONICA)]
    return "\n".join(f"- {sentence}" for sentence in [*said, *ahead])


def _ahead(found, plain):
    """Where a plain baseline is ahead of HarmoniCa, setting by setting."""
    met = cases(found, plain, HARMONICA)
    where = [
        f"{words} at {case.setting.name}"
        for metric, words in CARRYING.items()
        for case in met
        if metric in case.comparisons and case.comparisons[metric].mark == WINS
    ]
    return f"**{plain[0].upper()}{plain[1:]} ahead of HarmoniCa.** {'; '.join(where) or 'Nowhere'}."


def of_ablations(groups, results):
    """Every question that an ablation is asked, with its verdict and counts, in one table."""
    rows = []
    for table in ABLATIONS:
        found = found_in(groups.get(table.name, ()))
        title = table.title.removeprefix("Ablation: ")
        link = f"[{title}](../results/tables/{table.name}.digits.md)"
        for question in questions_of(table, found) if found else ():
            claim = answer(found, question, table.title)
            marks = [str(claim.marks.count(mark)) for mark in (WINS, LOSES, OPEN)]
            rows.append([link, question.title, claim.verdict, *marks])
            link = ""
    headings = ["ablation", "question", "verdict", "won", "lost", "open"]
    return markdown([("table", headings, rows)]).strip()


def of_frontier(groups, results):
    """Where a plain baseline wins, then our two methods against each of the others."""
    plain, *made = claims(groups["frontier"], TABLES["frontier"])
    kind, headings, rows = together(made)
    drop = headings.index(SPEEDS)
    rows = [[cell for place, cell in enumerate(row) if place != drop] for row in rows]
    headings = [heading for heading in headings if heading != SPEEDS]
    said = f"**{plain.title}: {plain.verdict}.** {plain.whole_sentence}"
    return markdown([("text", said), (kind, headings, rows)]).strip()


def power(groups, results):
    """Which ratios the committed replicates can tell from 1, and which a full set could: by the
    spread over replicates of all comparisons in the tables' questions, each pair of rows once.
    """
    met = {
        case.runs: case
        for name, own in groups.items()
        for question in TABLES[name].questions
        for case in cases(found_in(own), question.left, question.right)
    }
    rows = []
    for metric, words in CARRYING.items():
        found = [c.comparisons[metric].spread for c in met.values() if metric in c.comparisons]
        found = [spread for spread in found if np.isfinite(spread)]
        for part, share in SHARES.items() if found else ():
            spread = float(np.quantile(found, share))
            told = [_ratios(spread, replicates) for replicates in SETS]
            rows.append([words, f"{part} of {len(found)} comparisons", f"{spread:.2g}", *told])
    said = (
        "Which ratios of two methods' errors so many replicates tell from 1, with a power of "
        f"{100 * POWER:.0f} % by the paired two-sided t test at 5 %, where the log ratio has that "
        "standard deviation over replicates. What is nearer to 1 is mostly left open, which says "
        "nothing against a difference."
    )
    headings = ["error", "spread", "standard deviation", *(f"{n} replicates" for n in SETS)]
    return markdown([("text", said), ("table", headings, rows)]).strip()


def _ratios(spread, replicates):
    ratio = detectable(spread, replicates)
    return f"below {1 / ratio:.2f} or above {ratio:.2f}"
