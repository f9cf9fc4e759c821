"""Trained routers as figures need them: scores, the schedule of a run, the logs of training."""

import json
from dataclasses import dataclass

import numpy as np
from safetensors import SafetensorError, safe_open

from harmonica.errors import BadInput
from harmonica.lab.store import Store

from ..records import record


@dataclass(frozen=True, kw_only=True)
class Trained:
    """scores (T, N) in (0, 1). reused (T, N), bool: the run's schedule. about: what the router's
    file says of itself.
    """

    scores: np.ndarray
    reused: np.ndarray
    tau: float
    about: dict


def of_run(root, run):
    """The Trained router of a run. BadInput where one of its files is missing or damaged."""
    store = Store(root)
    tensors, about = _read(store.file_path(run.router), "router")
    logits = tensors["logits"]
    trained, used = record(store, run.router), record(store, run)
    if trained is None or used is None:
        raise BadInput(
            f"record: {store.record_path(run if used is None else run.router)} is missing"
        )
    reused = np.array([[bit == "0" for bit in row] for row in used["keep"]])
    return Trained(
        scores=1 / (1 + np.exp(-logits.astype(np.float64))),
        reused=reused,
        tau=about["tau"],
        about=about,
    )


def _read(path, kind):
    """-> tensors, what the file says of itself. BadInput where it is missing or damaged."""
    try:
        with safe_open(path, "np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            return tensors, json.loads(file.metadata()["about"])
    except (FileNotFoundError, SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise BadInput(f"{kind}: {path} is missing or not a whole {kind} file ({error})") from None


def searched_mask(root, run):
    """-> keep and predicted, bool (T, N), of a run whose schedule was searched."""
    tensors, _ = _read(Store(root).file_path(run.made), "schedule")
    return tensors["keep"], tensors.get("predicted", np.zeros_like(tensors["keep"]))


def searched(line):
    """Whether a records.Line has a schedule that was searched for its own model and guidance."""
    run = line.row.runs[0]
    return run.made is not None and run.made.making == "search" and not run.transferred


def own(line):
    """Whether a records.Line has a router that was trained for its own model and sampler."""
    run = line.row.runs[0]
    return run.router is not None and not run.transferred


def logs(root, row):
    """The training logs behind a row, one of each replicate. BadInput where one is missing."""
    store = Store(root)
    records = dict.fromkeys(run.router for run in row.runs)
    for router in records:
        records[router] = record(store, router)
        if records[router] is None:
            raise BadInput(f"record: {store.record_path(router)} is missing")
    return [stored["log"] for stored in records.values()]


def lambdas(log):
    """[lambda (T,)] of every measurement in a training log; [] of an objective without."""
    return [entry["lambda"] for entry in log if entry["lambda"]]
