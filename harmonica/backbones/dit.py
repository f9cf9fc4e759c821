"""DiT (Peebles & Xie, 2023) as 2 x depth cacheable blocks, over a loaded diffusers model.

Block 2b is the self-attention and block 2b + 1 the feed-forward of transformer block b. A block's
cached feature is its output before the adaLN-Zero gate.

diffusers' class differs from the official code in three places inside the model; `NUMERICS` selects
which of the two is computed. (Timestep spacing and the DDIM update differ as well: see
samplers/ddim.py.)
"""

from dataclasses import dataclass
from functools import partial
from itertools import groupby

import torch
import torch.nn.functional as F
from diffusers.models.embeddings import get_timestep_embedding

from harmonica.backbones.lean import attend, feed_forward, scaled
from harmonica.backbones.patches import (
    embed_patches,
    fastest_projection,
    from_patches,
    weight_dtype,
)
from harmonica.backbones.stock import is_own
from harmonica.errors import check


@dataclass(frozen=True, kw_only=True)
class Numerics:
    """Where diffusers' DiT and the official DiT differ inside the model."""

    frequency_shift: float  # of the sinusoidal timestep embedding
    mlp_norm_eps: float | None  # of the LayerNorm before the feed-forward; None: the model's own
    guided_channels: int  # latent channels that classifier-free guidance acts on


NUMERICS = {
    "official": Numerics(frequency_shift=0, mlp_norm_eps=1e-6, guided_channels=3),
    "diffusers": Numerics(frequency_shift=1, mlp_norm_eps=None, guided_channels=4),
}
TIME_CHANNELS = 256


