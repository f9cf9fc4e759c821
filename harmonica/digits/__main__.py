"""`python -m harmonica.digits`: train the base models from nothing and measure their own quality.

They go to results/local-base-models (never over the shipped ones); HARMONICA_MODELS=that folder
makes every experiment use them. A killed training goes on where it was saved.
"""

import json
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from harmonica.cli import command
from harmonica.cli.command import Parser
from harmonica.errors import check
from harmonica.files import read_json, write_json
from harmonica.lab.pool import start_worker
from harmonica.lab.provenance import num_cores

# dit-digits-fine: four times the tokens of dit-digits, narrower to keep it trainable on a CPU in
# half an hour
KINDS = {
    "dit-digits": {"patch": 2, "width": 96},
    "dit-digits-fine": {"patch": 1, "width": 64},
    "pixart-digits": {},
}
MINUTES = {"dit-digits": 12, "dit-digits-fine": 25, "pixart-digits": 11}  # on one core, measured


def main(argv=None):
    parser = Parser(prog="python -m harmonica.digits", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--kinds", nargs="+", default=sorted(KINDS), help=f"of {', '.join(KINDS)}; default all"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--steps", type=int, default=4500, help="training steps; the shipped models took 4500"
    )
    parser.add_argument("--out", type=Path, default=Path("results/local-base-models"))
    parser.add_argument("--jobs", type=int, default=num_cores())
    return command.run(lambda argv: train_all(parser.parse_args(argv)), argv)


def train_all(arguments):
    """Train what is missing in arguments.out and write its models.json anew after each."""
    for kind in arguments.kinds:
        check(kind in KINDS, "kinds", kind, f"choose of {', '.join(KINDS)}")
    for field, least in (("steps", 1), ("jobs", 1)):
        check(
            getattr(arguments, field) >= least,
            field,
            getattr(arguments, field),
            f"it must be at least {least}",
        )
    check(min(arguments.seeds) >= 0, "seeds", min(arguments.seeds), "a seed must not be negative")
    out = arguments.out
    for name, about in _known(out).items():
        check(
            about["training"]["steps"] == arguments.steps,
            "steps",
            arguments.steps,
            f"{out} holds {name} trained with {about['training']['steps']}; give another --out",
        )
    missing = [
        (kind, seed)
        for kind in arguments.kinds
        for seed in arguments.seeds
        if f"{kind}-s{seed}" not in _known(out)
    ]
    minutes = sum(MINUTES[kind] for kind, _ in missing) * arguments.steps / 4500
    print(
        f"{len(missing)} base models to train, about {minutes / min(arguments.jobs, max(1, len(missing))):.0f} minutes; "
        f"they go to {out}"
    )
    # of other modules: spawned workers do not find what a __main__ defines
    from harmonica.digits import base, pixart

    make = {"pixart-digits": pixart.make}
    with ProcessPoolExecutor(
        arguments.jobs, mp_context=get_context("spawn"), initializer=start_worker
    ) as pool:
        begun = [
            pool.submit(
                make.get(kind, base.make),
                f"{kind}-s{seed}",
                {"seed": seed, "steps": arguments.steps, **KINDS[kind]},
                out,
            )
            for kind, seed in missing
        ]
        for future in as_completed(begun):
            name, about = future.result()
            write_json(out / "models.json", {**_known(out), name: about})
            print(f"{name}: {json.dumps(about['quality'])}", flush=True)
    print(
        f"use them: HARMONICA_MODELS={out} make reproduce-table1 (pixart-digits: reproduce-table2)"
    )


def _known(out):
    path = out / "models.json"
    return read_json(path) if path.exists() else {}


if __name__ == "__main__":
    sys.exit(main())
