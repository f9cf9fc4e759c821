"""Numbers rounded to a few bits: ranges, codes, and what is stored of them."""

from dataclasses import dataclass, replace

import numpy as np
import torch

SHRINKS, POWER = 80, 2.4  # ranges tried, each 1 % smaller than the last; power of the error
MOST = 2**12  # columns that ranges are judged by


@dataclass(frozen=True)
class Range:
    """Where `bits` bits lie on the line, row by row: code k stands for (k - zero) * scale.

    scale: (R,) float; zero: (R,) int32, 0..top.
    """

    scale: torch.Tensor
    zero: torch.Tensor
    bits: int

    @property
    def top(self):
        return 2**self.bits - 1

    def repeat(self, count):
        """The one row of this range, `count` times."""
        return replace(self, scale=self.scale.repeat(count), zero=self.zero.repeat(count))


@dataclass(frozen=True)
class Rounded:
    """A layer's weight as codes (in the weight's shape, int32) with a Range of one row per output
    channel; inputs: a Range of one row per step, None where inputs stay as they are.
    """

    codes: torch.Tensor
    range: Range
    inputs: Range | None

    def weight(self):
        """What the codes stand for, float32."""
        own = self.range
        rows = (self.codes.flatten(1) - own.zero[:, None]) * own.scale[:, None]
        return rows.view(self.codes.shape)


def search(rows, bits, ends=None):
    """The Range whose rounding errors, to the power of 2.4, have the least sum in each row.

    rows: (R, n); ends: lowest and highest value of each row, (R,), where rows are only some of
    them. Ranges hold 0, so that 0 stays 0; the widest holds all values, and of the SHRINKS tried
    each cuts off more. Of long rows MOST columns and the ends are judged.
    """
    low, high = ends or (rows.amin(1), rows.amax(1))
    if rows.shape[1] > MOST:
        order = torch.randperm(rows.shape[1], generator=torch.Generator().manual_seed(0))
        rows = torch.cat([rows[:, order[:MOST].to(rows.device)], low[:, None], high[:, None]], 1)
    best, found = torch.full_like(rows[:, 0], torch.inf), None
    for k in range(SHRINKS):
        tried = between((1 - k / 100) * low, (1 - k / 100) * high, bits)
        error = (rounded(rows, tried) - rows).abs().pow(POWER).sum(1)
        better = error < best
        best = torch.where(better, error, best)
        found = tried if found is None else _chosen(better, tried, found)
    return found


def between(low, high, bits):
    """The Range that just holds low..high and 0, row by row."""
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = ((high - low) / (2**bits - 1)).clamp(min=1e-12)
    return Range(scale, (-low / scale).round().to(torch.int32), bits)


def _chosen(better, tried, found):
    pairs = ((tried.scale, found.scale), (tried.zero, found.zero))
    return Range(*(torch.where(better, new, old) for new, old in pairs), found.bits)


def codes(rows, own):
    """Of rows (R, n) by their Range -> (R, n) int32."""
    nearest = (rows / own.scale[:, None]).round() + own.zero[:, None]
    return nearest.clamp(0, own.top).to(torch.int32)


def rounded(rows, own):
    """Rows (R, n) as their codes stand for them."""
    return (codes(rows, own) - own.zero[:, None]) * own.scale[:, None]


def trainable(x, scale, zero, top):
    """x rounded so that gradients pass: straight through the rounding, to scale and zero as well
    (learned step sizes). scale, zero: any shapes that broadcast, float.
    """
    code = (_straight(x / scale) + _straight(zero)).clamp(0, top)
    return (code - _straight(zero)) * scale


def _straight(x):
    return x + (x.round() - x).detach()


def pack(values, bits):
    """Codes as bytes, `bits` bits each -> uint8 (ceil(n bits / 8),)."""
    flat = values.flatten().cpu().numpy().astype(np.uint16)
    each = (flat[:, None] >> np.arange(bits, dtype=np.uint16)) & 1
    return torch.from_numpy(np.packbits(each.astype(np.uint8)))


def unpack(packed, bits, shape):
    count = int(np.prod(shape))
    each = np.unpackbits(packed.numpy(), count=count * bits).reshape(count, bits).astype(np.int32)
    return torch.from_numpy((each << np.arange(bits, dtype=np.int32)).sum(1, dtype=np.int32)).view(
        *shape
    )
