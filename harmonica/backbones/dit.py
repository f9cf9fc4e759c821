"""DiT (Peebles & Xie, 2023) as 2 x depth cacheable blocks, driven from outside a loaded diffusers model.

Block 2b is the self-attention and block 2b + 1 the feed-forward of transformer block b. A block's cached feature is its
output before the adaLN-Zero gate; norm and modulation are inside `residual`, gate and sum inside `add`.

diffusers' class computes something else than the official code in three places that lie inside the model; `NUMERICS`
selects which of the two is computed. (Timestep spacing and the DDIM update differ as well: see samplers/ddim.py.)
"""
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers.models import attention
from diffusers.models.activations import GELU
from diffusers.models.attention_processor import AttnProcessor2_0
from diffusers.models.embeddings import get_timestep_embedding


@dataclass(frozen=True, kw_only=True)
class Numerics:
    """Where diffusers' DiT and the official DiT differ inside the model."""
    frequency_shift: float   # of the sinusoidal timestep embedding
    mlp_norm_eps: float      # of the LayerNorm before the feed-forward
    guided_channels: int     # latent channels that classifier-free guidance acts on


NUMERICS = {"official": Numerics(frequency_shift=0, mlp_norm_eps=1e-6, guided_channels=3),
            "diffusers": Numerics(frequency_shift=1, mlp_norm_eps=1e-5, guided_channels=4)}
TIME_CHANNELS = 256


class SelfAttention:
    """Modulated self-attention of a transformer block, `unit` 2b."""

    def __init__(self, block, unit, tokens):
        width = block.attn1.to_q.in_features
        self.block, self.unit = block, unit
        self.macs, self.feature_size = attention_macs(tokens, width), tokens * width

    def residual(self, h, c):
        shift, factor, _ = c[0][self.unit]
        return attend(self.block.attn1, scaled(self.block.norm1.norm(h), factor, shift))

    def add(self, h, c, out):
        return scaled(out, c[0][self.unit][2], h)


class FeedForward:
    """Modulated feed-forward of a transformer block, `unit` 2b + 1."""

    def __init__(self, block, unit, tokens, eps):
        hidden, width = block.ff.net[0].proj.weight.shape
        self.block, self.unit, self.eps, self.width = block, unit, eps, width
        self.macs, self.feature_size = feed_forward_macs(tokens, width, hidden), tokens * width

    def residual(self, h, c):
        shift, factor, _ = c[0][self.unit]
        return feed_forward(self.block.ff, scaled(F.layer_norm(h, (self.width,), eps=self.eps), factor, shift))

    def add(self, h, c, out):
        return scaled(out, c[0][self.unit][2], h)


