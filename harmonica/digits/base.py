"""Trains the small base models: they predict eps, labels are dropped at random, and the EMA of the
weights is what is kept.

Every random choice of step s depends on (seed, s) alone, so a run that was killed and resumed ends
with the same weights.
"""

import hashlib
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import AttnProcessor
from safetensors.torch import load, save
from torch import nn
from tqdm import trange

from harmonica.backbones.dit import DiT
from harmonica.backbones.dit_official import build, to_official
from harmonica.digits import data
from harmonica.digits.manifest import state_path
from harmonica.digits.models import backbone_of, classes, on_device
from harmonica.digits.quality import DIGITS, quality, sampled
from harmonica.errors import check
from harmonica.fast.training import backward, captured
from harmonica.files import atomic
from harmonica.method.denoise import Loaded, run_all
from harmonica.method.precision import float32_products
from harmonica.method.resume import restore_training, save_training
from harmonica.samplers.ddim import TRAIN_STEPS, alphas_cumprod

SAVE_EVERY = {"cpu": 250, "cuda": 2500}  # steps


@dataclass(frozen=True, kw_only=True)
class Training:
    """Training settings that all base models have. width: channels. ema: the decay per step."""

    seed: int
    patch: int = 2
    width: int = 96
    heads: int = 4
    steps: int = 4500
    batch: int = 64
    lr: float = 2e-3
    weight_decay: float = 0.01
    warmup: int = 100
    ema: float = 0.999


@dataclass(frozen=True, kw_only=True)
class BaseTraining(Training):
    """The architecture and training of a small DiT. autocast: bfloat16 products, on a CPU alone."""

    depth: int = 8
    label_dropout: float = 0.1
    autocast: bool = False


def make(name, config, out, scale=DIGITS, device="cpu", train_by=None, sampler=None, **about):
    """Train base model `name` into folder `out` -> its manifest entry: hash, architecture,
    training, quality. The state file stays, for a process that is killed while it measures; the
    caller removes it.

    config: a BaseTraining. A model of another family than DiT has a config, a `train`, a sampler
    and further entries of its own.
    """
    weights = (train_by or train)(config, state_path(out, name), SAVE_EVERY[device], scale, device)
    content = save(weights)
    with atomic(Path(out) / f"{name}.safetensors") as temporary:
        temporary.write_bytes(content)
    about = {"heads": config.heads, "training": asdict(config), **about}
    backbone = backbone_of(load(content), about)
    loaded = Loaded(backbone, classes, data.NUM_CLASSES, sampler=sampler)
    images = sampled(on_device(loaded, device), scale)
    return {
        **about,
        "sha256": hashlib.sha256(content).hexdigest(),
        "side": backbone.sample_size,
        "quality": quality(images, scale, device),
    }


def train(config, state_path, save_every, scale=DIGITS, device="cpu"):
    """Train from scratch, or resume from `state_path` where it exists -> EMA weights under official
    names, float16.
    """
    torch.manual_seed(config.seed)
    images, labels = (torch.from_numpy(a) for a in scale.load("train"))
    model = _initialised(config, images.shape[-1]).to(device)
    alphas = torch.from_numpy(alphas_cumprod()).to(device)
    if config.autocast and device == "cpu":
        # torch's fused attention takes eight times as long for a backward pass in bfloat16 on a CPU
        for block in model.transformer_blocks:
            block.attn1.set_processor(AttnProcessor())
    backbone = DiT(model)
    fit(
        model,
        lambda step: draw(images, labels, backbone.null_label, config, step),
        lambda *batch: _loss(backbone, alphas, config, *batch),
        config,
        state_path,
        save_every,
    )
    return {name: value.half().cpu() for name, value in to_official(model).items()}


