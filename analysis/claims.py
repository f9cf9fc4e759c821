"""What a table supports in the paper, and what the numbers here say to it: sentences generated from
the records alone.
"""

from dataclasses import dataclass

from .compare import CARRYING, FEWER, UNCACHED, settings
from .lossless import CRITERION, bounds

NOT_CLAIMED = "nothing is claimed"
UNEQUAL = 1.1  # of two theoretical speedups: from here on they are said beside the errors


@dataclass(frozen=True, kw_only=True)
class Claim:
    """verdict: holds, holds in part, does not hold, undecided; of plain baselines somewhere or
    nowhere; NOT_CLAIMED.
    """

    title: str
    verdict: str
    summary: str
    findings: tuple[str, ...] = ()


def claims(groups, table):
    """-> [Claim] about the records.Group's of a tables.Table; where plain baselines win comes
    first.
    """
    found = [setting for group in groups for setting in settings(group)]
    first = [plain_wins(found, table.plain_wins)] if table.plain_wins else []
    natural = [setting for setting in found if setting.cur is None]
    said = [tested(found, *comparison) for comparison in table.comparisons]
    return first + [claim for claim in said if claim] + ([own_cur(natural)] if natural else [])


def tested(found, left, right, title):
    """left against right, or against the uncached model -> Claim, None where no setting has both."""
    return (
        nearly_lossless(found, left, title)
        if right == UNCACHED
        else better(found, left, right, title)
    )


def is_plain(method):
    return method in (FEWER, "random") or method.startswith("FORA")


def plain_wins(found, title, learned=None):
    """Every place where FORA, fewer steps or a random schedule is ahead of a learned router, or of
    the one named.
    """
    findings, wins, undecided = [], 0, 0
    for setting in found:
        others = [m for m in setting.methods if not is_plain(m) and learned in (None, m)]
        for plain, other in ((p, o) for p in setting.methods if is_plain(p) for o in others):
            lower = [c for c in setting.compare(plain, other) if c.ratio < 1]
            ahead = [c for c in lower if c.verdict != "open"]
            undecided += len(lower) - len(ahead)
            wins += sum(c.verdict == "lower" for c in ahead)
            if ahead:
                findings.append(
                    f"{_where(setting)}{_speeds(other, plain, setting)}: {_name(plain, setting)} below {other} "
                    f"in {'; '.join(map(_numbers, ahead))}"
                )
    summary = f"{wins} comparisons of errors are won, {undecided} more are lower on average but not beyond doubt"
    claimable = [setting for setting in found if not setting.too_few]
    return Claim(
        title=title,
        findings=tuple(findings),
        verdict=("somewhere" if wins else "nowhere") if claimable else NOT_CLAIMED,
        summary=summary if claimable else f"{_why_not(found)}; what is lower in number",
    )


def better(found, left, right, title):
    """One method against another in every setting, in each metric that carries the comparison; None
    without a setting.
    """
    findings, verdicts = [], {name: [] for name in CARRYING.values()}
    for setting in found:
        comparisons = setting.compare(left, right)
        for comparison in comparisons:
            verdicts[comparison.metric].append(comparison.verdict)
        if comparisons:
            findings.append(
                f"{_where(setting)}{_speeds(left, right, setting, always=right == FEWER)}: "
                + "; ".join(_said(c, left, right) for c in comparisons)
            )
    claimed = [verdict for own in verdicts.values() for verdict in own if verdict]
    counts = "; ".join(
        f"{metric} is lower in {v.count('lower')} of {len(v) - v.count(None)} settings, higher in "
        f"{v.count('higher')}, undecided in {v.count('open')}"
        for metric, v in verdicts.items()
    )
    return (
        Claim(
            title=title,
            verdict=overall(claimed) if claimed else NOT_CLAIMED,
            findings=tuple(findings),
            summary=counts if claimed else _why_not(found),
        )
        if findings
        else None
    )


def overall(verdicts):
    """One word for many: "lower" everywhere holds; more often than "higher", holds in part."""
    lower, higher = verdicts.count("lower"), verdicts.count("higher")
    if lower == len(verdicts):
        return "holds"
    if lower > higher:
        return "holds in part"
    return "does not hold" if higher else "undecided"


def nearly_lossless(found, method, title):
    """A method against the uncached model, by lossless.CRITERION; None where no setting has it."""
    findings, kept = [], []
    for setting in found:
        if method in setting.methods:
            three = bounds(setting.methods[method], setting.uncached)
            by_model = [all(marks) for marks in zip(*(bound.kept_by_model for bound in three))]
            kept += [] if setting.too_few else [{bound.metric: bound.kept for bound in three}]
            said = "; ".join(f"{b.text} ({'kept' if b.kept else 'not kept'})" for b in three)
            findings.append(
                f"{_where(setting)}: {said}; all three kept on average over noises in {sum(by_model)} of "
                f"{len(by_model)} base models"
            )
    whole = sum(all(marks.values()) for marks in kept)
    counts = ", ".join(
        f"that on {metric} in {sum(marks[metric] for marks in kept)}"
        for metric in (kept[0] if kept else ())
    )
    summary = (
        f"all three bounds are kept in {whole} of {len(kept)} settings ({counts})"
        if kept
        else _why_not(found)
    )
    verdict = "holds" if whole == len(kept) else "holds in part" if whole else "does not hold"
    return (
        Claim(
            title=title,
            verdict=verdict if kept else NOT_CLAIMED,
            summary=f"{summary}. {CRITERION}",
            findings=tuple(findings),
        )
        if findings
        else None
    )


def own_cur(found):
    """Rows that each have the CUR that their scores give: CUR and errors side by side, and no
    ordering.
    """

    def numbers(line):
        errors = {name: line.mean(metric) for metric, name in CARRYING.items()}
        said = [f"{name} {error:.3g}" for name, error in errors.items() if error is not None]
        return f"CUR {line.mean('cur_percent'):.3g} %, {line.mean('speedup_theoretical'):.2f}x in theory, {', '.join(said)}"

    return Claim(
        title="CUR and quality as the scores give them",
        verdict=NOT_CLAIMED,
        summary="CUR differs from row to row, so no ordering is claimed",
        findings=tuple(
            f"{setting.group}, {method}: {numbers(line)}"
            for setting in found
            for method, line in setting.methods.items()
        ),
    )


def _said(comparison, left, right):
    """One metric of one setting in words."""
    words = {
        "lower": f"{left} lower in ",
        "higher": f"{right} lower in ",
        "open": "undecided in ",
        None: "",
    }
    return words[comparison.verdict] + _numbers(comparison)


def _numbers(comparison):
    return f"{comparison.metric} ({comparison.numbers()})"


def _where(setting):
    few = f" ({setting.too_few})" if setting.too_few else ""
    cur = "" if setting.cur is None else f", CUR {setting.cur:g} %"
    return f"{setting.group}{cur}{few}"


def _why_not(found):
    return "; ".join(sorted({setting.too_few for setting in found})) + ": no ordering is claimed"


def _name(method, setting):
    row = setting.methods[method].row
    return f"{row.sampler} with {row.num_steps} steps" if method == FEWER else method


def _speeds(one, other, setting, always=False):
    """How fast two methods are in theory, where that is not equal: whole steps and FORA's 50 % are
    not a router's CUR.
    """
    own, theirs = (setting.methods[name].mean("speedup_theoretical") for name in (one, other))
    if not always and max(own / theirs, theirs / own) < UNEQUAL:
        return ""
    return f", {own:.2f}x in theory against {_name(other, setting)}, {theirs:.2f}x"
