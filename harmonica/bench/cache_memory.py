"""The peak memory of sampling with a cache, against the same walk with every block computed
(reference). It is counted for the published shapes: the bytes of all tensors that are alive at
once, weights included, where they are most.

Nothing is computed: tensors that have a shape and no numbers stand for real ones. bfloat16, eager,
guidance. T = 4 stands for longer walks of the same period; a random schedule keeps all features
alive that any real one could.
"""

from contextlib import contextmanager
from dataclasses import replace

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from harmonica.bench import cases
from harmonica.fast.plan import compile_schedule, follow
from harmonica.lab.memory import live_peak
from harmonica.method import masks
from harmonica.method.schedule import Schedule

NUM_STEPS, CUR = 4, 50
SHAPES = {
    "DiT-XL/2 256": lambda: cases.dit_xl2(),
    "DiT-XL/2 512": lambda: cases.dit_xl2(64),
    "PixArt-alpha 512": lambda: cases.pixart(64),
}
BATCHES = (1, 8)


def rows(bench, shapes=SHAPES):
    """The rows are the same on every machine, so `bench` is not used."""
    for name, of_shape in shapes.items():
        numberless = FakeTensorMode(allow_non_fake_inputs=True)
        with numberless, _default(torch.bfloat16):
            case = of_shape()
        weights = sum(p.untyped_storage().nbytes() for p in case.backbone.parameters())
        for batch in BATCHES:
            peaks = {
                label: weights
                + _peak(case, batch, compile_schedule(case.backbone, schedule), numberless)
                for label, schedule in _schedules(case.backbone.num_blocks).items()
            }
            reference = peaks.pop("uncached")
            for label, peak in peaks.items():
                row = {"model": name, "batch": batch, "schedule": label}
                share = {"cache_share": (peak - reference) / peak}
                yield {**row, "reference_bytes": reference, "bytes": peak, **share}, None


@contextmanager
def _default(dtype):
    """Within the `with` block, new floating-point tensors have this dtype by default."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _schedules(num_blocks):
    budget = masks.budget(CUR, NUM_STEPS, num_blocks)
    by_label = {
        "uncached": masks.full(NUM_STEPS, num_blocks),
        "FORA 2": masks.fora(NUM_STEPS, num_blocks),
        f"random CUR {CUR} %": masks.random(NUM_STEPS, num_blocks, budget, 0),
    }
    return {label: Schedule(keep=keep) for label, keep in by_label.items()}


@torch.no_grad()
def _peak(case, batch, plan, numberless):
    """The peak memory of a walk in bytes, without the weights."""
    with numberless:
        denoiser, x = replace(case, num_steps=NUM_STEPS).denoiser(batch), case.noise(batch)
        return live_peak(lambda: denoiser.walk(denoiser.begin(x), follow(denoiser, plan)))
