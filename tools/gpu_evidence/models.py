"""Small random models, on any device."""

from functools import partial
from types import SimpleNamespace

import torch

from harmonica.backbones.uvit import UViT
from harmonica.backbones.uvit_official import Shape, UViTModel
from harmonica.bench import cases
from harmonica.method.denoise import Loaded

STEPS, IMAGES = 5, range(4)


def uvit():
    shape = Shape(width=64, depth=2, heads=2, patch=2, sample_size=8, channels=4, num_classes=11)
    model = UViTModel(shape).eval().requires_grad_(False)
    return cases.Case("U-ViT", UViT(model), torch.arange, None, num_steps=STEPS, repeats=1)


FAMILIES = {
    "DiT": lambda: cases.dit(64, depth=3, heads=2, sample_size=8),
    "PixArt": lambda: cases.pixart(16, depth=2, heads=1),
    "U-ViT": uvit,
}


def loaded(family, dtype, device):
    """A small random model of a family -> Loaded."""
    torch.manual_seed(1)
    case = FAMILIES[family]()
    torch.nn.Module.to(case.backbone.model, device, dtype)
    for parameter in case.backbone.parameters():  # so that blocks matter: adaLN starts at zero
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.08)
    cond = case.cond(max(IMAGES) + 1)

    def of(indices):
        if isinstance(cond, torch.Tensor):
            return cond.to(device)[torch.as_tensor(indices, device=device)]
        count = len(indices)
        return SimpleNamespace(**{k: _first(v, k, count) for k, v in vars(cond).items()})

    return Loaded(case.backbone, of, 4, device=device)


def _first(value, name, count):
    return value if value is None or name.startswith("null") else value[:count]


def dit_on(device):
    """The same small DiT on any device."""
    model = loaded("DiT", torch.float32, torch.device("cpu"))
    model.backbone.model.to(device)
    place = partial(torch.as_tensor, device=device)
    return Loaded(model.backbone, lambda indices: place(indices) % 4, 4, device=device)
