"""A base model with what it is conditioned on: all that sampling and training ask of a model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Loaded:
    """A model ready to be sampled and trained on.

    cond(indices): conditioning of the images with these indices, classes in turn, so that any whole
    number of rounds is balanced. images: training images (n, C, H, W) and their conditioning
    indices, or None. device: of the backbone, and of what cond gives. sampler: where it is not the
    one that specs name (a pipeline's own scheduler). features(images) -> (B, F): what a judge of
    these images sees, or None.
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
