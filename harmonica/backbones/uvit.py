"""U-ViT (Bao et al., 2023) as 2 (depth + 1) cacheable blocks: attention and feed-forward of each
transformer block, in-blocks first, then the middle block and the out-blocks.

Label, timestep and patches are all tokens of one sequence. Each out-block first combines the stream
with the output of the in-block at the same distance from the middle (a long skip). No block has a
gate: the cached feature is what the block adds. The linear layers of the long skips do not belong
to a cacheable block: they run at every step, on the skips of the same step.
"""

import math
from functools import partial

import torch
import torch.nn.functional as F

from harmonica.backbones.patches import from_patches

LONGEST_PERIOD = 10_000  # of the sinusoids


class UViT:
    """The backbone contract (see harmonica.backbones) over a UViTModel.

    h is (B, tokens, width); label and time are tokens, so c is empty. Guidance acts on all
    channels. The model's own weights are used in place and are not changed.
    """

    kinds = ("attn", "mlp")

    def __init__(self, model):
        self.model, self.parameters, shape = model, model.parameters, model.shape
        self.in_channels = self.out_channels = self.guided_channels = shape.channels
        self.sample_size = shape.sample_size
        self.num_classes = self.null_label = shape.num_classes - 1
        self.num_blocks = 2 * (shape.depth + 1)

    def with_null(self, labels):
        """Conditioning of a guided batch: the labels, then as many null labels."""
        return torch.cat([labels, torch.full_like(labels, self.null_label)])

    def prepare(self, labels):
        """labels (B,) int64, also `null_label` -> their tokens (B, 1, width)."""
        return self.model.label_emb(labels)[:, None]

    def time(self, t):
        """t (B,) model timesteps, also fractional -> their tokens (B, 1, width)."""
        return sinusoids(t, self.model.shape.width).to(self.model.pos_embed.dtype)[:, None]

    def start(self, x, t, label):
        """x (B, C, H, W), t (B,) model timesteps -> h, c, in the dtype of the weights."""
        return self.start_at(x, self.time(t), label)

    def starts(self, rows):
        """One start(x, time(t), label) per row of a keep mask: the same one for every row."""
        return [self.start_at] * len(rows)

    def start_at(self, x, time, label):
        """The same as `start`, but takes time(t), which can be shared by all batches of a step."""
        positions = self.model.pos_embed
        patches = self.model.patch_embed["proj"](x.to(positions.dtype))
        patches = patches.flatten(2).transpose(1, 2).contiguous()
        return torch.cat([label, time, patches], dim=1) + positions, ()

    def through(self, h, c, at):
        """All blocks and the finish -> (B, C, H, W)."""
        model = self.model
        skips = []
        for b, block in enumerate([*model.in_blocks, model.mid_block, *model.out_blocks]):
            if block.skip_linear is not None:
                h = block.skip_linear(torch.cat([h, skips.pop()], dim=2))
            h = h + at(2 * b, partial(_normed, block.norm1, block.attn, h))
            h = h + at(2 * b + 1, partial(_normed, block.norm2, block.mlp, h))
            if b < len(model.in_blocks):
                skips.append(h)
        h = model.decoder_pred(model.norm(h))[:, 2:]
        side = self.sample_size // model.shape.patch
        return from_patches(h, (side, side), model.shape.patch)


def _normed(norm, branch, h):
    return branch(norm(h))


def sinusoids(t, width):
    """(B,) timesteps -> (B, width) float32: cosines, then sines, of width / 2 frequencies."""
    half = width // 2
    exponents = torch.arange(half, dtype=torch.float32, device=t.device) / half
    angles = t[:, None].float() * torch.exp(-math.log(LONGEST_PERIOD) * exponents)
    return F.pad(torch.cat([angles.cos(), angles.sin()], dim=1), (0, width % 2))
