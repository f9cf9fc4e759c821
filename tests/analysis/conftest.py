"""Records as a finished run leaves them, but with invented numbers: no model is computed, nothing
imports torch.
"""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from analysis import records
from experiments import table1, table2
from experiments.rows import SAMPLERS, Group
from experiments.small_scale import IMAGES
from harmonica.files import write_json
from harmonica.lab.ids import SCHEMA, canonical
from harmonica.lab.makings import ModelSpec
from harmonica.lab.store import Store

PROVENANCE = {
    "python": "3.11.0",
    "versions": {"numpy": "2", "torch": "2"},
    "device": "a machine, 2 cores",
    "threads": 1,
    "commit": "none",
    "code_sha": "0" * 64,
    "code_clean": True,
    "wall_s": 1.0,
}
BLOCKS = 4
LEVEL = {
    "full": 1.0,
    "fora": 3.0,
    "random": 4.0,
    "ltc": 2.0,
    "sdt": 1.5,
    "direct": 1.6,
    "faster-diffusion": 2.5,
    "deepcache": 2.2,
    "search": 1.2,
    "fitted": 1.4,
    "taylor": 2.5,
    "evolution": 1.8,
    "refitted": 1.1,
    "smoothcache": 3.5,
}  # rFID; x_0 error is a tenth of it


def group_of(models, scale, title, **fields):
    """A Group over as many base models, which are not there."""
    specs = tuple(
        ModelSpec(name=f"fake-s{seed}", sha256=f"{seed}" * 64, scale=scale)
        for seed in range(models)
    )
    images = IMAGES[scale]
    return Group(title=title, label="fake", models=specs, seeds=models, images=images, **fields)


@pytest.fixture
def rows():
    """-> a function that names the rows of a group over `models` replicates."""

    def make(models=1, curs=(50, 37.5), num_steps=4, scale="smoke"):
        return table1.rows_of(group_of(models, scale, "fake", num_steps=num_steps), curs)

    return make


@pytest.fixture
def text_rows():
    """-> a function that names Table 2's rows under one sampler over `models` replicates."""

    def make(models=1, block=table2.BLOCKS[0], scale="smoke"):
        title = f"fake, {SAMPLERS[block.sampler]}"
        fields = {"sampler": block.sampler, "num_steps": block.num_steps}
        return table2.rows_of(group_of(models, scale, title, **fields), block)

    return make


@pytest.fixture
def measured(tmp_path, rows):
    """-> a function that writes all records of rows(...) below a folder and returns (folder, rows).

    named: other rows than those; costs: of training. levels: schedule, walk or a row's method ->
    rFID, or a function of (base model, noise), and costs' methods -> seconds; latency: whether that
    record is there; clean: code_clean.
    """

    def make(
        models=1, levels={}, latency=True, clean=True, folder="local", named=None, costs=(), **which
    ):
        root, named = tmp_path / folder, rows(models, **which) if named is None else named
        methods = {run: row.method for row in named for run in row.runs}
        levels = (
            LEVEL
            | levels
            | {run: levels[method] for run, method in methods.items() if method in levels}
        )
        for artefact in records.artefacts(named, costs):
            if artefact.kind == "latency" and not latency:
                continue
            makers = {
                "run": _run,
                "router": _router,
                "schedule": _schedule,
                "compressed": _compressed,
                "latency": _latency,
                "training": _training,
            }
            content = makers[artefact.kind](Store(root), artefact, levels)
            write_json(
                Store(root).record_path(artefact),
                {
                    "schema": SCHEMA,
                    "kind": artefact.kind,
                    "id": artefact.id,
                    "config": json.loads(canonical(artefact)),
                    "provenance": {**PROVENANCE, "code_clean": clean},
                    **content,
                },
            )
        return root, named

    return make


