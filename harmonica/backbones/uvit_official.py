"""The weights of a U-ViT (Bao et al., 2023) as torch modules with the official names, without timm.
uvit.py computes with them.

There are depth / 2 in-blocks, a middle block and depth / 2 out-blocks. There is no adaLN: norms
have weights of their own. The last class is the null class of classifier-free guidance.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from harmonica.backbones.dit_official import check_shapes

MARK = "mid_block.attn.qkv.weight"  # a tensor that, among the published models, only a U-ViT has


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The hyperparameters of a U-ViT. width in channels; depth is even and does not count the
    middle block.
    """

    width: int
    depth: int
    heads: int
    patch: int
    sample_size: int
    channels: int
    num_classes: int  # the null class included
    mlp_ratio: int = 4


class Attention(nn.Module):
    """Self-attention, (B, L, width) -> (B, L, width)."""

    def __init__(self, shape):
        super().__init__()
        self.heads = shape.heads
        self.qkv = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.proj = nn.Linear(shape.width, shape.width)

    def forward(self, h):
        qkv = self.qkv(h).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(*qkv).transpose(1, 2).flatten(2))


class Block(nn.Module):
    """skip_linear: combines stream and skip into a new stream in out-blocks; None in others."""

    def __init__(self, shape, out=False):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
        self.attn = Attention(shape)
        hidden = shape.mlp_ratio * shape.width
        fc1, fc2 = nn.Linear(shape.width, hidden), nn.Linear(hidden, shape.width)
        self.mlp = nn.Sequential(OrderedDict(fc1=fc1, act=nn.GELU(), fc2=fc2))
        self.skip_linear = nn.Linear(2 * shape.width, shape.width) if out else None


class UViTModel(nn.Module):
    """A U-ViT of a Shape, initialised as the official code does it."""

    def __init__(self, shape):
        super().__init__()
        self.shape, width = shape, shape.width
        tokens = 2 + (shape.sample_size // shape.patch) ** 2
        projection = nn.Conv2d(shape.channels, width, shape.patch, stride=shape.patch)
        self.patch_embed = nn.ModuleDict({"proj": projection})
        self.label_emb = nn.Embedding(shape.num_classes, width)
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, width))
        self.in_blocks = nn.ModuleList(Block(shape) for _ in range(shape.depth // 2))
        self.mid_block = Block(shape)
        self.out_blocks = nn.ModuleList(Block(shape, out=True) for _ in range(shape.depth // 2))
        self.norm = nn.LayerNorm(width)
        self.decoder_pred = nn.Linear(width, shape.patch**2 * shape.channels)
        self.initialise()

    @torch.no_grad()
    def initialise(self):
        """Linears and positions from a truncated normal with std 0.02, biases 0."""
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


def shape_of(tensors, heads):
    """The Shape of a model, from its tensors under official names; only the number of heads cannot
    be read off them. KeyError naming a tensor that is missing.
    """
    width, channels, patch, _ = tensors["patch_embed.proj.weight"].shape
    return Shape(
        width=width,
        depth=2 * sum(name.endswith("skip_linear.weight") for name in tensors),
        heads=heads,
        patch=patch,
        sample_size=patch * math.isqrt(tensors["pos_embed"].shape[1] - 2),
        channels=channels,
        num_classes=len(tensors["label_emb.weight"]),
        mlp_ratio=len(tensors["mid_block.mlp.fc1.weight"]) // width,
    )


def from_official(tensors, *, heads):
    """Build the model that the tensors describe and load them, as float32, in eval().

    ValueError naming a tensor that is missing or unexpected.
    """
    try:
        shape = shape_of(tensors, heads)
    except KeyError as missing:
        raise ValueError(
            f"weights: tensor {missing} is missing; "
            "expected the names of an official class-conditional U-ViT"
        ) from None
    with torch.device("meta"):
        model = UViTModel(shape)
    check_shapes(tensors, model.state_dict(), "U-ViT")
    model.load_state_dict({name: value.float() for name, value in tensors.items()}, assign=True)
    return model.eval()