def fit(model, draw, loss, config, state_path, save_every):
    """Minimise loss(*draw(step)) over the steps of a Training, resuming from `state_path` where it
    exists. At the end `model` holds the EMA. draw returns tensors on the CPU; loss gets them on the
    model's device.

    On a GPU, products are in TF32, and forward and backward run as a CUDA graph.
    """
    params = list(model.parameters())
    on_gpu = params[0].is_cuda
    ema = [p.detach().clone() for p in params]
    optimizer = torch.optim.AdamW(
        params,
        lr=config.lr,
        betas=(0.9, 0.99),
        weight_decay=config.weight_decay,
        fused=on_gpu or None,
    )

    def check_same(done):
        right = f"it was begun as {done[1]}; delete it to begin anew"
        check(done[1] == asdict(config), "base model", str(state_path), right)

    first, _ = restore_training(state_path, params, optimizer, ema, check_same) or (0, None)
    run = backward(loss, params)
    bar = trange(
        first, config.steps, initial=first, total=config.steps, desc="base model", mininterval=5
    )
    with float32_products("tf32"):
        for step in bar:
            for group in optimizer.param_groups:
                group["lr"] = config.lr * _schedule(step, config)
            batch = draw(step)
            if on_gpu:
                batch = [
                    part.pin_memory().to(params[0].device, non_blocking=True) for part in batch
                ]
                run = captured(run, batch) if step == first else run
            value = run(*batch)
            nn.utils.clip_grad_norm_(params, 1.0)
            optimizer.step()
            decay = min(config.ema, (1 + step) / (10 + step))
            torch._foreach_lerp_(ema, [p.detach() for p in params], 1 - decay)
            if (step + 1) % save_every == 0:
                bar.set_postfix(loss=f"{value.item():.3f}")
                save_training(state_path, [step + 1, asdict(config)], params, optimizer, ema)
    with torch.no_grad():
        for p, averaged in zip(params, ema):
            p.copy_(averaged)


def _initialised(config, side):
    """DiT's initialisation: Xavier linears, normal embeddings, zero adaLN and output layers."""
    model = build(
        width=config.width,
        depth=config.depth,
        heads=config.heads,
        patch=config.patch,
        channels=1,
        out_channels=1,
        sample_size=side,
        num_classes=data.NUM_CLASSES,
    )
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    emb = model.transformer_blocks[0].norm1.emb
    for weight in (
        emb.class_embedder.embedding_table.weight,
        emb.timestep_embedder.linear_1.weight,
        emb.timestep_embedder.linear_2.weight,
    ):
        nn.init.normal_(weight, std=0.02)
    for zero in [block.norm1.linear for block in model.transformer_blocks] + [
        model.proj_out_1,
        model.proj_out_2,
    ]:
        nn.init.zeros_(zero.weight)
        nn.init.zeros_(zero.bias)
    return model


def draw(images, labels, null_label, config, step):
    """-> x0 (B, 1, side, side), t (B,), eps like x0, labels (B,), some of them the null label."""
    rng = np.random.default_rng([config.seed, step])
    pick = torch.from_numpy(rng.integers(len(images), size=config.batch))
    t = torch.from_numpy(rng.integers(TRAIN_STEPS, size=config.batch))
    eps = torch.from_numpy(rng.standard_normal((config.batch, *images.shape[1:]), dtype=np.float32))
    dropped = torch.from_numpy(rng.random(config.batch) < config.label_dropout)
    return images[pick], t, eps, torch.where(dropped, null_label, labels[pick])


def _loss(backbone, alphas, config, x0, t, eps, y):
    a = alphas[t].float().view(-1, 1, 1, 1)
    with torch.autocast("cpu", torch.bfloat16, enabled=config.autocast):
        out = run_all(backbone, a.sqrt() * x0 + (1 - a).sqrt() * eps, t, backbone.prepare(y))
    return F.mse_loss(out.float(), eps)


def _schedule(step, config):
    warm = min(1.0, (step + 1) / config.warmup)
    return warm * 0.5 * (1 + math.cos(math.pi * step / config.steps))