class DiT:
    """The backbone contract (see harmonica.backbones) over a DiTTransformer2DModel.

    h is (B, tokens, width); c is (modulations, conditioning) with modulations[i] = shift, 1 + scale, gate of block
    i, each (B, 1, width). The model's own weights are used in place and are not changed.
    """
    kinds = ("attn", "mlp")
    prompt_macs = 0     # `prepare` computes nothing

    def __init__(self, model, numerics="official"):
        if numerics not in NUMERICS:
            raise ValueError(f"numerics: {numerics!r} is not known; choose one of {sorted(NUMERICS)}")
        self.model, self.numerics, config = model, NUMERICS[numerics], model.config
        self.in_channels, self.out_channels = config.in_channels, model.out_channels
        self.sample_size, self.num_classes = config.sample_size, config.num_embeds_ada_norm
        self.null_label = self.num_classes
        tokens = (config.sample_size // config.patch_size) ** 2
        self.blocks = [unit for i, block in enumerate(model.transformer_blocks)
                       for unit in (SelfAttention(block, 2 * i, tokens),
                                    FeedForward(block, 2 * i + 1, tokens, self.numerics.mlp_norm_eps))]
        self.embedders = _distinct_embedders(model)
        self.fixed_macs = fixed_macs(tokens, model.inner_dim, depth=len(model.transformer_blocks),
                                     pixels=config.patch_size**2 * (self.in_channels + self.out_channels),
                                     embedders=len(self.embedders))

    @property
    def guided_channels(self):
        return min(self.numerics.guided_channels, self.in_channels)

    @property
    def parameters(self):
        return self.model.parameters

    def prepare(self, labels):
        """labels (B,) int64, the null label being `null_label`: nothing else is fixed over the steps."""
        return labels

    def with_null(self, labels):
        """Conditioning of a guided batch: the labels, then as many null labels."""
        return torch.cat([labels, torch.full_like(labels, self.null_label)])

    def start(self, x, t, labels):
        """x (B, C, H, W), t (B,) model timesteps, labels (B,) -> h, c, in the dtype of the weights."""
        h = embed_patches(self.model.pos_embed, x)
        embedded = [self._embed(emb, t, labels, h.dtype) for emb in self.embedders]
        activated = [F.silu(e) for e in embedded]
        modulations = []
        for i, block in enumerate(self.model.transformer_blocks):
            # one embedder serves every block where the per-block copies are equal
            six = block.norm1.linear(activated[i % len(activated)]).unflatten(1, (2, 3, 1, -1))
            shift, scale, gate = (part.unbind(1) for part in six.unbind(2))
            modulations += zip(shift, (1 + one for one in scale), gate)
        return h, (modulations, activated[0])

    def starts(self, rows):
        """One `start` per row of a keep mask, bit-identical, for plans: shift and scale only where the row computes (else
        None). They use a copy of the adaLN weights, all blocks' gates side by side, then shift and scale of block by block:
        any run of computed blocks is one linear, and a row that computes all or nothing has one in total.
        """
        linears, units = [block.norm1.linear for block in self.model.transformer_blocks], range(len(self.blocks))
        plain = all(type(linear) is torch.nn.Linear for linear in linears)      # no adapter, not quantised
        if not plain or len(self.embedders) > 1 or self.model.dtype == torch.float64:
            return [self.start] * len(rows)         # (MKL sums float64 in an order of each width's own)
        order = [(i, 2) for i in units] + [(i, part) for i in units for part in (0, 1)]
        weight, bias = (torch.cat([getattr(linears[i // 2], name).chunk(6)[3 * (i % 2) + part] for i, part in order])
                        for name in ("weight", "bias"))
        return [self._start_of(row, weight, bias) for row in rows]

    def _start_of(self, row, weight, bias):
        blocks, width, runs = len(row), weight.shape[1], []
        for chunk in [*range(blocks), *(blocks + 2 * i + part for i in range(blocks) if row[i] for part in (0, 1))]:
            if runs and runs[-1][1] == chunk:
                runs[-1][1] += 1
            else:
                runs.append([chunk, chunk + 1])
        linears = [(first, last, weight[first * width:last * width], bias[first * width:last * width])
                   for first, last in runs]

        def start(x, t, labels):
            h = embed_patches(self.model.pos_embed, x)
            activated = F.silu(self._embed(self.embedders[0], t, labels, h.dtype))
            chunks = [None] * (3 * blocks)
            for first, last, w, b in linears:
                parts = F.linear(activated, w, b).view(len(x), last - first, 1, width)
                if last > blocks:
                    parts[:, max(blocks - first, 0) + 1::2].add_(1)        # the scales
                chunks[first:last] = parts.unbind(1)
            return h, ([(*chunks[blocks + 2 * i:blocks + 2 * i + 2], chunks[i]) for i in range(blocks)], activated)
        return start

    def finish(self, h, c):
        """-> (B, C_out, H, W), learned-sigma channels included."""
        shift, scale = self.model.proj_out_1(c[1]).chunk(2, dim=1)
        h = self.model.proj_out_2(scaled(self.model.norm_out(h), 1 + scale[:, None], shift[:, None]))
        side = int(h.shape[1] ** 0.5)
        return from_patches(h, (side, side), self.model.patch_size)

    def _embed(self, emb, t, labels, dtype):
        time = get_timestep_embedding(t, TIME_CHANNELS, flip_sin_to_cos=True,
                                      downscale_freq_shift=self.numerics.frequency_shift)
        # the table itself: LabelEmbedding would drop labels at random in train()
        return emb.timestep_embedder(time.to(dtype)) + emb.class_embedder.embedding_table(labels)


def scaled(x, factor, shift):
    """x * factor + shift, the sum in the memory of the product: large tensors cost more to place than to add."""
    product = x * factor
    return product.add_(shift) if product.dtype == shift.dtype else product + shift


def attend(attn, x):
    """Self-attention as attn(x) has it, bit for bit, without what diffusers' module and processor ask and copy at every
    call. One that is not the default, or has hooks, is called as it is; adapters are in the linear layers.
    """
    if not is_default(attn) or is_hooked(attn):
        return attn(x)
    return by_token(attn, F.scaled_dot_product_attention(
        *(by_head(attn, linear(x)) for linear in (attn.to_q, attn.to_k, attn.to_v))))


def is_default(attn):
    """Whether this attention of tokens computes what diffusers' default processor does without its options."""
    extras = attn.norm_cross, attn.norm_q, attn.norm_k, attn.group_norm, attn.spatial_norm
    return (type(attn.processor) is AttnProcessor2_0 and not any(extra for extra in extras)
            and not attn.residual_connection and attn.rescale_output_factor == 1)


def is_hooked(module):
    """Whether a call of the module does more than its class's forward."""
    return bool("forward" in vars(module) or module._forward_hooks or module._forward_pre_hooks)


def by_head(attn, x):
    """(B, L, width) -> (B, heads, L, head width)"""
    return x.unflatten(2, (attn.heads, -1)).transpose(1, 2)


def by_token(attn, out):
    """(B, heads, L, head width) -> (B, L, width), through the output layer."""
    linear, dropout = attn.to_out
    return dropped(dropout, linear(out.transpose(1, 2).flatten(2)))


def feed_forward(ff, x):
    """ff(x) of diffusers' FeedForward, bit for bit; driven as `attend` drives its attention."""
    plain = type(ff) is attention.FeedForward and type(ff.net[0]) is GELU and len(ff.net) == 3      # no last dropout
    if not plain or is_hooked(ff) or is_hooked(ff.net[0]):
        return ff(x)
    gelu, dropout, linear = ff.net
    return linear(dropped(dropout, F.gelu(gelu.proj(x), approximate=gelu.approximate)))


def dropped(dropout, x):
    """dropout(x); a module that only hands on costs as much as a small norm."""
    idle = type(dropout) is torch.nn.Dropout and not (dropout.training and dropout.p) and not is_hooked(dropout)
    return x if idle else dropout(x)


def embed_patches(embed, x):
    """embed(x) of a diffusers PatchEmbed, bit for bit, in the dtype of its weights. Contiguous before the sum with the
    positions: the module's own is transposed, on which that sum, the first norm and the first addition are slow.
    """
    x = x.to(embed.proj.weight.dtype)
    side = x.shape[2] // embed.patch_size, x.shape[3] // embed.patch_size
    plain = side == (embed.height, embed.width) and not (embed.pos_embed_max_size or embed.layer_norm or embed.pos_embed is None)
    if not plain or is_hooked(embed):
        return embed(x)
    h = embed.proj(x).flatten(2).transpose(1, 2).contiguous()
    return (h + embed.pos_embed).to(h.dtype)


def from_patches(h, grid, patch):
    """(B, tokens, patch^2 channels) -> (B, channels, H, W); grid: patches in height and width."""
    h = h.reshape(len(h), *grid, patch, patch, -1).permute(0, 5, 1, 3, 2, 4)
    return h.reshape(*h.shape[:2], grid[0] * patch, grid[1] * patch)


def attention_macs(tokens, width):
    """Multiply-accumulates per sample: four projections, scores, weighted values."""
    return tokens * 4 * width**2 + 2 * tokens**2 * width


def feed_forward_macs(tokens, width, hidden):
    return tokens * 2 * width * hidden


def fixed_macs(tokens, width, *, depth, pixels, embedders=1):
    """What no schedule saves: patches in and out (pixels = values per patch, both), conditioning, adaLN."""
    return tokens * width * pixels + embedders * (TIME_CHANNELS + width) * width + (6 * depth + 2) * width**2


def _distinct_embedders(model):
    """[one] where all blocks hold equal copies of the conditioning embedder, else one per block."""
    embedders = [block.norm1.emb for block in model.transformer_blocks]
    first = embedders[0].state_dict()
    equal = all(torch.equal(value, first[name]) for emb in embedders[1:] for name, value in emb.state_dict().items())
    return embedders[:1] if equal else embedders
