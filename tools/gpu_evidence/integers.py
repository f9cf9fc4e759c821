"""Quantised layers in 8-bit integers: what they give against simulated rounding, and their speed.

One uncached step of DiT-XL/2 256 with random weights at W8A8, 8 images; the reference is the same
model unquantised in bfloat16 (on a CPU, at toy size, float32), by the same backend.
"""

from functools import partial

import torch

from harmonica.bench import timing
from harmonica.compress import adaround
from harmonica.compress.integer import Integer, in_integers
from harmonica.compress.quantise import install, layers
from harmonica.compress.rounding import between
from harmonica.fast.plan import compile_mask
from harmonica.method import masks
from harmonica.method.denoise import Loaded
from tools.gpu_evidence.speed import shapes

BATCH, BITS, REACH = 8, 8, 6.0  # inputs are rounded with the range -REACH to REACH


def items(sizes):
    for backend in dict.fromkeys(["eager", sizes.graph]):
        yield f"forward DiT-XL/2 256 W8A8, {backend}", partial(_forward, backend, sizes)


@torch.no_grad()
def _forward(backend, sizes):
    case = shapes(sizes.tiny)["DiT-XL/2 256"]()
    simulated, integer = quantised(case)
    count = sum(type(module) is Integer for module in integer.backbone.model.modules())
    x, cond = case.noise(BATCH), case.cond(BATCH)
    t = torch.full((BATCH,), 500, device=x.device)
    keep = masks.full(1, case.backbone.num_blocks)
    steps = {
        name: _step(backbone, keep, backend, x, t, cond)
        for name, backbone in {
            "plain": case.backbone,
            "simulated": simulated,
            "integers": integer,
        }.items()
    }
    expected, actual = steps["simulated"]().float(), steps["integers"]().float()
    apart = float((actual - expected).abs().median() / expected.abs().max())
    functions = {name: timing.waiting(step) for name, step in steps.items()}
    for name, row in timing.compare(functions.pop("plain"), functions, sizes.repeats).items():
        extra = {"median difference": apart, "layers": count} if name == "integers" else {}
        yield {"way": name, "batch": BATCH, "backend": backend, **row, **extra}


def quantised(case):
    """-> the backbone with simulated rounding, and the one that computes in integers."""
    inputs = between(torch.tensor([-REACH]), torch.tensor([REACH]), BITS)
    rounded = {
        name: adaround.nearest(layer.weight, BITS, inputs)
        for name, layer in layers(case.backbone).items()
    }
    loaded = Loaded(case.backbone, case.cond, 1)
    simulated = install(loaded, rounded, [500])
    return simulated.backbone, in_integers(simulated, rounded).backbone


def _step(backbone, keep, backend, x, t, cond):
    ctx = backbone.prepare(cond)
    plan = compile_mask(backbone, keep, backend)
    return lambda: plan.step(0, x, t, ctx, plan.empty())[0]
