"""Fine-tunes a pruned model on the training images, as its base model was trained."""

import math

import numpy as np
import torch

from harmonica.compress.prune import drawn, eps_loss
from harmonica.method import seeds
from harmonica.method.resume import restore_training, save_training
from harmonica.samplers.ddim import TRAIN_STEPS

WARM_UP, MOST_GRADIENT = 100, 1.0
SAVE_EVERY = 100  # updates


def finetune(loaded, settings, state_path, progress=iter):
    """Make `steps` updates of AdamW on the error of the predicted noise, in place. The learning
    rate falls along a cosine. What update s draws depends on (seed, s) alone. Resumes from
    `state_path` where it exists.
    """
    backbone = loaded.backbone
    parameters = [p for p in backbone.parameters()]
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(parameters, lr=settings.lr, betas=(0.9, 0.99))
    first = restore_training(state_path, parameters, optimizer) or 0
    for step in progress(range(first, settings.steps)):
        warm = min(1.0, (step + 1) / WARM_UP)
        rate = settings.lr * warm * 0.5 * (1 + math.cos(math.pi * step / settings.steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        _loss(loaded, settings, step).backward()
        torch.nn.utils.clip_grad_norm_(parameters, MOST_GRADIENT)
        optimizer.step()
        if (step + 1) % SAVE_EVERY == 0:
            save_training(state_path, step + 1, parameters, optimizer)
    for parameter in parameters:
        parameter.requires_grad_(False)


def _loss(loaded, settings, step):
    x0, cond, rngs = drawn(loaded, settings, 1 + step, settings.batch)
    t = torch.from_numpy(seeds.choices(rngs, TRAIN_STEPS))
    dropped = np.array([rng.random() < settings.label_dropout for rng in rngs])
    eps = seeds.normal(rngs, loaded.shape).to(loaded.device)
    conds = loaded.backbone.with_null(cond)
    chosen = torch.arange(len(x0)) + len(x0) * torch.from_numpy(dropped)
    ctx = loaded.backbone.prepare(conds[chosen.to(conds.device)])
    return eps_loss(loaded.backbone, x0, eps, t, ctx)
