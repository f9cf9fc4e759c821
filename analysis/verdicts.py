"""results/CLAIMS.md: each claim of the paper with a verdict, a sentence and a table."""

from dataclasses import replace
from pathlib import Path

from harmonica.errors import check

from . import cache_share, cost, intervals, scales
from .cases import cases, found_in
from .claims import (
    MARKS,
    Claim,
    answer,
    better,
    by_fid,
    counts,
    nearly_lossless,
    plain_wins,
    questions_of,
    why_not,
)
from .compare import LOSES, OPEN, WINS
from .document import markdown, write
from .methods import HARMONICA, OURS
from .paper_claims import paper_claims
from .paper_numbers import coverage
from .records import load
from .report import together
from .spec import SCALE
from .tables import CLOTHES, TABLES

NOT_YET = "not tested yet"
LEADING = (HARMONICA, *OURS)  # which no plain baseline should beat
TITLE = "The paper's claims, and what the records here say about them"
ABOUT = (
    "`make paper` generates this page from the records in results/. Everything here was measured "
    "on a CPU with small transformers that generate 8 x 8 digits (garments of 28 x 28 pixels have "
    "a section of their own), so a verdict is about the method at this scale, not about the "
    "paper's models. A comparison is one setting in one error (rFID or x_0 error), and counts once "
    "in a claim even if two tables show it. It is won or lost only if the interval of the ratio "
    "excludes 1. **Holds**: all comparisons are won. **Holds in part**: more are won than lost, "
    "and at least half are decided. **Does not hold**: some are lost, and at least as many are "
    "lost as won. **Undecided**: everything else. "
    'For "nearly lossless", a setting is won if it keeps all three bounds, and lost if it breaks '
    "one."
)


def write_page(results, tables):
    """Write CLAIMS.md below `results` from the committed tables, {Table: rows} -> its path."""
    usual, clothes = (
        {
            table.name: load(results, rows)
            for table, rows in tables.items()
            if rows and of_scale(table)
        }
        for of_scale in (lambda table: table.scale == SCALE, lambda table: table.scale == "clothes")
    )
    made = {
        table.name: cost.claim(cost.load(results, table.costs(SCALE))[0])
        for table, rows in tables.items()
        if not rows
    }
    shares = cache_share.load(results)
    made |= {cache_share.NAME: cache_share.claim(shares)} if shares else {}
    blocks = page(usual, made, clothes)
    return write(Path(results) / "CLAIMS.md", markdown(blocks))


def page(groups, made, clothes=None):
    """Blocks of the page. groups: {a table's name: [records.Group]}; made: {name: Claim} of other
    records; clothes: as groups, at that scale.
    """
    for name, table_groups in groups.items():
        check(
            not why_not(table_groups),
            "table",
            name,
            f"{why_not(table_groups)} The page of verdicts needs all replicates",
        )
    plain = plain_ahead(groups)
    judged = [(paper_claim, judge(paper_claim, groups, made)) for paper_claim in paper_claims()]
    blocks = [("heading", 1, TITLE), ("text", ABOUT), ("text", coverage({*groups, *made}))]
    blocks += [_overview(plain, judged, groups), ("text", f"{MARKS} {intervals.METHOD}")]
    if plain:
        blocks += [("heading", 2, plain.title), *_evidence(plain)]
    for paper_claim, claim in judged:
        blocks += [
            ("heading", 2, f"{claim.title}: {claim.verdict}"),
            *_evidence(claim),
            *([("text", _shown_in(paper_claim.evidence))] if paper_claim.evidence in made else []),
            ("text", f"The paper: {paper_claim.paper}"),
        ]
    blocks += other_findings(groups) + scales.side_by_side(groups, clothes or {})
    return blocks + _measured_by(groups, made, clothes or {})


def _shown_in(evidence):
    """Where the numbers behind a claim of other records are shown, as a sentence."""
    if evidence in TABLES:
        return f"Shown in {_link(evidence)}."
    return "Shown in the [benchmarks](bench) of cache memory."


def _overview(plain, judged, groups):
    """One line for each claim and each of its parts: verdict, and how many comparisons are won,
    lost and open.
    """
    rows = [_overview_row(plain)] if plain else []
    for paper_claim, claim in judged:
        rows.append(_overview_row(claim))
        for part in paper_claim.parts if len(paper_claim.parts) > 1 and claim.marks else ():
            part_claim = better(_cases(paper_claim, part, groups), part.left, f"... {part.words}")
            rows += [_overview_row(part_claim)] if part_claim.marks else []
    return "table", ["claim", "verdict", "won", "lost", "open"], rows


def _overview_row(claim):
    numbers = [str(claim.marks.count(mark)) for mark in (WINS, LOSES, OPEN)]
    return [claim.title, f"**{claim.verdict}**", *(numbers if claim.marks else [""] * 3)]


