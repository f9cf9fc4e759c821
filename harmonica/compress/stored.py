"""Turns a compressed model into tensors, and back. The tensors hold the whole model, so their size
is the model's size.

A quantised layer has `codes/NAME` (packed into uint8, `bits` bits each), `scale/NAME` and
`zero/NAME` per output channel, and, where its inputs are rounded, `input_scale/NAME` and
`input_zero/NAME` per step. All else are parameters under their own names. A pruned model has only
these; their shapes tell what was removed.
"""

from copy import deepcopy
from dataclasses import replace

import torch
from torch import nn

from harmonica.compress.quantise import install
from harmonica.compress.rounding import Range, Rounded, pack, unpack

PARTS = ("codes", "scale", "zero", "input_scale", "input_zero")


def quantised(loaded, rounded):
    """rounded: {layer name: Rounded} -> tensors, and {layer name: [bits of weights, bits of
    inputs]}, which reading them needs (None: inputs are not rounded).
    """
    tensors, bits = {}, {}
    for name, rounding in rounded.items():
        parts = [
            pack(rounding.codes, rounding.range.bits),
            rounding.range.scale,
            rounding.range.zero,
        ]
        parts += [rounding.inputs.scale, rounding.inputs.zero] if rounding.inputs else []
        tensors |= {f"{part}/{name}": value.cpu() for part, value in zip(PARTS, parts)}
        bits[name] = [rounding.range.bits, rounding.inputs and rounding.inputs.bits]
    replaced = {f"{name}.weight" for name in rounded}
    return tensors | _others(loaded, replaced), bits


def with_quantised(loaded, tensors, bits, timesteps):
    """The base model with the tensors that `quantised` returned -> Loaded."""
    device = loaded.device
    rounded = {}
    for name, (of_weights, of_inputs) in bits.items():
        layer = loaded.backbone.model.get_submodule(name)
        codes = unpack(tensors[f"codes/{name}"], of_weights, layer.weight.shape).to(device)
        inputs = _range(tensors, ("input_scale", "input_zero"), name, of_inputs, device)
        range_ = _range(tensors, ("scale", "zero"), name, of_weights, device)
        rounded[name] = Rounded(codes, range_, inputs)
    return install(loaded, rounded, timesteps)


def _range(tensors, parts, name, bits, device):
    if bits is None:
        return None
    return Range(*(tensors[f"{part}/{name}"].to(device) for part in parts), bits)


def pruned(loaded):
    """A pruned model -> its parameters as tensors."""
    return _others(loaded, ())


@torch.no_grad()
def with_pruned(loaded, tensors):
    """The base model cut to the shapes of these tensors, with their values -> Loaded."""
    backbone = deepcopy(loaded.backbone)
    model = backbone.model
    for name, layer in list(model.named_modules()):
        weight = tensors.get(f"{name}.weight")
        if type(layer) is nn.Linear and weight is not None and weight.shape != layer.weight.shape:
            linear = nn.Linear(*reversed(weight.shape), layer.bias is not None)
            model.set_submodule(name, linear.to(layer.weight).requires_grad_(False))
    for block in model.transformer_blocks:
        attn = block.attn1
        head_width = attn.inner_dim // attn.heads
        attn.inner_dim = attn.inner_kv_dim = attn.to_q.out_features
        attn.heads = attn.inner_dim // head_width
    for name, parameter in model.named_parameters():
        parameter.copy_(tensors[name])
    return replace(loaded, backbone=backbone)


def _others(loaded, replaced):
    return {
        name: parameter.detach().cpu()
        for name, parameter in loaded.backbone.model.named_parameters()
        if name not in replaced
    }


def num_bytes(tensors):
    return sum(tensor.nbytes for tensor in tensors.values())
