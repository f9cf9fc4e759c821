"""U-ViT (Bao et al., 2023) as 2 (depth + 1) cacheable blocks: attention and feed-forward of each
transformer block, in-blocks first, then the middle block and the out-blocks.

No block has a gate: the cached feature is what the block adds. The linear layers of the long skips
do not belong to a cacheable block: they run at every step, on the skips of the same step.
"""

from functools import partial

import torch


class UViT:
    """The backbone contract (see harmonica.backbones) over a UViTModel.

    h is (B, tokens, width); label and time are tokens, so c is empty. Guidance acts on all
    channels. The model's own weights are used in place and are not changed.
    """

    kinds = ("attn", "mlp")

    def __init__(self, model):
        self.model, shape = model, model.shape
        self.in_channels = self.out_channels = self.guided_channels = shape.channels
        self.sample_size = shape.sample_size
        self.num_classes = self.null_label = shape.num_classes - 1
        self.num_blocks = 2 * (shape.depth + 1)

    @property
    def parameters(self):
        return self.model.parameters

    def with_null(self, labels):
        """Conditioning of a guided batch: the labels, then as many null labels."""
        return torch.cat([labels, torch.full_like(labels, self.null_label)])

    def prepare(self, labels):
        """labels (B,) int64, also `null_label` -> their tokens (B, 1, width)."""
        return self.model.label_emb(labels)[:, None]

    def time(self, t):
        """t (B,) model timesteps -> their tokens (B, 1, width)."""
        return self.model.time_token(t)

    def start(self, x, t, label):
        """x (B, C, H, W), t (B,) model timesteps -> h, c, in the dtype of the weights."""
        return self.start_at(x, self.time(t), label)

    def starts(self, rows):
        """One start(x, time(t), label) per row of a keep mask: the same one for every row."""
        return [self.start_at] * len(rows)

    def start_at(self, x, time, label):
        """The same as `start`, but takes time(t), which can be shared by all batches of a step."""
        return self.model.tokens(x, time, label), ()

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
        return model.image(h)


def _normed(norm, branch, h):
    return branch(norm(h))
