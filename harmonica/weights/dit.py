"""The published DiTs, loaded by name and hash: an official .pt file, or a folder or hub id of the
diffusers copy.

Both doors lead to the same modules; which numerics they compute with is the ModelSpec's, official
where it says nothing: the converted copies hold the official weights, so official numerics are
right for them too (see docs/deviations.md). Nothing is unpickled but tensors and plain containers.
"""

import argparse
import json

import torch
from diffusers import DiTTransformer2DModel
from safetensors.torch import load_file

from harmonica import weights
from harmonica.backbones.dit import DiT
from harmonica.backbones.dit_official import from_official
from harmonica.errors import BadInput, check
from harmonica.method.model import Loaded
from harmonica.weights.latents import training_images

HEADS = {
    384: 6,
    768: 12,
    1024: 16,
    1152: 16,
}  # of the published widths DiT-S, B, L, XL: no file tells them


def load(spec, precision=None):
    """A specs.ModelSpec of paper scale -> models.Loaded, frozen, on the GPU if there is one;
    "bfloat16" weights if so asked.

    BadInput where the file is missing (it names file, source and folder), has another hash or holds
    no DiT.
    """
    if spec.prompts:
        from harmonica.weights import (
            pixart as published_pixart,
        )  # it is built on this module, and brings T5's library

        return published_pixart.load(spec, precision)
    path = weights.checked(spec.name, spec.sha256, "model")
    model = placed(read(path, heads=spec.heads), precision)
    backbone, device = DiT(model, spec.numerics or "official"), model.device

    def classes(indices):
        return torch.as_tensor(indices, device=device) % backbone.num_classes

    images = training_images(backbone.in_channels, backbone.sample_size)
    return Loaded(spec, backbone, classes, backbone.num_classes, images, device)


def placed(model, precision):
    """The model, frozen, on the GPU if there is one, in bfloat16 if so asked."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    return torch.nn.Module.to(
        model.requires_grad_(False), device, dtype
    )  # diffusers' own .to() warns


def read(path, heads=None):
    """A file or folder -> DiTTransformer2DModel, float32, in eval(). heads: where the width is no
    published one.
    """
    if path.is_dir():
        return of_folder(path, DiTTransformer2DModel)
    tensors = tensors_of(path)
    width = len(tensors["x_embedder.proj.bias"]) if "x_embedder.proj.bias" in tensors else None
    heads = heads or HEADS.get(width)
    check(
        heads or width is None,
        "heads",
        heads,
        f"no published DiT is {width} wide, so the ModelSpec must say how many",
    )
    try:
        return from_official(tensors, heads=heads or 1)
    except ValueError as error:
        raise BadInput(f"model: {path} holds no official DiT ({error})") from None


def tensors_of(path):
    """Name -> tensor of a .pt, .bin or .safetensors file, on the CPU; .pt is mapped, not read.
    BadInput for others.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(
            [argparse.Namespace]
        ):  # the arguments in training checkpoints
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # torch's reader raises almost anything on a damaged file
        raise BadInput(
            f"weights: {path} is damaged or holds more than tensors and plain values; nothing of it was "
            "unpickled; fetch it anew"
        ) from None
    if isinstance(content, dict) and isinstance(
        content.get("ema"), dict
    ):  # a training checkpoint of the official code
        content = content["ema"]
    check(
        isinstance(content, dict)
        and all(isinstance(v, torch.Tensor) for v in content.values())
        and content,
        "weights",
        str(path),
        "a dict of tensors is expected",
    )
    return content


def of_folder(path, kind):
    """The transformer of a pipeline's diffusers folder, or the model's own, as a `kind`, float32,
    in eval().
    """
    file = weights.tensors_of(path)
    try:
        config = json.loads((file.parent / "config.json").read_text())
        name = config["_class_name"]
        known = (
            kind.__name__,
            "Transformer2DModel",
        )  # as diffusers named both when the models were published
        check(name in known, "model", name, f"a {known[0]} is expected in {file.parent}")
        model = kind.from_config(config)
        model.load_state_dict({name: value.float() for name, value in tensors_of(file).items()})
    except FileNotFoundError as error:
        raise BadInput(
            f"model: {error.filename} does not exist; a diffusers folder holds it beside its weights"
        ) from None
    except BadInput:
        raise
    except (KeyError, TypeError, RuntimeError, ValueError) as error:
        said = str(error).strip().splitlines()[0][:120]
        raise BadInput(f"model: {file.parent} holds no {kind.__name__} ({said})") from None
    return model.eval()
