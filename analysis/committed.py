"""What is committed below results/: which tables, whether every record behind them is there, and no other."""
from importlib import import_module
from pathlib import Path

from experiments import ROWS
from harmonica import BadInput
from harmonica.store import FOLDERS, Store

from . import records, report
from .tables import TABLES

SCALE = "digits"
WHOLE = {"which": "all", "num_seeds": 3}        # a committed table: make reproduce-tableN ROWS=all SEEDS=3


def command(table, rows, num_seeds, scale=SCALE):
    """The make command behind a table, with what differs from the defaults."""
    options = {"SCALE": (scale, SCALE), "ROWS": (rows, "core"), "SEEDS": (num_seeds, 1)}
    given = [f"{name}={value}" for name, (value, default) in options.items() if value != default]
    return " ".join([f"make reproduce-{table.name}", *given])


def rows(table):
    return table.rows(SCALE, **WHOLE)


def begun(results):
    """{tables.Table: its rows} of those tables of which any record is committed."""
    store, tables = Store(results), {table: rows(table) for table in TABLES.values()}
    return {table: own for table, own in tables.items() if any(store.record_path(run).exists() for row in own for run in row.runs)}


def named():
    """{id: artefact} of everything that experiments/ name at the committed scale."""
    folder = Path(__file__).resolve().parent.parent / "experiments"
    found = {}
    for path in sorted(folder.glob("*/config.py")):
        config = import_module(f"experiments.{path.parent.name}.config")
        for which in ROWS:
            found |= {a.id: a for a in records.artefacts(config.table(SCALE, which, WHOLE["num_seeds"]))}
    return found


def check(results):
    """BadInput naming a record, router file or picture that is missing, or a record that nothing names any more."""
    store, known = Store(results), named()
    for table, own in begun(results).items():
        how = f"{command(table, WHOLE['which'], WHOLE['num_seeds'])}` and then `make publish"
        wanted = records.artefacts(own)
        records.require(results, wanted, how)
        files = [store.router_path(a) for a in wanted if a.kind == "router"]
        files += [records.committed_images(results, run) for run in pictured(own)]
        missing = [path for path in files if not path.exists()]
        if missing:
            raise BadInput(f"file: {missing[0]} is missing; `{how}` makes it")
    for path in (path for folder in FOLDERS.values() for path in sorted((store.root / folder).glob("*.json"))):
        if path.stem not in known:
            raise BadInput(f"record: {path} is stale, no experiment names it now; delete it, and make and publish what "
                           "takes its place")


def pictured(rows):
    """The runs whose images the sample grids show: of every row the first."""
    return list({row.runs[0].id: row.runs[0] for row in rows}.values())


def render(results):
    """Make every committed table and figure again from `results` alone -> (paths, text)."""
    check(results)
    done = [report.render(table, results, results, own, SCALE, committed={}) for table, own in begun(results).items()]
    return [path for paths, _ in done for path in paths], "\n".join(text for _, text in done)
