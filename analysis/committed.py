"""What is committed below results/: the tables, and the check that every record behind them is
there and no other.
"""

import re
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import cache

from harmonica.errors import BadInput
from harmonica.files import read_json
from harmonica.lab.ids import SCHEMA
from harmonica.lab.provenance import code_sha
from harmonica.lab.store import Store

from . import cost, notebooks, records, report, verdicts
from .figures import pictured
from .tables import COMMITTED


@cache
def rows(table):
    """The rows of a table that are committed."""
    return table.rows(table.scale, table.committed, table.num_seeds)


@cache
def artefacts(table):
    """All artefacts that a table needs."""
    return records.artefacts(rows(table), table.costs(table.scale))


def begun(results):
    """{Table: its rows} of the tables that are rendered already, or of which a record is committed
    that no other table needs.
    """
    store = Store(results)
    needed = {table: {a.id: a for a in artefacts(table)} for table in COMMITTED}
    uses = Counter(id_ for by_id in needed.values() for id_ in by_id)
    return {
        table: rows(table)
        for table, by_id in needed.items()
        if report.csv_path(results, table, table.scale).exists()
        or any(store.record_path(a).exists() for id_, a in by_id.items() if uses[id_] == 1)
    }


def named():
    """{id: the first Table that needs it} of all artefacts that may be committed."""
    return {a.id: table for table in reversed(COMMITTED) for a in artefacts(table)}


def command(table):
    """The two commands that make and commit a table, for a place between backticks."""
    return f"{table.committed_command()}` and then `make publish"


def check(results):
    """BadInput naming a record, router file or picture that is missing, or a record that nothing
    names any more.
    """
    store = Store(results)
    for table, table_rows in begun(results).items():
        needed = artefacts(table)
        records.require(results, needed, command(table))
        files = [path for path in map(store.committed_path, needed) if path]
        files += [records.committed_images(results, run) for run in pictured(table_rows)]
        missing = [path for path in files if not path.exists()]
        if missing:
            raise BadInput(
                f"file: {missing[0]} is missing; `git checkout -- {missing[0]}` restores it"
            )
    _check_images(results)
    by_id = named()
    for path in store.record_paths():
        if path.stem not in by_id:
            raise BadInput(
                f"record: {path} is stale, {_stale(path)}; delete it{_instead(path.stem, by_id)}"
            )


def _check_images(results):
    """BadInput naming committed images that no figure shows any more."""
    shown = {
        records.committed_images(results, run)
        for table in COMMITTED
        for run in pictured(rows(table))
    }
    others = sorted({*(results / "samples").glob("*.npz")} - shown)
    if others:
        raise BadInput(f"images: {others[0]} is stale, no figure shows it now; delete it")


def _stale(path):
    """Why no experiment names a record any more, as a clause."""
    record = read_json(path)
    record = record if isinstance(record, dict) else {}
    if record.get("schema") != SCHEMA:
        return f"it has schema {record.get('schema')!r}, not {SCHEMA}"
    model = record.get("config", {}).get("model", {})
    for run in (artefact for table in COMMITTED for artefact in artefacts(table)):
        if run.model.name == model.get("name") and run.model.sha256 != model.get("sha256"):
            return f"it was made with other weights of {run.model.name} than the shipped ones"
    return "no experiment names it now"


def _instead(id_, by_id):
    """The command that makes a record whose id has only another hash, as a clause; or ""."""
    slug = re.sub(r"-[0-9a-f]{8}$", "", id_)
    tables = [table for other_id, table in by_id.items() if other_id.rsplit("-", 1)[0] == slug]
    return f", `{command(tables[0])}` makes what takes its place" if tables else ""


def other_code(results):
    """How many committed records were made by other code than this checkout's, as a sentence."""
    shas = [read_json(path)["provenance"]["code_sha"] for path in Store(results).record_paths()]
    count = sum(sha != code_sha() for sha in shas)
    return (
        f"{count} of {len(shas)} records were made by other code than this checkout's "
        f"{code_sha()[:12]} (code_sha)."
    )


def render(results):
    """Make every committed table and figure, the page of verdicts and the notebooks again from
    `results` -> (paths, text to print).
    """
    check(results)
    tables = begun(results)
    with ProcessPoolExecutor() as pool:  # drawing is nearly all of the time
        rendered = list(pool.map(_render, [results] * len(tables), tables.keys(), tables.values()))
    paths = [path for written, _ in rendered for path in written]
    texts = [text for _, text in rendered]
    texts += [
        f"{table.called}: no record is committed; `{command(table)}` makes them."
        for table in COMMITTED
        if table not in tables
    ]
    removed = _remove_others(results / "figures", paths)
    texts += [f"Removed {path}: no table shows it any more." for path in removed]
    paths.append(verdicts.write_page(results, tables))
    return paths + notebooks.execute(results), "\n".join([*texts, other_code(results)])


def _remove_others(folder, drawn):
    """Delete the pictures in a folder that were not drawn just now -> their paths."""
    others = sorted({*folder.glob("*")} - {*drawn})
    for path in others:
        path.unlink()
    return others


def _render(results, table, rows):
    if rows:
        return report.render(table, results, results, rows, table.scale, committed={})
    return cost.render(table, results, results, table.scale)
