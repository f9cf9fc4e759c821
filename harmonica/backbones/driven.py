"""Modules of diffusers' transformers, driven past what they ask and copy at every call, bit for
bit.

What is not the default (another processor, an adapter in place of a module, hooks) is called as it
is.
"""

import torch
import torch.nn.functional as F
from diffusers.models import attention
from diffusers.models.activations import GELU
from diffusers.models.attention_processor import Attention, AttnProcessor2_0

from harmonica.backbones.stock import is_hooked, is_own


def scaled(x, factor, shift):
    """x * factor + shift, (B, L, width) and (B, 1, width), or shift like x; the sum in the memory
    of the product: large tensors cost more to place than to add.
    """
    product = x * factor
    return product.add_(shift) if product.dtype == shift.dtype else product + shift


def attend(attn, x):
    """Self-attention, (B, L, width) -> (B, L, width), as attn(x) has it, bit for bit, without what
    diffusers' module and processor ask and copy at every call. One that is not the default, or has
    hooks, is called as it is; adapters are in the linear layers.
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
    """Whether this attention of tokens computes what diffusers' default processor does without its
    options, and nothing else.
    """
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
    """ff(x) of diffusers' FeedForward, (B, L, width) -> (B, L, width), bit for bit; driven as
    `attend` drives attention.
    """
    if not is_own(ff, attention.FeedForward) or len(ff.net) != 3 or is_hooked(ff.net):
        return ff(x)
    gelu, dropout, linear = ff.net
    if not is_own(gelu, GELU):
        return ff(x)
    return linear(dropped(dropout, F.gelu(gelu.proj(x), approximate=gelu.approximate)))


def dropped(dropout, x):
    """dropout(x); a module that only hands on costs as much as a small norm."""
    idle = is_own(dropout, torch.nn.Dropout) and not (dropout.training and dropout.p)
    return x if idle else dropout(x)
