"""Quantised linear layers computed in 8-bit integers, in place of simulated rounding."""

from copy import deepcopy
from dataclasses import replace

import torch
from torch import nn

MIDDLE = 128  # taken off codes 0..255, so that they fit signed bytes
LEAST_ROWS, MULTIPLE = 17, 8  # what torch's product of bytes asks for on a GPU: rows; features


class Integer(nn.Module):
    """A linear layer of weights and inputs of at most 8 bits: a product of bytes, summed in int32.

    With input codes q (scale s, zero z) and weight codes w (scale r, zero y, per output) it gives
    s r sum (q - z)(w - y) + bias, the same as Quantised gives to float rounding.
    """

    def __init__(self, rounded, bias, inputs, place):
        super().__init__()
        own, self.place, self.bias, self.top = rounded.range, place, bias, inputs.top
        codes = (rounded.codes - MIDDLE).to(torch.int8)
        zero = own.zero - MIDDLE
        self.register_buffer("codes", codes, persistent=False)
        self.register_buffer("sums", codes.sum(1, dtype=torch.int32) - codes.shape[1] * zero)
        self.register_buffer("weight_zero", zero, persistent=False)
        self.register_buffer("weight_scale", own.scale, persistent=False)
        self.register_buffer("scale", inputs.scale, persistent=False)
        self.register_buffer("zero", inputs.zero, persistent=False)

    def forward(self, x):
        scale, zero = self.scale.take(self.place.row), self.zero.take(self.place.row)
        rows = (x.flatten(0, -2).float() / scale).round() + zero
        rows = (rows.clamp(0, self.top) - MIDDLE).to(torch.int8)
        count = len(rows)
        if count < LEAST_ROWS:
            rows = nn.functional.pad(rows, (0, 0, 0, LEAST_ROWS - count))
        total = torch._int_mm(rows, self.codes.T)[:count]
        total = total - rows[:count].sum(1, dtype=torch.int32)[:, None] * self.weight_zero
        total = total - (zero - MIDDLE) * self.sums
        out = (total * (scale * self.weight_scale)).to(x.dtype)
        return (out if self.bias is None else out + self.bias).view(*x.shape[:-1], -1)


def in_integers(loaded, rounded):
    """A model of quantise.install in integers where that is possible -> Loaded: linear layers
    whose codes are at most 8 bits wide and whose inputs are rounded. Others stay simulated.
    """
    backbone = deepcopy(loaded.backbone)
    model = backbone.backbone.model
    for name, own in rounded.items():
        module = model.get_submodule(name)
        if own.inputs and possible(own):
            layer = Integer(own, module.layer.bias, own.inputs, backbone.place)
            model.set_submodule(name, layer.to(module.layer.weight.device))
    return replace(loaded, backbone=backbone)


def possible(own):
    """Whether a Rounded is of a linear layer and of a size that torch multiplies in bytes."""
    codes = own.codes
    whole = codes.ndim == 2 and not any(size % MULTIPLE for size in codes.shape)
    return whole and max(own.range.bits, own.inputs.bits) <= 8
