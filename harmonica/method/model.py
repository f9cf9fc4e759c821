"""A loaded base model with its conditioning: everything that sampling and training need of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Loaded:
    """A model ready to be sampled and trained on.

    cond(indices): the conditioning of the images with these indices. Classes or captions take
    turns: every num_conds consecutive images hold each of them once. images: training images (n, C,
    H, W) and their conditioning indices, or None. device: where the backbone and the conditioning
    are. sampler: replaces the one that specs name (a pipeline's own scheduler), or None.
    features(images) -> (B, F): the features of the classifier that judges such images, or None.
    """

    spec: Any
    backbone: Any
    cond: Callable
    num_conds: int
    images: Any = None
    device: Any = "cpu"
    sampler: Any = None
    features: Callable | None = None

    @property
    def shape(self):
        return (self.backbone.in_channels, self.backbone.sample_size, self.backbone.sample_size)
