"""The policies: what answers a block's question `at(i, compute)`, which feature shall I add here?

A cache is a list of N features, one per block, None while empty. `reuse` and `mix` return an `at`
and a new cache, which is filled while the blocks ask. The given cache is not changed, so a
trajectory can be forked anywhere by keeping a reference. A feature is a tensor, or a tuple of
tensors where a backbone's blocks work on several streams at once.
"""

import torch


def compute_all(i, compute):
    """The uncached model: every block computes."""
    return compute()


def reuse(keep, cache):
    """One step of inference: block i computes where keep[i], else its cached feature is reused.

    keep: N Python bools; a block that reuses must have a feature. Returns at, new cache.
    """
    cache = list(cache)

    def at(i, compute):
        if keep[i]:
            cache[i] = compute()
        return cache[i]

    return at, cache


def blended(of_new, of_old, new, old):
    """of_new * new + of_old * old, in the dtype of new. Computed in the router's precision, because
    the router's gradient is a small difference of large sums.
    """
    wide = torch.promote_types(new.dtype, of_new.dtype)
    return (of_new * new.to(wide)).add_(of_old * old.to(wide)).to(new.dtype)


def mix(scores, write, cache, blend=blended, kept=torch.Tensor.detach):
    """One step of the student in training: o_i = r_i f_i(h) + (1 - r_i) cache_i.

    Where cache_i is empty, o_i = f_i. scores: (N,) the router's row r, with or without a graph.
    write: N Python bools, r_i > tau: these slots, and empty ones, are overwritten with kept(o_i),
    by default o_i detached. blend: `blended`, or a faster one. Returns at, new cache. A block may
    ask `at` twice (a checkpointed one does) and gets the same answer.
    """
    earlier = cache
    cache = list(cache)
    of_new, of_old = scores.unbind(), (1 - scores).unbind()  # one node of the graph for all blocks

    def at(i, compute):
        out = compute()
        if earlier[i] is not None:
            out = mapped(lambda new, old: blend(of_new[i], of_old[i], new, old), out, earlier[i])
        if write[i] or earlier[i] is None:
            cache[i] = mapped(kept, out)
        return out

    return at, cache


def mapped(function, *features):
    """`function` over features: tensors, None, or tuples or lists of these."""
    first = features[0]
    if isinstance(first, (tuple, list)):
        return type(first)(mapped(function, *parts) for parts in zip(*features))
    return None if first is None else function(*features)


def predicted(weights, features):
    """A skipped block's feature, predicted from its last computed ones, newest first: per channel
    w_1 f_1 + w_2 f_2 + ... + bias.

    weights: (K + 1, channels), the bias last; weights of features that are not given are ignored.
    For tuples of tensors, the channels of all tensors are side by side. Summed in float32 at least,
    as the terms nearly cancel each other; w = (1, 0, ..., 0) is reuse, bit for bit.
    """
    if isinstance(features[0], tuple):
        parts = weights.split([stream.shape[-1] for stream in features[0]], 1)
        return tuple(predicted(part, streams) for part, *streams in zip(parts, *features))
    wide = torch.promote_types(features[0].dtype, torch.float32)
    weights = weights.to(features[0].device, wide)
    out = weights[-1]
    for weight, feature in zip(weights[:-1], features):
        out = torch.addcmul(out, weight, feature.to(wide))
    return out.to(features[0].dtype)
