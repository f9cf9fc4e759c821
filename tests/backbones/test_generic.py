"""Every transformer class of the installed diffusers, tiny, with random weights, under policies."""

from functools import lru_cache

import diffusers
import pytest
import torch
from tiny_transformers import TINY, tiny
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from harmonica.backbones.generic import Units, free_units
from harmonica.method.cache import mapped, mix, reuse

NAMES = [name for name in TINY if hasattr(diffusers, name)]
each_class = pytest.mark.parametrize("name", NAMES)
made = lru_cache(None)(tiny)


def tensors(out):
    return [leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)]


def equal(a, b):
    return all(map(torch.equal, tensors(a), tensors(b)))


def recorded(units, inputs):
    """-> output, features of a forward that computes everything."""
    features = {}

    def at(i, compute):
        features[i] = compute()
        return features[i]

    with torch.no_grad():
        out = units.run(at, **inputs, return_dict=False)
    return out, [features[i] for i in range(len(features))]


@torch.no_grad()
def counted(units, inputs):
    """-> multiply-accumulates of each unit in a forward that computes everything, and outside."""
    starts, macs = {}, {}
    with FlopCounterMode(display=False) as counter:

        def at(i, compute):
            # a unit of several modules asks before the first: that is where its count starts
            starts.setdefault(i, counter.get_total_flops())
            feature = compute()
            macs[i] = (counter.get_total_flops() - starts[i]) // 2
            return feature

        units.run(at, **inputs)
    return list(macs.values()), counter.get_total_flops() // 2 - sum(macs.values())


def later(inputs):
    """The same inputs with other noise."""
    torch.manual_seed(1)
    name = next(name for name in ("hidden_states", "x", "vision_tokens") if name in inputs)
    noise = mapped(lambda tensor: tensor + 0.5 * torch.randn_like(tensor), inputs[name])
    return inputs | {name: noise}


@each_class
def test_kept_is_untouched_and_all_is_put_back(name):
    model, inputs = made(name)
    with torch.no_grad():
        untouched = model(**inputs, return_dict=False)
    with Units(model) as units:
        kept, features = recorded(units, inputs)
        versions = [tensor._version for tensor in tensors(features)]
        with torch.no_grad():
            unasked = model(**inputs, return_dict=False)
            reused = units.run(
                reuse([False] * len(features), features)[0], **inputs, return_dict=False
            )
    assert all(tensor.isfinite().all() for tensor in tensors(untouched))
    assert equal(kept, untouched) and equal(unasked, untouched) and equal(reused, untouched)
    assert [tensor._version for tensor in tensors(features)] == versions  # no feature is written in
    assert not any("forward" in vars(module) for module in model.modules())
    assert not model._forward_hooks and not model._forward_pre_hooks


@each_class
def test_what_is_reused_is_not_computed_and_changes_the_output(name):
    model, inputs = made(name)
    with Units(model) as units:
        _, features = recorded(units, inputs)
        macs, outside = counted(units, inputs)
        fresh, _ = recorded(units, later(inputs))
        at, _ = reuse([False] * len(features), features)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            stale = units.run(at, **later(inputs), return_dict=False)
    assert min(macs) > 0 and counter.get_total_flops() // 2 == outside
    assert not equal(stale, fresh)


@each_class
def test_gradients_reach_every_unit_but_the_free_ones(name):
    model, inputs = made(name)
    with Units(model) as units:
        _, features = recorded(units, inputs)
        free = free_units(units, **inputs)
        scores = torch.ones(len(features), requires_grad=True)
        halves = [mapped(lambda tensor: 0.5 * tensor, feature) for feature in features]
        at, _ = mix(scores, [False] * len(features), halves)
        out = units.run(at, **later(inputs), return_dict=False)
        fresh, _ = recorded(units, later(inputs))
        torch.manual_seed(2)
        loss = sum((tensor * torch.randn_like(tensor)).sum() for tensor in tensors(out))
        (gradient,) = torch.autograd.grad(loss, scores)
    assert equal(out, fresh)  # r = 1 is the plain model
    assert {i for i, value in enumerate(gradient.tolist()) if value == 0} == free
