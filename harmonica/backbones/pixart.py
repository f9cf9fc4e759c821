"""PixArt-alpha and PixArt-Sigma (Chen et al., 2023, 2024) as 3 x depth cacheable blocks.

The weights are those of a loaded diffusers model. Blocks 3b, 3b + 1 and 3b + 2 are the
self-attention, cross-attention and feed-forward of transformer block b. A block's cached feature is
its output before the gate (cross-attention has none). What does not change between steps is
computed once, in `prepare`: the caption projection, the keys and values of every cross-attention,
and the embedding of PixArt-alpha's size conditions.
"""

import warnings
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from diffusers import PixArtTransformer2DModel

from harmonica.backbones.lean import attend, by_head, by_token, feed_forward, is_default, scaled
from harmonica.backbones.patches import (
    convolved,
    embed_patches,
    fastest_projection,
    from_patches,
    weight_dtype,
)
from harmonica.backbones.stock import is_own
from harmonica.errors import check

MASKED = -10000.0  # what the model adds to the scores of padding tokens


@dataclass(frozen=True)
class TextCond:
    """The conditioning of a batch of B images.

    embeds (B, L, C): the text encoder's output. mask (B, L): 1 for text, 0 for padding; None: all
    is text. resolution (B, 2) and aspect_ratio (B, 1): height and width in pixels and their ratio,
    only for models with size conditions. null_embeds (1, L, C), null_mask (1 or B, L): the empty
    prompt, only needed under classifier-free guidance.
    """

    embeds: torch.Tensor
    mask: torch.Tensor | None = None
    resolution: torch.Tensor | None = None
    aspect_ratio: torch.Tensor | None = None
    null_embeds: torch.Tensor | None = None
    null_mask: torch.Tensor | None = None


class Prompt(NamedTuple):
    """What `prepare` returns: everything that the steps of one trajectory share."""

    text: torch.Tensor  # (B, L, width), projected
    bias: torch.Tensor | None  # (B, 1, L): 0 for text, MASKED for padding
    # per layer keys and values, each (B, heads, L, head width); None where attn2 computes them
    keys_values: list
    size: torch.Tensor | None  # (B, width), the embedding of resolution and aspect ratio


class Conditioning(NamedTuple):
    """c of one step."""

    # per layer shift, scale, gate of attention, then of feed-forward, each (B, 1, width)
    modulations: list
    embedded: torch.Tensor  # (B, width), the embedding of timestep and size
    prompt: Prompt
    grid: tuple  # number of patches in height and in width


def build(*, width, depth, heads, patch, sample_size, channels, text_width, sizes=False):
    """An untrained PixArtTransformer2DModel in eval(), with learned sigma. text_width: channels of
    the text encoder's output. sizes: with PixArt-alpha's size conditions.
    """
    model = PixArtTransformer2DModel(
        num_attention_heads=heads,
        attention_head_dim=width // heads,
        in_channels=channels,
        out_channels=2 * channels,
        num_layers=depth,
        cross_attention_dim=width,
        sample_size=sample_size,
        patch_size=patch,
        caption_channels=text_width,
        use_additional_conditions=sizes,
    )
    return model.eval()


