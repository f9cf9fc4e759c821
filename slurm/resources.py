"""What each kind of job asks the cluster for: read from the TOML that a user copies from
cluster.example.toml.

Everything is checked before anything is submitted; an error names file, table, key and value.
"""

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path

from harmonica.errors import BadInput, check

KINDS = ("train", "search", "sample", "evaluate", "latency", "render")
CLUSTERS = ("slurm", "local", "debug")
GPU_SYNTAX = ("gpus-per-node", "gpus-per-task", "gres")
RIGHT = {
    int: "give a whole number",
    str: "give a text in quotes",
    bool: "give true or false",
    list: "give a list of texts",
    dict: "give a table of sbatch options",
}


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one kind of job asks for. processes: ranks of a training, each with one GPU; cpus: of
    each process; memory_gb: of the whole job, 0 where none is asked for; shards and parallel: into
    how many jobs one run's sampling is divided, and how many of them run at a time; sbatch: any
    further options.
    """

    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    gpus: int = 0
    processes: int = 1
    cpus: int = 1
    memory_gb: int = 8
    minutes: int = 60
    shards: int = 1
    parallel: int = 16
    exclusive: bool = False
    setup: list = field(default_factory=list)
    sbatch: dict = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Site:
    """How requests are written for this cluster. time_outs: how often a job may reach its time
    limit and go on; retries: how often one that died without giving a reason (kill -9, out of
    memory) starts again; warning_s: how many seconds before the time limit a job is told.
    """

    cluster: str = "slurm"
    gpu_syntax: str = "gpus-per-node"
    gpu_type: str = ""
    srun: bool = True
    time_outs: int = 100
    retries: int = 3
    warning_s: int = 120


# {key: the only tables that may have it}
ONLY = {"processes": ("train",), "shards": ("sample",), "parallel": ("sample",)}
# of whole numbers; all others are at least 1
LEAST = {"gpus": 0, "memory_gb": 0, "time_outs": 0, "retries": 0}


def load(path):
    """-> Site, {kind: Resources}. BadInput for a missing file, and for anything in it that is not
    possible.
    """
    path = Path(path)
    check(
        not path.is_dir(),
        "--cluster-file",
        str(path),
        "it is a folder; name a file, e.g. slurm/cluster.toml",
    )
    check(
        path.is_file(),
        "--cluster-file",
        str(path),
        "copy slurm/cluster.example.toml there and fill it in",
    )
    try:
        tables = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: not a TOML file ({error})") from None
    for name in tables:
        check(
            name in ("site", "all", *KINDS) and isinstance(tables[name], dict),
            f"{path}: table",
            name,
            f"it has [site], [all] and [{'], ['.join(KINDS)}]",
        )
    site = _read(Site, path, "site", tables.get("site", {}))
    _read(Resources, path, "all", tables.get("all", {}))
    kinds = {
        kind: _read(Resources, path, kind, tables.get("all", {}) | tables.get(kind, {}))
        for kind in KINDS
    }
    if "search" not in tables:  # as in files of before there was this table
        kinds["search"] = kinds["evaluate"]
    _check_possible(path, tables, site, kinds)
    return site, kinds


def _read(form, path, table, values):
    types = {item.name: item.type for item in fields(form)}
    for key, value in values.items():
        prefix = f"{path}: [{table}]"
        check(key in types, f"{prefix} key", key, f"choose one of {', '.join(types)}")
        check(
            table in ("site", *ONLY.get(key, (table,))),
            f"{prefix} key",
            key,
            f"it belongs to [{', '.join(ONLY.get(key, ()))}]",
        )
        kind = types[key]
        check(
            type(value) is kind
            and (kind is not list or all(isinstance(line, str) for line in value)),
            f"{prefix} {key}",
            value,
            RIGHT[kind],
        )
        if kind is int:
            least = LEAST.get(key, 1)
            check(value >= least, f"{prefix} {key}", value, f"it must be at least {least}")
    return form(**values)


def _check_possible(path, tables, site, kinds):
    for key, choices in (("cluster", CLUSTERS), ("gpu_syntax", GPU_SYNTAX)):
        check(
            getattr(site, key) in choices,
            f"{path}: [site] {key}",
            getattr(site, key),
            f"choose one of {', '.join(choices)}",
        )
    train = kinds["train"]
    check(
        train.gpus in (0, train.processes),
        f"{path}: [train] processes",
        train.processes,
        f"each process has one GPU, so with gpus = {train.gpus} it is {train.gpus}, "
        "and without GPUs any number",
    )
    check(
        train.processes == 1 or site.srun and site.cluster != "debug",
        f"{path}: [train] processes",
        train.processes,
        "without srun, and on cluster debug, it must be 1",
    )
    for kind, resources in kinds.items():
        check(
            resources.gpus <= 1 or kind == "train",
            f"{path}: [{kind}] gpus",
            resources.gpus,
            "only training uses more than one",
        )
        check(
            60 * resources.minutes > site.warning_s,
            f"{path}: [{kind}] minutes",
            resources.minutes,
            f"it must be longer than the warning of {site.warning_s} s before the limit "
            "([site] warning_s)",
        )
