"""Blocks of pages that sum up the committed tables: verdicts, counts of comparisons, and which
differences so many replicates can show. They are functions of groups, {a table's name:
[records.Group]}, and of the folder of results, and return Markdown.
"""

import numpy as np

from .ablation_tables import ABLATIONS
from .cases import cases, found_in
from .claims import answer, claims, questions_of
from .compare import CARRYING, LOSES, OPEN, PUBLISHED, WINS
from .document import capital, markdown, side_by_side
from .intervals import POWER, detectable
from .methods import ALL_PAIRS, FEWER, FORA, HARMONICA, SEARCH_PREDICTION
from .spec import FULL_SET, NUM_SEEDS, SCALE
from .tables import COMMITTED, TABLES

SETS = sorted({NUM_SEEDS, FULL_SET})  # replicates that are committed, and a full set
COUNTED = {WINS: "lower", LOSES: "higher", OPEN: "open"}
SHARES = {"median": 0.5, "90th percentile": 0.9}


def in_short(groups, results):
    """Over all settings of Table 1: how often HarmoniCa beats the others, and ours HarmoniCa."""
    linked = found_in(groups["table1"])
    questions = (
        (
            HARMONICA,
            "Learning-to-Cache as published (which is FORA where half is reused)",
            PUBLISHED,
        ),
        (
            HARMONICA,
            "Learning-to-Cache's all-pairs form (ours, which may reuse at every step)",
            ALL_PAIRS,
        ),
        (HARMONICA, "fewer steps at nearly equal compute", FEWER),
        (HARMONICA, "FORA, where half is reused", FORA),
        (SEARCH_PREDICTION, HARMONICA, HARMONICA),
    )
    rows = []
    for left, description, right in questions:
        compared = cases(linked, left, right)
        if compared:
            rows.append(
                [f"{left} against {description}", *(tally(compared, metric) for metric in CARRYING)]
            )
    count = groups["table1"][0].lines[0].replicates
    headings = [f"over {count} replicates", *CARRYING.values()]
    return markdown([("table", headings, rows)]).strip()


def tally(compared, metric):
    """In how many of the Cases the left method's error is lower, higher, and open, as text; what
    is 0 is left out.
    """
    marks = [case.comparisons[metric].mark for case in compared if metric in case.comparisons]
    counts = {word: marks.count(mark) for mark, word in COUNTED.items()}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def of_table(key, groups, results):
    """What a table says, as a list: its claims with their verdicts, and how often a plain baseline
    is ahead of HarmoniCa, settled or not.
    """
    (table,) = [table for table in COMMITTED if table.key == key]
    sentences = [_verdict(claim) for claim in claims(groups[key], table)]
    linked = found_in(groups[key])
    ahead = [_ahead(linked, p) for p in (FORA, FEWER) if cases(linked, p, HARMONICA)]
    return "\n".join(f"- {sentence}" for sentence in [*sentences, *ahead])


def _ahead(linked, plain):
    """How often a plain baseline has a lower error than HarmoniCa: with an interval that leaves out
    1, and on average alone.
    """
    compared = cases(linked, plain, HARMONICA)
    clauses = []
    for metric, name in CARRYING.items():
        found = [case.comparisons[metric] for case in compared if metric in case.comparisons]
        won = sum(comparison.mark == WINS for comparison in found)
        lower = sum(comparison.mark == OPEN and comparison.ratio < 1 for comparison in found)
        if found:
            more = f" (in {lower} more it is lower on average, but open)" if lower else ""
            clauses.append(f"the lower {name} in {won} of {len(found)} settings{more}")
    title = capital(plain)
    verb = "have" if plain == FEWER else "has"
    return f"**{title} against HarmoniCa.** {title} {verb} {' and '.join(clauses)}."


def of_ablations(groups, results):
    """Every question that an ablation is asked, with its verdict and counts, in one table."""
    rows = []
    for table in ABLATIONS:
        linked = found_in(groups.get(table.name, ()))
        title = table.title.removeprefix("Ablation: ")
        link = f"[{title}](../results/tables/{table.stem(SCALE)}.md)"
        for question in questions_of(table, linked) if linked else ():
            claim = answer(linked, question, table.title)
            marks = [str(claim.marks.count(mark)) for mark in (WINS, LOSES, OPEN)]
            rows.append([link, question.title, claim.verdict, *marks])
            link = ""
    headings = ["ablation", "question", "verdict", "won", "lost", "open"]
    return markdown([("table", headings, rows)]).strip()


def of_frontier(groups, results):
    """Where a plain baseline wins, then our two methods against each of the others."""
    plain, *answers = claims(groups["frontier"], TABLES["frontier"])
    blocks = [("text", _verdict(plain))]
    for claim in answers:
        blocks += [("text", _verdict(claim)), _by_share(claim.cases)]
    return markdown(blocks).strip()


def _verdict(claim):
    return f"**{claim.title}: {claim.verdict}.** {claim.whole_sentence}"


def _by_share(compared):
    """The ratios of Cases as a table: the settings below each other, the CURs side by side."""
    by_place = {}
    for case in compared:
        by_place.setdefault(case.setting.place, {})[case.setting.cur] = case.comparisons
    rows = []
    for place, by_cur in by_place.items():
        for metric, name in CARRYING.items():
            cells = {cur: each[metric].short_cell for cur, each in by_cur.items() if metric in each}
            if cells:
                rows.append(([place, name], cells))
                place = ""
    return side_by_side(["setting", "error"], rows)


def power(groups, results):
    """Which ratios the committed replicates can tell from 1, and which a full set could: by the
    spread over replicates of all comparisons in the tables' questions, each pair of rows once.
    """
    cases_by_runs = {
        case.first_runs: case
        for name in groups
        if name in TABLES
        for question in TABLES[name].questions
        for case in cases(found_in(groups[name]), question.left, question.right)
    }
    rows = []
    for metric, error in CARRYING.items():
        spreads = [
            c.comparisons[metric].spread for c in cases_by_runs.values() if metric in c.comparisons
        ]
        spreads = [spread for spread in spreads if np.isfinite(spread)]
        for part, share in SHARES.items() if spreads else ():
            spread = float(np.quantile(spreads, share))
            ratios = [_ratios(spread, replicates) for replicates in SETS]
            rows.append([error, f"{part} of {len(spreads)} comparisons", f"{spread:.2g}", *ratios])
    explanation = (
        f"The table shows which ratios of two methods' errors {' or '.join(map(str, SETS))} "
        f"replicates can tell from 1, with a power of {100 * POWER:.0f} % in the paired two-sided "
        "t test at 5 %, if the log ratio has the given standard deviation over replicates. A ratio "
        "nearer to 1 mostly stays open, which does not mean that the two methods are equally good."
    )
    headings = ["error", "spread", "standard deviation", *(f"{n} replicates" for n in SETS)]
    return markdown([("text", explanation), ("table", headings, rows)]).strip()


def _ratios(spread, replicates):
    ratio = detectable(spread, replicates)
    return f"below {1 / ratio:.2f} or above {ratio:.2f}"
