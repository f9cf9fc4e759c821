"""What the cells of the notebooks show: tables and pictures of committed records."""

from functools import cache
from pathlib import Path

from harmonica.lab.words import count

from . import committed, cost, paper_numbers, report, table
from .document import markdown
from .figures import CAPTIONS
from .records import load
from .spec import SCALE
from .tables import TABLES

RESULTS = Path(__file__).resolve().parent.parent / "results"
QUARTILES = "Brackets beside a measured speedup are the quartiles of its repeats."


class Shown:
    """Blocks of a document, as a cell's last expression."""

    def __init__(self, *blocks):
        self.markdown = markdown(blocks)

    def _repr_markdown_(self):
        return self.markdown

    def __repr__(self):
        return f"{len(self.markdown.splitlines())} lines of Markdown"


class Picture:
    """A committed figure, as a cell's last expression. alt: what it shows, for those who do not
    see it.
    """

    def __init__(self, path, alt):
        self.path, self.alt = path, alt

    def _repr_png_(self):
        return self.path.read_bytes(), {"alt": self.alt}

    def __repr__(self):
        return self.path.name


@cache
def _there():
    return committed.begun(RESULTS)


@cache
def _groups(definition):
    return load(RESULTS, _there()[definition])


def about(*names):
    """How to read the numbers of these tables and what they say, once for all of them."""
    groups = [
        group
        for definition in (TABLES[name] for name in names)
        if definition in _there()
        for group in _groups(definition)
    ]
    counts = sorted({line.replicates for group in groups for line in group.lines})
    behind = " or ".join(count(number, "replicate") for number in counts) or "no replicates yet"
    return Shown(
        ("text", f"Behind the numbers: {behind}. {report.ABOUT} {QUARTILES}"), report.EXPLANATION
    )


def measured(name):
    """A table's cells with their intervals and what they say, which `about` explains; or which
    command makes them.
    """
    definition = TABLES[name]
    if definition not in _there():
        return Shown(
            ("text", f"No record is committed: `{committed.command(definition)}` makes them.")
        )
    if definition.costs(SCALE):
        return Shown(*cost.document(*cost.load(RESULTS, definition.costs(SCALE))))
    groups = _groups(definition)
    blocks = []
    for group in groups:
        heading = ("heading", 3, report.heading(group, SCALE))
        blocks += [heading, table.carrying_block(group, {})]
    said = [b for b in report.findings(definition, groups) if b != report.EXPLANATION]
    return Shown(*blocks, ("heading", 3, report.SAID), *said)


def paper(name):
    """A table of the paper, as it prints it."""
    return Shown(paper_numbers.table(name))


def picture(group, figure):
    """A committed figure, by the beginning of its file's name and its kind."""
    path = RESULTS / "figures" / f"{group}.{figure}.png"
    absent = f"{path.name} comes with its table's first committed records."
    if not path.exists():
        return Shown(("text", absent))
    return Picture(path, f"{group.replace('-', ' ')}: {CAPTIONS[figure]}")


def caption(figure):
    """What a kind of figure shows, and what its lines, bands and markers mean."""
    return Shown(("text", CAPTIONS[figure]))


def files():
    """Every committed figure, by group, linked as PNG and as PDF."""
    kinds = {}
    for path in sorted((RESULTS / "figures").glob("*.png")):
        group, kind = path.stem.rsplit(".", 1)
        place = f"../results/figures/{path.stem}"
        kinds.setdefault(group, []).append(f"[{kind}]({place}.png) ([PDF]({place}.pdf))")
    return Shown(("list", [f"{group}: {', '.join(links)}" for group, links in kinds.items()]))
