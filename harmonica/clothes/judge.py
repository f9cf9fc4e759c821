"""The clothes scale's judge: a small classifier in the place of Inception, whose layers feed IS,
FID, sFID, precision and recall.

It is trained on the 60 000 training images by the digits' code, and takes uint8 images
(digits/data.to_uint8), as every metric does.
"""

import torch
import torch.nn.functional as F
from torch import nn

from harmonica.clothes import data
from harmonica.digits.data import NUM_CLASSES
from harmonica.digits.judge import SPATIAL_CHANNELS, conv, fit, restored

EPOCHS, BATCH = 12, 128


class Judge(nn.Module):
    """uint8 images (B, 1, 28, 28) -> {"pool": (B, 64), "spatial": (B, 343), "logits": (B, 10)},
    float32.
    """

    def __init__(self):
        super().__init__()
        self.fine = nn.Sequential(conv(1, 32), conv(32, 32))
        self.middle = nn.Sequential(conv(32, 64), conv(64, 64))
        self.coarse = nn.Sequential(conv(64, 128), conv(128, 64))
        self.classify = nn.Linear(64, NUM_CLASSES)

    def forward(self, images):
        h = F.max_pool2d(self.fine(images.float() / 127.5 - 1), 2)  # (B, 32, 14, 14)
        h = F.max_pool2d(self.middle(h), 2)  # (B, 64, 7, 7)
        spatial = h[:, :SPATIAL_CHANNELS].permute(0, 2, 3, 1).flatten(1)  # (B, 343)
        pool = self.coarse(h).mean((2, 3))  # (B, 64)
        return {"pool": pool, "spatial": spatial, "logits": self.classify(pool)}


def train(seed, device="cpu"):
    """-> float16 state dict. Takes ten minutes on one core."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        # channels last: the order in which a CPU's convolutions are fastest
        model = Judge().to(device, memory_format=torch.channels_last)
    images, labels = data.load("train")
    return fit(model, images, labels, seed, epochs=EPOCHS, batch=BATCH, autocast=True)


def load(path):
    """The judge with the state dict at `path` (safetensors), float32, in eval(), frozen."""
    return restored(Judge(), path)
