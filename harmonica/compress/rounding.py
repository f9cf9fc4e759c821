"""Rounds numbers to a few bits: finds ranges, computes codes, and packs codes into bytes."""

from dataclasses import dataclass

import numpy as np
import torch

# number of ranges tried, in steps of 1 % of the widest; power of the rounding error
SHRINKS, POWER = 80, 2.4
MOST = 2**12  # the most columns that are used to compare ranges


@dataclass(frozen=True)
class Range:
    """Which numbers the codes of `bits` bits stand for, row by row: code k is (k - zero) * scale.

    scale: (R,) float; zero: (R,) int32, 0..top.
    """

    scale: torch.Tensor
    zero: torch.Tensor
    bits: int

    @property
    def top(self):
        return 2**self.bits - 1


@dataclass(frozen=True)
class Rounded:
    """A layer's rounded weight: codes (int32, in the weight's shape) and their Range, with one row
    per output channel. inputs: a Range with one row per step, None where inputs are not rounded.
    """

    codes: torch.Tensor
    range: Range
    inputs: Range | None

    def weight(self):
        """The weight that the codes stand for, float32."""
        range_ = self.range
        rows = (self.codes.flatten(1) - range_.zero[:, None]) * range_.scale[:, None]
        return rows.view(self.codes.shape)


def search(rows, bits, ends=None):
    """Find the Range with the least sum, in each row, of rounding errors to the power of POWER.

    rows: (R, n). ends: the lowest and highest value of each row, (R,) each, where `rows` is only a
    sample. Ranges contain 0, so that 0 stays 0. The first range tried holds all values, and each of
    the others cuts off more. Of long rows, MOST columns and the ends are used.
    """
    low, high = ends or (rows.amin(1), rows.amax(1))
    if rows.shape[1] > MOST:
        order = torch.randperm(rows.shape[1], generator=torch.Generator().manual_seed(0))
        rows = torch.cat([rows[:, order[:MOST].to(rows.device)], low[:, None], high[:, None]], 1)
    least, best = torch.full_like(rows[:, 0], torch.inf), torch.ones_like(rows[:, 0])
    for k in range(SHRINKS):
        share = 1 - k / 100
        error = (rounded(rows, between(share * low, share * high, bits)) - rows).abs()
        error = error.pow(POWER).sum(1)
        best = torch.where(error < least, share, best)
        least = torch.minimum(error, least)
    return between(best * low, best * high, bits)


def between(low, high, bits):
    """The smallest Range that holds low..high and 0, row by row."""
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = ((high - low) / (2**bits - 1)).clamp(min=1e-12)
    return Range(scale, (-low / scale).round().to(torch.int32), bits)


def codes(rows, range_):
    """The codes of rows (R, n) by their Range -> (R, n) int32."""
    nearest = (rows / range_.scale[:, None]).round() + range_.zero[:, None]
    return nearest.clamp(0, range_.top).to(torch.int32)


def rounded(rows, range_):
    """Rows (R, n) rounded to the numbers that their codes stand for."""
    return (codes(rows, range_) - range_.zero[:, None]) * range_.scale[:, None]


def trainable(x, scale, zero, top):
    """x rounded with gradients: these pass straight through the rounding, and reach scale and zero,
    too (learned step sizes). scale, zero: float, of any shapes that broadcast.
    """
    code = (_straight(x / scale) + _straight(zero)).clamp(0, top)
    return (code - _straight(zero)) * scale


def _straight(x):
    return x + (x.round() - x).detach()


def pack(values, bits):
    """Pack n codes, `bits` bits each, into bytes -> uint8 (ceil(n bits / 8),)."""
    flat = values.flatten().cpu().numpy().astype(np.uint16)
    binary = (flat[:, None] >> np.arange(bits, dtype=np.uint16)) & 1
    return torch.from_numpy(np.packbits(binary.astype(np.uint8)))


def unpack(packed, bits, shape):
    count = int(np.prod(shape))
    binary = np.unpackbits(packed.numpy(), count=count * bits).reshape(count, bits).astype(np.int32)
    return torch.from_numpy(
        (binary << np.arange(bits, dtype=np.int32)).sum(1, dtype=np.int32)
    ).view(*shape)
