"""U-ViT (Bao et al., 2023) as a plain torch model with the official names, without timm.

Label, timestep and patches are all tokens of one sequence. There are depth / 2 in-blocks, a middle
block and depth / 2 out-blocks; each out-block first combines the stream with the output of the
in-block at the same distance from the middle (a long skip). There is no adaLN: norms have weights
of their own. The last class is the null class of classifier-free guidance.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from harmonica.backbones.dit_official import check_shapes
from harmonica.backbones.patches import from_patches

MARK = "mid_block.attn.qkv.weight"  # a tensor that, among the published models, only a U-ViT has
LONGEST_PERIOD = 10_000  # of the sinusoids


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The hyperparameters of a U-ViT. width in channels; depth is even and does not count the
    middle block. The last three are options of the official code, off in the published ImageNet
    models of 256 px.
    """

    width: int
    depth: int
    heads: int
    patch: int
    sample_size: int
    channels: int
    num_classes: int  # the null class included
    mlp_ratio: int = 4
    time_mlp: bool = False
    qkv_bias: bool = False
    final_conv: bool = False


class Attention(nn.Module):
    """Self-attention, (B, L, width) -> (B, L, width)."""

    def __init__(self, shape):
        super().__init__()
        self.heads = shape.heads
        self.qkv = nn.Linear(shape.width, 3 * shape.width, bias=shape.qkv_bias)
        self.proj = nn.Linear(shape.width, shape.width)

    def forward(self, h):
        qkv = self.qkv(h).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(*qkv).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.fc1 = nn.Linear(shape.width, shape.mlp_ratio * shape.width)
        self.fc2 = nn.Linear(shape.mlp_ratio * shape.width, shape.width)

    def forward(self, h):
        return self.fc2(F.gelu(self.fc1(h)))


class Block(nn.Module):
    """skip_linear: combines stream and skip into a new stream in out-blocks; None in others."""

    def __init__(self, shape, out=False):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
        self.attn, self.mlp = Attention(shape), Mlp(shape)
        self.skip_linear = nn.Linear(2 * shape.width, shape.width) if out else None

    def forward(self, h, skip=None):
        if self.skip_linear is not None:
            h = self.skip_linear(torch.cat([h, skip], dim=2))
        h = h + self.attn(self.norm1(h))
        return h + self.mlp(self.norm2(h))


class PatchEmbed(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.proj = nn.Conv2d(shape.channels, shape.width, shape.patch, stride=shape.patch)

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2).contiguous()


class UViTModel(nn.Module):
    """A U-ViT of a Shape, initialised as the official code does it."""

    def __init__(self, shape):
        super().__init__()
        self.shape, width = shape, shape.width
        tokens = 2 + (shape.sample_size // shape.patch) ** 2
        self.patch_embed = PatchEmbed(shape)
        self.time_embed = nn.Identity()
        if shape.time_mlp:
            self.time_embed = nn.Sequential(
                nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width)
            )
        self.label_emb = nn.Embedding(shape.num_classes, width)
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, width))
        self.in_blocks = nn.ModuleList(Block(shape) for _ in range(shape.depth // 2))
        self.mid_block = Block(shape)
        self.out_blocks = nn.ModuleList(Block(shape, out=True) for _ in range(shape.depth // 2))
        self.norm = nn.LayerNorm(width)
        self.decoder_pred = nn.Linear(width, shape.patch**2 * shape.channels)
        self.final_layer = nn.Identity()
        if shape.final_conv:
            self.final_layer = nn.Conv2d(shape.channels, shape.channels, 3, padding=1)
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

    def forward(self, x, t, labels):
        """x (B, C, H, W), t (B,) timesteps, labels (B,) int64 -> the predicted noise, like x."""
        h = self.tokens(x, self.time_token(t), self.label_emb(labels)[:, None])
        skips = []
        for block in self.in_blocks:
            h = block(h)
            skips.append(h)
        h = self.mid_block(h)
        for block in self.out_blocks:
            h = block(h, skips.pop())
        return self.image(h)

    def time_token(self, t):
        """(B,) timesteps, also fractional -> (B, 1, width)."""
        return self.time_embed(sinusoids(t, self.shape.width).to(self.pos_embed.dtype))[:, None]

    def tokens(self, x, time, label):
        """All tokens, positions added: label, time, patches. (B, L, width)"""
        patches = self.patch_embed(x.to(self.pos_embed.dtype))
        return torch.cat([label, time, patches], dim=1) + self.pos_embed

    def image(self, h):
        """The finish: tokens (B, L, width) -> (B, C, H, W)."""
        h = self.decoder_pred(self.norm(h))[:, 2:]
        side = self.shape.sample_size // self.shape.patch
        return self.final_layer(from_patches(h, (side, side), self.shape.patch))


def sinusoids(t, width):
    """(B,) timesteps -> (B, width) float32: cosines, then sines, of width / 2 frequencies."""
    half = width // 2
    exponents = torch.arange(half, dtype=torch.float32, device=t.device) / half
    angles = t[:, None].float() * torch.exp(-math.log(LONGEST_PERIOD) * exponents)
    return F.pad(torch.cat([angles.cos(), angles.sin()], dim=1), (0, width % 2))


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
        time_mlp="time_embed.0.weight" in tensors,
        qkv_bias="mid_block.attn.qkv.bias" in tensors,
        final_conv="final_layer.weight" in tensors,
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
