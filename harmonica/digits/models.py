"""Loads the small base models by name and hash: backbone, conditioning, training images."""

import hashlib
from dataclasses import replace

import torch
from safetensors.torch import load

from harmonica.backbones.dit import DiT
from harmonica.backbones.dit_official import from_official
from harmonica.backbones.uvit import UViT
from harmonica.backbones.uvit_official import from_official as uvit_from_official
from harmonica.digits import data, judge
from harmonica.digits.manifest import folder, manifest, what_brings
from harmonica.errors import BadInput
from harmonica.method.denoise import Loaded


def load_base(spec, images_of=data.load, features=judge.seen):
    """A spec with name, sha256 and numerics (ModelSpec) -> Loaded, frozen, float32. BadInput where
    the file is missing or has another hash. images_of("train") -> its training images and labels.
    features(images) -> a judge's features.
    """
    if (folder(spec.name) / spec.name).is_dir():
        return _load_pixart(spec)
    path = folder(spec.name) / f"{spec.name}.safetensors"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"model: {path} does not exist; {what_brings(path)}") from None
    _check_hash(spec, path, hashlib.sha256(content).hexdigest())
    backbone = backbone_of(load(content), manifest()[spec.name], spec.numerics)
    images, labels = images_of("train")
    of_data = torch.from_numpy(images), labels
    return Loaded(backbone, classes, data.NUM_CLASSES, of_data, features=features)


def backbone_of(tensors, about, numerics=None):
    """The frozen backbone: a DiT, or a U-ViT where the manifest entry `about` says so."""
    if about.get("family") == "uvit":
        model = uvit_from_official(tensors, heads=about["heads"])
        return UViT(model.requires_grad_(False))
    model = from_official(tensors, heads=about["heads"])
    return DiT(model.requires_grad_(False), numerics or "official")


def _load_pixart(spec):
    # imported here, as transformers takes seconds to import and only models with text need it
    from harmonica.digits import pixart_folder

    path = folder(spec.name) / spec.name
    _check_hash(spec, path, pixart_folder.folder_sha256(path))
    return with_captions(*pixart_folder.load(path))


@torch.no_grad()
def with_captions(transformer, text_encoder):
    """-> Loaded, whose conditioning goes through the captions; they are embedded once, here."""
    from harmonica.backbones.pixart import PixArt, TextCond
    from harmonica.digits import pixart_folder

    ids, mask = pixart_folder.tokenize(data.prompts())
    embeds = text_encoder(ids, attention_mask=mask).last_hidden_state

    def cond(indices):
        k = torch.as_tensor(indices) % data.NUM_CAPTIONS
        return TextCond(embeds[k], mask[k], null_embeds=embeds[-1:], null_mask=mask[-1:])

    images, labels = data.load("train")
    # caption k names class k mod 10, so each image gets a caption that names its label
    of_image = torch.from_numpy(labels) + data.NUM_CLASSES * torch.arange(len(labels))
    return Loaded(
        PixArt(transformer),
        cond,
        data.NUM_CAPTIONS,
        (torch.from_numpy(images), of_image),
    )


def _check_hash(spec, path, sha256):
    if sha256 != spec.sha256:
        raise BadInput(
            f"model: {path} has sha256 {sha256[:12]}..., not {spec.sha256[:12]}...; "
            "restore the files"
        )


def classes(indices):
    """The class of each index: classes take turns."""
    return torch.as_tensor(indices) % data.NUM_CLASSES


def on_device(loaded, device):
    """Move a class-conditional model to a device -> Loaded."""
    loaded.backbone.model.to(device)
    return replace(
        loaded, cond=lambda indices: loaded.cond(indices).to(device), device=torch.device(device)
    )
