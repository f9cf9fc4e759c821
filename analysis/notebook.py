"""What the notebooks show: tables as Markdown, pictures from results/figures; all of it from the committed records."""
import re
from functools import cache
from pathlib import Path

from IPython.display import Markdown, display

from . import committed, cost, paper_numbers, report, table
from .document import markdown
from .records import load
from .tables import SCALE, TABLES

RESULTS = Path(__file__).resolve().parent.parent / "results"


@cache
def there():
    return committed.begun(RESULTS)


def show(blocks):
    display(Markdown(markdown(blocks)))


def absent(name):
    show([("text", f"No record is committed: `{committed.command(TABLES[name])}` makes them.")])


def measured(name):
    """A table's cells with their intervals, and what they say; or which command makes them."""
    if TABLES[name] not in there():
        return absent(name)
    found = load(RESULTS, there()[TABLES[name]])
    for group in found:
        show([("heading", 3, report.heading(group, SCALE)), table.carrying_block(group, {})])
    show([("heading", 3, report.SAID), *report.sentences(TABLES[name], found)])


def costs(name="ablation_training_cost"):
    """The table of training costs, the same way."""
    if TABLES[name] not in there():
        return absent(name)
    show(cost.document(*cost.load(RESULTS, TABLES[name].costs(SCALE))))


def paper(name):
    """A table of the paper, as it prints it."""
    show([paper_numbers.table(name)])


def pictures(figure):
    """Every committed figure of one kind: samples, routers, error, training, ..."""
    for path in sorted((RESULTS / "figures").glob(f"*.{figure}.png")):
        show([("text", f"![{re.sub('[-.]', ' ', path.stem)}](../results/figures/{path.name})")])
