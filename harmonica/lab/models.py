"""Loads the model of a ModelSpec, at any scale."""

from dataclasses import replace

import torch

from harmonica.clothes import reference
from harmonica.digits.models import load_base
from harmonica.lab.makings import CompressedSpec


def load_model(spec, precision=None, store=None):
    """-> Loaded, with frozen weights. precision: bfloat16 or float16 weights, at paper scale; else
    float32. store: the Store that holds compressed models. BadInput where a file is missing or has
    another hash.
    """
    if spec.compression:
        from harmonica.compress.transform import restore

        path = store.file_path(CompressedSpec(model=spec))
        return restore(load_model(spec.original, precision), path)
    if spec.scale == "clothes":
        loaded = load_base(spec, lambda part: reference.training_images(), features=None)
        return on_device(loaded, "cuda") if torch.cuda.is_available() else loaded
    if spec.scale != "paper":
        return load_base(spec)
    from harmonica.weights import dit  # diffusers' pipelines take seconds to import

    return dit.load(spec, precision)


def on_device(loaded, device):
    """Move a class-conditional model to a device -> Loaded."""
    loaded.backbone.model.to(device)
    return replace(
        loaded, cond=lambda indices: loaded.cond(indices).to(device), device=torch.device(device)
    )
