"""Post-training quantisation: ranges of least error, and AdaRound (Nagel et al., 2020).

Nearest is not the best rounding of a layer's weights: whether each goes up or down is learned, so
that the layer's output on its own inputs changes least. Inputs have one range for all steps.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch.func import functional_call

from harmonica.compress.quantise import is_inner
from harmonica.compress.rounding import Range, Rounded, between, codes, rounded, search
from harmonica.files import load_state, save_state

STRETCH = (-0.1, 1.1)  # of the sigmoid, so that 0 and 1 are reached
WARM_UP, SHARPNESS = 0.2, (20.0, 2.0)  # share without the pull; its exponent falls from, to
SAVE_EVERY = 10  # layers
HEADROOM = 1.6


def nearest(weight, bits, inputs=None):
    """A weight by ranges of least error, each number to the nearest code -> Rounded."""
    rows = weight.detach().float().flatten(1)
    own = search(rows, bits)
    return Rounded(codes(rows, own).view(weight.shape), own, inputs)


def ranges(seen, name, bits, each_step):
    """The Range of an observe.Seen, one row per step, all the same unless `each_step`.

    Before and behind the blocks it is all that was seen and HEADROOM: there, in the image itself,
    one value cut off can send a whole trajectory astray, and other images reach further: of 8 192
    normal numbers the largest is 3.4 at least, of a million others none is above 5.4.
    """
    rows, ends = seen.rows.flatten(1), (seen.low, seen.high)
    if not each_step:
        rows, ends = rows.flatten()[None], (seen.low.min()[None], seen.high.max()[None])
    if is_inner(name):
        found = search(rows, bits, ends)
    else:
        found = between(*(HEADROOM * end for end in ends), bits)
    return found if each_step else found.repeat(len(seen.rows))


def learn(layers, seen, nearest_of, settings, state_path, progress=iter):
    """Learn the rounding of every layer that has inputs -> {name: Rounded}.

    layers: {name: module}; seen: observe.inputs'; nearest_of: {name: Rounded} to begin with. Goes
    on from `state_path` where it exists.
    """
    saved = load_state(state_path, "state of a compression")
    found = saved[0] if saved else {}
    for number, name in enumerate(progress(list(seen))):
        if name not in found:
            found[name] = _learned(layers[name], seen[name], nearest_of[name], settings)
            if (number + 1) % SAVE_EVERY == 0:
                save_state(state_path, found, {})
    learned = {
        name: Rounded(values, nearest_of[name].range, nearest_of[name].inputs)
        for name, values in found.items()
    }
    return nearest_of | learned


def _learned(layer, seen, own, settings):
    """The codes of one layer."""
    rounding, device = settings.rounding, layer.weight.device
    rng = np.random.default_rng([settings.seed, own.codes.numel()])
    given = seen.rows.flatten(0, 1)
    rough = rounded(
        given.flatten()[None], Range(own.inputs.scale[:1], own.inputs.zero[:1], own.inputs.bits)
    )
    rough = rough.view(given.shape)
    weight, scale = layer.weight.detach().float(), own.range.scale[:, None]
    below = (weight.flatten(1) / scale).floor()
    low, high = STRETCH
    share = weight.flatten(1) / scale - below
    up = torch.logit((share - low) / (high - low)).requires_grad_()
    optimizer = torch.optim.Adam([up], lr=rounding.lr)
    for update in range(rounding.iterations):
        pick = torch.from_numpy(rng.integers(len(given), size=rounding.batch)).to(device)
        chosen = _chosen(up)
        soft = _codes(below + chosen, own.range)
        value = ((soft - own.range.zero[:, None]) * scale).view(weight.shape)
        with torch.no_grad():
            wanted = layer(given[pick])
        error = F.mse_loss(functional_call(layer, {"weight": value}, (rough[pick],)), wanted)
        done = update / rounding.iterations
        loss = error / wanted.square().mean().clamp(min=1e-12)
        if done >= WARM_UP:
            loss = loss + rounding.pull * _undecided(chosen, (done - WARM_UP) / (1 - WARM_UP))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    final = _codes(below + (_chosen(up.detach()) > 0.5), own.range)
    return final.to(torch.int32).view(weight.shape)


def _chosen(up):
    """Between 0 (down) and 1 (up) for every weight."""
    low, high = STRETCH
    return (torch.sigmoid(up) * (high - low) + low).clamp(0, 1)


def _codes(steps, own):
    return (steps + own.zero[:, None]).clamp(0, own.top)


def _undecided(chosen, done):
    """Mean over weights: 1 where a choice is open, 0 where it is made; sharper as training goes."""
    first, last = SHARPNESS
    exponent = last + (first - last) * 0.5 * (1 + np.cos(np.pi * done))
    return (1 - (2 * chosen - 1).abs().pow(exponent)).mean()
