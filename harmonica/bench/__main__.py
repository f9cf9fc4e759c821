"""`python -m harmonica.bench`: every table that this machine can measure, alone on it, into
results/bench/<device>.*
"""

import sys
from pathlib import Path

import torch

from harmonica.bench import (
    cache_memory,
    forward,
    lambda_refresh,
    peers,
    prediction,
    released_code,
    sampling,
    sdt_update,
    sharding,
    start_up,
)
from harmonica.bench.bench import Bench
from harmonica.bench.profiles import profile
from harmonica.bench.report import line, markdown
from harmonica.cli import command
from harmonica.cli.command import Parser, out_folder, text, whole
from harmonica.fast.plan import BACKENDS
from harmonica.files import atomic, write_json
from harmonica.lab.ids import slug_of
from harmonica.lab.memory import keep_freed
from harmonica.lab.provenance import device_name, provenance

TABLES = {
    "forward": forward,
    "sampling": sampling,
    "prediction": prediction,
    "sdt-update": sdt_update,
    "lambda-refresh": lambda_refresh,
    "sharding": sharding,
    "start-up": start_up,
    "cache-memory": cache_memory,
    "peers": peers,
}


def main(argv=None):
    return command.run(lambda argv: bench(parser().parse_args(argv)), argv)


def parser():
    top = Parser(
        prog="python -m harmonica.bench", description=__doc__.split("`: ")[1].splitlines()[0]
    )
    top.add_argument(
        "--model",
        type=text,
        default="dit-digits-s0",
        help="a base model of the digits; default %(default)s",
    )
    top.add_argument(
        "--repeats",
        type=whole(2, 100_000),
        default=31,
        help="the largest number of repeats; what takes long has fewer; default %(default)s",
    )
    top.add_argument(
        "--tables",
        nargs="+",
        choices=TABLES,
        help="measure only these tables; the files are then named after them; default all",
    )
    top.add_argument(
        "--backends",
        nargs="+",
        choices=BACKENDS,
        help="how cached steps run; default all ways that the device has",
    )
    top.add_argument(
        "--peer",
        type=text,
        metavar="PATH",
        help="a checkout of the released code, to be timed too; needs timm",
    )
    out = "the folder to write to; default %(default)s"
    top.add_argument("--out", type=out_folder, default="results/bench", help=out)
    return top


def bench(arguments):
    """Measure and print all tables, then write them to arguments.out."""
    torch.set_num_threads(1)
    keep_freed()
    bench = Bench(arguments.model, arguments.repeats, arguments.backends)
    tables = {name: TABLES[name] for name in arguments.tables or TABLES}
    if arguments.peer:
        tables["peer"] = released_code.of(Path(arguments.peer))
    rows, profiles = {}, []
    for name, table in tables.items():
        print(f"\n{name}: {table.__doc__.strip()}", flush=True)
        rows[name], slowest = _measured(table, bench)
        if slowest:
            profiles.append({"table": name, **slowest})
            print(f"  slowest: {line(profiles[-1])}", flush=True)
    name = ".".join([slug_of(device_name()), *(arguments.tables or ())])
    out, titles = Path(arguments.out), {name: table.__doc__ for name, table in tables.items()}
    write_json(
        out / f"{name}.json",
        {
            "digits_model": arguments.model,
            "repeats": arguments.repeats,
            "tables": rows,
            "profiles": profiles,
            "provenance": provenance(),
        },
    )
    with atomic(out / f"{name}.md") as temporary:
        temporary.write_text(markdown(titles, rows, profiles))
    print(f"\nwrote {out / name}.json and .md")


def _measured(table, bench):
    """-> a table's rows; and, for the row with the smallest ratio among those that can be profiled,
    its profile.
    """
    rows = []
    worst = slowest = None
    for row, profiled in table.rows(bench):
        rows.append(row)
        print(f"  {line(row)}", flush=True)
        ratio = row.get("achieved", row.get("ratio"))
        if profiled and (worst is None or ratio < worst):
            worst = ratio
            slowest = {
                **{key: value for key, value in row.items() if isinstance(value, (str, int))},
                "ratio": ratio,
                **profile(*profiled),
            }
    return rows, slowest


if __name__ == "__main__":
    sys.exit(main())
