"""The one loop over cacheable blocks: compute or reuse (inference), and the soft mix of both
(router training).

A cache is a list of N features, one slot per block, None while empty. Both functions return a new
list and leave the old one as it was, so a trajectory can be forked anywhere by keeping a reference.
"""

import torch


def compute_or_reuse(blocks, h, c, keep, cache):
    """Run one step: block i is computed and its slot refilled where keep[i], else the slot's
    feature is reused.

    keep: N Python bools (a reused slot must be filled). -> h after all blocks, the new cache.
    """
    cache = list(cache)
    for i, block in enumerate(blocks):
        if keep[i]:
            cache[i] = block.residual(h, c)
        h = block.add(h, c, cache[i])
    return h, cache


def mix(blocks, h, c, scores, write, cache):
    """Run one step of the student: o_i = r_i f_i(h) + (1 - r_i) cache_i; an empty slot counts as
    o_i = f_i.

    scores: (N,) router row r, with or without graph. write: N Python bools, r_i > tau: these slots
    (and empty ones) are overwritten with the detached mix. -> h after all blocks, the new cache.
    """
    cache, of_new, of_old = (
        list(cache),
        scores.unbind(),
        (1 - scores).unbind(),
    )  # one node of the graph for all blocks
    for i, block in enumerate(blocks):
        out = block.residual(h, c)
        if cache[i] is not None:
            # in r's precision: its gradient is a small difference of large sums
            own, wide = out.dtype, torch.promote_types(out.dtype, scores.dtype)
            out = (of_new[i] * out.to(wide)).add_(of_old[i] * cache[i].to(wide)).to(own)
        if write[i] or cache[i] is None:
            cache[i] = out.detach()
        h = block.add(h, c, out)
    return h, cache
