"""The PixArt backbone computes what diffusers' model computes, for alpha and Sigma, and keeps
nothing anywhere.
"""

import warnings
from dataclasses import replace

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor

from harmonica.backbones.counts import count
from harmonica.backbones.pixart import TextCond
from harmonica.errors import BadInput
from harmonica.lab import cost
from harmonica.method.denoise import guide, run_all

MODELS = {
    "alpha": {"sizes": True},
    "Sigma": {},
    "no learned sigma": {"out_channels": 4},
    "captions not projected": {"caption_channels": None},
    "interpolated": {"interpolation_scale": 2, "sizes": True},
}


def given(
    backbone, tiny_prompts, *, dtype=torch.float32, batch=3, grid=(8, 8), channels=12, **prompts
):
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(batch, 4, *grid, generator=generator).to(dtype)
    sizes = backbone.model.use_additional_conditions
    prompts = {"sizes": sizes, "batch": batch, "dtype": dtype, "channels": channels} | prompts
    return x, torch.tensor([999, 500, 0, 7])[:batch], tiny_prompts(**prompts)


def their_forward(backbone, x, t, cond):
    sizes = {"resolution": cond.resolution, "aspect_ratio": cond.aspect_ratio}
    return backbone.model(
        x,
        timestep=t,
        encoder_hidden_states=cond.embeds,
        encoder_attention_mask=cond.mask,
        added_cond_kwargs=sizes,
    ).sample


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("grid", [(8, 8), (4, 12), (16, 16)], ids=["own size", "4 x 12", "16 x 16"])
@pytest.mark.parametrize("name", MODELS)
def test_computing_everything_is_diffusers_forward_bit_for_bit(
    tiny_pixart, tiny_prompts, name, grid, dtype
):
    backbone = tiny_pixart(dtype=dtype, **MODELS[name])
    channels = backbone.model.config.caption_channels or 48
    x, t, cond = given(backbone, tiny_prompts, grid=grid, dtype=dtype, channels=channels)
    for variant in (cond, replace(cond, mask=None), replace(cond, mask=torch.ones_like(cond.mask))):
        prompt = backbone.prepare(variant)
        assert None not in prompt.keys_values
        # one prompt serves all steps; some samplers have fractional times
        for timestep in (t, torch.full_like(t, 437), torch.full((len(t),), 949.05)):
            assert torch.equal(
                run_all(backbone, x, timestep, prompt),
                their_forward(backbone, x, timestep, variant),
            )


@torch.no_grad()
def test_padding_changes_nothing_and_sizes_do(tiny_pixart, tiny_prompts):
    backbone = tiny_pixart(sizes=True)
    x, t, cond = given(backbone, tiny_prompts, dtype=torch.float64)
    out = run_all(backbone, x, t, backbone.prepare(cond))
    elsewhere = replace(cond, embeds=torch.where(cond.mask[..., None] > 0, cond.embeds, 9.0))
    torch.testing.assert_close(run_all(backbone, x, t, backbone.prepare(elsewhere)), out)
    for field in ("resolution", "aspect_ratio"):
        other = replace(cond, **{field: getattr(cond, field) * 2})
        assert not torch.allclose(run_all(backbone, x, t, backbone.prepare(other)), out)
        with pytest.raises(BadInput, match=f"{field}: None"):
            backbone.prepare(replace(cond, **{field: None}))


@torch.no_grad()
@pytest.mark.parametrize("change", ["processor", "adapter"])
def test_a_changed_cross_attention_is_called_as_it_is_with_one_warning(
    tiny_pixart, tiny_prompts, change
):
    backbone = tiny_pixart(dtype=torch.float32)
    x, t, cond = given(backbone, tiny_prompts)
    attn = backbone.model.transformer_blocks[1].attn2
    if change == "processor":
        attn.set_processor(AttnProcessor())
    else:
        attn.to_v = torch.nn.Sequential(attn.to_v, torch.nn.Tanh())
    with pytest.warns(UserWarning, match="cross-attention of 1 of 2 blocks"):
        prompt = backbone.prepare(cond)
    assert [known is None for known in prompt.keys_values] == [False, True]
    assert torch.equal(run_all(backbone, x, t, prompt), their_forward(backbone, x, t, cond))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        backbone.prepare(cond)


@torch.no_grad()
@pytest.mark.parametrize("sizes", [True, False])
def test_a_guided_batch_is_the_prompts_and_then_the_null_prompt(tiny_pixart, tiny_prompts, sizes):
    backbone = tiny_pixart(sizes=sizes)
    x, t, cond = given(backbone, tiny_prompts, dtype=torch.float64)
    empty = replace(cond, embeds=cond.null_embeds.repeat(3, 1, 1), mask=cond.null_mask.repeat(3, 1))
    alone = [run_all(backbone, x, t, backbone.prepare(half)) for half in (cond, empty)]
    both = run_all(
        backbone, x.repeat(2, 1, 1, 1), t.repeat(2), backbone.prepare(backbone.with_null(cond))
    )
    torch.testing.assert_close(both, torch.cat(alone))
    guided = guide(both, 4.5, backbone.guided_channels)[:3, :4]
    torch.testing.assert_close(guided, 4.5 * alone[0][:, :4] - 3.5 * alone[1][:, :4])
    with pytest.raises(BadInput, match="null_embeds: None"):
        backbone.with_null(replace(cond, null_embeds=None))


@torch.no_grad()
def test_it_is_pure(tiny_pixart, tiny_prompts, assert_pure):
    backbone = tiny_pixart(sizes=True)
    x, t, cond = given(backbone, tiny_prompts, dtype=torch.float64)
    prompt = backbone.prepare(cond)
    h, c = backbone.start(x, t, prompt)
    tensors = [
        x,
        t,
        cond.embeds,
        prompt.text,
        prompt.bias,
        prompt.size,
        c.embedded,
        *(m for group in c.modulations for m in group),
        *(tensor for known in prompt.keys_values for tensor in known),
    ]

    assert_pure(backbone, h, c, tensors)


@pytest.mark.parametrize("shape", [{}, {"sizes": True, "depth": 3}, {"caption_channels": None}])
def test_multiply_accumulates_are_what_torch_counts(tiny_pixart, tiny_prompts, counted, shape):
    backbone = tiny_pixart(dtype=torch.float32, **shape)
    tokens, channels = 5, backbone.model.config.caption_channels or 48
    x, t, cond = given(backbone, tiny_prompts, batch=2, tokens=tokens, channels=channels)
    one = TextCond(*(None if own is None else own[:1] for own in vars(cond).values()))
    counts, width, depth = count(backbone, one), 48, backbone.num_blocks // 3
    prompt = backbone.prepare(cond)
    whole = counts.fixed + sum(counts.blocks)
    assert counted(lambda: run_all(backbone, x, t, prompt)) == len(x) * whole
    assert counted(lambda: backbone.prepare(cond)) == len(x) * counts.prompt
    own = 16 * 4 * width**2 + 2 * 16**2 * width
    cross = 16 * 2 * width**2 + 2 * 16 * tokens * width
    assert counts.blocks == (own, cross, 16 * 8 * width**2) * depth
    assert counts.elements == (16 * width,) * backbone.num_blocks
    keep = torch.tensor([[True] * backbone.num_blocks, [True, False, False] * depth])
    blocks = sum(counts.blocks) + sum(counts.blocks[::3])
    assert cost.macs(counts, keep, copies=2) == 2 * (counts.prompt + 2 * counts.fixed + blocks)