def _evidence(claim):
    """Blocks: the sentence, and the table where there is one."""
    table = [("table", list(claim.headings), claim.rows)] if claim.rows else []
    return [("text", claim.whole_sentence)] + table


def plain_ahead(groups):
    """The Claim on where FORA, fewer steps or another plain baseline beat a method of LEADING; None
    where no table has any of these.
    """
    linked = _found(groups, groups)
    leading = [name for name in LEADING if any(name in setting.methods for setting, _ in linked)]
    return plain_wins(linked, "Where plain baselines win", leading) if leading else None


def judge(paper_claim, groups, made):
    """The Claim that the records give to a PaperClaim, over all its parts together."""
    if paper_claim.evidence in made:
        return replace(made[paper_claim.evidence], title=paper_claim.title)
    parts = [(part, _cases(paper_claim, part, groups)) for part in paper_claim.parts]
    parts = [(part, part_cases) for part, part_cases in parts if part_cases]
    if not parts:
        why = paper_claim.untested or "its tables' commands (below) and then `make publish` test it"
        verdict = paper_claim.verdict or NOT_YET
        return Claim(
            title=paper_claim.title, verdict=verdict, sentence=f"{verdict.split(' (')[0]}: {why}"
        )
    compared = [case for _, part_cases in parts for case in part_cases]
    if paper_claim.lossless:
        return nearly_lossless(compared, paper_claim.title, paper_claim.parts[0].right)
    sentence = "; ".join(
        f"{part.words}: {counts(part_cases, part.left)}".removeprefix(": ")
        for part, part_cases in parts
    )
    left = paper_claim.parts[0].left
    return replace(
        better(compared, left, paper_claim.title),
        sentence=f"{sentence}. {by_fid(compared, left)}",
    )


def _cases(paper_claim, part, groups):
    """[Case] of a Part in its committed tables. BadInput for a table in which no setting has both
    methods: one of them has another name by now.
    """
    for name in part.tables:
        check(
            name not in groups or cases(_found(groups, [name]), part.left, part.right),
            "claim",
            paper_claim.title,
            f"no setting of {name} has both {part.left!r} and {part.right!r}",
        )
    return cases(_found(groups, part.tables), part.left, part.right)


def _found(groups, names):
    """[(Setting, a link to the table)] of the tables that are committed."""
    committed = [(name, groups[name]) for name in names if name in groups]
    return [
        pair for name, table_groups in committed for pair in found_in(table_groups, _link(name))
    ]


def other_findings(groups):
    """Blocks: the answers to the tables' questions beyond the paper's claims, in one table; two
    tables that ask about the same methods have one answer.
    """
    covered = {
        case.first_runs
        for paper_claim in paper_claims()
        for part in paper_claim.parts
        for case in _cases(paper_claim, part, groups)
    }
    asked = {}  # {(left, right): (the first Question about the two, [tables that ask it])}
    for name in groups:
        for question in questions_of(TABLES[name], _found(groups, [name])):
            pair = question.left, question.right
            asked.setdefault(pair, (question, []))[1].append(name)
    other_claims = []
    for question, names in asked.values():
        linked = _found(groups, names)
        if (
            not {case.first_runs for case in cases(linked, question.left, question.right)}
            <= covered
        ):
            other_claims.append(answer(linked, question, "these tables"))
    if not other_claims:
        return []
    sentence = (
        "These are not claims of the paper but further questions. Each is answered from all tables "
        "that ask it."
    )
    return [("heading", 2, "Other findings"), ("text", sentence), together(other_claims)]


def _measured_by(groups, made, clothes):
    """Blocks: over how many replicates each table was measured, and by which command."""
    items = [_by_command(TABLES[name], groups[name]) for name in groups]
    items += [
        f"{_link(name)}: one machine, `{TABLES[name].committed_command()}`"
        for name in made
        if name in TABLES
    ]
    items += [_by_command(CLOTHES[name], clothes[name]) for name in clothes]
    absent = [table for table in TABLES.values() if table.name not in groups and table.rows(SCALE)]
    items += [
        f"{table.title}: {NOT_YET}; `{table.committed_command()}` and then `make publish` test it"
        for table in absent
    ]
    return [("heading", 2, "The tables behind the verdicts"), ("list", items)]


def _by_command(table, groups):
    return (
        f"{_linked(table)}: {groups[0].lines[0].replicates} replicates, "
        f"`{table.committed_command()}`"
    )


def _link(name):
    return _linked(TABLES[name])


def _linked(table):
    return f"[{table.called.removeprefix('Ablation: ')}](tables/{table.stem(table.scale)}.md)"
