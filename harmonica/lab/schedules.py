"""How the schedule of a ScheduleSpec is made, and which schedule a run follows."""

import json
from dataclasses import replace

import numpy as np
import torch

from harmonica import samplers, weights
from harmonica.backbones.counts import count
from harmonica.errors import BadInput
from harmonica.lab import estimates
from harmonica.lab.ids import canonical
from harmonica.lab.models import load_model
from harmonica.method import masks
from harmonica.method.router import Router
from harmonica.method.schedule import Schedule
from harmonica.search import baselines
from harmonica.search.measure import Measure
from harmonica.search.predict import fit
from harmonica.search.refit import refitted
from harmonica.search.search import Search
from harmonica.search.state import State
from harmonica.search.walks import ModelWalk
from harmonica.weights import formats

RANDOM_SEED = 0
MASKS = {"faster-diffusion": masks.faster_diffusion, "deepcache": masks.deepcache}


def make_schedule(spec, store, progress=iter):
    """Make the schedule of a ScheduleSpec, whose needs are there -> Schedule, metrics to record."""
    loaded = load_model(spec.model, store=store)
    walk = ModelWalk(loaded, samplers.load(spec.sampler), spec.num_steps, spec.guidance, spec.conds)
    schedule, metrics = WAYS[spec.making](spec, store, loaded, walk, progress)
    about = {
        **origin(spec),
        "method": spec.method,
        "kinds": loaded.backbone.kinds,
        "made": json.loads(canonical(spec)),
        **metrics,
    }
    described = replace(schedule, timesteps=tuple(walk.timesteps), about=about)
    return described, {"cur_percent": described.cur_percent, **metrics}


def origin(spec):
    """What a router or schedule says about the sampling that it was made for."""
    return {
        "model": spec.model.label,
        "model_sha256": spec.model.sha256,
        "sampler": spec.sampler,
        "guidance": spec.guidance,
    }


def _search(spec, store, loaded, walk, progress):
    blocks = walk.num_blocks
    costs = None
    target = masks.budget(spec.cur_percent, spec.num_steps, blocks)
    if spec.by_macs:
        costs = np.array(count(loaded.backbone, loaded.cond([0])).blocks)
        target = round(spec.cur_percent / 100 * spec.num_steps * int(costs.sum()))
    walk.offload = _too_large(spec, loaded.device)
    search = Search(
        walk,
        [target],
        spec.settings,
        costs=costs,
        state_path=store.state_path(spec),
        bar=_bar(progress),
    )
    schedule = search.run()[target]
    forwards = search.state.values["forwards"]
    return schedule, {"error_held_back": search.held_back(schedule), "forwards": forwards}


def _bar(progress):
    """The tqdm that `progress` makes, or None where it shows none."""
    bar = progress(range(1))
    return bar if hasattr(bar, "set_description") else None


def _too_large(spec, device):
    """Whether a search's features do not fit the GPU and must be kept in CPU memory."""
    if spec.model.scale != "paper" or device.type != "cuda":
        return False
    return (
        estimates.search_bytes(spec) > 0.9 * torch.cuda.get_device_properties(device).total_memory
    )


def _mask(spec, store, walk):
    """The mask (T, N) whose skipped entries are predicted: a router's, a schedule's or FORA's."""
    if spec.router:
        return Router.load(store.file_path(spec.router)).keep(spec.cur_percent)
    if spec.mask:
        return Schedule.load(store.file_path(spec.mask)).keep
    return masks.fora(spec.num_steps, walk.num_blocks, spec.interval)


def _fitted(spec, store, loaded, walk, progress):
    images = spec.settings.images
    schedule = fit(walk, _mask(spec, store, walk), spec.settings.seed, range(images))
    return schedule, {"forwards": images * spec.num_steps}


def _taylor(spec, store, loaded, walk, progress):
    keep = _mask(spec, store, walk)
    return baselines.taylor(keep, baselines.channels_of(walk), spec.order), {"forwards": 0}


def _refitted(spec, store, loaded, walk, progress):
    schedule, state = Schedule.load(store.file_path(spec.mask)), State(spec.id)
    made = refitted(Measure(walk, spec.settings, state, _bar(progress)), schedule)
    return made, {"forwards": state.values["forwards"]}


def _smoothcache(spec, store, loaded, walk, progress):
    reused = masks.budget(spec.cur_percent, spec.num_steps, walk.num_blocks)
    images, seed = spec.settings.images, spec.settings.seed
    schedule = baselines.smoothcache(walk, seed, range(images), reused, loaded.backbone.kinds)
    return schedule, {"forwards": images * spec.num_steps}


def _evolution(spec, store, loaded, walk, progress):
    reused = masks.budget(spec.cur_percent, spec.num_steps, walk.num_blocks)
    walks = spec.forwards // spec.num_steps
    settings = spec.settings
    size = {"images": settings.images, "population": spec.population or baselines.POPULATION}
    schedule = baselines.evolve(walk, reused, walks, settings.seed, **size)
    return schedule, {"forwards": spec.forwards}


WAYS = {
    "search": _search,
    "fitted": _fitted,
    "taylor": _taylor,
    "refitted": _refitted,
    "smoothcache": _smoothcache,
    "evolution": _evolution,
}


def schedule_of(run, store, num_blocks):
    """-> the Schedule that a run follows, and the natural CUR of its router (None without one)."""
    steps = run.num_steps
    if run.schedule == "full":
        return Schedule(keep=masks.full(steps, num_blocks)), None
    if run.schedule == "fora":
        return Schedule(keep=masks.fora(steps, num_blocks, run.interval or 2)), None
    if run.schedule in MASKS:
        return Schedule(keep=MASKS[run.schedule](steps, num_blocks)), None
    if run.schedule == "made":
        return _made(run, store, num_blocks), None
    reused = None
    if run.cur_percent is not None:
        reused = masks.budget(run.cur_percent, steps, num_blocks)
    if run.schedule == "random":
        return Schedule(keep=masks.random(steps, num_blocks, reused, RANDOM_SEED)), None
    router = _router(run, store, num_blocks)
    keep = router.keep(run.cur_percent)
    if run.reuse_last_step:
        keep = masks.lowest_after_last(router.scores, reused)
    return Schedule(keep=keep), masks.cur_percent(router.keep())


def _made(run, store, num_blocks):
    path = store.file_path(run.made)
    schedule = Schedule.load(path)
    _check_shape("schedule", path, schedule.keep.shape, run, num_blocks)
    _check_model(path, schedule.about, run.made, store)
    return schedule


def _router(run, store, num_blocks):
    if run.published:
        path = weights.checked_router(run.published.name, run.published.sha256)
        router = formats.read(path, tau=run.published.tau)
    else:
        path = store.file_path(run.router)
        router = Router.load(path)
        _check_model(path, router.about, run.router, store)
    _check_shape("router", path, router.logits.shape, run, num_blocks)
    return router


def _check_shape(field, path, shape, run, num_blocks):
    if tuple(shape) != (run.num_steps, num_blocks):
        raise BadInput(
            f"{field}: {path} is for {shape[0]} steps and {shape[1]} blocks, but the run has "
            f"{run.num_steps} steps and {num_blocks} blocks"
        )


def _check_model(path, about, spec, store):
    if about.get("model_sha256") != spec.model.sha256:
        raise BadInput(
            f"{spec.kind}: {path} was made for model {about.get('model')!r} with other weights "
            f"than {spec.model.name}'s; delete it and {store.record_path(spec)} to have it "
            "made again"
        )
