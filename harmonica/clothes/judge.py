"""The clothes scale's judge: a small classifier in the place of Inception, whose layers feed IS,
FID, sFID, precision and recall.

It is trained on the 60 000 training images by the digits' code, and takes uint8 images
(digits/data.to_uint8), as every metric does.
"""

import torch
from torch import nn

from harmonica.clothes import data
from harmonica.digits.judge import Judge, conv, fit, restored

EPOCHS, BATCH = 12, 128


def untrained():
    """The clothes' Judge before its training; "spatial" has 7 x 7 places."""
    fine = nn.Sequential(conv(1, 32), conv(32, 32), nn.MaxPool2d(2))
    middle = nn.Sequential(conv(32, 64), conv(64, 64), nn.MaxPool2d(2))
    return Judge(fine, middle, nn.Sequential(conv(64, 128), conv(128, 64)))


def train(seed, device="cpu"):
    """-> float16 state dict. Takes ten minutes on one core."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        # channels last: the order in which a CPU's convolutions are fastest
        model = untrained().to(device, memory_format=torch.channels_last)
    images, labels = data.load("train")
    return fit(model, images, labels, seed, epochs=EPOCHS, batch=BATCH, autocast=True)


def load(path):
    """The judge with the state dict at `path` (safetensors), float32, in eval(), frozen."""
    return restored(untrained(), path)
