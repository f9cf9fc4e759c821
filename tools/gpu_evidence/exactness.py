"""Exact on CUDA: every backend against the eager loop, a pipeline, the search's derivatives, SDT.

`largest` is the largest difference over the largest number; `right` compares it with a bound for
the dtype (float32 products without TF32). A quantised model has the bound of bfloat16: where sums
differ in their last bits, an input may round to the next of its 256 levels.
"""

import tempfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import torch

import harmonica
from harmonica import samplers
from harmonica.backbones.generic import Units
from harmonica.compress.quantise import install
from harmonica.compress.settings import EfficientDM, Quantisation
from harmonica.compress.transform import quantise
from harmonica.fast.plan import compile_schedule
from harmonica.fast.plan import follow as follow_plan
from harmonica.fast.training import fast_pair
from harmonica.method import masks, seeds
from harmonica.method.denoise import Denoiser
from harmonica.method.precision import float32_products
from harmonica.method.schedule import Schedule
from harmonica.method.settings import RouterTraining
from harmonica.method.train import train
from harmonica.pipeline.passes import first_transformer
from harmonica.pipeline.transformers import backbone_of, obstacle
from harmonica.search.predict import fit
from harmonica.search.probe import probe, random_directions
from harmonica.search.walks import ModelWalk, follow, uncached
from tools.gpu_evidence.models import FAMILIES, IMAGES, STEPS, dit_on, loaded
from tools.gpu_evidence.tiny import tiny

BOUND = {torch.float32: 2e-5, torch.bfloat16: 0.05}
WINDOW = 3
PLANNED = ("DiT", "PixArt-Sigma")  # pipelines that are run by plans
PIPELINES = (*PLANNED, "Flux", "Wan")  # the others by the generic backbone


def items(sizes):
    backends = list(dict.fromkeys(["eager", sizes.graph]))
    yield "derivatives of the search", partial(_derivatives, sizes)
    yield "SDT, two trajectories", partial(_sdt, sizes)
    for name in PIPELINES:
        yield f"apply, tiny {name} pipeline", partial(_pipeline, name, sizes)
    for family in FAMILIES:
        for dtype in BOUND:
            name = f"{family} {str(dtype).removeprefix('torch.')}"
            yield name, partial(_backends, family, dtype, backends, sizes)
    yield "quantised DiT float32", partial(_quantised, backends, sizes)


