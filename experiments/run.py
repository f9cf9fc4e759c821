"""`python -m experiments run EXPERIMENT...`: make the artefacts of the named experiments that are
missing.
"""

from importlib import import_module
from pathlib import Path

import harmonica
from harmonica.cli.command import text, whole
from harmonica.errors import BadInput, check, check_done
from harmonica.files import at_work
from harmonica.lab.ids import with_needs
from harmonica.lab.makings import SCALES
from harmonica.lab.needed import missing_files
from harmonica.lab.provenance import check_gpu
from harmonica.lab.store import LOCAL, Store, set_aside

from . import listing, names
from .rows import ROWS, ROWS_IN_WORDS, SCALES_IN_WORDS, latency_specs, rows_in, sets_of

MOST_SEEDS = 100
PLACES = ("local", "slurm")
CLUSTER_FILE = "slurm/cluster.toml"


def add(commands):
    run = commands.add_parser("run", help="make the routers, images and metrics that are missing")
    experiments = "names of folders in experiments/, e.g. dit_xl2_256"
    run.add_argument("experiments", nargs="+", metavar="EXPERIMENT", type=text, help=experiments)
    run.add_argument("--scale", default="digits", choices=SCALES, help=SCALES_IN_WORDS)
    run.add_argument("--rows", default="core", choices=ROWS, help=ROWS_IN_WORDS)
    run.add_argument(
        "--seeds",
        default=1,
        type=whole(1, MOST_SEEDS),
        help="how many replicates, each with its own base model, router and noise; default "
        "%(default)s",
    )
    run.add_argument(
        "--jobs",
        type=whole(1, 4096),
        help="how many processes run at a time; default as many as there are cores (paper: GPUs)",
    )
    where = "on this machine, or as jobs of a Slurm cluster; default %(default)s"
    run.add_argument("--where", default="local", choices=PLACES, help=where)
    fresh = "start a new local set of results; the old one is renamed, not deleted"
    run.add_argument("--fresh", action="store_true", help=fresh)
    state = run.add_mutually_exclusive_group()
    state.add_argument("--dry-run", action="store_true", help="only list what would be made")
    status = "only list what is there and what is missing"
    state.add_argument("--status", action="store_true", help=status)
    cancel = "with --where slurm: cancel these experiments' queued jobs"
    state.add_argument("--cancel", action="store_true", help=cancel)
    slurm = run.add_argument_group("with --where slurm (docs/cluster.md)")
    slurm.add_argument(
        "--cluster-file",
        default=CLUSTER_FILE,
        metavar="FILE",
        type=text,
        help="what the jobs ask for; default %(default)s",
    )
    table = "render this table when everything is done, e.g. table1"
    slurm.add_argument("--table", type=text, help=table)
    wait = "return only after all jobs have ended"
    slurm.add_argument("--wait", action="store_true", help=wait)
    run.set_defaults(function=_run)


def _run(arguments):
    _check_checkout()
    _check(arguments)
    artefacts, latencies = _artefacts(arguments)
    makes = not (arguments.dry_run or arguments.status or arguments.cancel)
    if makes and arguments.scale == "paper":
        _refuse_missing_files(_missing(artefacts, arguments.fresh))
    if arguments.where == "slurm":
        from slurm import launch  # brings submitit, and torch with it

        return launch.main(arguments, artefacts, latencies, LOCAL)
    if not makes:
        wanted = artefacts + latencies
        missing = _missing(wanted, arguments.fresh)
        listing.show(wanted, missing, arguments.scale, _num_processes(arguments))
        if arguments.fresh and LOCAL.exists():
            print(f"these in a new set: {LOCAL} would be renamed")
        return
    if arguments.fresh:
        set_aside(LOCAL)
    _make(artefacts, latencies, arguments)


def _check_checkout():
    """BadInput where another checkout's code is imported, as two that share an environment do."""
    ours, code = (Path(file).resolve().parents[1] for file in (__file__, harmonica.__file__))
    if ours != code:
        raise BadInput(
            f"checkout: the experiments of {ours} would run with the code of {code}; give each "
            "checkout an environment of its own (`make` does)"
        )


