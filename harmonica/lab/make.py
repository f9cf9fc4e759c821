"""Making one artefact: compress a model, train a router, make a schedule, sample and evaluate a
run, time a group. What has its record already is not made again.

Long work saves as it goes (training state, sample blocks), so a killed process loses at most one
save interval.
"""

import json
import time
from contextlib import nullcontext

from harmonica import samplers
from harmonica.backbones.counts import count
from harmonica.compress.transform import compress, num_bytes
from harmonica.fast.plan import compile_schedule
from harmonica.fast.training import training_pair
from harmonica.files import save_tensors
from harmonica.lab import cost, latency, training_cost
from harmonica.lab.ids import SCHEMA, canonical
from harmonica.lab.models import load_model
from harmonica.lab.provenance import provenance
from harmonica.lab.sampling import make_block
from harmonica.lab.schedules import make_schedule, origin, schedule_of
from harmonica.method import masks, ranks
from harmonica.method.precision import float32_products
from harmonica.method.router import KINDS, Router
from harmonica.method.train import train


def make(artefact, store, progress=iter):
    """Make an artefact whose needs are there already -> its record. One process at a time does the
    work, or several ranks together, of which only the first writes.
    """
    with store.lock(artefact.id) if ranks.is_first() else nullcontext():
        if ranks.agree(ranks.is_first() and _begin(artefact, store)):
            begin = time.perf_counter()
            record = MAKERS[artefact.kind](artefact, store, progress)
            if ranks.is_first():
                _finish(artefact, store, record, round(time.perf_counter() - begin, 2))
    return ranks.agree(store.record(artefact))


def _begin(artefact, store):
    """Whether an artefact must be made: it has no record, or the file that belongs to it is lost.

    Lost images are sampled again right here and the record stays, as they depend on its config
    alone. The record of a lost router, schedule or compressed model is deleted.
    """
    if store.record(artefact) is None:
        return True
    if lost := store.lost(artefact):
        print(f"{artefact.id}: {lost}: made again", flush=True)
        if artefact.kind == "run":
            _sample(artefact, store)
            return False
        store.record_path(artefact).unlink()
    return bool(lost)


def _finish(artefact, store, record, wall_s):
    by_ranks = {"ranks": ranks.count()} if ranks.count() > 1 else {}
    store.finish(
        artefact,
        {
            "schema": SCHEMA,
            "kind": artefact.kind,
            "id": artefact.id,
            "config": json.loads(canonical(artefact)),
            **record,
            "provenance": {**provenance(), "wall_s": wall_s, **by_ranks},
        },
    )
    store.state_path(artefact).unlink(missing_ok=True)


def make_shard(run, store, shard, num_shards, progress=iter):
    """Sample what is missing of one shard of a run, whose needs are there; `make` of the run then
    only evaluates.

    Any number of shards gives the same bytes, and shards of different divisions may be mixed.
    """
    with store.lock(f"{run.id}-shard-{shard}-of-{num_shards}"):
        if store.missing_blocks(run, shard, num_shards):
            _sample(run, store, progress, shard, num_shards)


def _sample(run, store, progress=iter, shard=0, num_shards=1):
    """Sample what is missing of a run or shard -> its model, schedule and natural CUR."""
    loaded = load_model(run.model, run.precision, store)
    schedule, natural = schedule_of(run, store, loaded.backbone.num_blocks)
    plan = compile_schedule(loaded.backbone, schedule)
    for block in progress(store.missing_blocks(run, shard, num_shards)):
        make_block(loaded, run, plan, block, store.samples(run))
    return loaded, schedule, natural


def _compressed(spec, store, progress):
    loaded = load_model(spec.model.original)
    path = store.file_path(spec)
    settings = spec.model.compression
    with float32_products("ieee"):
        compressed = compress(loaded, settings, store.state_path(spec), progress)
    if ranks.is_first():
        save_tensors(path, *compressed)
    smaller = load_model(spec.model, store=store) if ranks.is_first() else loaded
    return {
        "metrics": {
            "bits": settings.bits,
            "stored_bytes": num_bytes(compressed[0]),
            "original_bytes": num_bytes(dict(loaded.backbone.model.named_parameters())),
            "block_macs": sum(_counted(smaller).blocks),
            "original_block_macs": sum(_counted(loaded).blocks),
        }
    }


def _counted(loaded):
    return count(loaded.backbone, loaded.cond([0]))


def _router(spec, store, progress):
    loaded, config = load_model(spec.model, store=store), spec.training
    with float32_products("ieee"):
        pair = training_pair(loaded, config.checkpoint)
        logits, log = train(loaded, spec, store.state_path(spec), pair=pair, progress=progress)
    kinds = loaded.backbone.kinds
    about = {
        **({} if kinds == KINDS else {"kinds": kinds}),
        **origin(spec),
        "training": json.loads(canonical(spec))["training"],
    }
    timesteps = tuple(samplers.load(spec.sampler).timesteps(spec.num_steps))
    router = Router(logits=logits, tau=config.tau, timesteps=timesteps, about=about)
    if ranks.is_first():
        router.save(store.file_path(spec))
    return {
        "metrics": {
            "cur_natural_percent": masks.cur_percent(router.keep()),
            "beta": log[-1]["beta"],
        },
        "log": log,
    }


def _schedule(spec, store, progress):
    with float32_products("ieee"):
        schedule, metrics = make_schedule(spec, store, progress)
    if ranks.is_first():
        schedule.save(store.file_path(spec))
    return {"metrics": metrics}


def _run(run, store, progress):
    loaded, schedule, natural = _sample(run, store, progress)
    copies = 1 if run.guidance == 1 else 2
    counts = _counted(loaded)
    original = None
    if run.model.compression:
        original = _counted(load_model(run.model.original, run.precision))
    element_bytes = next(loaded.backbone.parameters()).element_size()
    spent = cost.summary(counts, schedule, run.against, copies, element_bytes, original)
    if run.noise == "reference":
        return {"metrics": {"num_images": run.num_images}, "cost": spent}
    from harmonica.lab.evaluation import evaluate

    return {
        "metrics": evaluate(run, store),
        "keep": ["".join(str(int(k)) for k in row) for row in schedule.keep.tolist()],
        "cost": {**spent, "cur_natural_percent": natural},
    }


def _latency(spec, store, progress):
    return {"group": spec.group, **latency.measure(spec, store)}


def _training(spec, store, progress):
    return {"group": spec.group, "rows": training_cost.measure(spec, progress)}


MAKERS = {
    "compressed": _compressed,
    "router": _router,
    "schedule": _schedule,
    "run": _run,
    "latency": _latency,
    "training": _training,
}
