"""Structured pruning by Diff-Pruning's criterion (Fang et al., 2023): heads and feed-forward units
are removed, which leaves a smaller model of plain modules.

A unit's score is |sum of w * dL/dw| over the weights of a layer, summed over the layers it has
weights in. The gradients are summed over the timesteps 0, 1, ... until the loss has fallen below a
share of its maximum, as later timesteps tell little. All blocks lose equally many units, to within
one.
"""

from copy import deepcopy
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn

from harmonica.backbones.counts import count
from harmonica.errors import check
from harmonica.method import seeds
from harmonica.method.denoise import run_all
from harmonica.samplers.ddim import TRAIN_STEPS, alphas_cumprod


def prune(loaded, settings):
    """-> Loaded with a smaller copy of the model, not fine-tuned yet. Its blocks have 100 -
    removed_percent % of the multiply-accumulates, to within one feed-forward unit.
    """
    right = "pruning needs training images and there are none for this model"
    check(loaded.images, "images", None, right)
    check(
        loaded.backbone.kinds == ("attn", "mlp"),
        "pruning",
        loaded.backbone.kinds,
        "only class-conditional transformers of attention and feed-forward are pruned here",
    )
    backbone = deepcopy(loaded.backbone)
    blocks = backbone.model.transformer_blocks
    of_heads, of_units = _scores(loaded, settings)
    base_macs = _of_blocks(loaded.backbone, loaded)
    share = settings.removed_percent / 100
    for block, kept in zip(blocks, even(of_heads, round(share * of_heads.numel()))):
        keep_heads(block.attn1, kept)
    left_macs = _of_blocks(backbone, loaded)
    of_unit = sum(left_macs[1::2]) / of_units.numel()
    removed = round((sum(left_macs) - (1 - share) * sum(base_macs)) / of_unit)
    for block, kept in zip(blocks, even(of_units, removed)):
        keep_units(block.ff, kept)
    return replace(loaded, backbone=backbone)


def _of_blocks(backbone, loaded):
    return count(backbone, loaded.cond([0])).blocks


def even(scores, removed):
    """Which units stay -> bool (blocks, units). The `removed` units have the lowest scores in their
    blocks. Where blocks must lose one more than others, it is those whose next unit has the lowest
    score relative to the block's mean.
    """
    blocks, units = scores.shape
    check(0 <= removed <= blocks * (units - 1), "pruning", removed, f"of {blocks} x {units} units")
    order, fewest = scores.argsort(1), removed // blocks
    out = torch.zeros(blocks, units, dtype=torch.bool)
    out.scatter_(1, order[:, :fewest], True)
    next_scores = scores.gather(1, order[:, fewest : fewest + 1])[:, 0] / scores.mean(1)
    for block in next_scores.argsort()[: removed - fewest * blocks].tolist():
        out[block, order[block, fewest]] = True
    return ~out


def keep_heads(attn, kept):
    """Remove heads from a diffusers Attention in place. kept: bool (heads,)"""
    width = attn.to_q.out_features // attn.heads
    rows = kept.repeat_interleave(width)
    for name in ("to_q", "to_k", "to_v"):
        setattr(attn, name, smaller(getattr(attn, name), rows=rows))
    attn.to_out[0] = smaller(attn.to_out[0], columns=rows)
    attn.heads = int(kept.sum())
    attn.inner_dim = attn.inner_kv_dim = attn.heads * width


def keep_units(ff, kept):
    """Remove hidden units from a diffusers FeedForward in place. kept: bool (units,)"""
    ff.net[0].proj = smaller(ff.net[0].proj, rows=kept)
    ff.net[2] = smaller(ff.net[2], columns=kept)


def smaller(linear, rows=slice(None), columns=slice(None)):
    """A plain nn.Linear with some of a layer's output rows, or input columns. Both are
    bool masks.
    """
    weight = linear.weight.detach()[rows][:, columns]
    layer = nn.Linear(*reversed(weight.shape), linear.bias is not None)
    layer.weight = nn.Parameter(weight.clone(), requires_grad=False)
    if linear.bias is not None:
        layer.bias = nn.Parameter(linear.bias.detach()[rows].clone(), requires_grad=False)
    return layer


def _scores(loaded, settings):
    """-> scores of heads (blocks, heads) and of feed-forward units (blocks, units)."""
    backbone = deepcopy(loaded.backbone)
    blocks = backbone.model.transformer_blocks
    weights = [p for block in blocks for part in (block.attn1, block.ff) for p in part.parameters()]
    for parameter in weights:
        parameter.requires_grad_(True)
    x0, cond, rngs = drawn(loaded, settings, 0, settings.score_batch)
    eps = seeds.normal(rngs, loaded.shape).to(loaded.device)
    ctx = backbone.prepare(cond)
    max_loss = 0.0
    for timestep in range(TRAIN_STEPS):
        loss = eps_loss(backbone, x0, eps, torch.full((len(x0),), timestep), ctx)
        max_loss = max(max_loss, loss.item())
        if timestep and loss.item() < settings.threshold * max_loss:
            break
        loss.backward()
    of_heads = torch.stack([_of_heads(block.attn1) for block in blocks])
    return of_heads, torch.stack([_of_units(block.ff) for block in blocks])


def _of_heads(attn):
    heads = (attn.heads, -1)
    rows = sum(
        _product(linear).unflatten(0, heads).sum((1, 2)).abs()
        for linear in (attn.to_q, attn.to_k, attn.to_v)
    )
    return rows + _product(attn.to_out[0]).unflatten(1, heads).sum((0, 2)).abs()


def _of_units(ff):
    rows, columns = _product(ff.net[0].proj), _product(ff.net[2])
    return rows.sum(1).abs() + columns.sum(0).abs()


def _product(linear):
    return (linear.weight.detach() * linear.weight.grad).cpu()


def drawn(loaded, settings, number, count):
    """-> `count` training images, their conditioning, and generators to draw more from. All depend
    on (seed, number, place in the batch) alone.
    """
    images, conds = loaded.images
    key = settings.seed, number
    rngs = seeds.generators(seeds.COMPRESSION, *key, indices=range(count))
    chosen = seeds.choices(rngs, len(images))
    return images[chosen].to(loaded.device), loaded.cond(conds[chosen]), rngs


def eps_loss(backbone, x0, eps, t, ctx):
    """Mean squared error of the predicted noise at model timesteps t (B,)."""
    a = torch.from_numpy(alphas_cumprod())[t].to(x0).view(-1, 1, 1, 1)
    out = run_all(backbone, a.sqrt() * x0 + (1 - a).sqrt() * eps, t.to(x0.device), ctx)
    return F.mse_loss(out[:, : x0.shape[1]], eps)
