"""Quantised linear layers that compute in 8-bit integers, instead of simulating the rounding."""

from copy import deepcopy
from dataclasses import replace

import torch
from torch import nn

from harmonica.compress.quantise import at_row

MIDDLE = 128  # subtracted from the codes 0..255, so that they fit signed bytes
# torch._int_mm needs at least so many rows on a GPU, and features in such multiples
LEAST_ROWS, MULTIPLE = 17, 8


class Integer(nn.Module):
    """A linear layer with weights and inputs of at most 8 bits, which multiplies bytes and sums
    them in int32.

    With input codes q (scale s, zero z) and weight codes w (scale r, zero y, per output) the result
    is s r sum (q - z)(w - y) + bias. It equals that of Quantised up to float rounding.
    """

    def __init__(self, rounded, bias, inputs, place):
        super().__init__()
        range_ = rounded.range
        self.place, self.bias, self.top = place, bias, inputs.top
        codes = (rounded.codes - MIDDLE).to(torch.int8)
        zero = range_.zero - MIDDLE
        self.register_buffer("codes", codes, persistent=False)
        total = codes.sum(1, dtype=torch.int32) - codes.shape[1] * zero  # sum (w - y), per output
        self.register_buffer("weight_total", total, persistent=False)
        self.register_buffer("weight_zero", zero, persistent=False)
        self.register_buffer("weight_scale", range_.scale, persistent=False)
        self.register_buffer("scale", inputs.scale, persistent=False)
        self.register_buffer("zero", inputs.zero, persistent=False)

    def forward(self, x):
        scale, zero = (at_row(values, self.place.row) for values in (self.scale, self.zero))
        rows = (x.flatten(0, -2).float() / scale).round() + zero
        rows = (rows.clamp(0, self.top) - MIDDLE).to(torch.int8)
        count = len(rows)
        if count < LEAST_ROWS:
            rows = nn.functional.pad(rows, (0, 0, 0, LEAST_ROWS - count))
        total = torch._int_mm(rows, self.codes.T)[:count]
        total = total - rows[:count].sum(1, dtype=torch.int32)[:, None] * self.weight_zero
        total = total - (zero - MIDDLE) * self.weight_total
        out = (total * (scale * self.weight_scale)).to(x.dtype)
        return (out if self.bias is None else out + self.bias).view(*x.shape[:-1], -1)


def in_integers(loaded, rounded):
    """A copy of a model from quantise.install that computes in integers where it can -> Loaded.
    Those are the linear layers whose inputs are rounded and for which `possible` is true; the
    others keep simulating.
    """
    backbone = deepcopy(loaded.backbone)
    model = backbone.backbone.model
    for name, rounding in rounded.items():
        module = model.get_submodule(name)
        if rounding.inputs and possible(rounding):
            layer = Integer(rounding, module.layer.bias, rounding.inputs, backbone.place)
            model.set_submodule(name, layer.to(module.layer.weight.device))
    return replace(loaded, backbone=backbone)


def possible(rounded):
    """Whether torch can multiply this layer in bytes. rounded: the Rounded of a linear layer or
    convolution.
    """
    codes = rounded.codes
    fits = codes.ndim == 2 and not any(size % MULTIPLE for size in codes.shape)
    return fits and max(rounded.range.bits, rounded.inputs.bits) <= 8
