"""Trains UViT-digits, a U-ViT on the digits. It is as small as the other base models and trained in
the same way (base.py), but with U-ViT's own noise schedule.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from harmonica.backbones.uvit import UViT
from harmonica.backbones.uvit_official import Shape, UViTModel
from harmonica.digits import base, data
from harmonica.digits.quality import DIGITS
from harmonica.method.denoise import run_all
from harmonica.samplers.singlestep import log_alphas


@dataclass(frozen=True, kw_only=True)
class UViTTraining(base.Training):
    """The architecture and training of a UViT-digits. depth: blocks without the middle one."""

    width: int = 80
    depth: int = 8
    label_dropout: float = 0.1


def train(config, state_path, save_every, scale=DIGITS, device="cpu"):
    """As base.train, for a UViTTraining."""
    torch.manual_seed(config.seed)
    model = _initialised(config).to(device)
    images, labels = (torch.from_numpy(a) for a in scale.load("train"))
    alphas = torch.from_numpy(np.exp(log_alphas())).float().to(device)
    backbone = UViT(model)
    base.fit(
        model,
        lambda step: base.draw(images, labels, backbone.null_label, config, step),
        lambda *batch: _loss(backbone, alphas, *batch),
        config,
        state_path,
        save_every,
    )
    return {name: value.half().cpu() for name, value in model.state_dict().items()}


def _initialised(config):
    """An untrained model with Xavier linears, as in the other base models, and an output layer of
    zeros. (U-ViT's own normal of 0.02 suits linears ten times as wide.)
    """
    model = UViTModel(
        Shape(
            width=config.width,
            depth=config.depth,
            heads=config.heads,
            patch=config.patch,
            sample_size=data.SIDE,
            channels=1,
            num_classes=data.NUM_CLASSES + 1,
        )
    )
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
    nn.init.zeros_(model.decoder_pred.weight)
    return model


def _loss(backbone, alphas, x0, n, eps, labels):
    """The mean squared error of the predicted eps. Entry n of alphas belongs to the time n + 1."""
    alpha = alphas[n].view(-1, 1, 1, 1)
    noised = alpha * x0 + (1 - alpha**2).sqrt() * eps
    return F.mse_loss(run_all(backbone, noised, n + 1, backbone.prepare(labels)), eps)
