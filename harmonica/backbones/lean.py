"""Lean forwards for diffusers' attention and feed-forward: the same bits, without the checks and
copies that its modules make at every call.

A module that is not the default (another processor, an adapter in its place, hooks) is called as it
is.
"""

import torch
import torch.nn.functional as F
from diffusers.models import attention
from diffusers.models.activations import GELU
from diffusers.models.attention_processor import Attention, AttnProcessor2_0

from harmonica.backbones.stock import is_hooked, is_own


def scaled(x, factor, shift):
    """x * factor + shift. x (B, L, width), factor (B, 1, width), shift like one of them. The sum
    overwrites the product, as allocating a large tensor takes longer than adding.
    """
    product = x * factor
    return product.add_(shift) if product.dtype == shift.dtype else product + shift


def attend(attn, x):
    """attn(x), self-attention (B, L, width) -> (B, L, width). Adapters in its linear layers do not
    matter, as these are called in any case.
    """
    if not is_default(attn):
        return attn(x)
    return by_token(
        attn,
        F.scaled_dot_product_attention(
            *(by_head(attn, linear(x)) for linear in (attn.to_q, attn.to_k, attn.to_v))
        ),
    )


def is_default(attn):
    """Whether this attention is diffusers' own, with the default processor and all options off."""
    if not is_own(attn, Attention) or type(attn.processor) is not AttnProcessor2_0:
        return False
    extras = attn.norm_cross, attn.norm_q, attn.norm_k, attn.group_norm, attn.spatial_norm
    plain_out = len(attn.to_out) == 2 and not is_hooked(attn.to_out)
    plain_sum = not attn.residual_connection and attn.rescale_output_factor == 1
    return plain_out and plain_sum and not any(extra for extra in extras)


def by_head(attn, x):
    """(B, L, width) -> (B, heads, L, head width)"""
    return x.unflatten(2, (attn.heads, -1)).transpose(1, 2)


def by_token(attn, out):
    """(B, heads, L, head width) -> (B, L, width), through the output layer."""
    linear, dropout = attn.to_out
    return dropped(dropout, linear(out.transpose(1, 2).flatten(2)))


def feed_forward(ff, x):
    """ff(x) of diffusers' FeedForward, (B, L, width) -> (B, L, width)."""
    if not is_own(ff, attention.FeedForward) or len(ff.net) != 3 or is_hooked(ff.net):
        return ff(x)
    gelu, dropout, linear = ff.net
    if not is_own(gelu, GELU):
        return ff(x)
    return linear(dropped(dropout, F.gelu(gelu.proj(x), approximate=gelu.approximate)))


def dropped(dropout, x):
    """dropout(x), without the call where it does nothing: that costs as much as a small norm."""
    idle = is_own(dropout, torch.nn.Dropout) and not (dropout.training and dropout.p)
    return x if idle else dropout(x)
