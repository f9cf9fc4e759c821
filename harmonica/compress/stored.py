"""A compressed model as tensors, and back: all of the model, so that their size is its size.

Of a quantised layer: `codes/NAME` (uint8, each code `bits` bits), `scale/NAME` and `zero/NAME` per
output channel, `input_scale/NAME` and `input_zero/NAME` per step where its inputs are rounded too.
Everything else is a parameter under its own name: of a pruned model all are, and their shapes say
what was removed.
"""

from copy import deepcopy
from dataclasses import replace

import torch
from torch import nn

from harmonica.compress.quantise import install
from harmonica.compress.rounding import Range, Rounded, pack, unpack

PARTS = ("codes", "scale", "zero", "input_scale", "input_zero")


def quantised(loaded, rounded):
    """{layer name: Rounded} of a model -> tensors, and {layer name: [bits, of inputs]} to read them
    by (None: inputs stay as they are).
    """
    tensors, bits = {}, {}
    for name, own in rounded.items():
        parts = [pack(own.codes, own.range.bits), own.range.scale, own.range.zero]
        parts += [own.inputs.scale, own.inputs.zero] if own.inputs else []
        tensors |= {f"{part}/{name}": value.cpu() for part, value in zip(PARTS, parts)}
        bits[name] = [own.range.bits, own.inputs and own.inputs.bits]
    replaced = {f"{name}.weight" for name in rounded}
    return tensors | _others(loaded, replaced), bits


def with_quantised(loaded, tensors, bits, timesteps):
    """The model with what `quantised` gave -> Loaded."""
    device, rounded = loaded.device, {}
    for name, (own, of_inputs) in bits.items():
        layer = loaded.backbone.model.get_submodule(name)
        codes = unpack(tensors[f"codes/{name}"], own, layer.weight.shape).to(device)
        inputs = _range(tensors, ("input_scale", "input_zero"), name, of_inputs, device)
        found = _range(tensors, ("scale", "zero"), name, own, device)
        rounded[name] = Rounded(codes, found, inputs)
    return install(loaded, rounded, timesteps)


def _range(tensors, parts, name, bits, device):
    if bits is None:
        return None
    return Range(*(tensors[f"{part}/{name}"].to(device) for part in parts), bits)


def pruned(loaded):
    """A pruned model -> tensors."""
    return _others(loaded, ())


@torch.no_grad()
def with_pruned(loaded, tensors):
    """The model cut to the shapes of these tensors, and filled with them -> Loaded."""
    backbone = deepcopy(loaded.backbone)
    model = backbone.model
    for name, layer in list(model.named_modules()):
        own = tensors.get(f"{name}.weight")
        if type(layer) is nn.Linear and own is not None and own.shape != layer.weight.shape:
            made = nn.Linear(*reversed(own.shape), layer.bias is not None)
            model.set_submodule(name, made.to(layer.weight).requires_grad_(False))
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
