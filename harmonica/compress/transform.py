"""Compresses a loaded model as its settings say, into tensors, and makes compressed models of such
tensors again. The tensors hold the whole model, so their size is the model's size.

A quantised layer has `codes/NAME` (packed into uint8, `bits` bits each), `scale/NAME` and
`zero/NAME` per output channel, and, where its inputs are rounded, `input_scale/NAME` and
`input_zero/NAME` per step. All else are parameters under their own names. A pruned model has only
these; their shapes tell what was removed.
"""

from copy import deepcopy
from dataclasses import replace

import torch

from harmonica.compress import adaround, efficientdm
from harmonica.compress.adaround import ranges
from harmonica.compress.finetune import finetune
from harmonica.compress.observe import inputs, walk
from harmonica.compress.prune import keep_heads, keep_units, prune
from harmonica.compress.quantise import bits_of, install, is_of_prompt, layers
from harmonica.compress.rounding import Range, Rounded, pack, unpack
from harmonica.compress.settings import EfficientDM, Pruning
from harmonica.errors import BadInput
from harmonica.files import load_tensors


def compress(loaded, settings, state_path, progress=iter):
    """-> (tensors, about), for files.save_tensors. Resumes from `state_path` where it exists."""
    if isinstance(settings, Pruning):
        smaller = prune(loaded, settings)
        finetune(smaller, settings, state_path, progress=progress)
        return _parameters(smaller), {"kind": "pruned"}
    rounded = quantise(loaded, settings, state_path, progress)
    tensors, bits = tensors_of_quantised(loaded, rounded)
    timesteps = walk(loaded, settings, 0, 1)[0].timesteps
    return tensors, {"kind": "quantised", "bits": bits, "timesteps": list(timesteps)}


def quantise(loaded, settings, state_path, progress=iter):
    """-> {layer name: Rounded}, by the way of rounding that the settings name. Layers that the walk
    does not call are left as they are, but for those of the prompt.
    """
    layer_of = layers(loaded.backbone)
    seen = inputs(loaded, settings)
    tuned = isinstance(settings.rounding, EfficientDM)
    begin = {
        name: adaround.nearest(
            layer.weight,
            bits_of(name, settings.weight_bits),
            ranges(seen[name], name, bits_of(name, settings.activation_bits), tuned)
            if name in seen
            else None,
        )
        for name, layer in layer_of.items()
        if name in seen or is_of_prompt(name)
    }
    if tuned:
        return efficientdm.learn(loaded, begin, settings, state_path, progress=progress)
    return adaround.learn(layer_of, seen, begin, settings, state_path, progress=progress)


def restore(loaded, path):
    """Make a compressed model of the base model and the tensors in a file -> Loaded. BadInput where
    the file is missing or incomplete.
    """
    saved = load_tensors(path, "compressed model", "have it made again")
    if saved is None:
        raise BadInput(f"model: {path} does not exist; the command of its runs makes it")
    tensors, about = saved
    if about["kind"] == "pruned":
        return with_pruned(loaded, tensors)
    return with_quantised(loaded, tensors, about["bits"], about["timesteps"])


def tensors_of_quantised(loaded, rounded):
    """rounded: {layer name: Rounded} -> tensors, and {layer name: [bits of weights, bits of
    inputs]}, which reading them needs (None: inputs are not rounded).
    """
    tensors, bits = {}, {}
    for name, rounding in rounded.items():
        tensors[f"codes/{name}"] = pack(rounding.codes, rounding.range.bits)
        for prefix, range_ in (("", rounding.range), ("input_", rounding.inputs)):
            if range_:
                tensors[f"{prefix}scale/{name}"] = range_.scale.cpu()
                tensors[f"{prefix}zero/{name}"] = range_.zero.cpu()
        bits[name] = [rounding.range.bits, rounding.inputs and rounding.inputs.bits]
    replaced = {f"{name}.weight" for name in rounded}
    return tensors | _parameters(loaded, but=replaced), bits


def with_quantised(loaded, tensors, bits, timesteps):
    """The base model with the tensors that `tensors_of_quantised` returned -> Loaded."""
    device = loaded.device
    rounded = {}
    for name, (of_weights, of_inputs) in bits.items():
        layer = loaded.backbone.model.get_submodule(name)
        codes = unpack(tensors[f"codes/{name}"], of_weights, layer.weight.shape).to(device)
        inputs = of_inputs and _range(tensors, "input_", name, of_inputs, device)
        range_ = _range(tensors, "", name, of_weights, device)
        rounded[name] = Rounded(codes, range_, inputs)
    return install(loaded, rounded, timesteps)


def _range(tensors, prefix, name, bits, device):
    parts = (tensors[f"{prefix}{part}/{name}"].to(device) for part in ("scale", "zero"))
    return Range(*parts, bits)


@torch.no_grad()
def with_pruned(loaded, tensors):
    """The base model cut to the shapes of these tensors, with their values -> Loaded."""
    backbone = deepcopy(loaded.backbone)
    for i, block in enumerate(backbone.model.transformer_blocks):
        attn, ff, name = block.attn1, block.ff, f"transformer_blocks.{i}"
        heads = len(tensors[f"{name}.attn1.to_q.weight"]) * attn.heads // attn.inner_dim
        keep_heads(attn, torch.arange(attn.heads) < heads)
        units = len(tensors[f"{name}.ff.net.0.proj.weight"])
        keep_units(ff, torch.arange(ff.net[2].in_features) < units)
    for name, parameter in backbone.model.named_parameters():
        parameter.copy_(tensors[name])
    return replace(loaded, backbone=backbone)


def _parameters(loaded, but=()):
    """The model's parameters as tensors, without those whose names are in `but`."""
    return {
        name: parameter.detach().cpu()
        for name, parameter in loaded.backbone.model.named_parameters()
        if name not in but
    }


def num_bytes(tensors):
    return sum(tensor.nbytes for tensor in tensors.values())