class PixArt:
    """The backbone contract (see harmonica.backbones) over a PixArtTransformer2DModel.

    h is (B, tokens, width), c a Conditioning. x may have any height and width that the patch size
    divides. The model's own weights are used in place and are not changed. guided_channels: how
    many channels guidance acts on, by default all latent ones (never on the learned variances).
    """

    kinds = ("attn", "cross", "mlp")
    projection = staticmethod(fastest_projection)

    def __init__(self, model, guided_channels=None):
        self.model, self.parameters, config = model, model.parameters, model.config
        self.num_blocks = 3 * len(model.transformer_blocks)
        self.in_channels, self.out_channels = config.in_channels, model.out_channels
        self.guided_channels = guided_channels or self.in_channels
        self.sample_size = config.sample_size
        self._warned = False

    def with_null(self, cond):
        """Conditioning of a guided batch: the prompts, then as many null prompts, with the same
        sizes in both halves.
        """
        check(
            cond.null_embeds is not None,
            "null_embeds",
            None,
            "guidance needs the embedding of the empty prompt",
        )

        def joined(value, null):
            return None if value is None else torch.cat([value, null.expand_as(value)])

        return TextCond(
            joined(cond.embeds, cond.null_embeds),
            joined(cond.mask, cond.null_mask),
            joined(cond.resolution, cond.resolution),
            joined(cond.aspect_ratio, cond.aspect_ratio),
        )

    def prepare(self, cond):
        """TextCond -> Prompt, in the model's dtype."""
        model, text = self.model, cond.embeds
        if model.caption_projection is not None:
            text = model.caption_projection(text)
        bias = None if cond.mask is None else ((1 - cond.mask.to(text.dtype)) * MASKED).unsqueeze(1)
        cross = [block.attn2 for block in model.transformer_blocks]
        keys_values = [_keys_values(attn, text) if _is_plain(attn) else None for attn in cross]
        if None in keys_values and not self._warned:
            self._warned = True
            warnings.warn(
                f"cross-attention of {keys_values.count(None)} of {len(keys_values)} blocks has an "
                "adapter or another processor than diffusers' default: "
                "its keys and values are computed at every step",
                stacklevel=3,
            )
        return Prompt(text, bias, keys_values, self._size(cond, text.dtype))

    def time(self, t):
        """t (B,) model timesteps -> their embedding (B, width), and the modulations that all layers
        share, (B, 6, width), or None where these depend on size conditions, too.
        """
        emb = self.model.adaln_single.emb
        embedded = emb.timestep_embedder(emb.time_proj(t).to(weight_dtype(self.model.pos_embed)))
        return embedded, None if self.model.use_additional_conditions else self._shared(embedded)

    def start(self, x, t, prompt):
        """x (B, C, H, W), t (B,) model timesteps -> h, c, in the dtype of the weights."""
        return self.start_at(x, self.time(t), prompt)

    def starts(self, rows):
        """One start(x, time(t), prompt) per row of a keep mask: the same one for every row, as all
        layers share one linear.
        """
        projected = self.projection(self.model.pos_embed)
        return [partial(self.start_at, projected=projected)] * len(rows)

    def start_at(self, x, time, prompt, projected=convolved):
        """The same as `start`, but takes time(t), which can be shared by all batches of a step."""
        h = embed_patches(self.model.pos_embed, x, projected)
        embedded, shared = time
        if prompt.size is not None:
            embedded = embedded + prompt.size
            shared = self._shared(embedded)
        modulations = [
            (block.scale_shift_table[None] + shared).chunk(6, dim=1)
            for block in self.model.transformer_blocks
        ]
        grid = tuple(side // self.model.config.patch_size for side in x.shape[-2:])
        return h, Conditioning(modulations, embedded, prompt, grid)

    def _shared(self, embedded):  # (B, width) -> (B, 6, width)
        adaln = self.model.adaln_single
        return adaln.linear(adaln.silu(embedded)).unflatten(1, (6, -1))

    def through(self, h, c, at):
        """All blocks and the finish -> (B, C_out, H, W), learned-sigma channels included."""
        model, (text, bias, keys_values, _) = self.model, c.prompt
        for b, block in enumerate(model.transformer_blocks):
            shift, scale, gate, *of_mlp = c.modulations[b]
            h = self.gated(at(3 * b, partial(_attention, block, h, shift, scale)), gate, h)
            cross = partial(_cross, block, h, text, bias, keys_values[b])
            h = self.gated(at(3 * b + 1, cross), None, h)
            shift, scale, gate = of_mlp
            h = self.gated(at(3 * b + 2, partial(_feed_forward, block, h, shift, scale)), gate, h)
        return self.finish(h, c.embedded, c.grid)

    @staticmethod
    def gated(feature, gate, h):
        """feature, gate (None for cross-attention, which has none), h -> the next h."""
        return feature + h if gate is None else scaled(feature, gate, h)

    def finish(self, h, embedded, grid):
        """The last h and the embedding of timestep and size (B, width) -> (B, C_out, H, W)."""
        model = self.model
        shift, scale = (model.scale_shift_table[None] + embedded[:, None]).chunk(2, dim=1)
        h = model.proj_out(scaled(model.norm_out(h), 1 + scale, shift))
        return from_patches(h, grid, model.config.patch_size)

    def _size(self, cond, dtype):
        """The embedding of resolution and aspect ratio (B, width), or None without one."""
        if not self.model.use_additional_conditions:
            return None
        emb, embedded = self.model.adaln_single.emb, []
        right = "this model has size conditions: give (B, 2) pixels and (B, 1) ratios"
        for field in ("resolution", "aspect_ratio"):
            size = getattr(cond, field)
            check(size is not None, field, None, right)
            sinusoids = emb.additional_condition_proj(size.flatten()).to(dtype)
            embedded.append(getattr(emb, f"{field}_embedder")(sinusoids).reshape(len(size), -1))
        return torch.cat(embedded, dim=1)


def _attention(block, h, shift, scale):
    return attend(block.attn1, scaled(block.norm1(h), 1 + scale, shift))


def _cross(block, h, text, bias, keys_values):
    attn = block.attn2
    if keys_values is None:
        return attn(h, encoder_hidden_states=text, attention_mask=bias)
    bias = None if bias is None else bias[:, None]  # for all heads
    query = by_head(attn, attn.to_q(h))
    return by_token(attn, F.scaled_dot_product_attention(query, *keys_values, attn_mask=bias))


def _feed_forward(block, h, shift, scale):
    return feed_forward(block.ff, scaled(block.norm2(h), 1 + scale, shift))


def _is_plain(attn):
    """Whether this cross-attention's keys and values can be computed in advance: it has diffusers'
    default processor and plain linear layers for both. The layers of query and output may be
    anything, as they are called at every step.
    """
    return is_default(attn) and all(
        is_own(linear, torch.nn.Linear) for linear in (attn.to_k, attn.to_v)
    )


def _keys_values(attn, text):
    return by_head(attn, attn.to_k(text)), by_head(attn, attn.to_v(text))
