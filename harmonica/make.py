"""How each artefact is made: a router is trained, a run is sampled and evaluated. Asked again, nothing is done.

Whatever is long is kept as it goes (training state, sample blocks), so a killed process loses one save interval.
"""
import json
import time

import numpy as np
import torch

from . import BadInput, cost, router as routers, samplers, schedules
from .models import load_model
from .provenance import provenance
from .runs import SCHEMA, canonical
from .sampling import num_blocks, sample_block
from .store import atomic, read_json
from .training import train


RANDOM_SEED = 0


def make(artefact, store, progress=iter):
    """Make a spec of runs.py, its needs being there -> its record. One process at a time does the work."""
    with store.lock(artefact):
        if store.record(artefact) is None:
            begin = time.perf_counter()
            record = MAKERS[artefact.kind](artefact, store, progress)
            store.finish(artefact, {"schema": SCHEMA, "kind": artefact.kind, "id": artefact.id,
                                    "config": json.loads(canonical(artefact)), **record,
                                    "provenance": {**provenance(), "wall_s": round(time.perf_counter() - begin, 2)}})
            store.state_path(artefact).unlink(missing_ok=True)
    return store.record(artefact)


def _router(spec, store, progress):
    loaded = load_model(spec.model)
    logits, log = train(loaded, spec, store.state_path(spec), progress=progress)
    about = {"model": spec.model.name, "model_sha256": spec.model.sha256, "sampler": spec.sampler,
             "guidance": spec.guidance, "training": json.loads(canonical(spec))["training"]}
    timesteps = tuple(samplers.load(spec.sampler).timesteps(spec.num_steps))
    router = routers.Router(logits=logits, tau=spec.training.tau, timesteps=timesteps, about=about)
    router.save(store.router_path(spec))
    return {"metrics": {"cur_natural_percent": schedules.cur_percent(router.keep()), "beta": log[-1]["beta"]}, "log": log}


def keep_mask(run, store, num_blocks):
    """The schedule of a run as a mask (T, N), and the natural CUR where it is a router's (else None)."""
    reused = None if run.cur_percent is None else schedules.budget(run.cur_percent, run.num_steps, num_blocks)
    if run.schedule == "full":
        return schedules.full(run.num_steps, num_blocks), None
    if run.schedule == "fora":
        return schedules.fora(run.num_steps, num_blocks), None
    if run.schedule == "random":
        return schedules.random(run.num_steps, num_blocks, reused, RANDOM_SEED), None
    path = store.router_path(run.router)
    router = routers.load(path)
    if router.logits.shape != (run.num_steps, num_blocks):
        raise BadInput(f"router: {path} has {router.num_steps} x {router.num_blocks} scores, but the run has "
                       f"{run.num_steps} steps and {num_blocks} blocks")
    if router.about.get("model_sha256") != run.model.sha256:
        raise BadInput(f"router: {path} was trained for model {router.about.get('model')!r} with other weights than "
                       f"{run.model.name}'s; delete it and {store.record_path(run.router)} to have it made again")
    return router.keep(run.cur_percent), schedules.cur_percent(router.keep())


def _run(run, store, progress):
    loaded = load_model(run.model)
    keep, natural = keep_mask(run, store, len(loaded.backbone.blocks))
    for block in progress(range(num_blocks(run))):
        make_block(loaded, run, keep, block, store)
    halves = 1 if run.guidance == 1 else 2
    if run.noise == "reference":
        return {"metrics": {"num_images": run.num_images}, "cost": cost.summary(loaded.backbone, keep, run.against, halves)}
    from .evaluation import evaluate
    return {"metrics": evaluate(run, store), "keep": ["".join(str(int(k)) for k in row) for row in keep.tolist()],
            "cost": {**cost.summary(loaded.backbone, keep, run.against, halves), "cur_natural_percent": natural}}


def _latency(spec, store, progress):
    from .latency import measure
    return {"group": spec.group, **measure(spec, store)}


MAKERS = {"router": _router, "run": _run, "latency": _latency}


def make_block(loaded, run, keep, block, store):
    """Sample one block unless its file is there: final images, and for block 0 the whole trajectory as well."""
    path = store.samples(run) / f"block-{block:05d}.npy"
    if path.exists():
        return
    trajectory = sample_block(loaded, run, keep, block).numpy()
    if block == 0:
        save_array(store.samples(run) / "trajectory.npy", trajectory)
    save_array(path, trajectory[-1])


def save_array(path, array):
    with atomic(path) as temporary, open(temporary, "wb") as file:
        np.save(file, array, allow_pickle=False)


def load_samples(run, store):
    """All images of a sampled run (num_images, C, H, W) float32. BadInput naming a missing or damaged block."""
    blocks = []
    for block in range(num_blocks(run)):
        path = store.samples(run) / f"block-{block:05d}.npy"
        try:
            blocks.append(np.load(path, allow_pickle=False))
        except FileNotFoundError:
            raise BadInput(f"samples: {path} is missing; delete {store.record_path(run)} to have it made again") from None
        except (ValueError, EOFError) as error:
            raise BadInput(f"samples: {path} is damaged ({error}); delete it and {store.record_path(run)} to have it made "
                           "again") from None
    images = np.concatenate(blocks)[:run.num_images]
    if len(images) != run.num_images:
        raise BadInput(f"samples: {store.samples(run)} holds {len(images)} images, not {run.num_images}")
    return images
