"""`python -m harmonica base-models`: train the base models of the digits from nothing and measure
their own quality.

They go to results/local-base-models (never over the shipped ones); HARMONICA_MODELS=that folder
makes every experiment use them. A killed training goes on where it was saved.
"""

import json
from concurrent.futures import as_completed
from pathlib import Path

from harmonica.cli.command import out_folder, whole
from harmonica.errors import check

# dit-digits-fine: four times the tokens of dit-digits, narrower to keep it trainable on a CPU in
# half an hour
KINDS = {
    "dit-digits": {"patch": 2, "width": 96},
    "dit-digits-fine": {"patch": 1, "width": 64},
    "pixart-digits": {},
}
MINUTES = {"dit-digits": 12, "dit-digits-fine": 25, "pixart-digits": 11}  # on one core, measured
STEPS = 4500  # of training, of the shipped models


def add(commands):
    verb = commands.add_parser("base-models", help="train the digits-scale models from nothing")
    kinds = sorted(KINDS)
    verb.add_argument("--kinds", nargs="+", default=kinds, choices=kinds, help="default all")
    seeds, of_seeds = [0, 1, 2], "default 0 1 2"
    verb.add_argument("--seeds", nargs="+", default=seeds, type=whole(0, 2**31 - 1), help=of_seeds)
    steps = "training steps; default %(default)s"
    verb.add_argument("--steps", default=STEPS, type=whole(1, 10**7), help=steps)
    out = "a folder; default %(default)s"
    verb.add_argument("--out", default="results/local-base-models", type=out_folder, help=out)
    verb.add_argument("--jobs", type=whole(1, 4096), help="processes at a time; default the cores")
    verb.set_defaults(function=_train_all)


def _train_all(arguments):
    """Train what is missing in arguments.out and write its models.json anew after each."""
    from harmonica.files import write_json
    from harmonica.lab.provenance import num_cores
    from harmonica.lab.words import count, duration
    from harmonica.lab.workers import submit, workers

    _check(arguments)
    out = Path(arguments.out)
    missing = [
        (kind, seed) for kind, seed in _wanted(arguments) if f"{kind}-s{seed}" not in _known(out)
    ]
    jobs = min(arguments.jobs or num_cores(), max(1, len(missing)))
    seconds = 60 * sum(MINUTES[kind] for kind, _ in missing) * arguments.steps / STEPS
    took = f", about {duration(seconds / jobs)} with {count(jobs, 'process')}" if missing else ""
    print(f"{count(len(missing), 'base model')} to train{took}; they go to {out}", flush=True)
    with workers(jobs) as pool:
        futures = [submit(pool, _make, kind, seed, arguments.steps, out) for kind, seed in missing]
        for future in as_completed(futures):
            name, about = future.result()
            write_json(out / "models.json", {**_known(out), name: about})
            print(f"{name}: {json.dumps(about['quality'])}", flush=True)
    print(
        f"use them: HARMONICA_MODELS={out} make reproduce-table1 (pixart-digits: reproduce-table2)"
    )


def _check(arguments):
    """BadInput where the folder holds models that were trained for another number of steps."""
    for name, about in _known(Path(arguments.out)).items():
        trained = about["training"]["steps"]
        right = f"{arguments.out} holds {name} trained with {trained}; give another --out"
        check(trained == arguments.steps, "steps", arguments.steps, right)


def _wanted(arguments):
    """-> (kind, seed) pairs, once each."""
    return dict.fromkeys((kind, seed) for kind in arguments.kinds for seed in arguments.seeds)


def _make(kind, seed, steps, out):
    from harmonica.digits import base, pixart

    make = pixart.make if kind == "pixart-digits" else base.make
    return make(f"{kind}-s{seed}", {"seed": seed, "steps": steps, **KINDS[kind]}, out)


def _known(out):
    from harmonica.files import read_json

    path = out / "models.json"
    return read_json(path) if path.exists() else {}
