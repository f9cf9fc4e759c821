"""Rounded numbers: ranges, codes and what is stored of them."""

import pytest
import torch

from harmonica.compress.adaround import nearest
from harmonica.compress.rounding import (
    between,
    codes,
    pack,
    rounded,
    search,
    trainable,
    unpack,
)


@pytest.fixture
def rows():
    return torch.randn(6, 300, generator=torch.Generator().manual_seed(0)) * 3 + 1


def test_a_code_is_at_most_half_a_step_off_within_its_range(rows):
    for bits in (2, 4, 8):
        own = between(rows.amin(1), rows.amax(1), bits)
        assert ((rounded(rows, own) - rows).abs() <= 0.501 * own.scale[:, None]).all()
        assert codes(rows, own).min() >= 0 and codes(rows, own).max() <= 2**bits - 1


def test_the_range_searched_is_at_least_as_good_as_the_widest(rows):
    def error(own):
        return (rounded(rows, own) - rows).abs().pow(2.4).sum(1)

    rows[:, 0] = 40.0  # an outlier
    for bits in (3, 8):
        widest = between(rows.amin(1), rows.amax(1), bits)
        assert (error(search(rows, bits)) <= error(widest) * 1.0001).all()
    assert (error(search(rows, 3)) < 0.8 * error(between(rows.amin(1), rows.amax(1), 3))).all()


def test_zero_stays_zero_and_a_layer_of_one_sign_has_a_range(rows):
    own = search(rows.abs() + 1, 8)
    assert (rounded(torch.zeros(6, 1), own) == 0).all()
    assert torch.isfinite(own.scale).all() and (own.scale > 0).all()


@pytest.mark.parametrize("bits", [2, 3, 4, 8, 16])
def test_codes_are_stored_in_as_many_bits_as_they_have(bits):
    values = torch.randint(2**bits, (7, 5, 3), generator=torch.Generator().manual_seed(1))
    packed = pack(values, bits)
    assert packed.nbytes == -(-7 * 5 * 3 * bits // 8)
    assert torch.equal(unpack(packed, bits, (7, 5, 3)), values.int())


def test_training_rounds_as_inference_does(rows):
    own = search(rows[:1], 8)
    trained = trainable(rows[:1], own.scale[:, None], own.zero.float()[:, None], own.top)
    used = torch.fake_quantize_per_tensor_affine(rows[:1], own.scale[0], own.zero[0], 0, own.top)
    assert torch.allclose(trained, rounded(rows[:1], own)) and torch.allclose(trained, used)


def test_gradients_pass_the_rounding_and_stop_outside_the_range():
    x = torch.tensor([-9.0, 0.3, 0.6, 9.0], requires_grad=True)
    scale = torch.tensor(0.1, requires_grad=True)
    zero = torch.tensor(8.0, requires_grad=True)
    trainable(x, scale, zero, 15).sum().backward()
    assert x.grad.tolist() == pytest.approx([0, 1, 1, 0])
    assert scale.grad != 0 and zero.grad != 0


def test_a_weight_is_rounded_channel_by_channel():
    weight = torch.randn(4, 3, 2, 2) * torch.tensor([1.0, 10, 100, 1000]).view(4, 1, 1, 1)
    own = nearest(weight, 8, None)
    assert own.codes.shape == weight.shape and own.range.scale.shape == (4,)
    relative = (own.weight() - weight).flatten(1).norm(dim=1) / weight.flatten(1).norm(dim=1)
    assert (relative < 0.01).all()
