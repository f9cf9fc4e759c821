"""A plan does what the loop over the mask does, through every backend that the machine has, and holds only what is live."""
import pytest
import torch

from harmonica import BadInput, schedules
from harmonica.cache import compute_or_reuse
from harmonica.cudagraph import GraphPlan
from harmonica.plan import compile_mask

MASKS = {"full": schedules.full(5, 4), "FORA": schedules.fora(5, 4), "random": schedules.random(5, 4, 9, seed=1),
         "alone": schedules.random(5, 4, 16, seed=0)}


def by_the_loop(denoiser, keep):
    """The plain way: one start for all, every row through cache.py."""
    def forward(step, x, t, cache):
        h, c = denoiser.start(x, t)
        h, cache = compute_or_reuse(denoiser.blocks, h, c, keep[step].tolist(), cache)
        return denoiser.finish(h, c), cache
    return forward


def walked(denoiser, x, forward):
    """-> x after every step, the caches between the steps."""
    point, seen, caches = denoiser.begin(x), [], []
    with torch.no_grad():
        while point.step < len(denoiser.timesteps):
            point = denoiser.advance(point, forward)
            seen.append(point.x)
            caches.append([slot if slot is None else slot.clone() for slot in point.cache])
    return torch.stack(seen), caches


@pytest.mark.parametrize("keep", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("batch", [1, 3, 16])
@pytest.mark.parametrize("setting", [dict(scale=1.0), dict(scale=1.5), dict(tied=False), dict(dtype=torch.float64),
                                     dict(channels=1, out_channels=1, depth=2, width=96, scale=1.0)], ids=str)
def test_eager_is_the_loop_bit_for_bit(tiny_walk, keep, batch, setting):
    denoiser, x = tiny_walk(batch=batch, **{"dtype": torch.float32, **setting})
    assert torch.equal(walked(denoiser, x, denoiser.hard(keep))[0], walked(denoiser, x, by_the_loop(denoiser, keep))[0])