def half(steps, blocks):
    return masks.random(steps, blocks, steps * blocks // 2, 0)


def _backends(family, dtype, backends, sizes):
    return _compared_backends(loaded(family, dtype, sizes.device), dtype, backends)


def _quantised(backends, sizes):
    model = loaded("DiT", torch.float32, sizes.device)
    rounding = EfficientDM(trajectories=1, batch=2, rank=2)
    settings = Quantisation(
        weight_bits=8, activation_bits=8, rounding=rounding, num_steps=STEPS, guidance=1.5, images=2
    )
    with tempfile.TemporaryDirectory() as folder:
        rounded = quantise(model, settings, Path(folder) / "state")
    timesteps = samplers.load("ddim").timesteps(STEPS)
    return _compared_backends(install(model, rounded, timesteps), torch.bfloat16, backends)


@torch.no_grad()
def _compared_backends(model, bound, backends):
    """Rows of all backends under two schedules. bound: a dtype, see BOUND."""
    walk = ModelWalk(model, samplers.load("ddim"), STEPS, 1.5)
    keep = half(STEPS, walk.num_blocks)
    with float32_products("ieee"):
        plain = Schedule(keep=keep)
        for name, schedule in {"reuse": plain, "predicted": fit(walk, keep, 3, IMAGES)}.items():
            reference = walk(follow(schedule), 7, IMAGES).float()
            for backend in backends:
                plan = compile_schedule(model.backbone, schedule, backend)
                images = _planned(model, walk, plan).float()
                yield {"schedule": name, "backend": backend, **_compared(images, reference, bound)}


def _planned(model, walk, plan):
    """The images of a ModelWalk, made by a plan that began a walk, left it, and walked with fewer
    images in between.
    """
    for indices, steps in ((IMAGES, 2), (IMAGES[:1], STEPS), (IMAGES, STEPS)):
        rngs = seeds.generators(seeds.SEARCH, 7, indices=indices)
        x = seeds.normal(rngs, model.shape).to(model.device)
        cond = model.cond(seeds.choices(rngs, model.num_conds))
        denoiser = Denoiser(model.backbone, walk.sampler, walk.timesteps, cond, scale=1.5)
        forward, point = follow_plan(denoiser, plan), denoiser.begin(x)
        for _ in range(steps):
            point = denoiser.advance(point, forward)
    return denoiser.images(point)


def _compared(actual, reference, dtype=torch.float32):
    largest = float((actual - reference).abs().max() / reference.abs().max())
    finite = bool(actual.isfinite().all())
    return {"largest": largest, "right": finite and largest <= BOUND[dtype]}


def _pipeline(name, sizes):
    pipe, call, steps = tiny(name, sizes.device)
    plain = call()
    units = _units(pipe, call)
    yield {"schedule": "none", "second as first": torch.equal(call(), plain)}
    kept, reused = masks.full(steps, units), half(steps, units)
    for label, keep in {"all kept": kept, "half reused": reused}.items():
        with harmonica.apply(pipe, Schedule(keep=keep), assume_timesteps=True):
            first, second = call(), call()
        yield {
            "schedule": label,
            "as untouched": torch.equal(first, plain),
            "second as first": torch.equal(first, second),
        }
    yield {"schedule": "removed", "as untouched": torch.equal(call(), plain)}
    if name in PLANNED and sizes.graph != "eager":
        options = {"assume_timesteps": True, "backend": sizes.graph}
        with harmonica.apply(pipe, Schedule(keep=reused), **options):
            again, once_more = call(), call()
        yield {
            "schedule": f"half reused, {sizes.graph}",
            "second as first": torch.equal(again, once_more),
            **_compared(again, first),
        }


def _units(pipe, call):
    """N of a pipeline's transformer."""
    model = first_transformer(pipe)
    if obstacle(model) is None:
        return backbone_of(pipe).num_blocks
    with Units(model, lambda args, kwargs: lambda i, compute: compute()) as units:
        call()
        return len(units.names)


def _derivatives(sizes):
    """Compare dE from the search's backward sweep with differences of whole walks, in float32."""
    model = loaded("DiT", torch.float32, sizes.device)
    walk = ModelWalk(model, samplers.load("ddim"), STEPS, 1.5)
    schedule = Schedule(keep=half(STEPS, walk.num_blocks))
    with float32_products("ieee"):
        _, Q = probe(walk, schedule, 7, IMAGES, directions=1, window=WINDOW)
        (v,) = random_directions(7, IMAGES, walk(uncached, 7, IMAGES), 1)
        worst = scale = 0.0
        for step in range(1, STEPS):
            for i in (0, 3, walk.num_blocks - 1):
                plus, minus = (
                    walk(moved(schedule, step, i, amount), 7, IMAGES) for amount in (0.1, -0.1)
                )
                slope = (v * (plus - minus)).flatten(1).sum(1) / 0.2
                derivative = Q[:, 0, step, 0, i] if not schedule.keep[step, i] else 0 * slope
                worst = max(worst, float((derivative - slope).abs().max()))
                scale = max(scale, float(slope.abs().max()))
    yield {"largest": worst / scale, "of": scale, "right": worst <= 0.02 * scale}


def moved(schedule, step, block, amount):
    """The policy of a schedule with one entry changed: its feature is moved towards the computed
    one by the share `amount`. The feature that is kept for later steps is not moved.
    """
    keep = schedule.keep.tolist()

    def policy(t, call, state):
        state = list(state or [None] * len(keep[0]))

        def at(i, compute):
            fresh = compute()
            if keep[t][i]:
                state[i] = fresh
            used = state[i]
            return used + amount * (fresh - used) if (t, i) == (step, block) else used

        return call(at), state

    return policy


def _sdt(sizes):
    """Train a router on the device, in every way, and on the CPU: all must give the same logits."""
    training = RouterTraining(
        walk="sdt",
        objective="leave-one-out",
        lambda_scores="soft",
        trajectories=2,
        batch=4,
        refresh=1,
        lambda_batch=2,
        lr=0.01,
        adam_eps=1e-8,
        tau=0.1,
        beta=1e-3,
    )
    spec = SimpleNamespace(training=training, num_steps=STEPS, guidance=1.5, sampler="ddim")
    ways = {"lean": {}, "lean, checkpointed": {"recompute": True}}
    if sizes.device.type == "cuda":
        ways |= {
            "lean, compiled": {"compile": True},
            "lean, checkpointed, compiled": {"recompute": True, "compile": True},
        }

    def trained(device, options):
        model = dit_on(device)
        pair = fast_pair(model.backbone, **options)
        logits, log = train(model, spec, Path("not there"), pair=pair)
        return logits.float().cpu(), log[-1]["data_loss"]

    with float32_products("ieee"):
        reference, cpu_loss = trained(torch.device("cpu"), {})
        for way, options in ways.items():
            logits, loss = trained(sizes.device, options)
            moved_by = float((reference - logits).abs()[1:].max())
            yield {
                "way": way,
                "largest logit difference": moved_by,
                "CPU loss": cpu_loss,
                "loss": loss,
                "right": moved_by < 2e-3,
            }
