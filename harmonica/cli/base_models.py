"""`python -m harmonica base-models`: train the base models of the small scales from scratch and
measure their quality.

They go to results/local-base-models by default, never over the shipped ones. With
HARMONICA_MODELS=that folder every experiment uses them. To add seeds to the shipped models, give a
copy of their folder as --out. A killed training is resumed. The clothes' models are measured by the
shipped judge.
"""

import json
import time
from concurrent.futures import as_completed
from pathlib import Path
from typing import NamedTuple

from harmonica.cli.command import out_folder, whole
from harmonica.errors import check


class Kind(NamedTuple):
    """steps: of training, of the shipped models. minutes: what these take, measured on one core."""

    scale: str
    steps: int
    minutes: int
    settings: dict


KINDS = {
    "dit-digits": Kind("digits", 4500, 12, {"patch": 2, "width": 96}),
    # four times the tokens, and narrower, so that it can be trained on a CPU in half an hour
    "dit-digits-fine": Kind("digits", 4500, 25, {"patch": 1, "width": 64}),
    "pixart-digits": Kind("digits", 4500, 11, {}),
    "uvit-digits": Kind("digits", 4500, 12, {}),
    "dit-clothes": Kind("clothes", 7500, 76, {}),
}


def add(commands):
    verb = commands.add_parser("base-models", help="train the small base models from scratch")
    verb.add_argument(
        "--scale",
        default="digits",
        choices=("clothes", "digits"),
        help="which data the models are for; default %(default)s",
    )
    verb.add_argument(
        "--kinds", nargs="+", choices=sorted(KINDS), help="which models; default all of the scale"
    )
    seeds, of_seeds = [0, 1, 2], "one model of each kind for every seed; default 0 1 2"
    verb.add_argument("--seeds", nargs="+", default=seeds, type=whole(0, 2**31 - 1), help=of_seeds)
    steps = "training steps; default as many as the shipped models had"
    verb.add_argument("--steps", type=whole(1, 10**7), help=steps)
    out = "the folder to write to; default %(default)s"
    verb.add_argument("--out", default="results/local-base-models", type=out_folder, help=out)
    verb.add_argument(
        "--jobs",
        type=whole(1, 4096),
        help="how many processes run at a time; default as many as there are cores",
    )
    device = "where they are trained; default %(default)s"
    verb.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help=device)
    verb.set_defaults(function=_train_all)


def _train_all(arguments):
    """Train the models that are missing in arguments.out; its models.json is updated after each."""
    from harmonica.digits.manifest import state_path
    from harmonica.files import write_json
    from harmonica.lab.provenance import num_cores
    from harmonica.lab.words import count, duration
    from harmonica.lab.workers import submit, workers

    _check(arguments)
    out = Path(arguments.out)
    steps = arguments.steps
    for name in _known(out):  # of a process that was killed after it had listed its model
        state_path(out, name).unlink(missing_ok=True)
    missing = [
        (kind, seed) for kind, seed in _wanted(arguments) if f"{kind}-s{seed}" not in _known(out)
    ]
    jobs = min(arguments.jobs or num_cores(), max(1, len(missing)))
    kinds = [KINDS[kind] for kind, _ in missing]
    seconds = sum(60 * kind.minutes * (steps or kind.steps) / kind.steps for kind in kinds)
    estimate = ""
    if missing and arguments.device == "cpu":
        estimate = f", about {duration(seconds / jobs)} with {count(jobs, 'process')}"
    print(f"{count(len(missing), 'base model')} to train{estimate}; they go to {out}", flush=True)
    with workers(jobs) as pool:
        futures = [
            submit(pool, _make, kind, seed, steps or KINDS[kind].steps, out, arguments.device)
            for kind, seed in missing
        ]
        for future in as_completed(futures):
            name, about = future.result()
            write_json(out / "models.json", {**_known(out), name: about})
            state_path(out, name).unlink(missing_ok=True)
            print(f"{name}: {json.dumps(about['quality'])}", flush=True)
    print(
        f"use them: HARMONICA_MODELS={out} make reproduce-table1 (pixart-digits: reproduce-table2; "
        "dit-clothes: SCALE=clothes)"
    )


def _check(arguments):
    """BadInput where a kind is of another scale, the folder holds models that were trained for
    another number of steps, or a model cannot be trained on this device.
    """
    kinds = _of_scale(arguments.scale)
    for kind in arguments.kinds or ():
        check(kind in kinds, "kinds", kind, f"the scale {arguments.scale} has {', '.join(kinds)}")
    for name, about in _known(Path(arguments.out)).items():
        kind = KINDS.get(name.rsplit("-s", 1)[0])
        if kind and about["training"]:
            trained, steps = about["training"]["steps"], arguments.steps or kind.steps
            right = f"{arguments.out} holds {name} trained with {trained}; give another --out"
            check(trained == steps, "steps", steps, right)
    if arguments.device == "cuda":
        import torch

        kinds = {kind for kind, _ in _wanted(arguments)}
        right = "pixart-digits is trained on the CPU"
        check("pixart-digits" not in kinds, "device", "cuda", right)
        check(torch.cuda.is_available(), "device", "cuda", "torch finds no GPU here")


def _wanted(arguments):
    """-> the requested (kind, seed) pairs, each once, as the keys of a dict."""
    kinds = arguments.kinds or _of_scale(arguments.scale)
    return dict.fromkeys((kind, seed) for kind in kinds for seed in arguments.seeds)


def _of_scale(scale):
    return [name for name, kind in KINDS.items() if kind.scale == scale]


def _make(kind, seed, steps, out, device):
    """Train one model -> its name, its manifest entry. wall_s is of this process alone."""
    import torch

    from harmonica.clothes import base as clothes
    from harmonica.digits import base, pixart, uvit
    from harmonica.samplers.singlestep import Singlestep

    torch.set_num_threads(1)
    begin = time.perf_counter()
    name, settings = f"{kind}-s{seed}", {"seed": seed, "steps": steps, **KINDS[kind].settings}
    if kind == "pixart-digits":
        about = pixart.make(name, pixart.PixArtTraining(**settings), out)
    elif kind == "uvit-digits":
        config, own = uvit.UViTTraining(**settings), {"train_by": uvit.train, "family": "uvit"}
        about = base.make(name, config, out, device=device, sampler=Singlestep(), **own)
    elif kind == "dit-clothes":
        config = clothes.ClothesTraining(**settings)
        about = base.make(name, config, out, clothes.CLOTHES, device)
    else:
        about = base.make(name, base.BaseTraining(**settings), out, device=device)
    return name, {**about, "wall_s": round(time.perf_counter() - begin)}


def _known(out):
    from harmonica.files import read_json

    path = out / "models.json"
    return read_json(path) if path.exists() else {}
