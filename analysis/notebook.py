"""What the notebooks show: tables as Markdown, pictures of results/figures by their names; all of it from committed records."""
from functools import cache
from pathlib import Path

from . import committed, cost, paper_numbers, report, table
from .document import markdown
from .records import load
from .tables import SCALE, TABLES

RESULTS = Path(__file__).resolve().parent.parent / "results"


class Shown:
    """Blocks of a document, as a cell's last expression."""

    def __init__(self, *blocks):
        self.markdown = markdown(blocks)

    def _repr_markdown_(self):
        return self.markdown

    def __repr__(self):
        return f"{len(self.markdown.splitlines())} lines of Markdown"


@cache
def _there():
    return committed.begun(RESULTS)


def measured(name):
    """A table's cells with their intervals, and what they say; or which command makes them."""
    which = TABLES[name]
    if which not in _there():
        return Shown(("text", f"No record is committed: `{committed.command(which)}` makes them."))
    if which.costs(SCALE):
        return Shown(*cost.document(*cost.load(RESULTS, which.costs(SCALE))))
    groups = load(RESULTS, _there()[which])
    tables = [block for group in groups for block in (("heading", 3, report.heading(group, SCALE)), table.carrying_block(group, {}))]
    return Shown(*tables, ("heading", 3, report.SAID), *report.sentences(which, groups))


def paper(name):
    """A table of the paper, as it prints it."""
    return Shown(paper_numbers.table(name))


def pictures(figure):
    """Every committed figure of one kind: samples, routers, error, training, ..."""
    paths = sorted((RESULTS / "figures").glob(f"*.{figure}.png"))
    return Shown(*(("text", f"![{path.stem}](../results/figures/{path.name})") for path in paths))