def _run(store, run, levels):
    folder = store.samples(run)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(run.seed)
    np.save(
        folder / "block-00000.npy",
        rng.uniform(-1, 1, (run.batch, 1, 8, 8)).astype(np.float32),
        allow_pickle=False,
    )
    if run.noise == "reference":
        return {"metrics": {"num_images": run.num_images}, "cost": {}}
    fewer = run.num_steps != run.against
    schedule = (
        "fewer"
        if fewer and "fewer" in levels
        else run.router.training.walk
        if run.router
        else run.made.making
        if run.made
        else run.schedule
    )
    level = levels.get(run, levels[schedule])
    level = (
        level(int(run.model.name[-1]), run.seed)
        if callable(level)
        else level * (1 + 0.1 * run.seed)
    )
    uncached = run == run.baseline()
    cur = run.cur_percent or run.made and run.made.cur_percent or 0
    interval = run.made.interval if run.made else run.interval or 2
    if run.schedule == "fora" or run.made and interval:
        cur = 100 * (1 - -(-run.num_steps // interval) / run.num_steps)
    curve = None if fewer else [0.0, 0.0] + [0.0 if uncached else level / 100] * (run.num_steps - 1)
    return {
        "metrics": {
            "IS": 8.0,
            "FID": level,
            "sFID": 2.0,
            "precision": 70.0,
            "recall": 60.0,
            "rFID": level,
            "x0_mse": 0.0 if uncached else level / 10,
            "agreement": 99.0 - level / 100,
            "x_mse_curve": curve,
            "num_images": run.num_images,
        },
        "keep": ["1" * BLOCKS] + ["01" * (BLOCKS // 2)] * (run.num_steps - 1),
        "cost": {
            "macs": 1,
            "cur_percent": cur,
            "cur_natural_percent": 51.25 if run.router else None,
            "speedup_theoretical": run.against / run.num_steps / (1 - cur / 100),
            "cache_elements_per_image": 1,
        },
    }


def _schedule(store, schedule, levels):
    path = store.file_path(schedule)
    path.parent.mkdir(parents=True, exist_ok=True)
    keep = np.arange(schedule.num_steps * BLOCKS).reshape(-1, BLOCKS) % 2 == 0
    keep[0] = True
    save_file({"keep": keep, "predicted": ~keep}, path, metadata={"about": "{}"})
    return {"metrics": {"cur_percent": schedule.cur_percent, "forwards": 1}}


def _compressed(store, compressed, levels):
    sizes = {"stored_bytes": 1_000_000, "original_bytes": 4_000_000}
    return {"metrics": {"bits": compressed.model.compression.bits, **sizes}}


def _router(store, router, levels):
    path = store.file_path(router)
    path.parent.mkdir(parents=True, exist_ok=True)
    logits = np.linspace(-5, 5, router.num_steps * BLOCKS, dtype=np.float32).reshape(
        router.num_steps, BLOCKS
    )
    save_file(
        {"logits": logits}, path, metadata={"about": json.dumps({"tau": 0.1, "timesteps": None})}
    )
    lambda_ = (
        None if router.training.objective == "mse" else [0.0] + [1e-3] * (router.num_steps - 1)
    )
    log = [
        {"data_loss": 0.1 / (i + 1), "cur_percent": 10.0 * i, "beta": 1e-4, "lambda": lambda_}
        for i in range(4)
    ]
    return {"metrics": {"beta": 1e-4, "cur_natural_percent": 51.25}, "log": log}


def _training(store, spec, levels):
    def row(method, router):
        seconds = levels.get(method, 2.0)
        standard = router.training.walk == "ltc"
        return {
            "seconds_per_trajectory": seconds,
            "seconds_iqr": [0.9 * seconds, 1.1 * seconds],
            "memory_bytes": 2_000_000,
            "lambda_seconds": None if router.training.objective == "mse" else 0.5,
            "images": 900 * standard,
            "updates": 9,
            "seconds_total": seconds * router.training.trajectories,
        }

    return {
        "group": spec.group,
        "rows": {router.id: row(method, router) for method, router in spec.rows},
    }


def _latency(store, spec, levels):
    return {
        "group": spec.group,
        "rows": {
            run.id: {
                "latency_ms": 12.5,
                "latency_iqr_ms": [12.0, 13.0],
                "speedup": 1.25,
                "speedup_iqr": [1.2, 1.3],
            }
            for run in spec.runs
        },
    }
