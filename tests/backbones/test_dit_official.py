"""Weights under the official DiT's names go in, come out the same, and are refused where they are
not whole.
"""

import pytest
import torch

from harmonica.backbones.dit import DiT
from harmonica.backbones.dit_official import from_official, to_official
from harmonica.method.denoise import run_all


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"width": 48, "depth": 3, "heads": 3, "patch": 1, "num_classes": 7},
        {"channels": 1, "out_channels": 1},
    ],
)
def test_they_round_trip(tiny_dit, shape):
    backbone = tiny_dit(dtype=torch.float32, **shape)
    official = to_official(backbone.model)
    again = from_official(official, heads=shape.get("heads", 4))
    assert {name: value.shape for name, value in official.items()} == {
        n: v.shape for n, v in to_official(again).items()
    }
    assert all(torch.equal(value, to_official(again)[name]) for name, value in official.items())
    x, t, labels = (
        torch.randn(2, backbone.in_channels, 8, 8),
        torch.tensor([3, 800]),
        torch.tensor([1, 6]),
    )
    with torch.no_grad():
        assert torch.equal(
            *(run_all(one, x, t, one.prepare(labels)) for one in (DiT(again), backbone))
        )
    assert not again.training and len(DiT(again).embedders) == 1


def test_the_names_are_those_of_an_official_checkpoint(tiny_dit):
    block = {
        f"blocks.0.{name}.{kind}"
        for name in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2", "adaLN_modulation.1")
        for kind in ("weight", "bias")
    }
    outer = {
        f"{name}.{kind}"
        for name in (
            "x_embedder.proj",
            "t_embedder.mlp.0",
            "t_embedder.mlp.2",
            "final_layer.linear",
            "final_layer.adaLN_modulation.1",
        )
        for kind in ("weight", "bias")
    }
    assert set(to_official(tiny_dit(depth=1).model)) == block | outer | {
        "pos_embed",
        "y_embedder.embedding_table.weight",
    }


def test_half_precision_files_load_as_float32(tiny_dit):
    model = from_official(
        {name: value.half() for name, value in to_official(tiny_dit().model).items()}, heads=4
    )
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    "name",
    [
        "x_embedder.proj.weight",
        "pos_embed",
        "blocks.1.mlp.fc2.bias",
        "blocks.0.attn.qkv.weight",
        "t_embedder.mlp.0.weight",
        "final_layer.linear.weight",
        "y_embedder.embedding_table.weight",
    ],
)
def test_a_missing_or_odd_tensor_is_named(tiny_dit, name):
    whole = to_official(tiny_dit(dtype=torch.float32).model)
    with pytest.raises(ValueError, match=f"'{name}' is missing"):
        from_official({other: value for other, value in whole.items() if other != name}, heads=4)
    with pytest.raises(ValueError, match="weights: tensor"):
        from_official({**whole, name: whole[name][..., :-1]}, heads=4)


def test_a_tensor_that_no_official_dit_has_is_named(tiny_dit):
    with pytest.raises(ValueError, match="'blocks.0.attn.q_norm.weight'"):
        from_official(
            {**to_official(tiny_dit().model), "blocks.0.attn.q_norm.weight": torch.ones(8)}, heads=4
        )
