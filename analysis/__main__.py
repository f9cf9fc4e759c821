"""The command line: `python -m analysis TABLE | ablations | publish | paper`. Reads records,
computes no model.
"""

import sys
from pathlib import Path

from experiments.rows import ROWS
from harmonica.cli import command
from harmonica.cli.command import Parser
from harmonica.errors import check
from harmonica.lab.specs import SCALES

from .tables import ABLATIONS, TABLES

RESULTS, LOCAL = Path("results"), Path("results/local")


def main(argv=None):
    return command.run(
        lambda argv: (arguments := parser().parse_args(argv)).function(arguments), argv
    )


def parser():
    top = Parser(prog="python -m analysis", description="Tables and figures from records.")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    titles = {
        name: f"this clone's {table.title}, from results/local" for name, table in TABLES.items()
    }
    for name, words in {**titles, "ablations": "all ablations, one after another"}.items():
        table = commands.add_parser(name, help=words)
        table.add_argument("--scale", default="digits", help="digits (default), smoke or paper")
        table.add_argument("--rows", default="core", help="core (default) or all")
        table.add_argument(
            "--seeds",
            type=int,
            default=1,
            help="base models and evaluation noises, 1 (default) to 3",
        )
        table.set_defaults(function=_table, name=name)
    commands.add_parser(
        "publish", help="copy finished records to results/ and render them"
    ).set_defaults(function=_publish)
    commands.add_parser("paper", help="render everything again from results/").set_defaults(
        function=_paper
    )
    return top


def _table(arguments):
    check(arguments.scale in SCALES, "SCALE", arguments.scale, f"choose one of {', '.join(SCALES)}")
    check(arguments.rows in ROWS, "ROWS", arguments.rows, f"choose one of {', '.join(ROWS)}")
    check(1 <= arguments.seeds <= 3, "SEEDS", arguments.seeds, "choose 1, 2 or 3")
    for table in ABLATIONS if arguments.name == "ablations" else [TABLES[arguments.name]]:
        _render(table, arguments.scale, arguments.rows, arguments.seeds)


def _render(table, scale, which, seeds):
    """This clone's table, if it has anything at this scale."""
    from . import cost, paper_scale, records, report
    from .table import read_csv

    rows, costs = table.rows(scale, which, seeds), table.costs(scale)
    needed = [
        a for a in records.artefacts(rows, costs) if a.kind != "latency"
    ]  # without latency its cells stay empty
    records.require(LOCAL, needed, table.command(which, seeds, scale))
    if costs:
        _show(*cost.render(table, LOCAL, LOCAL, scale))
    elif scale == "paper":
        _show(*paper_scale.render(LOCAL, LOCAL, rows, table))
    elif rows:
        committed = read_csv(report.csv_path(RESULTS, table, scale))
        _show(*report.render(table, LOCAL, LOCAL, rows, scale, committed=committed))


def _publish(arguments):
    from . import committed
    from .publish import THERE, publish

    pictured = [
        run for table in TABLES.values() for run in committed.pictured(committed.rows(table))
    ]
    wanted = {table.title: committed.artefacts(table) for table in TABLES.values()}
    written, skipped = publish(LOCAL, RESULTS, wanted, pictured)
    print(f"{len(written)} files copied to {RESULTS}")
    for reason, ids in skipped.items():
        print(
            f"{len(ids)} records not copied: {reason}"
            + ("" if reason == THERE else ":\n  " + "\n  ".join(ids))
        )
    _paper(arguments)


def _paper(arguments):
    from . import committed

    _show(*committed.render(RESULTS))


def _show(paths, text):
    print(text)
    print("Files:\n  " + "\n  ".join(map(str, paths)))


if __name__ == "__main__":
    sys.exit(main())
