"""What a table supports in the paper, and what the numbers here say to it: sentences generated from the records alone."""
from dataclasses import dataclass

from .compare import CARRYING, FEWER, settings
from .lossless import CRITERION, bounds

PLAIN = ("FORA", FEWER, "random")
LEARNED = ("HarmoniCa", "Learning-to-Cache")
NOT_CLAIMED = "nothing is claimed"
UNEQUAL = 1.1       # of two theoretical speedups: from here on they are said beside the errors


@dataclass(frozen=True, kw_only=True)
class Claim:
    """verdict: holds, holds in part, does not hold, undecided; of plain baselines somewhere or nowhere; NOT_CLAIMED."""
    title: str
    verdict: str
    summary: str
    findings: tuple[str, ...]


def claims(groups, table):
    """-> [Claim] about the records.Group's of a tables.Table; where plain baselines win comes first."""
    found = [setting for group in groups for setting in settings(group)]
    return [plain_wins(found, table.plain_wins), *(better(found, *comparison) for comparison in table.comparisons),
            nearly_lossless(found)]


def plain_wins(found, title):
    """Every place where FORA, fewer steps or a random schedule is ahead of a learned router."""
    findings, wins, undecided = [], 0, 0
    for setting in found:
        for plain, learned in ((p, l) for p in PLAIN for l in LEARNED):
            lower = [c for c in setting.compare(plain, learned) if c.ratio < 1]
            ahead = [c for c in lower if c.verdict != "open"]
            undecided += len(lower) - len(ahead)
            wins += sum(c.verdict == "lower" for c in ahead)
            if ahead:
                findings.append(f"{_where(setting)}{_speeds(learned, plain, setting)}: {_name(plain, setting)} below {learned} in "
                                + "; ".join(map(_numbers, ahead)))
    summary = f"{wins} comparisons of errors are won, {undecided} more are lower on average but not beyond doubt"
    claimable = [setting for setting in found if not setting.too_few]
    return Claim(title=title, findings=tuple(findings),
                 verdict=("somewhere" if wins else "nowhere") if claimable else NOT_CLAIMED,
                 summary=summary if claimable else f"{_why_not(found)}; what is lower in number")


def better(found, other, title):
    """HarmoniCa against another method in every setting, in each metric that carries the comparison."""
    findings, verdicts = [], {name: [] for name in CARRYING.values()}
    for setting in found:
        comparisons = setting.compare("HarmoniCa", other)
        for comparison in comparisons:
            verdicts[comparison.metric].append(comparison.verdict)
        if comparisons:
            findings.append(f"{_where(setting)}{_speeds('HarmoniCa', other, setting, always=other == FEWER)}: "
                            + "; ".join(_said(c, other) for c in comparisons))
    claimed = [verdict for own in verdicts.values() for verdict in own if verdict]
    counts = "; ".join(f"{metric} is lower in {v.count('lower')} of {len(v) - v.count(None)} settings, higher in "
                       f"{v.count('higher')}, undecided in {v.count('open')}" for metric, v in verdicts.items())
    return Claim(title=title, verdict=overall(claimed) if claimed else NOT_CLAIMED,
                 summary=counts if claimed else _why_not(found), findings=tuple(findings))


def overall(verdicts):
    """One word for many: "lower" everywhere holds, "lower" somewhere holds in part."""
    if all(verdict == "lower" for verdict in verdicts):
        return "holds"
    if "lower" in verdicts:
        return "holds in part"
    return "does not hold" if "higher" in verdicts else "undecided"


def nearly_lossless(found):
    """HarmoniCa against the uncached model, by lossless.CRITERION."""
    findings, kept = [], []
    for setting in found:
        if "HarmoniCa" in setting.methods:
            tested = bounds(setting.methods["HarmoniCa"], setting.uncached)
            by_model = [all(marks) for marks in zip(*(bound.kept_by_model for bound in tested))]
            kept += [] if setting.too_few else [{bound.metric: bound.kept for bound in tested}]
            said = "; ".join(f"{b.text} ({'kept' if b.kept else 'not kept'})" for b in tested)
            findings.append(f"{_where(setting)}: {said}; all three kept on average over noises in {sum(by_model)} of "
                            f"{len(by_model)} base models")
    whole = sum(all(marks.values()) for marks in kept)
    some = any(any(marks.values()) for marks in kept)
    counts = ", ".join(f"that on {metric} in {sum(marks[metric] for marks in kept)}" for metric in (kept[0] if kept else ()))
    summary = f"all three bounds are kept in {whole} of {len(kept)} settings ({counts})" if kept else _why_not(found)
    verdict = "holds" if whole == len(kept) else "holds in part" if some else "does not hold"
    return Claim(title="Caching is nearly lossless", verdict=verdict if kept else NOT_CLAIMED,
                 summary=f"{summary}. {CRITERION}", findings=tuple(findings))


def _said(comparison, other):
    """One metric of one setting in words."""
    words = {"lower": "HarmoniCa lower in ", "higher": f"{other} lower in ", "open": "undecided in ", None: ""}
    return words[comparison.verdict] + _numbers(comparison)


def _numbers(comparison):
    return f"{comparison.metric} ({comparison.numbers()})"


def _where(setting):
    few = f" ({setting.too_few})" if setting.too_few else ""
    return f"{setting.group}, CUR {setting.cur:g} %{few}"


def _why_not(found):
    return "; ".join(sorted({setting.too_few for setting in found})) + ": no ordering is claimed"


def _name(method, setting):
    row = setting.methods[method].row
    return f"{row.sampler} with {row.num_steps} steps" if method == FEWER else method


def _speeds(one, other, setting, always=False):
    """How fast two methods are in theory, where that is not equal: whole steps and FORA's 50 % are not a router's CUR."""
    own, theirs = (setting.methods[name].mean("speedup_theoretical") for name in (one, other))
    if not always and max(own / theirs, theirs / own) < UNEQUAL:
        return ""
    return f", {own:.2f}x in theory against {_name(other, setting)}, {theirs:.2f}x"
