"""What the cells of the notebooks show: tables and pictures of committed records."""

from functools import cache
from pathlib import Path

from . import committed, cost, paper_numbers, report, table
from .document import markdown
from .records import load
from .spec import SCALE
from .tables import TABLES

RESULTS = Path(__file__).resolve().parent.parent / "results"


class Shown:
    """Blocks of a document, as a cell's last expression."""

    def __init__(self, *blocks):
        self.markdown = markdown(blocks)

    def _repr_markdown_(self):
        return self.markdown

    def __repr__(self):
        return f"{len(self.markdown.splitlines())} lines of Markdown"


class Picture:
    """A committed figure, as a cell's last expression."""

    def __init__(self, path):
        self.path = path

    def _repr_png_(self):
        return self.path.read_bytes()

    def __repr__(self):
        return self.path.name


@cache
def _there():
    return committed.begun(RESULTS)


def measured(name):
    """A table's cells with their intervals and what they say; or which command makes them."""
    definition = TABLES[name]
    if definition not in _there():
        return Shown(
            ("text", f"No record is committed: `{committed.command(definition)}` makes them.")
        )
    if definition.costs(SCALE):
        return Shown(*cost.document(*cost.load(RESULTS, definition.costs(SCALE))))
    groups = load(RESULTS, _there()[definition])
    blocks = []
    for group in groups:
        heading = ("heading", 3, report.heading(group, SCALE))
        blocks += [heading, table.carrying_block(group, {})]
    return Shown(*blocks, ("heading", 3, report.SAID), *report.findings(definition, groups))


def paper(name):
    """A table of the paper, as it prints it."""
    return Shown(paper_numbers.table(name))


def picture(group, figure):
    """A committed figure, by the beginning of its file's name and its kind."""
    path = RESULTS / "figures" / f"{group}.{figure}.png"
    absent = f"{path.name} comes with its table's first committed records."
    return Picture(path) if path.exists() else Shown(("text", absent))


def files():
    """Every committed figure, by group, linked."""
    kinds = {}
    for path in sorted((RESULTS / "figures").glob("*.png")):
        group, kind = path.stem.rsplit(".", 1)
        kinds.setdefault(group, []).append(f"[{kind}](../results/figures/{path.name})")
    return Shown(("list", [f"{group}: {', '.join(links)}" for group, links in kinds.items()]))
