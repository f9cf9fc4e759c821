"""Trains the clothes base models, by the digits' code on Fashion-MNIST."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from harmonica.clothes import data, judge, reference
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


def make(name, settings, out, device="cpu"):
    """Train base model `name` (settings: fields of ClothesTraining) into folder `out` -> name, its
    manifest entry. Its quality is measured by the judge in `out`, if there is one, else by
    reference.load_judge's.
    """
    scale = CLOTHES
    judge_path = Path(out) / reference.JUDGE
    if judge_path.is_file():
        scale = replace(CLOTHES, judge=partial(judge.load, judge_path))
    return base.make(name, ClothesTraining(**settings), out, scale, device)
