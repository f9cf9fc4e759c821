"""Which units a model has, their MACs and feature sizes, and which of them have no effect: found by
running it on given inputs.
"""

from dataclasses import dataclass

import torch
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from harmonica.backbones.generic import mapped


@dataclass(frozen=True, kw_only=True)
class Survey:
    """Counts for one forward of a whole batch. names, macs (multiply-accumulates) and elements
    (numbers in the feature): of each of the N units. fixed: multiply-accumulates outside the units.
    free: the units whose features never reach the output.
    """

    names: tuple[str, ...]
    macs: tuple[int, ...]
    elements: tuple[int, ...]
    fixed: int
    free: frozenset[int]


def survey(units, *args, **kwargs):
    """Run the model once to count, and once more per unit of its last block -> Survey."""
    macs, elements, fixed = count_units(units, *args, **kwargs)
    return Survey(
        names=tuple(units.names),
        macs=macs,
        elements=elements,
        fixed=fixed,
        free=free_units(units, *args, **kwargs),
    )


@torch.no_grad()
def count_units(units, *args, **kwargs):
    """-> macs, elements, fixed, as in Survey."""
    starts, macs, elements = {}, {}, {}
    with FlopCounterMode(display=False) as counter:

        def at(i, compute):
            # a unit of several modules asks before the first: that is where its count starts
            starts.setdefault(i, counter.get_total_flops())
            feature = compute()
            macs[i] = (counter.get_total_flops() - starts[i]) // 2
            elements[i] = sum(leaf.numel() for leaf in tree_leaves(feature) if leaf is not None)
            return feature

        units.run(at, *args, **kwargs)
    macs = tuple(macs[i] for i in range(len(units.names)))
    elements = tuple(elements[i] for i in range(len(units.names)))
    return macs, elements, counter.get_total_flops() // 2 - sum(macs)


@torch.no_grad()
def free_units(units, *args, **kwargs):
    """The units of the last block whose features never reach the model's output; for example, in a
    model with two streams, what the last block adds to the prompt's stream. Skipping them changes
    nothing, so they do not count in a schedule's CUR.

    Found by replacing each unit's feature by NaN, in one forward per unit: if the feature is used,
    the output has NaN.
    """
    last = [i for i, block in enumerate(units.blocks) if block == units.blocks[-1]]
    kwargs = kwargs | {"return_dict": False}

    def poisoned(unit):
        def at(i, compute):
            feature = compute()
            return mapped(lambda tensor: tensor * torch.nan, feature) if i == unit else feature

        return at

    return frozenset(
        unit for unit in last if not _has_nan(units.run(poisoned(unit), *args, **kwargs))
    )


def _has_nan(out):
    tensors = (leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor))
    return any(bool(tensor.isnan().any()) for tensor in tensors)
