"""Training of the clothes base models, by the digits' code on Fashion-MNIST."""

from dataclasses import dataclass

from harmonica.clothes import data, judge
from harmonica.digits import base
from harmonica.digits.scale import SmallScale

CLOTHES = SmallScale(
    load=data.load,
    judge=judge.load,
    num_images=10_000,
    num_steps=50,
    guidance=1.5,
    num_nearest=1000,
)


@dataclass(frozen=True, kw_only=True)
class ClothesTraining(base.BaseTraining):
    """What one DiT-clothes is: architecture and training."""

    patch: int = 4
    width: int = 128
    depth: int = 12
    steps: int = 7500
    batch: int = 128
    lr: float = 1e-3
    ema: float = 0.9995
    autocast: bool = True


def make(name, settings, out, device="cpu"):
    """Train base model `name` (settings: fields of ClothesTraining) into folder `out` -> name, its
    manifest entry.
    """
    return base.make(name, ClothesTraining(**settings), out, CLOTHES, device)
