"""A table whole: the documents and pictures made of the records of its rows."""

from pathlib import Path

from . import figures, table
from .claims import NOT_CLAIMED, claims
from .document import markdown, text, write
from .paper_numbers import block as paper_block
from .records import load

SAID = "What these numbers say"
ABOUT = (
    "Every number is a mean over base models and evaluation noises, [95 % bootstrap interval] with more than one seed. "
    "rFID is the Frechet distance to the uncached model's images from independent noise; the uncached row's rFID is "
    "the floor of its group. x_0 error is the mean squared difference to the uncached run from the same noise. These "
    "two carry the comparison, the other columns stand beside them."
)
INTERVALS = (
    "An interval resamples base models, then noises within each; comparisons are paired and are ratios of errors "
    "(means of log ratios). An ordering is claimed only where the interval leaves out 1 and all base models agree; "
    "else it is undecided. Three base models agree by chance alone one time in four, and nothing is widened for the "
    "number of comparisons."
)


def render(which, records_root, out, rows, scale, *, committed):
    """Write tables/ and figures/ of a tables.Table below `out` from the records of its rows below
    `records_root`.

    -> (paths written, text to print). committed: rows of an earlier one (table.read_csv) to stand
    beside the cells, or {}.
    """
    groups = load(records_root, rows)
    path = csv_path(out, which, scale)
    blocks = document(which, groups, scale, committed)
    paths = [write(path, table.csv_text(groups)), write(path.with_suffix(".md"), markdown(blocks))]
    paths += figures.draw(records_root, groups, Path(out) / "figures")
    return paths, text(short(which, groups, scale, committed))


def csv_path(out, which, scale):
    return Path(out) / "tables" / f"{which.name}.{scale}.csv"


def document(which, groups, scale, committed):
    """All blocks of the .md."""
    blocks = [("heading", 1, f"{which.title} at {scale} scale"), ("text", ABOUT)]
    if which.about:
        blocks.append(("text", which.about))
    if committed:
        blocks.append(("text", "(In round brackets: the committed value.)"))
    for group in groups:
        blocks += [
            ("heading", 2, heading(group, scale)),
            ("text", how(group)),
            table.carrying_block(group, committed),
            table.beside_block(group, committed),
            ("list", missing(group)),
            *pictures(group),
        ]
    blocks += [("heading", 2, SAID), ("text", INTERVALS), *sentences(which, groups)]
    return (
        blocks
        + paper_block(which.published)
        + origins([p for group in groups for p in group.provenances])
    )


def short(which, groups, scale, committed):
    """The blocks that the terminal shows."""
    blocks = [
        ("heading", 1, f"{which.title} at {scale} scale"),
        (
            "text",
            "Means"
            + ("; in round brackets the committed values" if committed else "")
            + ". The rest is in the .md.",
        ),
    ]
    for group in groups:
        blocks += [("heading", 2, heading(group, scale)), table.means_block(group, committed)]
    return blocks + [("heading", 2, SAID)] + sentences(which, groups)


def heading(group, scale):
    return f"{group.name} ({scale} scale)"


def how(group):
    """What one group's numbers rest on, and on which machine latency was taken."""
    line = group.lines[0]
    models, noises = line.shape
    base = (
        f"{line.mean('num_images'):.0f} images per cell, {models} base model{'s' * (models > 1)} x {noises} evaluation "
        f"noise{'s' * (noises > 1)}."
    )
    if not group.latency:
        return base
    config, made = group.latency["config"], group.latency["provenance"]
    return (
        f"{base} Latency: a batch of {config['batch']} over all steps on {made['device']}, {made['threads']} thread, "
        f"median [interquartile range] of {config['repeats']} repeats interleaved with the uncached model."
    )


def missing(group):
    """Why a cell of the group is empty."""
    reasons = [
        "CUR natural is what a router's scores give at tau, before the count is made exact; other methods have none"
    ]
    other_noise = [table.label(line.row) for line in group.lines if line.values["x0_mse"] is None]
    if other_noise:
        reasons.append(
            f"x_0 error of {', '.join(other_noise)}: the sampler draws noise at each step, so fewer steps are another "
            "realisation, which is not compared image by image"
        )
    unmeasured = [table.label(line.row) for line in group.lines if line.latency is None]
    if unmeasured:
        reasons.append(
            f"latency and speedup of {', '.join(unmeasured)}: no finished latency record {group.latency_id}"
        )
    return reasons


def pictures(group):
    """Links to the group's figures, relative to the document."""
    return [
        ("text", f"![{group.name}: {name}](../figures/{figures.file_name(group, name)})")
        for name in figures.names(group)
    ]


def sentences(which, groups):
    return [block for claim in claims(groups, which) for block in said(claim)]


def said(claim):
    """Blocks of one claims.Claim."""
    verdict = "" if claim.verdict == NOT_CLAIMED else f": {claim.verdict}"
    first = [("text", f"**{claim.title}{verdict}** - {claim.summary}.")]
    return first + (
        [("list", [f"{finding}." for finding in claim.findings])] if claim.findings else []
    )


def origins(made):
    """Versions and code that the provenances behind the table name."""

    def each(values):
        return ", ".join(sorted(set(values)))

    return [
        ("heading", 2, "Made with"),
        (
            "list",
            [
                f"devices: {each(p['device'] for p in made)}",
                *(
                    f"{name}: {each(p['versions'][name] for p in made)}"
                    for name in sorted(made[0]["versions"])
                ),
                f"code_sha: {each(p['code_sha'][:12] for p in made)}",
            ],
        ),
    ]