class DiT:
    """The backbone contract (see harmonica.backbones) over a DiTTransformer2DModel.

    h is (B, tokens, width). c is (modulations, modulation of the output): modulations[i] is (shift,
    1 + scale, gate) of block i, the output's is (shift, 1 + scale), each (B, 1, width). The model's
    own weights are used in place and are not changed.
    """

    kinds = ("attn", "mlp")
    gated = staticmethod(scaled)  # feature, gate, h -> the next h
    projection = staticmethod(fastest_projection)

    def __init__(self, model, numerics="official"):
        check(numerics in NUMERICS, "numerics", numerics, f"choose one of {', '.join(NUMERICS)}")
        self.model, self.parameters = model, model.parameters
        self.numerics = NUMERICS[numerics]
        config = model.config
        self.in_channels, self.out_channels = config.in_channels, model.out_channels
        self.sample_size, self.num_classes = config.sample_size, config.num_embeds_ada_norm
        self.guided_channels = min(self.numerics.guided_channels, self.in_channels)
        self.null_label = self.num_classes
        self.num_blocks = 2 * len(model.transformer_blocks)
        self.embedders = _distinct_embedders(model)

    def with_null(self, labels):
        """Conditioning of a guided batch: the labels, then as many null labels."""
        return torch.cat([labels, torch.full_like(labels, self.null_label)])

    def prepare(self, labels):
        """labels (B,) int64, also `null_label` -> [embeddings (B, width)], one per embedder."""
        # not by LabelEmbedding's forward, which drops labels at random in train()
        return [emb.class_embedder.embedding_table(labels) for emb in self.embedders]

    def time(self, t):
        """t (B,) model timesteps -> [embeddings (B, width)], one per embedder."""
        sinusoid = get_timestep_embedding(
            t,
            TIME_CHANNELS,
            flip_sin_to_cos=True,
            downscale_freq_shift=self.numerics.frequency_shift,
        )
        sinusoid = sinusoid.to(weight_dtype(self.model.pos_embed))
        return [emb.timestep_embedder(sinusoid) for emb in self.embedders]

    def start(self, x, t, ctx):
        """x (B, C, H, W), t (B,) model timesteps, ctx from `prepare` -> h, c, in the dtype of the
        weights.
        """
        return self.start_at(x, self.time(t), ctx)

    @torch.no_grad()
    def starts(self, rows):
        """Faster starts for plans: one function (x, time(t), ctx) -> h, c per row of a keep mask,
        with the bits of `start`. Shift and scale are None for blocks that the row reuses.

        They use a copy of the adaLN weights, ordered so that neighbours are one linear: the gates
        of all blocks, shift and scale of the output, then shift and scale of each block. So a row
        that computes all or nothing needs one linear in total.
        """
        linears = [block.norm1.linear for block in self.model.transformer_blocks]
        plain = all(
            is_own(linear, torch.nn.Linear)  # no adapter, not quantised
            for linear in [*linears, self.model.proj_out_1]
        )
        # in float64 MKL's order of summation depends on the width, so the bits would differ
        if not plain or len(self.embedders) > 1 or self.model.dtype == torch.float64:
            return [self.start_at] * len(rows)
        units = []
        for linear in linears:
            six = _chunks(linear, 6)
            units += [six[:3], six[3:]]
        chunks = [gate for _, _, gate in units] + _chunks(self.model.proj_out_1, 2)
        chunks += [chunk for shift, scale, _ in units for chunk in (shift, scale)]
        weight, bias = (torch.cat(parts) for parts in zip(*chunks))
        projected = self.projection(self.model.pos_embed)
        return [self._start_of(row, weight, bias, projected) for row in rows]

    def start_at(self, x, time, ctx):
        """The same as `start`, but takes time(t), which can be shared by all batches of a step."""
        h = embed_patches(self.model.pos_embed, x)
        activated = [F.silu(embedding + label) for embedding, label in zip(time, ctx, strict=True)]
        modulations = []
        for i, block in enumerate(self.model.transformer_blocks):
            # where the per-block embedders are equal copies, only the first is used for all
            six = block.norm1.linear(activated[i % len(activated)]).unflatten(1, (2, 3, 1, -1))
            shift, scale, gate = (part.unbind(1) for part in six.unbind(2))
            modulations += zip(shift, (1 + part for part in scale), gate)
        shift, scale = self.model.proj_out_1(activated[0])[:, None].chunk(2, dim=2)
        return h, (modulations, (shift, 1 + scale))

    def _start_of(self, row, weight, bias, projected):
        blocks, width = len(row), weight.shape[1]
        linears = []
        needed = [True] * (blocks + 2) + [computed for computed in row for _ in ("shift", "scale")]
        for computed, run in groupby(range(len(needed)), needed.__getitem__):
            first, *rest = run
            if computed:
                features = slice(first * width, (first + 1 + len(rest)) * width)
                linears.append((weight[features], bias[features]))

        def start(x, time, ctx):
            h = embed_patches(self.model.pos_embed, x, projected)
            activated = F.silu(time[0] + ctx[0])
            outs = [F.linear(activated, w, b) for w, b in linears]
            out = (torch.cat(outs, 1) if len(outs) > 1 else outs[0]).view(len(x), -1, width)
            out = out.transpose(0, 1).contiguous()[:, :, None]  # gives all chunks the same strides
            out[blocks + 1 :: 2].add_(1)  # the scales
            chunks = out.unbind(0)
            shifts_and_factors = zip(chunks[blocks::2], chunks[blocks + 1 :: 2])
            of_output = next(shifts_and_factors)
            modulations = [
                (*(next(shifts_and_factors) if computed else (None, None)), gate)
                for computed, gate in zip(row, chunks)
            ]
            return h, (modulations, of_output)

        return start

    def through(self, h, c, at):
        """All blocks and the finish -> (B, C_out, H, W), learned-sigma channels included."""
        modulations, of_output = c
        for b, block in enumerate(self.model.transformer_blocks):
            for i, unit in enumerate((self._attention, self._feed_forward), 2 * b):
                shift, factor, gate = modulations[i]
                h = self.gated(at(i, partial(unit, block, h, shift, factor)), gate, h)
        return self.finish(h, *of_output)

    def finish(self, h, shift, factor):
        """The last h and the output's modulation -> (B, C_out, H, W)."""
        h = self.model.proj_out_2(scaled(self.model.norm_out(h), factor, shift))
        side = int(h.shape[1] ** 0.5)
        return from_patches(h, (side, side), self.model.patch_size)

    def _attention(self, block, h, shift, factor):
        return attend(block.attn1, scaled(block.norm1.norm(h), factor, shift))

    def _feed_forward(self, block, h, shift, factor):
        eps = self.numerics.mlp_norm_eps
        normed = block.norm3(h) if eps is None else F.layer_norm(h, h.shape[-1:], eps=eps)
        return feed_forward(block.ff, scaled(normed, factor, shift))


def _chunks(linear, count):
    """Split a linear into `count` of equal width -> [(weight, bias)]."""
    return list(zip(linear.weight.chunk(count), linear.bias.chunk(count)))


def _distinct_embedders(model):
    """A list of one embedder where all blocks share it or have equal copies, else one per block."""
    embedders = [block.norm1.emb for block in model.transformer_blocks]
    alike = all(emb is embedders[0] or _equal(emb, embedders[0]) for emb in embedders)
    return embedders[:1] if alike else embedders


def _equal(module, other):
    tensors, others = module.state_dict(), other.state_dict()
    same_names = tensors.keys() == others.keys()
    return same_names and all(torch.equal(value, others[name]) for name, value in tensors.items())
