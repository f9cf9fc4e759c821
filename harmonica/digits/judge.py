"""The digits scale's judge: a small classifier in the place of Inception, whose layers feed IS,
FID, sFID, precision and recall.

It has 65 834 parameters and was trained on the 1437 training digits alone (settings chosen on a
split of those); the shipped weights (seed 0) classify all 360 held-out digits correctly. It takes
uint8 images (data.to_uint8), as every metric does.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

from harmonica.digits import data

EPOCHS, BATCH, PEAK_LR, WEIGHT_DECAY, LABEL_SMOOTHING = 12, 32, 5e-3, 0.01, 0.05
SPATIAL_CHANNELS = 7  # as many as sFID uses of Inception's spatial features
WEIGHTS = Path(__file__).parent / "weights" / "judge.safetensors"  # the shipped judge's


class Judge(nn.Module):
    """A judge of three stages of convolutions, the last with 64 channels: uint8 images (B, 1, side,
    side) -> {"pool": (B, 64), "spatial": 7 channels of each place after the second stage, "logits":
    (B, 10)}, float32.
    """

    def __init__(self, fine, middle, coarse):
        super().__init__()
        self.fine, self.middle, self.coarse = fine, middle, coarse
        self.classify = nn.Linear(64, data.NUM_CLASSES)

    def forward(self, images):
        h = self.middle(self.fine(images.float() / 127.5 - 1))
        spatial = h[:, :SPATIAL_CHANNELS].permute(0, 2, 3, 1).flatten(1)
        pool = self.coarse(h).mean((2, 3))
        return {"pool": pool, "spatial": spatial, "logits": self.classify(pool)}


def untrained():
    """The digits' Judge before its training; "spatial" has 4 x 4 places."""
    fine = nn.Sequential(conv(1, 32), conv(32, 32), nn.AvgPool2d(2))
    return Judge(fine, conv(32, 64), conv(64, 64))


def conv(channels_in, channels_out):
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.SiLU(),
    )


def train(seed):
    """-> float16 state dict. On one thread it depends on `seed` alone. Takes about 5 s."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        model = untrained()
    return fit(model, *data.load("train"), seed, epochs=EPOCHS, batch=BATCH)


def fit(model, images, labels, seed, *, epochs, batch, autocast=False):
    """Train a judge, on its own device, on images in [-1, 1] and their labels (numpy arrays) -> its
    float16 state dict. The order of the images depends on `seed` and epoch alone. autocast:
    bfloat16 convolutions on a CPU.
    """
    device = next(model.parameters()).device
    images = torch.from_numpy(data.to_uint8(images)).to(device)
    labels = torch.from_numpy(labels).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=WEIGHT_DECAY)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_LR, epochs * -(-len(images) // batch), pct_start=0.1
    )
    for epoch in range(epochs):
        order = torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(len(images)))
        for pick in order.to(device).split(batch):
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                logits = model(images[pick])["logits"].float()
            loss = F.cross_entropy(logits, labels[pick], label_smoothing=LABEL_SMOOTHING)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()
    state = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
    return {
        name: value.half() if value.is_floating_point() else value for name, value in state.items()
    }


def seen(images):
    """Images (B, 1, 8, 8) float in [-1, 1] -> the shipped judge's pooled features (B, 64)."""
    levels = ((images.clamp(-1, 1) + 1) * 127.5).round()
    return _shipped().to(images.device)(levels)["pool"]


@cache
def _shipped():
    return load()


def load():
    """The shipped judge, float32, in eval(), frozen."""
    return restored(untrained(), WEIGHTS)


def restored(model, path):
    """Load `path`, a state dict (safetensors), into `model`, a judge -> it, in eval(), frozen."""
    model.load_state_dict(load_file(path))
    return model.eval().requires_grad_(False)
