"""Multiply-accumulates and feature sizes of a model's blocks, counted while it runs."""

from dataclasses import dataclass

import torch
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Multiply-accumulates (MACs) for one image, without guidance: those of matrix products,
    convolutions and attention, as published figures count them.

    prompt: once per trajectory. fixed: at every step, even if everything is reused (including the
    timestep's embedding, which plans compute once per schedule). blocks: of each of the N blocks.
    elements: how many numbers each block's feature has.
    """

    prompt: int
    fixed: int
    blocks: tuple[int, ...]
    elements: tuple[int, ...]


@torch.no_grad()
def count(backbone, cond):
    """Run one image through a backbone and count its MACs -> Counts.

    cond: the conditioning of one image. On the meta device this takes no memory and no computation.
    """
    side = backbone.sample_size
    weights = next(backbone.parameters())
    x = torch.zeros(1, backbone.in_channels, side, side, device=weights.device, dtype=weights.dtype)
    t = torch.zeros(1, device=weights.device)
    blocks, elements = [], []
    with FlopCounterMode(display=False) as counter:

        def macs():
            return counter.get_total_flops() // 2

        def at(i, compute):
            macs_before = macs()
            feature = compute()
            blocks.append(macs() - macs_before)
            elements.append(sum(leaf.numel() for leaf in tree_leaves(feature)))
            return feature

        ctx = backbone.prepare(cond)
        prompt = macs()
        backbone.through(*backbone.start(x, t, ctx), at)
        fixed = macs() - prompt - sum(blocks)
    return Counts(prompt=prompt, fixed=fixed, blocks=tuple(blocks), elements=tuple(elements))
