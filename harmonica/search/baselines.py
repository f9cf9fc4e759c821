"""The baselines of the search, each as a Schedule: extrapolation with fixed weights (TaylorSeer),
SmoothCache and evolution of masks (ECAD). FORA is in method/masks.py; with fitted predictions
it is predict.fit of its mask.
"""

import math

import numpy as np
import torch
from torch.utils._pytree import tree_leaves

from harmonica.errors import BadInput, check
from harmonica.method import masks
from harmonica.method.schedule import Schedule
from harmonica.search.walks import follow, uncached

POPULATION = 8  # masks that live in an evolution
LONGEST_REUSE = 3  # in steps, of SmoothCache


def taylor(keep, channels, order):
    """TaylorSeer (Liu et al., 2025): a skipped feature at step s is extrapolated from the features
    of the last computed steps s_k, s_{k-1}, ... by differences up to `order`, or as many as exist:

        D^{m+1}(s_k) = (D^m(s_k) - D^m(s_{k-1})) / (s_k - s_{k-1})
        F(s) = sum over m of D^m(s_k) (s - s_k)^m / m!

    keep (T, N); channels: the number of channels of each block's feature.
    """
    check(order in (1, 2), "order", order, "choose 1 or 2")
    weights = {}
    for step, i in (~keep).nonzero().tolist():
        computed = [s for s in range(step) if keep[s, i]][::-1]
        row = torch.zeros(order + 2)
        num_used = min(len(computed), order + 1)
        row[:num_used] = torch.tensor(taylor_weights(step, computed, order))[:num_used]
        weights[step, i] = row[:, None].expand(-1, channels[i]).half()
    return Schedule(keep=keep, weights=weights, about={"method": f"Taylor {order}"})


def taylor_weights(step, computed, order):
    """The weights of the computed steps' features, newest first; 0 after the first order + 1."""
    newest = computed[: order + 1]
    # differences[j] is D^m at newest[j], written as weights of the features
    differences, total = np.eye(len(computed))[: len(newest)], np.zeros(len(computed))
    for m in range(len(newest)):
        total += differences[0] * (step - newest[0]) ** m / math.factorial(m)
        gaps = [newest[j] - newest[j + 1] for j in range(len(differences) - 1)]
        differences = [(a - b) / gap for a, b, gap in zip(differences, differences[1:], gaps)]
    return total


def channels_of(walk):
    """The number of channels of each block's feature, found by walking one image."""
    channels = [0] * walk.num_blocks

    def policy(step, call, state):
        def at(i, compute):
            feature = compute()
            channels[i] = sum(leaf.shape[-1] for leaf in tree_leaves(feature))
            return feature

        return call(at), None

    walk(policy, 0, range(1))
    return channels


def smoothcache(walk, seed, indices, reused, kinds):
    """SmoothCache (Liu et al., 2024), calibrated on an uncached walk. All blocks of a kind have the
    same column.

    After a computed step i the next j steps reuse: the largest j <= 3 with e_j(i) <= alpha, where e
    is the relative L1 change of the features from step i to i + j, mean over images and the blocks
    of a kind. alpha is the largest at which at most `reused` entries are reused. kinds: the kinds
    of block that alternate in the columns.
    """
    changes = feature_changes(walk, seed, indices).unflatten(2, (-1, len(kinds))).mean(2)
    candidates = [_smooth(changes, alpha) for alpha in changes.unique().tolist()]
    fitting = [
        keep for keep in candidates if walk.num_blocks // len(kinds) * (~keep).sum() <= reused
    ]
    if not fitting:
        raise BadInput(f"reused: {reused} entries are fewer than SmoothCache's smallest step")
    keep = max(fitting, key=lambda keep: int((~keep).sum()))
    keep = keep.repeat(1, walk.num_blocks // len(kinds))
    return Schedule(keep=keep, about={"method": "SmoothCache"})


def feature_changes(walk, seed, indices):
    """-> [j - 1, i, block], (3, T, N): |F_i - F_{i+j}|_1 / |F_{i+j}|_1 between the features of
    steps i and i + j, mean over images; inf where i + j is beyond the last step.
    """
    shape = LONGEST_REUSE, walk.num_steps, walk.num_blocks
    changes = torch.full(shape, torch.inf, dtype=torch.float64)

    def policy(step, call, state):
        past = list(state or [()] * walk.num_blocks)

        def at(i, compute):
            feature = compute()
            for j, old in enumerate(past[i], 1):
                changes[j - 1, step - j, i] = _change(old, feature)
            past[i] = (feature, *past[i][: LONGEST_REUSE - 1])
            return feature

        return call(at), past

    walk(policy, seed, indices)
    return changes


def _change(old, new):
    pairs = list(zip(tree_leaves(old), tree_leaves(new)))
    difference = sum((a - b).abs().flatten(1).sum(1).double() for a, b in pairs)
    return float((difference / sum(b.abs().flatten(1).sum(1).double() for _, b in pairs)).mean())


def _smooth(changes, alpha):
    """The mask (T, kinds) at the threshold alpha."""
    _, T, kinds = changes.shape
    keep = torch.zeros(T, kinds, dtype=torch.bool)
    for kind in range(kinds):
        step = 0
        while step < T:
            keep[step, kind] = True
            reusing = [
                j for j in range(1, LONGEST_REUSE + 1) if changes[j - 1, step, kind] <= alpha
            ]
            step += 1 + max(reusing, default=0)
    return keep


def evolve(walk, reused, walks, seed, *, images, population=POPULATION):
    """Evolve masks with exactly `reused` skipped entries, as ECAD does (Aggarwal et al., 2025): by
    crossover and random flips; fitness is the true error of the final latents. -> Schedule.

    It begins with FORA, brought to the budget, and random masks. walks: the budget of compute, in
    uncached walks of one image; the first population counts as uncached, a child by what it runs.
    """
    rng = np.random.default_rng(seed)
    shape = walk.num_steps, walk.num_blocks
    exact = walk(uncached, seed, range(images))

    def error(keep):
        x = walk(follow(Schedule(keep=torch.from_numpy(keep))), seed, range(images))
        return float((x - exact).square().mean())

    first = [repaired(masks.fora(*shape).numpy(), reused, rng)]
    first += [
        masks.random(*shape, reused, int(rng.integers(2**31))).numpy()
        for _ in range(population - 1)
    ]
    living = sorted(
        ((error(keep), k, keep) for k, keep in enumerate(first)), key=lambda member: member[0]
    )
    spent = images * (1 + population)
    share = reused / (shape[0] * shape[1])
    number = population
    while spent < walks:
        mother, father = (living[min(rng.integers(population, size=2))][2] for _ in range(2))
        child = np.where(rng.random(shape) < 0.5, mother, father)
        flips = rng.random(shape) < 1 / shape[0] / 4
        flips[0] = False
        child = repaired(child ^ flips, reused, rng)
        living.append((error(child), number, child))
        living = sorted(living, key=lambda member: member[:2])[:population]
        number, spent = number + 1, spent + images * (1 - share)
    return Schedule(keep=torch.from_numpy(living[0][2]), about={"method": "evolution"})


def repaired(keep, reused, rng):
    """The mask with random entries flipped until exactly `reused` are skipped."""
    keep = keep.copy()
    surplus = int((~keep).sum()) - reused
    entries = np.argwhere(~keep if surplus > 0 else keep)
    entries = entries[entries[:, 0] > 0]
    for t, i in entries[rng.permutation(len(entries))[: abs(surplus)]]:
        keep[t, i] = surplus > 0
    return keep
