"""Faster functions for the `pair` argument of sdt.update_by: teacher and student of one step."""

from functools import partial

from harmonica.fast.fused import fused, run
from harmonica.fast.start import Times, starts
from harmonica.method.cache import blended
from harmonica.method.sdt import compare


def fast_pair(backbone, recompute=False, compile=False):
    """-> pair(x, timestep, ctx, r, cache), for many router updates on one model.

    It copies the weights of the modulations (see DiT.starts), so the model's must not change any
    more. recompute: activations are computed again in the backward pass. compile: units, gates and
    mixes are compiled (fused.py).
    """
    times = Times(backbone)
    blend = blended
    if compile:
        backbone = fused(backbone)
        blend = partial(run, blend)
    (start,) = starts(backbone, [(True,) * backbone.num_blocks])

    def pair(x, timestep, ctx, r, cache):
        h, c = start(x, times(timestep, len(x), x.device), ctx)
        return compare(backbone, h, c, r, cache, recompute, blend)

    return pair


def training_pair(backbone, training):
    """The fast pair that a RouterTraining asks for."""
    return fast_pair(backbone, bool(training.checkpoint), bool(training.compile))