def _check(arguments):
    for option in ("table", "wait", "cancel"):
        if getattr(arguments, option) and arguments.where != "slurm":
            raise BadInput(f"--{option}: it goes with --where slurm (make ... WHERE=slurm)")
    if arguments.jobs and arguments.where == "slurm":
        raise BadInput("--jobs: on a cluster [sample] parallel in the cluster file says it")
    for option in ("status", "cancel"):
        if getattr(arguments, option) and arguments.fresh:
            raise BadInput(
                f"--fresh: with --{option} there is no new set yet; leave FRESH out to see the "
                "present one (--dry-run lists what a new one would hold)"
            )
    if arguments.cluster_file != CLUSTER_FILE and arguments.where != "slurm":
        raise BadInput("--cluster-file: it goes with --where slurm (make ... WHERE=slurm)")


def _artefacts(arguments):
    """-> everything that the named experiments need, needs first; what is timed once that is there.
    Experiments without rows are skipped with a line each, where others have some.
    """
    scale, which = arguments.scale, arguments.rows
    configs = _configs(arguments.experiments)
    by_name = {name: _of(config, scale, which, arguments.seeds) for name, config in configs.items()}
    without = [name for name, (rows, costs) in by_name.items() if not rows and not costs]
    messages = {name: f"{name} has no {which} rows at {scale} scale" for name in without}
    if len(without) == len(by_name):
        raise BadInput(
            "; ".join(f"{messages[name]}, {_elsewhere(configs[name])}" for name in without)
        )
    for name in without:
        print(messages[name])
    rows = [row for rows, _ in by_name.values() for row in rows]
    costs = [spec for _, costs in by_name.values() for spec in costs]
    return with_needs([run for row in rows for run in row.runs]), latency_specs(rows) + costs


def _of(config, scale, which, num_seeds=1):
    """(rows, training costs) of an experiment."""
    costs = config.costs(scale) if hasattr(config, "costs") else []
    return rows_in(config, scale, which, num_seeds), costs


def _elsewhere(config):
    """Where an experiment has rows, in words."""
    places = []
    for scale in SCALES:
        try:
            which = next((w for w in sets_of(config) if any(_of(config, scale, w))), None)
        except BadInput:  # it refuses the scale
            continue
        if which:
            places.append(scale if which == "core" else f"{scale} (--rows {which})")
    return f"it has some at {', '.join(places)}"


def _configs(wanted):
    """Name -> config.py of each named experiment."""
    existing = names.names("experiments")
    for name in wanted:
        check(
            name in existing,
            "experiment",
            name,
            f"choose one of {', '.join(existing) or '(none: there is no experiments folder here)'}",
        )
    return {name: import_module(f"experiments.{name}.config") for name in wanted}


def _missing(artefacts, fresh):
    """Those of the artefacts, needs first, that must be made: in a fresh set all of them."""
    return with_needs(artefacts) if fresh else Store(LOCAL).missing(artefacts)


def _refuse_missing_files(artefacts):
    missing = missing_files(artefacts)
    if missing:
        print("\n".join(missing[1:]), end="\n" * (len(missing) > 1))
        more = f" ({len(missing) - 1} more are missing, listed above)" if missing[1:] else ""
        raise BadInput(missing[0] + more)


def _make(artefacts, latencies, arguments):
    """Make what is missing, on this machine. BadInput naming what failed."""
    if not Store(LOCAL).missing(artefacts + latencies):
        print(f"nothing to run: all {len(artefacts + latencies)} records are in {LOCAL}")
        return
    if arguments.scale == "paper":
        check_gpu()
    from harmonica.lab.pool import make_all

    with at_work(LOCAL / "locks"):
        failed = make_all(artefacts, LOCAL, _num_processes(arguments))
        if not failed:  # what is timed comes last and alone on the machine
            failed = make_all(latencies, LOCAL, jobs=1)
    check_done(failed)


def _num_processes(arguments):
    from harmonica.lab.provenance import num_cores, num_gpus

    if arguments.jobs:
        return arguments.jobs
    return num_gpus() or 1 if arguments.scale == "paper" else num_cores()
