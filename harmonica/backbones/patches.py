"""Images to tokens and back, in patches."""

import torch
import torch.nn.functional as F
from diffusers.models.embeddings import PatchEmbed

from harmonica.backbones.stock import is_own

TRIED = 1, 2, 16, 100  # batch sizes: a convolution's order of summation depends on the size


def convolved(conv, positions, x):
    """(B, C, H, W) -> tokens with their positions added, (B, tokens, width), contiguous."""
    h = conv(x).flatten(2).transpose(1, 2).contiguous()
    return (h + positions).to(h.dtype)


def by_linear(conv, positions, x):
    """`convolved` as one matrix product, for patches that do not overlap. Equal up to rounding."""
    (patch, _), (b, c, height, width) = conv.stride, x.shape
    patches = x.reshape(b, c, height // patch, patch, width // patch, patch).permute(
        0, 2, 4, 1, 3, 5
    )
    h = F.linear(patches.reshape(b, -1, c * patch**2), conv.weight.flatten(1), conv.bias)
    return (h + positions).to(h.dtype)


def embed_patches(embed, x, projected=convolved):
    """embed(x) of a diffusers PatchEmbed, with the same bits, in the dtype of its weights. Tokens
    are made contiguous before the positions are added: the module's own are a transposed view, on
    which that sum, the first norm and the first addition are slow.
    """
    x = x.to(weight_dtype(embed))
    if not is_own(embed, PatchEmbed) or embed.pos_embed_max_size or embed.layer_norm:
        return embed(x)
    fits = x.shape[2:] == (embed.patch_size * embed.height, embed.patch_size * embed.width)
    if not fits or embed.pos_embed is None or not embed.flatten:
        return embed(x)
    plain_conv = is_own(embed.proj, torch.nn.Conv2d)
    return (projected if plain_conv else convolved)(embed.proj, embed.pos_embed, x)


def weight_dtype(embed):
    """The dtype that a model computes in: that of its patch embedding's weights."""
    return next(embed.parameters()).dtype


@torch.no_grad()
def fastest_projection(embed):
    """-> the faster of by_linear and convolved that `embed_patches` may use on this module:
    by_linear where a test finds that it gives the convolution's bits.

    In float32 on a CPU this is mostly so with one channel. There it matters: setting up a
    convolution takes oneDNN up to 0.25 ms, much of a small model's step that reuses everything.
    """
    if not is_own(embed, PatchEmbed) or not is_own(embed.proj, torch.nn.Conv2d):
        return convolved
    conv, weight = embed.proj, embed.proj.weight
    if weight.device.type != "cpu" or weight.dtype != torch.float32:
        return convolved
    shape = conv.in_channels, embed.patch_size * embed.height, embed.patch_size * embed.width
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(max(TRIED), *shape, generator=generator, dtype=weight.dtype)
    equal = all(
        torch.equal(by_linear(conv, 0, noise[:batch]), convolved(conv, 0, noise[:batch]))
        for batch in TRIED
    )
    return by_linear if equal else convolved


def from_patches(h, grid, patch):
    """(B, tokens, patch^2 channels) -> (B, channels, H, W); grid: patches in height and width."""
    h = h.reshape(len(h), *grid, patch, patch, -1).permute(0, 5, 1, 3, 2, 4)
    return h.reshape(*h.shape[:2], grid[0] * patch, grid[1] * patch)
