"""What a backbone may not do, and how its multiply-accumulates are counted."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from harmonica.method.cache import compute_all


@pytest.fixture
def assert_pure():
    """-> a function that runs a backbone's blocks twice over, from h and c: they give the same
    again, and neither the given tensors nor weights nor attributes of modules change.
    """

    def check(backbone, h, c, tensors):
        weights = {name: value.clone() for name, value in backbone.model.state_dict().items()}
        attributes = _attributes(backbone)

        def twice(i, compute):
            before = [tensor.clone() for tensor in tensors]
            out = compute()
            kept = out.clone()
            assert torch.equal(compute(), kept) and torch.equal(out, kept)
            assert all(map(torch.equal, before, tensors))
            return out

        assert torch.equal(backbone.through(h, c, twice), backbone.through(h, c, compute_all))
        after = backbone.model.state_dict()
        assert all(torch.equal(value, weights[name]) for name, value in after.items())
        assert attributes == _attributes(backbone)

    return check


def _attributes(backbone):
    return {name: set(vars(module)) for name, module in backbone.model.named_modules()}


@pytest.fixture
def counted():
    """-> a function that calls another one -> its multiply-accumulates, those of attention too."""

    def count(function):
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
            function()
        return counter.get_total_flops() // 2

    return count
