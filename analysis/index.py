"""The index of tables in results/README.md: each table's files, its records and its command."""

from harmonica.lab.words import count

from . import committed, figures
from .document import listed, markdown
from .spec import SCALE
from .tables import COMMITTED

TOGETHER = (  # in the notebook `ablations`
    "ablation_sdt_vs_standard",
    "ablation_iepo_vs_mse",
    "ablation_refresh",
    "ablation_threshold",
    "ablation_beta",
    "ablation_transfer",
)
NOTEBOOKS = {
    "table1": "table1",
    "table2": "table2",
    "ablation_training_cost": "cost",
    **dict.fromkeys(TOGETHER, "ablations"),
}
HEADINGS = ["item", "files", "records behind it", "command"]


def tables(groups, results):
    """A line for each table. groups: {a table's key: [records.Group]} of those with rows."""
    begun = committed.begun(results)
    rows, previous = [], None
    for table in COMMITTED:
        files = _files(table, groups) if table in begun else f"`{_csv(table)}`: not measured yet"
        command = f"`{table.committed_command()}`"
        rows.append(
            [
                table.called.removeprefix("Ablation: "),
                files,
                _behind(table),
                "the same" if command == previous else command,
            ]
        )
        previous = command
    return markdown([("table", HEADINGS, rows)]).strip()


def _csv(table):
    return f"{table.stem(table.scale)}.csv"


def _files(table, groups):
    csv = _csv(table)
    links = [f"[{csv}](tables/{csv})", f"[.md](tables/{csv.removesuffix('csv')}md)"]
    if table.key in NOTEBOOKS:
        links.append(f"[notebook](../analysis/{NOTEBOOKS[table.key]}.ipynb)")
    drawn = [
        f"[{figure}](figures/{figures.file_name(group, figure)})"
        for group in (groups.get(table.key, ()) if table.title.startswith("Ablation") else ())
        for figure in figures.names(group)
    ]
    if drawn:
        links.append(f"figures {', '.join(drawn)}")
    if table.frontier:
        links.append(f"[frontier](figures/{figures.frontier_name(table.key)})")
    return ", ".join(links)


def _behind(table):
    folders = listed(f"[{name}](../experiments/{name})" for name in table.behind())
    if table.costs(SCALE):
        return f"the record in training/ of {folders}, one machine"
    return f"{table.committed} rows of {folders}, {count(table.num_seeds, 'replicate')}"
