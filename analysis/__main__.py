"""The command line: `python -m analysis table1 | table2 | publish | paper`. Reads records, computes no model."""
import sys
from pathlib import Path

from experiments import ROWS
from harmonica import check, command
from harmonica.command import Parser
from harmonica.specs import SCALES

RESULTS, LOCAL = Path("results"), Path("results/local")


def main(argv=None):
    return command.run(lambda argv: (arguments := parser().parse_args(argv)).function(arguments), argv)


def parser():
    top = Parser(prog="python -m analysis", description="Tables and figures from records.")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for name in ("table1", "table2"):
        table = commands.add_parser(name, help=f"this clone's Table {name[-1]}, from results/local")
        table.add_argument("--scale", default="digits", help="digits (default), smoke or paper")
        table.add_argument("--rows", default="core", help="core (default) or all")
        table.add_argument("--seeds", type=int, default=1, help="base models and evaluation noises, 1 (default) to 3")
        table.set_defaults(function=_table, name=name)
    commands.add_parser("publish", help="copy finished records to results/ and render them").set_defaults(function=_publish)
    commands.add_parser("paper", help="render everything again from results/").set_defaults(function=_paper)
    return top


def _table(arguments):
    from . import paper_scale, records, report, table
    from .committed import command
    from .tables import TABLES
    which = TABLES[arguments.name]
    check(arguments.scale in SCALES, "SCALE", arguments.scale, f"choose one of {', '.join(SCALES)}")
    check(arguments.rows in ROWS, "ROWS", arguments.rows, f"choose one of {', '.join(ROWS)}")
    check(1 <= arguments.seeds <= 3, "SEEDS", arguments.seeds, "choose 1, 2 or 3")
    rows = which.rows(arguments.scale, arguments.rows, arguments.seeds)
    needed = [a for a in records.artefacts(rows) if a.kind != "latency"]        # without latency its cells stay empty
    records.require(LOCAL, needed, command(which, arguments.rows, arguments.seeds, arguments.scale))
    if arguments.scale == "paper":
        return _show(*paper_scale.render(LOCAL, LOCAL, rows, paper_scale.TABLES[which.name]))
    committed = table.read_csv(RESULTS / "tables" / f"{which.name}.{arguments.scale}.csv")
    _show(*report.render(which, LOCAL, LOCAL, rows, arguments.scale, committed=committed))


def _publish(arguments):
    from . import committed
    from .publish import THERE, publish
    from .tables import TABLES
    pictured = [run for table in TABLES.values() for run in committed.pictured(committed.rows(table))]
    written, skipped = publish(LOCAL, RESULTS, committed.named(), pictured)
    print(f"{len(written)} files copied to {RESULTS}")
    for reason, ids in skipped.items():
        print(f"{len(ids)} records not copied: {reason}" + ("" if reason == THERE else ":\n  " + "\n  ".join(ids)))
    _paper(arguments)


def _paper(arguments):
    from . import committed
    _show(*committed.render(RESULTS))


def _show(paths, text):
    print(text)
    print("Files:\n  " + "\n  ".join(map(str, paths)))


if __name__ == "__main__":
    sys.exit(main())
