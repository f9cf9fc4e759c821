"""Trains the clothes base models, by the digits' code on Fashion-MNIST."""

from dataclasses import dataclass

from harmonica.clothes import data, reference
from harmonica.digits import base
from harmonica.digits.quality import SmallScale

CLOTHES = SmallScale(
    load=data.load,
    judge=reference.load_judge,
    num_images=10_000,
    batch=100,  # on a CPU a third faster than 1000
    num_steps=20,
    guidance=1.5,
    num_nearest=1000,
)


@dataclass(frozen=True, kw_only=True)
class ClothesTraining(base.BaseTraining):
    """The architecture and training of a DiT-clothes."""

    patch: int = 4
    width: int = 128
    depth: int = 12
    steps: int = 7500
    lr: float = 1e-3
    ema: float = 0.9995
    autocast: bool = True
