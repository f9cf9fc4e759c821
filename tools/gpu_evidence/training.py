"""Training and search at DiT-XL/2 256: time and memory of an SDT update, lambda, a linearisation.

The reference of an SDT update is the released way, that of lambda a walk from the start for every
step. The time of a linearisation, in walks of the uncached model, stands beside the number that the
search reckons with; its peak memory beside the bytes of all features in one walk of its images.
"""

from dataclasses import replace
from functools import partial

import torch

from harmonica import samplers
from harmonica.backbones.counts import count
from harmonica.bench import lambda_refresh, sdt_update, timing
from harmonica.bench.bench import Bench
from harmonica.lab.memory import peak_bytes
from harmonica.method import masks
from harmonica.method.denoise import Loaded
from harmonica.method.schedule import Schedule
from harmonica.search.probe import probe
from harmonica.search.settings import Settings
from harmonica.search.walks import ModelWalk, uncached
from tools.gpu_evidence.speed import shapes

BATCHES = (64, 32)  # images, before guidance doubles them; the second if the first does not fit
SEARCHED = 8  # images of a linearisation


class Training(Bench):
    def __init__(self, case, batch):
        super().__init__("dit-digits-s0", case.repeats)
        self.case, self.batch = case, batch

    def training_case(self):
        return self.case, self.batch


def items(sizes):
    case = shapes(sizes.tiny)["DiT-XL/2 256"]
    yield "linearisation", partial(_linearisation, case, sizes)
    yield "lambda", partial(_lambda, case, sizes)
    yield "SDT update", partial(_update, case, sizes)


def _update(make, sizes):
    case = replace(make(), repeats=3)
    for batch in (2,) if sizes.tiny else BATCHES:
        try:
            for row, _ in sdt_update.rows(Training(case, batch)):
                yield row
            return
        except torch.cuda.OutOfMemoryError:
            yield {"batch": 2 * batch, "way": "released: does not fit"}
            torch.cuda.empty_cache()


def _lambda(make, sizes):
    case = replace(make(), num_steps=3 if sizes.tiny else 10)
    bench = Training(case, 2 if sizes.tiny else 8)
    return (row for row, _ in lambda_refresh.rows(bench, repeats=2))


def _linearisation(make, sizes):
    """Measure memory and time of one linearisation, the latter also in walks of the
    uncached model.
    """
    case = make()
    count_ = 2 if sizes.tiny else SEARCHED
    images = range(count_)
    settings = Settings(images=count_, check_images=count_)
    walk = _walk(case)
    schedule = Schedule(keep=masks.random(*_half(walk), 0))
    functions = {
        name: partial(probe, walk, schedule, 1, images, directions=1, window=6, paired=paired)
        for name, paired in {"predicted": True, "reused": False}.items()
    }
    timed = {name: timing.synchronized(function) for name, function in functions.items()}
    timed[None] = timing.waiting(lambda: walk(uncached, 2, images))
    seconds = {name: min(times) for name, times in timing.interleaved(timed, 2).items()}
    for name, function in functions.items():
        yield {
            "model": case.name,
            "way": name,
            "images": count_,
            "T": case.num_steps,
            "walk_s": seconds[None],
            "linearisation_s": seconds[name],
            "in walks": seconds[name] / seconds[None],
            "in walks, estimated": settings.linearisation() / count_,
            "features_bytes": _features(case) * count_,
            "peak_bytes": peak_bytes(function) if sizes.device.type == "cuda" else None,
        }


def _walk(case):
    device, num_classes = case.noise(1).device, case.backbone.num_classes
    classes = partial(_classes, num_classes, device)
    loaded = Loaded(case.backbone, classes, num_classes, device=device)
    return ModelWalk(loaded, samplers.load("ddim"), case.num_steps, case.guidance)


def _half(walk):
    return walk.num_steps, walk.num_blocks, walk.num_steps * walk.num_blocks // 2


def _features(case):
    """The bytes of all features in the walk of one image."""
    parameter = next(case.backbone.parameters())
    counts = count(case.backbone, case.cond(1))
    copies = 1 if case.guidance == 1 else 2
    return case.num_steps * copies * sum(counts.elements) * parameter.element_size()


def _classes(num_classes, device, indices):
    return torch.as_tensor(indices, device=device) % num_classes
