"""`python -m harmonica.digits`: train the base models from nothing and measure their own quality.

They go to results/local/base-models (never over the shipped ones); HARMONICA_MODELS=that folder makes every experiment
use them. A killed training goes on where it was saved.
"""
import argparse
import hashlib
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

from .. import BadInput, check
from ..provenance import num_cores
from ..store import atomic, write_json

# dit-digits-fine: four times the tokens of dit-digits, narrower to keep it trainable on a CPU in half an hour
KINDS = {"dit-digits": {"patch": 2, "width": 96}, "dit-digits-fine": {"patch": 1, "width": 64}}
MINUTES = {"dit-digits": 12, "dit-digits-fine": 25}      # on one core, measured


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m harmonica.digits", description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", default=sorted(KINDS), help=f"of {', '.join(KINDS)}; default both")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=4500, help="training steps; the shipped models took 4500")
    parser.add_argument("--out", type=Path, default=Path("results/local/base-models"))
    parser.add_argument("--jobs", type=int, default=num_cores())
    arguments = parser.parse_args(argv)
    try:
        for kind in arguments.kinds:
            check(kind in KINDS, "kinds", kind, f"choose of {', '.join(KINDS)}")
        for field in ("steps", "jobs"):
            check(getattr(arguments, field) >= 1, field, getattr(arguments, field), "it must be at least 1")
        return train_all(arguments)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def train_all(arguments):
    """Train what is missing in arguments.out and write its models.json anew after each."""
    out = arguments.out
    missing = [(kind, seed) for kind in arguments.kinds for seed in arguments.seeds
               if f"{kind}-s{seed}" not in _known(out)]
    minutes = sum(MINUTES[kind] for kind, _ in missing) * arguments.steps / 4500
    print(f"{len(missing)} base models to train, about {minutes / min(arguments.jobs, max(1, len(missing))):.0f} minutes; "
          f"they go to {out}")
    with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(_make, kind, seed, arguments.steps, out) for kind, seed in missing]):
            name, about = future.result()
            write_json(out / "models.json", {**_known(out), name: about})
            print(f"{name}: {json.dumps(about['quality'])}", flush=True)
    print(f"use them: HARMONICA_MODELS={out} make reproduce-table1")


def _known(out):
    path = out / "models.json"
    return json.loads(path.read_text()) if path.exists() else {}


def _make(kind, seed, steps, out):
    import torch
    from safetensors.torch import save

    from .base import BaseTraining, train
    torch.set_num_threads(1)
    config, begin = BaseTraining(seed=seed, steps=steps, **KINDS[kind]), time.perf_counter()
    name = f"{kind}-s{seed}"
    state = out / f"{name}.state.safetensors"
    content = save(train(config, state))
    with atomic(out / f"{name}.safetensors") as temporary:
        temporary.write_bytes(content)
    state.unlink(missing_ok=True)
    about = describe(content, config)
    return name, {**about, "wall_s": round(time.perf_counter() - begin)}


def describe(content, config):
    """The manifest entry of trained weights (bytes of a safetensors file): hash, architecture, training, quality."""
    from safetensors.torch import load

    from .quality import quality
    return {"sha256": hashlib.sha256(content).hexdigest(), "heads": config.heads, "training": asdict(config),
            "quality": quality(load(content), config.heads)}


if __name__ == "__main__":
    sys.exit(main())
