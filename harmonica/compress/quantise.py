"""Quantised layers in a transformer, which use the scales of the step they are called at.

The inputs of a layer change from step to step, so each step has its own scale (EfficientDM's
temporal quantisation). The timestep that the model is called with selects the scale. Counting calls
would not do: with a schedule a layer is called at some steps only, and each shard begins anew.
"""

from copy import deepcopy
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from harmonica.compress.settings import EDGE_BITS

OF_PROMPT = ("caption_projection.", ".attn2.to_k", ".attn2.to_v")  # computed once per trajectory
INNER = ("attn1.", "attn2.", "ff.", "norm1.linear")  # layers of a block; others lie before or after


class Place:
    """Holds the current `row`: which of its T input scales each layer uses now.

    timesteps: (T,), those of the walk that the scales were found on. Any other timestep uses the
    row of the nearest one.
    """

    def __init__(self, timesteps):
        self.timesteps = torch.as_tensor(timesteps, dtype=torch.float64)
        self.row = torch.zeros((), dtype=torch.long)

    def of(self, t):
        """The row for model timesteps t (B,), which are all equal. It is a tensor, so that a
        captured CUDA graph reads it again at each replay.
        """
        if self.timesteps.device != t.device:
            self.timesteps = self.timesteps.to(t.device)
        return (self.timesteps - t[0]).abs().argmin()


class Quantised(nn.Module):
    """A linear layer or convolution with weights that are rounded already; it rounds its input."""

    def __init__(self, layer, inputs, place):
        super().__init__()
        self.layer, self.place, self.top = layer, place, inputs.top
        self.register_buffer("scale", inputs.scale, persistent=False)
        self.register_buffer("zero", inputs.zero, persistent=False)

    def forward(self, x):
        scale, zero = (at_row(values, self.place.row) for values in (self.scale, self.zero))
        return self.layer(torch.fake_quantize_per_tensor_affine(x, scale, zero, 0, self.top))


def at_row(values, row):
    """values[row], (rows,) and () -> (). Indexing by a tensor would wait for the GPU, and
    torch.compile translates neither that nor take().
    """
    return values.index_select(0, row.view(1)).view(())


class AtStep:
    """A backbone whose quantised layers use the scales of the step it is called at.

    Its conditioning c and its time(t) carry the row. The row is set again whenever a block
    computes, so it is right also for blocks that are recomputed in a backward pass.
    """

    def __init__(self, backbone, place):
        self.backbone, self.place = backbone, place
        self.kinds, self.num_blocks = backbone.kinds, backbone.num_blocks
        self.in_channels, self.sample_size = backbone.in_channels, backbone.sample_size
        self.guided_channels, self.parameters = backbone.guided_channels, backbone.parameters
        self.with_null, self.prepare = backbone.with_null, backbone.prepare

    def time(self, t):
        self.place.row = row = self.place.of(t)
        return self.backbone.time(t), row

    def start(self, x, t, ctx):
        return self.start_at(x, self.time(t), ctx)

    def start_at(self, x, time, ctx):
        return self._begin(self.backbone.start_at, x, time, ctx)

    def starts(self, rows):
        return [partial(self._begin, start) for start in self.backbone.starts(rows)]

    def _begin(self, start, x, time, ctx):
        of_model, self.place.row = time
        h, c = start(x, of_model, ctx)
        return h, (c, time[1])

    def through(self, h, c, at):
        backbone_c, row = c
        self.place.row = row

        def placed(i, compute):
            return at(i, partial(self._compute, row, compute.func, *compute.args))

        return self.backbone.through(h, backbone_c, placed)

    def _compute(self, row, function, *args):
        self.place.row = row
        return function(*args)


def layers(backbone):
    """{name: module} of all linear layers and convolutions, each once."""
    return {
        name: module
        for name, module in backbone.model.named_modules()
        if type(module) in (nn.Linear, nn.Conv2d)
    }


def is_of_prompt(name):
    return any(part in name for part in OF_PROMPT)


def is_inner(name):
    """Whether a layer lies within a block, and not before or after the blocks."""
    return any(part in name for part in INNER)


def bits_of(name, bits):
    return bits if is_inner(name) else max(bits, EDGE_BITS)


@torch.no_grad()
def install(loaded, rounded, timesteps):
    """A copy of the model with its layers rounded -> Loaded. rounded: {layer name: Rounded}."""
    backbone = deepcopy(loaded.backbone)
    place = Place(timesteps)
    for name, rounding in rounded.items():
        layer = backbone.model.get_submodule(name)
        layer.weight.copy_(rounding.weight())
        if rounding.inputs:
            quantised = Quantised(layer, rounding.inputs, place).to(layer.weight.device)
            backbone.model.set_submodule(name, quantised)
    return replace(loaded, backbone=AtStep(backbone, place))
