"""What the pages quote of the tables: blocks that are made of the committed records, so that no
measured number on a page is written by hand.

On a page a block lies between the lines `<!-- made: NAME -->` and `<!-- end -->`; NAME is one of
BLOCKS. `make paper` makes all blocks again, and fails where one of them was different.
"""

import re
import textwrap
from functools import partial
from pathlib import Path

from harmonica.errors import check

from . import committed, findings, headline, index, quotes, speeds
from .document import write
from .records import load

PAGES = ("README.md", "docs/results.md", "results/README.md")
WIDTH = 120
MARKED = re.compile(r"<!-- made: ([^\n]+) -->\n(.*?)<!-- end -->", re.S)
NOT_YET = "Not measured yet."
TWO = ("ablation_iepo_vs_mse", "ablation_sdt_vs_standard")
# {name: (function of {a table's key: [records.Group]} and the folder of results, tables it needs)}
BLOCKS = {
    "headline": (headline.headline, "table1"),
    "table 1, half reused": (quotes.table1_half, "table1"),
    "table 1 in short": (findings.in_short, "table1"),
    "table 1": (quotes.table1, "table1"),
    "table 2": (quotes.table2, "table2"),
    "U-ViT": (partial(quotes.whole, "uvit"), "uvit"),
    "clothes": (partial(quotes.whole, "table1.clothes"), "table1.clothes"),
    "clothes, frontier": (partial(quotes.whole, "frontier.clothes"), "frontier.clothes"),
    "clothes, findings": (partial(findings.of_table, "table1.clothes"), "table1.clothes"),
    "compression": (partial(quotes.whole, "compression"), "compression"),
    "quantisation": (partial(quotes.whole, "quantisation"), "quantisation"),
    "ablations": (quotes.ablations, *TWO),
    "frontier": (quotes.frontier, "frontier"),
    "frontier, every setting": (quotes.frontier_everywhere, "frontier"),
    "equal error": (quotes.at_equal_error, "frontier"),
    "making": (quotes.what_it_takes, "frontier"),
    "table 1, findings": (partial(findings.of_table, "table1"), "table1"),
    "table 2, findings": (partial(findings.of_table, "table2"), "table2"),
    "U-ViT, findings": (partial(findings.of_table, "uvit"), "uvit"),
    "compression, findings": (partial(findings.of_table, "compression"), "compression"),
    "quantisation, findings": (partial(findings.of_table, "quantisation"), "quantisation"),
    "ablations, findings": (findings.of_ablations, TWO[0]),
    "frontier, findings": (findings.of_frontier, "frontier"),
    "power": (findings.power, "table1"),
    "base models": (quotes.base_models,),
    "speed on a GPU": (speeds.gpu_short,),
    "speeds on a CPU": (speeds.cpu, "table1", "table2"),
    "speeds on a GPU": (speeds.gpu,),
    "index": (index.tables,),
}


def stale(root):
    """{page: the text that it should have} of the pages below `root` that quote other numbers than
    the committed records give. BadInput where a record is missing, a page has a block that nothing
    makes, or a block is on no page.
    """
    root = Path(root)
    blocks = _made(root / "results")
    texts = {root / page: (root / page).read_text() for page in PAGES}
    names = [name for text in texts.values() for name, _ in MARKED.findall(text)]
    check(sorted(names) == sorted(blocks), "blocks of pages", sorted(names), f"each of {[*blocks]}")
    expected = {
        page: MARKED.sub(lambda m: _block(m[1], blocks), text) for page, text in texts.items()
    }
    return {page: text for page, text in expected.items() if text != texts[page]}


def fill(root):
    """Write the pages that are `stale` -> their paths."""
    return [write(page, text) for page, text in stale(root).items()]


def _made(results):
    """{name of a block: its text}"""
    committed.check(results)
    groups = {
        table.key: load(results, rows) for table, rows in committed.begun(results).items() if rows
    }
    return {
        name: make(groups, results) if {*needed} <= {*groups} else NOT_YET
        for name, (make, *needed) in BLOCKS.items()
    }


def _block(name, blocks):
    text = "\n".join(map(_wrapped, blocks[name].split("\n")))
    return f"<!-- made: {name} -->\n{text}\n<!-- end -->"


def _wrapped(line):
    """A paragraph or list item wrapped to the width of a page; a line of a table stays."""
    if line.startswith("|"):
        return line
    indent = "  " if line.startswith("- ") else ""
    unbroken = line.replace(" %", "\xa0%")  # these stay together; a + would begin a list
    for sign in "=+":
        unbroken = unbroken.replace(f" {sign} ", f"\xa0{sign}\xa0")
    filled = textwrap.fill(
        unbroken, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return filled.replace("\xa0", " ")
