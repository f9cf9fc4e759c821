"""All files of a table: its document, its CSV and its figures, from the records of its rows."""

from itertools import zip_longest
from pathlib import Path

from harmonica.lab.provenance import code_sha

from . import equal_error, figures, intervals, making, methods, table
from .claims import COMPARED, MARKS, NOT_CLAIMED, claims, why_not
from .document import markdown, text, write
from .paper_numbers import block as paper_block
from .records import load

SAID = "What these numbers say"
FEW = 2  # settings up to which comparisons share one table
ABOUT = (
    "Every number is a mean over replicates (base model n, router or search seed n, evaluation "
    "noise n), with the [95 % t interval] of that mean if there are several; with so few "
    "replicates it is wide, and may reach beyond what is possible. rFID is the Frechet distance to "
    "the uncached model's images from independent noise; the uncached row's rFID is the floor of "
    "its group. x_0 error is the mean squared difference to the uncached run from the same noise. "
    "Methods are compared by these two; the other columns are shown beside them."
)

EXPLANATION = ("text", f"{MARKS} {intervals.METHOD}")  # of the tables of findings


def render(definition, records_root, out, rows, scale, *, committed):
    """Write tables/ and figures/ of a tables.Table below `out` from the records of its rows below
    `records_root` -> (paths written, text to print).

    committed: {row.runs: records.Line} to stand beside the cells of the same runs (records.same),
    or {}.
    """
    groups = load(records_root, rows)
    makings = making.makings(records_root, groups) if definition.making else []
    path = csv_path(out, definition, scale)
    blocks = document(definition, groups, scale, committed, makings)
    csv = table.csv_text(groups, making.columns(makings))
    paths = [write(path, csv), write(path.with_suffix(".md"), markdown(blocks))]
    paths += figures.draw(records_root, groups, Path(out) / "figures")
    if definition.frontier:
        paths += figures.draw_frontier(groups, Path(out) / "figures", definition.key_at(scale))
    return paths, text(short(definition, groups, scale, committed))


def csv_path(out, definition, scale):
    return Path(out) / "tables" / f"{definition.stem(scale)}.csv"


def document(definition, groups, scale, committed, makings=()):
    """All blocks of the .md. makings: for each group the Makings of its lines, or nothing."""
    blocks = [("heading", 1, f"{definition.title} at {scale} scale"), ("text", ABOUT)]
    blocks += [
        ("text", paragraph)
        for paragraph in (definition.about, *beside(definition, groups, scale, committed))
        if paragraph
    ]
    blocks += [("text", making.ABOUT)] if makings else []
    for group, line_makings in zip_longest(groups, makings):
        blocks += [
            ("heading", 2, heading(group, scale)),
            ("text", how(group)),
            table.carrying_block(group, committed),
            table.beside_block(group, committed),
            *([making.block(group, line_makings)] if line_makings else []),
            ("list", missing(group)),
            *(
                _picture(f"{group.title}: {figures.WORDS[name]}", figures.file_name(group, name))
                for name in figures.names(group)
            ),
        ]
    if definition.frontier:
        name = figures.frontier_name(definition.key_at(scale))
        blocks += [
            _picture(f"{definition.title}: error of the final image against speedup", name),
            *equal_error.blocks(groups),
        ]
    blocks += [("heading", 2, SAID), *findings(definition, groups)]
    provenances = [made for group in groups for made in group.provenances.values()]
    return blocks + paper_block(definition.published) + origins(provenances)


def short(definition, groups, scale, committed):
    """The blocks that the terminal shows."""
    blocks = [("heading", 1, f"{definition.title} at {scale} scale")]
    brackets = ", in round brackets the committed value of the same cell" if committed else ""
    count = groups[0].lines[0].replicates
    base = "One replicate" if count == 1 else f"Means over {count} replicates"
    blocks += [("text", f"{base}{brackets}; the .md has the rest.")]
    for group in groups:
        blocks += [("heading", 2, heading(group, scale)), table.means_block(group, committed)]
    sentences = of_other_code(groups) + beside(definition, groups, scale, committed)
    blocks += [("text", sentence) for sentence in sentences]
    return blocks + [("heading", 2, SAID)] + verdicts(definition, groups)


def beside(definition, groups, scale, committed):
    """What stands in round brackets and how well these numbers repeat it, in sentences."""
    if not committed:
        return []
    count = next(iter(committed.values())).replicates
    replicates = "replicate" if count == 1 else f"{count} replicates"
    return [
        f"In round brackets: the committed value of the same cell in the same {replicates}. "
        f"{table.repeats(groups, committed)} Speedups are those of this machine. "
        f"{_committed_table(definition, scale)}"
    ]


