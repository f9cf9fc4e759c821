"""Loads the published models by name and hash: a DiT from an official .pt file, or from a folder or
hub id of the diffusers copy; a U-ViT from an official .pth file; a PixArt, and its prepared
prompts, from a pipeline's folder or hub id.

Both sources of a DiT give the same modules. The ModelSpec chooses their numerics, by default the
official ones: the diffusers copies hold the official weights, so official numerics are right for
them, too (see docs/deviations.md). Only tensors and plain containers are unpickled.
"""

import torch
from diffusers import DiTTransformer2DModel, PixArtTransformer2DModel

from harmonica import weights
from harmonica.backbones.dit import DiT
from harmonica.backbones.dit_official import from_official
from harmonica.backbones.pixart import PixArt
from harmonica.backbones.uvit import UViT
from harmonica.backbones.uvit_official import MARK
from harmonica.backbones.uvit_official import from_official as uvit_from_official
from harmonica.errors import BadInput, check
from harmonica.method.denoise import Loaded
from harmonica.weights.checkpoints import HEADS, of_folder, placed, read_tensors
from harmonica.weights.latents import training_images
from harmonica.weights.prompts import Prompts


def load(spec, precision=None):
    """A ModelSpec of paper scale -> Loaded, frozen, on the GPU if there is one. precision:
    "bfloat16" or "float16" weights instead of float32.

    BadInput where the file is missing (the message names file, source and folder), has another hash
    or holds no such model.
    """
    if spec.prompts:
        return _load_pixart(spec, precision)
    path = weights.checked(spec.name, spec.sha256, "model")
    model = placed(read(path, heads=spec.heads), precision)
    of_dit = isinstance(model, DiTTransformer2DModel)
    backbone = DiT(model, spec.numerics or "official") if of_dit else UViT(model)
    device = next(model.parameters()).device

    def classes(indices):
        return torch.as_tensor(indices, device=device) % backbone.num_classes

    images = training_images(backbone.in_channels, backbone.sample_size)
    return Loaded(backbone, classes, backbone.num_classes, images, device)


def _load_pixart(spec, precision):
    """As `load`, for a ModelSpec with prompts. Condition k is caption k."""
    prompts = Prompts(spec.prompts)
    path = weights.checked(spec.name, spec.sha256, "model")
    model = placed(of_folder(path, PixArtTransformer2DModel), precision)
    pixels = model.config.sample_size * weights.FACTOR
    check(
        pixels == spec.prompts.pixels,
        "pixels",
        spec.prompts.pixels,
        f"{spec.name} was trained for {pixels}",
    )
    check(
        prompts.width == model.config.caption_channels,
        "embeddings",
        f"{prompts.width} wide in {prompts.folder}",
        f"{spec.name} takes {model.config.caption_channels}; prepare them with its own pipeline",
    )
    backbone = PixArt(model, spec.prompts.guided_channels)

    def cond(indices):
        return prompts.cond(indices, model.device, model.dtype)

    return Loaded(backbone, cond, prompts.count, device=model.device)


def read(path, heads=None):
    """A file or folder -> DiTTransformer2DModel or UViTModel, float32, in eval(). heads: how many,
    needed where the model's width is not one of HEADS.
    """
    if path.is_dir():
        return of_folder(path, DiTTransformer2DModel)
    tensors = read_tensors(path)
    build, kind, widths = from_official, "DiT", "x_embedder.proj.bias"
    if MARK in tensors:
        build, kind, widths = uvit_from_official, "U-ViT", "patch_embed.proj.bias"
    width = len(tensors[widths]) if widths in tensors else None
    heads = heads or HEADS.get(width)
    check(
        heads or width is None,
        "heads",
        heads,
        f"no published {kind} is {width} wide, so the ModelSpec must say how many",
    )
    try:
        return build(tensors, heads=heads or 1)
    except ValueError as error:
        raise BadInput(f"model: {path} holds no official {kind} ({error})") from None
