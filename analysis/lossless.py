"""Is caching nearly lossless? Three bounds, fixed before anything was measured; the intervals must
keep to them.
"""

from dataclasses import dataclass

import numpy as np

from .bootstrap import interval, log_ratios

FID_FACTOR = (
    1.10  # FID to the data, over the uncached model's; the paper's rows lie between 1.04 and 1.39
)
FLOOR_FACTOR = (
    2.0  # rFID over its floor: caching adds no more than so many images leave uncertain anyway
)
AGREEMENT_LOSS = 1.0  # percentage points of classifier agreement
CRITERION = (
    f"Fixed beforehand: FID to the data rises by at most {FID_FACTOR - 1:.0%}, rFID is at most {FLOOR_FACTOR:g} "
    f"times its floor, and classifier agreement falls by at most {AGREEMENT_LOSS:g} point; with several seeds "
    "the end of the interval must keep to the bound, not the mean alone"
)


@dataclass(frozen=True, kw_only=True)
class Bound:
    """One bound: the number with its interval as text, whether it is kept, and whether its mean
    keeps it per base model.
    """

    metric: str
    text: str
    kept: bool
    kept_by_model: tuple[bool, ...]


def bounds(cached, uncached):
    """A cached records.Line against the uncached one -> [Bound] for FID, rFID and agreement."""
    change = cached.values["agreement"] - uncached.values["agreement"]
    low = interval(change)[0]
    return [
        _factor("FID over uncached", "FID", cached, uncached, FID_FACTOR),
        _factor("rFID over its floor", "rFID", cached, uncached, FLOOR_FACTOR),
        Bound(
            metric="agreement",
            text=f"agreement {_numbers(change, '+.2f')} points",
            kept=low >= -AGREEMENT_LOSS,
            kept_by_model=tuple(bool(m >= -AGREEMENT_LOSS) for m in change.mean(axis=1)),
        ),
    ]


def _factor(name, metric, cached, uncached, most):
    logs = log_ratios(cached.values[metric], uncached.values[metric])
    return Bound(
        metric=metric,
        text=f"{name} {_numbers(logs, '.2f', np.exp)}",
        kept=bool(np.exp(interval(logs)[1]) <= most),
        kept_by_model=tuple(bool(m <= most) for m in np.exp(logs.mean(axis=1))),
    )


def _numbers(values, form, back=float):
    """Mean and, with more than one cell, interval of values (base models, noises), `back` on their
    own scale.
    """
    text = f"{back(values.mean()):{form}}"
    if values.size == 1:
        return text
    low, high = interval(values)
    return f"{text} [{back(low):{form}}, {back(high):{form}}]"
