"""Faster pairs of teacher and student for sdt.update_by."""

from functools import partial

from harmonica.fast.start import Times, starts
from harmonica.fast.steps import compiled
from harmonica.method.sdt import compare


def fast_pair(backbone, recompute=False, compile=False):
    """A pair(x, timestep, ctx, r, cache) for many updates of routers on one model.

    It copies the weights of the modulations (see DiT.starts), which must change no more.
    recompute: activations are computed again in the backward pass. compile: teacher and student
    become one graph of torch.compile.
    """
    times = Times(backbone)
    (start,) = starts(backbone, [(True,) * backbone.num_blocks])

    def both(x, time, ctx, r, cache):
        return compare(backbone, *start(x, time, ctx), r, cache, recompute)

    both = compiled(both) if compile else both
    return partial(_at, both, times)


def _at(both, times, x, timestep, ctx, r, cache):
    return both(x, times(timestep, len(x), x.device), ctx, r, cache)


def training_pair(backbone, training):
    """The fast pair that a RouterTraining asks for."""
    return fast_pair(backbone, bool(training.checkpoint), bool(training.compile))
