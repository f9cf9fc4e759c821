"""Post-training quantisation: ranges of least error, and AdaRound (Nagel et al., 2020).

Rounding to the nearest is not the best for a layer's weights. Whether each is rounded up or down is
learned, so that the layer's output on its own inputs changes least. Inputs have one range for all
steps.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch.func import functional_call

from harmonica.compress.quantise import is_inner
from harmonica.compress.rounding import Range, Rounded, between, codes, rounded, search
from harmonica.files import load_tensors, save_tensors

STRETCH = (-0.1, 1.1)  # the sigmoid's range, before it is clamped so that 0 and 1 are reached
# the first share of updates has no pull; then the exponent in it falls from 20 to 2
WARM_UP, SHARPNESS = 0.2, (20.0, 2.0)
SAVE_EVERY = 10  # layers between two saves of the state
HEADROOM = 1.6


def nearest(weight, bits, inputs):
    """Round a weight with the ranges of least error, each number to its nearest code -> Rounded.
    inputs: the Range of the layer's inputs; None where they are not rounded.
    """
    rows = weight.detach().float().flatten(1)
    range_ = search(rows, bits)
    return Rounded(codes(rows, range_).view(weight.shape), range_, inputs)


def ranges(seen, name, bits, each_step):
    """The Range for a layer's inputs (an observe.Seen), one row per step, equal rows unless
    `each_step`.

    In layers before and after the blocks it is HEADROOM times what was seen. These work on the
    image itself, where one value cut off can spoil a whole trajectory, and other images have larger
    values: of 8 192 normal numbers the largest is at least 3.4, and of a million none exceeds 5.4.
    """
    rows, ends = seen.rows.flatten(1), (seen.low, seen.high)
    if not each_step:
        rows, ends = rows.flatten()[None], (seen.low.min()[None], seen.high.max()[None])
    if is_inner(name):
        range_ = search(rows, bits, ends)
    else:
        range_ = between(*(HEADROOM * end for end in ends), bits)
    count = 1 if each_step else len(seen.rows)
    return Range(range_.scale.repeat(count), range_.zero.repeat(count), bits)


def learn(layers, seen, nearest_of, settings, state_path, progress=iter):
    """Learn the rounding of every layer in `seen` -> {name: Rounded}, with the others as they were.

    layers: {name: module}; seen: from observe.inputs; nearest_of: {name: Rounded} to begin with.
    Resumes from `state_path` where it exists.
    """
    saved = load_tensors(state_path, "state of a compression")
    codes_by_name = saved[0] if saved else {}
    for number, name in enumerate(progress(list(seen))):
        if name not in codes_by_name:
            codes_by_name[name] = _learned(layers[name], seen[name], nearest_of[name], settings)
            if (number + 1) % SAVE_EVERY == 0:
                save_tensors(state_path, codes_by_name, {})
    learned = {
        name: Rounded(values, nearest_of[name].range, nearest_of[name].inputs)
        for name, values in codes_by_name.items()
    }
    return nearest_of | learned


def _learned(layer, seen, start, settings):
    """The learned codes of one layer's weight."""
    rounding, device = settings.rounding, layer.weight.device
    rng = np.random.default_rng([settings.seed, start.codes.numel()])
    inputs = seen.rows.flatten(0, 1)
    rough = rounded(
        inputs.flatten()[None],
        Range(start.inputs.scale[:1], start.inputs.zero[:1], start.inputs.bits),
    )
    rough = rough.view(inputs.shape)
    weight, scale = layer.weight.detach().float(), start.range.scale[:, None]
    below = (weight.flatten(1) / scale).floor()
    low, high = STRETCH
    share = weight.flatten(1) / scale - below
    up = torch.logit((share - low) / (high - low)).requires_grad_()
    optimizer = torch.optim.Adam([up], lr=rounding.lr)
    for update in range(rounding.iterations):
        pick = torch.from_numpy(rng.integers(len(inputs), size=rounding.batch)).to(device)
        chosen = _chosen(up)
        soft = _codes(below + chosen, start.range)
        value = ((soft - start.range.zero[:, None]) * scale).view(weight.shape)
        with torch.no_grad():
            target = layer(inputs[pick])
        error = F.mse_loss(functional_call(layer, {"weight": value}, (rough[pick],)), target)
        done = update / rounding.iterations
        loss = error / target.square().mean().clamp(min=1e-12)
        if done >= WARM_UP:
            loss = loss + rounding.pull * _undecided(chosen, (done - WARM_UP) / (1 - WARM_UP))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    final = _codes(below + (_chosen(up.detach()) > 0.5), start.range)
    return final.to(torch.int32).view(weight.shape)


def _chosen(up):
    """The soft choice of every weight, from 0 (down) to 1 (up)."""
    low, high = STRETCH
    return (torch.sigmoid(up) * (high - low) + low).clamp(0, 1)


def _codes(steps, range_):
    return (steps + range_.zero[:, None]).clamp(0, range_.top)


def _undecided(chosen, done):
    """The pull: a weight counts 1 if its choice is open and 0 if it is made; the mean over weights.
    done: how far training with a pull is, 0..1. At first it only moves weights whose choice is
    nearly made, later all.
    """
    first, last = SHARPNESS
    exponent = last + (first - last) * 0.5 * (1 + np.cos(np.pi * done))
    return (1 - (2 * chosen - 1).abs().pow(exponent)).mean()
