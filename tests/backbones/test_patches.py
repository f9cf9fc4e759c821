"""Patches by one matrix product: only where that has the bits of the convolution."""

import pytest
import torch
from diffusers.models.embeddings import PatchEmbed

from harmonica.backbones.patches import by_linear, convolved, embed_patches, fastest_projection


def embedding(channels, patch, dtype=torch.float32, width=48):
    return PatchEmbed(
        height=8, width=8, patch_size=patch, in_channels=channels, embed_dim=width
    ).to(dtype)


@torch.no_grad()
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("patch", [1, 2, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_what_is_chosen_has_the_convolutions_bits(channels, patch, dtype):
    embed = embedding(channels, patch, dtype)
    projected = fastest_projection(embed)
    assert projected in (by_linear, convolved)
    for batch in (1, 2, 3, 16, 40):
        x = torch.randn(
            batch, channels, 8, 8, dtype=dtype, generator=torch.Generator().manual_seed(batch)
        )
        assert torch.equal(embed_patches(embed, x, projected), embed(x))


@torch.no_grad()
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("patch", [1, 2, 4])
def test_the_linear_is_the_convolution(channels, patch):
    """Up to the order of the sums, which is the machine's."""
    embed = embedding(channels, patch, torch.float64)
    x = torch.randn(3, channels, 8, 8, dtype=torch.float64)
    linear, conv = (way(embed.proj, embed.pos_embed, x) for way in (by_linear, convolved))
    torch.testing.assert_close(linear, conv, rtol=0, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize(
    "change",
    [
        lambda embed: embed.proj.register_forward_hook(lambda module, args, out: 2 * out),
        lambda embed: setattr(
            embed, "proj", type("Adapter", (torch.nn.Conv2d,), {})(1, 48, 2, stride=2)
        ),
    ],
    ids=["hook", "adapter"],
)
def test_a_changed_convolution_is_called_as_it_is(change):
    embed, x = embedding(1, 2), torch.randn(2, 1, 8, 8)
    projected = fastest_projection(embed)
    change(embed)
    assert torch.equal(embed_patches(embed, x, fastest_projection(embed)), embed(x))
    if type(embed.proj) is torch.nn.Conv2d:  # a hook may come after the choice
        assert torch.equal(embed_patches(embed, x, projected), embed(x))


@torch.no_grad()
@pytest.mark.parametrize("side", [7, 9, 12])
def test_another_size_is_embedded_as_the_module_does(side):
    embed, x = embedding(1, 2), torch.randn(2, 1, side, side)
    results = []
    for embedded in (embed, lambda x: embed_patches(embed, x, fastest_projection(embed))):
        try:
            results.append(embedded(x).tolist())
        except RuntimeError as error:
            results.append(str(error))
    assert results[0] == results[1]
