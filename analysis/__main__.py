"""The command line: `python -m analysis TABLE | ablations | publish | paper`. It reads records and
computes no model.
"""

import sys
from pathlib import Path

from experiments.rows import ROWS, ROWS_IN_WORDS, SCALES_IN_WORDS
from experiments.run import MOST_SEEDS
from harmonica.cli import command
from harmonica.cli.command import Parser, whole
from harmonica.errors import BadInput, check
from harmonica.lab.makings import SCALES

from .tables import ABLATIONS, COMMITTED, COMPRESSION, QUANTISATION, TABLES, table_of

RESULTS, LOCAL = Path("results"), Path("results/local")
FEW = 3  # files of a folder, or records not copied, that are listed by name


def main(argv=None):
    return command.call(parser, argv)


def parser():
    top = Parser(
        prog="python -m analysis",
        description="Print a table of what this clone measured (results/local), or render what is "
        "committed.",
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    titles = {name: table.title for name, table in TABLES.items()}
    several = {
        "ablations": "all ablations, one after another",
        "compression": "both tables of compressed models, this one and Caching with quantisation",
    }
    for name, description in {**titles, **several}.items():
        table = commands.add_parser(name, help=description)
        table.add_argument("--scale", default="digits", choices=SCALES, help=SCALES_IN_WORDS)
        table.add_argument("--rows", default="core", choices=ROWS, help=ROWS_IN_WORDS)
        seeds = "how many replicates; default %(default)s"
        table.add_argument("--seeds", type=whole(1, MOST_SEEDS), default=1, help=seeds)
        partial = (
            "leave out rows whose records are missing, and name them; their groups have no speeds"
        )
        table.add_argument("--partial", action="store_true", help=partial)
        table.set_defaults(function=_table, name=name)
    publish = commands.add_parser(
        "publish", help="copy finished records from results/local to results/ and render them"
    )
    publish.set_defaults(function=_publish)
    paper = commands.add_parser(
        "paper", help="render everything again from the committed records in results/"
    )
    paper.set_defaults(function=_paper)
    return top


def _table(arguments):
    together = {"ablations": ABLATIONS, "compression": (COMPRESSION, QUANTISATION)}
    names = [table.name for table in together.get(arguments.name, ())] or [arguments.name]
    rendered = [_render(table_of(name, arguments.scale), arguments) for name in names]
    finished = ", or none whose records are all made" if arguments.partial else ""
    message = f"{arguments.name} has no {arguments.rows} rows there{finished}"
    check(any(rendered), "scale", arguments.scale, message)


def _render(table, arguments):
    """Print this clone's table -> whether it has anything at this scale. Without latency records
    the cells of speed stay empty; all other records must be there, unless it may be partial.
    """
    from . import cost, paper_scale, records, report

    scale = arguments.scale
    rows, costs = table.rows(scale, arguments.rows, arguments.seeds), table.costs(scale)
    if arguments.partial:
        rows, costs, left_out = records.finished(LOCAL, rows, costs)
        for sentence in left_out:
            print(sentence)
    needed = [a for a in records.artefacts(rows, costs) if a.kind != "latency"]
    command = table.command(arguments.rows, arguments.seeds, scale)
    if (LOCAL / "jobs").exists():
        command += " WHERE=slurm"
    records.require(LOCAL, needed, command)
    if costs:
        _show(*cost.render(table, LOCAL, LOCAL, scale))
    elif rows and scale == "paper":
        _show(*paper_scale.render(LOCAL, LOCAL, rows, table))
    elif rows:
        committed = records.same(RESULTS, rows)
        _show(*report.render(table, LOCAL, LOCAL, rows, scale, committed=committed))
    return bool(rows or costs)


def _publish(arguments):
    from . import committed
    from .publish import THERE, publish

    rows = [row for table in COMMITTED for row in committed.rows(table)]
    artefacts = {table.called: committed.artefacts(table) for table in COMMITTED}
    written, skipped = publish(LOCAL, RESULTS, artefacts, committed.pictured(rows))
    print(f"{len(written)} files copied to {RESULTS}")
    for reason, ids in skipped.items():
        names = "" if reason == THERE else f": {', '.join(ids[:FEW])}"
        rest = f" and {len(ids) - FEW} more" if names and len(ids) > FEW else ""
        print(f"{len(ids)} records not copied: {reason}{names}{rest}")
    if written:
        _render_committed()
    else:
        print("Nothing is new; `make paper` renders what is committed.")


def _paper(arguments):
    changed = _render_committed()
    names = ", ".join(map(str, changed))
    if changed:
        raise BadInput(
            f"page: {names} quoted numbers that the records do not give; they are put right now: "
            "look at what changed (`git diff`) and commit it"
        )


def _render_committed():
    """Render everything committed -> the pages whose quotes were not those of the records."""
    from . import committed, pages

    paths, text = committed.render(RESULTS)
    changed = pages.fill(RESULTS.parent)
    _show([*paths, *changed], text)
    return changed


def _show(paths, text):
    """Print a text and the paths of the files; of a folder with many files only their number."""
    folders = {}
    for path in paths:
        folders.setdefault(path.parent, []).append(str(path))
    print(f"{text}\nFiles:")
    for folder, files in folders.items():
        print(
            "  " + ("\n  ".join(files) if len(files) <= FEW else f"{len(files)} files in {folder}")
        )


if __name__ == "__main__":
    sys.exit(main())
