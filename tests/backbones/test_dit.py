"""The DiT backbone computes what diffusers' model computes, in either numerics, and keeps nothing
anywhere.
"""

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0

from harmonica.backbones.counts import count
from harmonica.backbones.dit import NUMERICS, DiT
from harmonica.lab import cost
from harmonica.method.denoise import guide, run_all


def inputs(backbone, batch=3, dtype=torch.float32):
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(batch, backbone.in_channels, 8, 8, generator=generator, dtype=dtype)
    return x, torch.tensor([999, 500, 0])[:batch], torch.tensor([0, 7, 10])[:batch]


@torch.no_grad()
@pytest.mark.parametrize("tied", [True, False], ids=["shared embedder", "embedder per block"])
@pytest.mark.parametrize(
    "shape",
    [{}, {"patch": 1, "heads": 2}, {"channels": 1, "out_channels": 1, "depth": 3}],
    ids=["learned sigma", "patch 1", "one channel"],
)
@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
def test_computing_everything_is_diffusers_forward_bit_for_bit(tiny_dit, tied, shape, train):
    backbone = tiny_dit(dtype=torch.float32, numerics="diffusers", tied=tied, **shape)
    x, t, labels = inputs(backbone)
    expected = backbone.model(x, timestep=t, class_labels=labels).sample
    backbone.model.train(train)  # where the model itself would drop labels at random
    assert len(backbone.embedders) == (1 if tied else backbone.num_blocks // 2)
    for _ in range(3):
        assert torch.equal(run_all(backbone, x, t, backbone.prepare(labels)), expected)


class Doubled(AttnProcessor2_0):
    def __call__(self, *args, **options):
        return 2 * super().__call__(*args, **options)


def doubled(module):
    module.register_forward_hook(lambda module, args, out: 2 * out)


@torch.no_grad()
@pytest.mark.parametrize(
    "change",
    [
        lambda block: block.attn1.set_processor(Doubled()),
        lambda block: setattr(
            block.attn1,
            "norm_q",
            torch.nn.LayerNorm(block.attn1.to_q.out_features // block.attn1.heads),
        ),
        lambda block: setattr(block.attn1, "rescale_output_factor", 2.0),
        lambda block: setattr(
            block.attn1, "to_q", torch.nn.Sequential(block.attn1.to_q, torch.nn.Tanh())
        ),
        lambda block: doubled(block.attn1),
        lambda block: doubled(block.attn1.to_out[1]),
        lambda block: block.attn1.to_out.__setitem__(1, torch.nn.Tanh()),
        lambda block: setattr(block, "ff", torch.nn.Sequential(block.ff, torch.nn.Tanh())),
        lambda block: block.ff.net.append(torch.nn.Tanh()),
        lambda block: block.ff.net.__setitem__(
            2, torch.nn.Sequential(block.ff.net[2], torch.nn.Tanh())
        ),
        lambda block: setattr(block.ff.net[0], "approximate", "none"),
        lambda block: doubled(block.ff),
        lambda block: doubled(block.ff.net[0]),
        lambda block: doubled(block.ff.net[1]),
    ],
    ids=[
        "processor",
        "norm",
        "scale",
        "adapter",
        "hook",
        "hook on dropout",
        "another dropout",
        "another feed-forward",
        "longer feed-forward",
        "adapter of feed-forward",
        "exact gelu",
        "hook on feed-forward",
        "hook on gelu",
        "hook on feed-forward's dropout",
    ],
)
def test_a_block_that_was_changed_after_loading_is_followed(tiny_dit, change):
    backbone = tiny_dit(dtype=torch.float32, numerics="diffusers")
    x, t, labels = inputs(backbone)
    before = run_all(backbone, x, t, backbone.prepare(labels))
    change(backbone.model.transformer_blocks[0])
    after = run_all(backbone, x, t, backbone.prepare(labels))
    assert torch.equal(
        after, backbone.model(x, timestep=t, class_labels=labels).sample
    ) and not torch.equal(after, before)


@torch.no_grad()
def test_sharing_the_embedder_stops_where_one_copy_differs(tiny_dit):
    backbone = tiny_dit(dtype=torch.float32, tied=False)
    first, second = (block.norm1.emb for block in backbone.model.transformer_blocks)
    second.load_state_dict(first.state_dict())
    assert len(DiT(backbone.model).embedders) == 1
    second.timestep_embedder.linear_2.bias[3] += 1e-6
    assert len(DiT(backbone.model).embedders) == 2


@torch.no_grad()
def test_both_numerics_can_be_chosen_and_differ(tiny_dit):
    """Timestep embedding and LayerNorm eps, each by itself; the guided channels are in
    test_guidance.
    """
    official, diffusers = NUMERICS["official"], NUMERICS["diffusers"]
    assert (official.frequency_shift, official.mlp_norm_eps, official.guided_channels) == (
        0,
        1e-6,
        3,
    )
    assert (diffusers.frequency_shift, diffusers.mlp_norm_eps, diffusers.guided_channels) == (
        1,
        None,
        4,
    )
    model = tiny_dit().model
    x, t, labels = inputs(DiT(model), dtype=torch.float64)
    outs, ctx = {}, DiT(model).prepare(labels)
    for shift in (0, 1):
        for eps in (1e-6, 1e-5):
            backbone = DiT(model)
            backbone.numerics = type(official)(
                frequency_shift=shift, mlp_norm_eps=eps, guided_channels=3
            )
            outs[shift, eps] = run_all(backbone, x, t, ctx)
    largest = outs[0, 1e-6].abs().max()
    assert torch.equal(outs[0, 1e-6], run_all(DiT(model, "official"), x, t, ctx))
    assert torch.equal(outs[1, 1e-5], run_all(DiT(model, "diffusers"), x, t, ctx))
    assert (outs[1, 1e-6] - outs[0, 1e-6]).abs().max() / largest > 1e-3
    assert (outs[0, 1e-5] - outs[0, 1e-6]).abs().max() / largest > 1e-7
    with pytest.raises(ValueError, match="numerics: 'offical'"):
        DiT(model, "offical")


def test_guidance(tiny_dit):
    out = torch.randn(6, 8, 2, 2, dtype=torch.float64)
    for numerics, channels in (("official", 3), ("diffusers", 4)):
        assert tiny_dit(numerics=numerics).guided_channels == channels
        cond, null = out.chunk(2)
        guided = guide(out, 1.5, channels)
        for half, own in zip(guided.chunk(2), (cond, null)):
            torch.testing.assert_close(
                half[:, :channels], 1.5 * cond[:, :channels] - 0.5 * null[:, :channels]
            )
            assert torch.equal(half[:, channels:], own[:, channels:])
    assert not torch.equal(guide(out, 1.5, 3)[:, 3], guide(out, 1.5, 4)[:, 3])
    assert tiny_dit(channels=1, out_channels=1).guided_channels == 1


@torch.no_grad()
def test_it_is_pure(tiny_dit, assert_pure):
    backbone = tiny_dit()
    x, t, labels = inputs(backbone, dtype=torch.float64)
    given = [x.clone(), t.clone(), labels.clone()]
    assert backbone.with_null(labels[:1]).tolist() == [0, 10]
    ctx = backbone.prepare(labels)
    given += [ctx[0].clone()]
    h, c = backbone.start(x, t, ctx)
    tensors = [h, *(m for group in [*c[0], c[1]] for m in group)]

    assert_pure(backbone, h, c, tensors)
    assert all(map(torch.equal, given, (x, t, labels, ctx[0])))


@pytest.mark.parametrize(
    "shape",
    [{}, {"patch": 1}, {"width": 48, "depth": 3, "heads": 3, "channels": 1, "out_channels": 1}],
)
@pytest.mark.parametrize("tied", [True, False])
def test_multiply_accumulates_are_what_torch_counts(tiny_dit, counted, shape, tied):
    backbone = tiny_dit(dtype=torch.float32, tied=tied, **shape)
    x, t, labels = inputs(backbone, batch=2)
    counts, ctx = count(backbone, labels[:1]), backbone.prepare(labels)
    whole = counts.fixed + sum(counts.blocks)
    assert counted(lambda: run_all(backbone, x, t, ctx)) == len(x) * whole
    tokens, width = (8 // backbone.model.config.patch_size) ** 2, backbone.model.inner_dim
    attention = tokens * 4 * width**2 + 2 * tokens**2 * width
    assert counts.blocks == (attention, tokens * 8 * width**2) * (backbone.num_blocks // 2)
    assert counts.elements == (tokens * width,) * backbone.num_blocks and counts.prompt == 0
    pixels = backbone.model.config.patch_size**2 * (backbone.in_channels + backbone.out_channels)
    depth, embedders = backbone.num_blocks // 2, len(backbone.embedders)
    conditioning = embedders * (256 + width) * width + (6 * depth + 2) * width**2
    assert counts.fixed == tokens * width * pixels + conditioning
    keep = torch.tensor([[True] * backbone.num_blocks, [True, False] * depth])
    expected = 2 * counts.fixed + sum(counts.blocks) + sum(counts.blocks[::2])
    assert cost.macs(counts, keep) == expected
    assert cost.macs(counts, keep, copies=2) == 2 * expected