def _committed_table(definition, scale):
    """Where the committed values are to be read, as a sentence."""
    path = f"results/tables/{definition.stem(scale)}.md"
    if Path(path).exists():
        return f"The committed table is {path}."
    return "The committed values are those of other tables with the same runs."


def of_other_code(groups):
    """How many runs were made by other code than this checkout's, as a list of at most one
    sentence.
    """
    made = {id_: each for group in groups for id_, each in group.provenances.items()}
    count = sum(each["code_sha"] != code_sha() for each in made.values())
    words = f"{count} of these {len(made)} runs were made by other code than this checkout's"
    return [f"{words}: FRESH=1 measures everything anew."] if count else []


def heading(group, scale):
    return f"{group.title} ({scale} scale)"


def how(group):
    """Over how many images and replicates a group's numbers are, and how latency was measured."""
    line = group.lines[0]
    count = line.replicates
    base = f"{line.mean('num_images'):.0f} images per cell, {count} replicate{'s' * (count > 1)}."
    if not group.latency:
        return base
    config, origin = group.latency["config"], group.latency["provenance"]
    return (
        f"{base} Latency is the median [interquartile range] of {config['repeats']} repeats, "
        f"interleaved with the uncached model: a batch of {config['batch']} over all steps on "
        f"{origin['device']}, with {origin['threads']} thread."
    )


def missing(group):
    """Why a cell of the group is empty."""
    reasons = [
        "CUR natural is what a router's scores give at tau, "
        "before the count is made exact; other methods have none"
    ]
    other_noise = [methods.label(line.row) for line in group.lines if line.values["x0_mse"] is None]
    if other_noise:
        reasons.append(
            f"x_0 error of {', '.join(other_noise)}: the sampler draws noise at each step, so "
            "fewer steps give other images, which are not compared one by one"
        )
    untimed = [methods.called(line.row) for line in group.lines if not line.row.timed]
    if untimed:
        reasons.append(
            f"latency and speedup of {', '.join(untimed)}: lower precision is only simulated"
        )
    originals = {line.stored["original_bytes"] / 1e6 for line in group.lines if line.stored}
    reasons += [
        "size MB and smaller by: only compressed models are stored anew; "
        f"the plain one has {size:.4g} MB"
        for size in sorted(originals)
    ]
    unmeasured = [
        methods.label(line.row) for line in group.lines if line.row.timed and line.latency is None
    ]
    if unmeasured:
        reasons.append(
            f"latency and speedup of {', '.join(unmeasured)}: "
            f"there is no finished latency record {group.latency_id}"
        )
    return reasons


def _picture(title, name):
    """The block that shows a figure, by a link relative to the document."""
    return "text", f"![{title}](../figures/{name})"


def findings(definition, groups):
    """Blocks: what the table says, or why no ordering may be claimed. Comparisons of few settings
    share one table.
    """
    refused = why_not(groups)
    if refused:
        return [("text", refused)]
    answers = claims(groups, definition)
    few = [claim for claim in answers if claim.headings == COMPARED and len(claim.rows) <= FEW]
    shared = [together(few)] if few else []
    explained = [EXPLANATION] if any(c.rows for c in answers) else []
    return explained + [b for c in answers if c not in few for b in said(c)] + shared


def verdicts(definition, groups):
    """Blocks: as `findings`, without the tables behind the verdicts, for the terminal."""
    refused = why_not(groups)
    return (
        [("text", refused)] if refused else [said(claim)[0] for claim in claims(groups, definition)]
    )


def said(claim):
    """Blocks of one Claim: its verdict and sentence, then its table."""
    verdict = "" if claim.verdict == NOT_CLAIMED else f": {claim.verdict}"
    blocks = [("text", f"**{claim.title}{verdict}** - {claim.sentence}.")]
    return blocks + ([("table", list(claim.headings), claim.rows)] if claim.rows else [])


def together(claims):
    """One table of several comparisons, each with its verdict in its first line."""
    rows = [
        (claim.title, f"**{claim.verdict}**", *row) if index == 0 else ("", "", *row)
        for claim in claims
        for index, row in enumerate(claim.rows)
    ]
    return "table", ["comparison", "verdict", *claims[0].headings], rows


def origins(provenances):
    """Blocks: the versions and the code that the provenances behind the table name."""

    def each(values):
        return ", ".join(sorted(set(values)))

    versions = [
        f"{name}: {each(p['versions'][name] for p in provenances)}"
        for name in sorted(provenances[0]["versions"])
    ]
    devices = f"devices: {each(p['device'] for p in provenances)}"
    code = f"code_sha: {each(p['code_sha'][:12] for p in provenances)}"
    return [("heading", 2, "Made with"), ("list", [devices, *versions, code])]
