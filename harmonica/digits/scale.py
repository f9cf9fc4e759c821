"""What differs between the small scales: their images, their judge, and how a base model's quality
is measured. The rest of the code in this folder serves all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass

from harmonica.digits import data, judge


@dataclass(frozen=True, kw_only=True)
class SmallScale:
    """load("train" | "test") -> images (n, 1, side, side) float32 in [-1, 1], labels (n,) int64 of
    ten classes. judge() -> the classifier whose layers feed the metrics, frozen.

    A base model's quality is measured on num_images samples, with num_steps of DDIM at this
    guidance; the distance to the nearest training image on the first num_nearest of them.
    """

    load: Callable
    judge: Callable
    num_images: int
    num_steps: int
    guidance: float
    num_nearest: int


DIGITS = SmallScale(
    load=data.load,
    judge=judge.load,
    num_images=1000,
    num_steps=20,
    guidance=1.0,
    num_nearest=1000,
)
