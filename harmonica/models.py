"""A base model loaded by name and hash: its backbone, conditioning by index, and its training images."""
import hashlib
from dataclasses import dataclass
from typing import Any, Callable

import torch
from safetensors.torch import load

from . import BadInput
from .backbones.dit import DiT
from .backbones.dit_official import from_official
from .digits import data
from .digits.manifest import folder, manifest
from .runs import ModelSpec


@dataclass(frozen=True)
class Loaded:
    """A model ready to be sampled and trained on.

    cond(indices): conditioning of the images with these indices, classes in turn, so that any whole number of rounds
    is balanced. images: training images (n, C, H, W) and their conditioning indices, or None. device: of the backbone,
    and of what cond gives. sampler: where it is not the one that specs name (a pipeline's own scheduler).
    """
    spec: ModelSpec
    backbone: Any
    cond: Callable
    num_conds: int
    images: Any = None
    device: Any = "cpu"
    sampler: Any = None

    @property
    def shape(self):
        return (self.backbone.in_channels, self.backbone.sample_size, self.backbone.sample_size)


def load_model(spec, precision=None):
    """Load a base model -> Loaded, frozen. precision: bfloat16 weights, at paper scale; else float32.

    BadInput where the file is missing or has another hash.
    """
    if spec.scale == "paper":
        from .published import load as load_published       # it is built on this module
        return load_published(spec, precision)
    path = folder() / f"{spec.name}.safetensors"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"model: {path} does not exist; `make base-models` makes it") from None
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != spec.sha256:
        raise BadInput(f"model: {path} has sha256 {sha256[:12]}..., not {spec.sha256[:12]}...; restore the file")
    model = from_official(load(content), heads=manifest()[spec.name]["heads"])
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    images, labels = data.load("train")
    return Loaded(spec, DiT(model, spec.numerics or "official"), classes, data.NUM_CLASSES,
                  (torch.from_numpy(images), labels))


def classes(indices):
    """Digit classes in turn."""
    return torch.as_tensor(indices) % data.NUM_CLASSES
