"""U-ViT: everything computed is the published forward, official names load, and plans, guidance and
counts hold as for the other families.
"""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from harmonica.backbones.counts import count
from harmonica.backbones.uvit import UViT
from harmonica.backbones.uvit_official import Shape, UViTModel, from_official, shape_of
from harmonica.errors import BadInput
from harmonica.fast.plan import compile_schedule, follow
from harmonica.lab.makings import ModelSpec
from harmonica.method import masks
from harmonica.method.denoise import Denoiser, guide, run_all
from harmonica.method.schedule import Schedule
from harmonica.samplers import load as sampler
from harmonica.weights import published_models
from harmonica.weights.checkpoints import describe

SHAPE = Shape(width=32, depth=4, heads=4, patch=2, sample_size=8, channels=4, num_classes=11)
SHAPES = [SHAPE, replace(SHAPE, patch=1, depth=2, channels=1, mlp_ratio=2)]


def model_of(shape, seed=0):
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        model = UViTModel(shape)
        for parameter in model.parameters():  # everything that starts at 0 or 1 counts, too
            torch.nn.init.normal_(parameter, std=0.1)
    return model.eval().requires_grad_(False)


def inputs(shape, batch=3):
    x = torch.randn(batch, shape.channels, 8, 8, generator=torch.Generator().manual_seed(5))
    return x, torch.tensor([1000.0, 333.3, 1.0])[:batch], torch.tensor([0, 7, 10])[:batch]


def forward(model, x, t, labels):
    backbone = UViT(model)
    return run_all(backbone, x, t, backbone.prepare(labels))


@pytest.mark.parametrize("shape", SHAPES, ids=["as H/2", "patch 1"])
def test_the_forward_is_the_published_one(shape):
    """Written down once more, operation by operation, from the tensors' official names."""
    model, (x, t, labels) = model_of(shape), inputs(shape)
    assert UViT(model).num_blocks == 2 * (shape.depth + 1)
    w = model.state_dict()

    def linear(h, name):
        return F.linear(h, w[f"{name}.weight"], w.get(f"{name}.bias"))

    def norm(h, name):
        return F.layer_norm(h, (32,), w[f"{name}.weight"], w[f"{name}.bias"])

    def block(h, name, skip=None):
        if skip is not None:
            h = linear(torch.cat([h, skip], -1), f"{name}.skip_linear")
        q, k, v = (
            part.view(3, -1, 4, 8).transpose(1, 2)
            for part in linear(norm(h, f"{name}.norm1"), f"{name}.attn.qkv").chunk(3, -1)
        )
        mixed = (q @ k.transpose(2, 3) / 8**0.5).softmax(-1) @ v
        h = h + linear(mixed.transpose(1, 2).reshape(h.shape), f"{name}.attn.proj")
        hidden = F.gelu(linear(norm(h, f"{name}.norm2"), f"{name}.mlp.fc1"))
        return h + linear(hidden, f"{name}.mlp.fc2")

    angles = t[:, None] * 10_000 ** (-torch.arange(16) / 16)
    time = torch.cat([angles.cos(), angles.sin()], 1)
    conv = w["patch_embed.proj.weight"], w["patch_embed.proj.bias"]
    patches = F.conv2d(x, *conv, stride=shape.patch).flatten(2).transpose(1, 2)
    label = w["label_emb.weight"][labels]
    h = torch.cat([label[:, None], time[:, None], patches], 1) + w["pos_embed"]
    skips = []
    for i in range(shape.depth // 2):
        h = block(h, f"in_blocks.{i}")
        skips.append(h)
    h = block(h, "mid_block")
    for i in range(shape.depth // 2):
        h = block(h, f"out_blocks.{i}", skips.pop())
    side = 8 // shape.patch
    h = linear(norm(h, "norm"), "decoder_pred")[:, 2:]
    h = h.view(3, side, side, shape.patch, shape.patch, shape.channels)
    image = torch.einsum("bhwpqc->bchpwq", h).reshape(3, shape.channels, 8, 8)
    torch.testing.assert_close(forward(model, x, t, labels), image, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES, ids=["as H/2", "patch 1"])
def test_a_checkpoint_of_the_official_form_loads(shape, tmp_path, monkeypatch):
    """A plain state dict, pickled; what it does not tell is the number of heads."""
    model, path = model_of(shape), tmp_path / "tiny_uvit.pth"
    torch.save(model.state_dict(), path)
    assert shape_of(model.state_dict(), shape.heads) == shape
    again = from_official(torch.load(path, weights_only=True), heads=4)
    monkeypatch.setenv("HARMONICA_WEIGHTS", str(tmp_path))
    found = describe(path)
    assert (found["model"], found["naming"], found["width"]) == ("U-ViT", "official", 32)
    assert (found["depth"], found["num_classes"]) == (shape.depth, 10)
    spec = ModelSpec(name=path.name, sha256=found["sha256"], scale="paper", heads=4)
    loaded = published_models.load(spec)
    assert loaded.shape == (shape.channels, 8, 8) and loaded.num_conds == 10
    assert loaded.cond([0, 11]).tolist() == [0, 1]
    x, t, labels = inputs(shape)
    expected = forward(model, x, t, labels)
    assert torch.equal(forward(again, x, t, labels), expected)
    assert torch.equal(forward(loaded.backbone.model, x, t, labels), expected)


def test_a_checkpoint_that_is_no_whole_u_vit_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("HARMONICA_WEIGHTS", str(tmp_path))
    whole = model_of(SHAPE).state_dict()
    less = {name: value for name, value in whole.items() if name != "out_blocks.1.norm2.bias"}
    more = {**whole, "routers.0.prob": torch.zeros(10)}
    for tensors, word in ((less, "norm2.bias' is missing"), (more, "routers.0.prob' is")):
        torch.save(tensors, tmp_path / "odd.pth")
        with pytest.raises(BadInput, match=word):
            published_models.read(tmp_path / "odd.pth", heads=4)
    torch.save(whole, tmp_path / "odd.pth")
    with pytest.raises(BadInput, match="no published U-ViT is 32 wide"):
        published_models.read(tmp_path / "odd.pth")


def test_guidance_is_the_published_combination_on_all_channels():
    """cond + 0.4 (cond - null) of the authors' code is a scale of 1.4 here."""
    model = model_of(SHAPE)
    backbone, (x, t, labels) = UViT(model), inputs(SHAPE)
    labels = labels.clamp(max=9)
    ctx = backbone.prepare(backbone.with_null(labels))
    out = run_all(backbone, x.repeat(2, 1, 1, 1), t.repeat(2), ctx)
    cond, null = (forward(model, x, t, chosen) for chosen in (labels, torch.full_like(labels, 10)))
    guided = guide(out, 1.4, backbone.guided_channels)
    torch.testing.assert_close(guided[:3], cond + 0.4 * (cond - null), rtol=1e-4, atol=1e-5)
    assert torch.equal(guided[:3], guided[3:])


@torch.no_grad()
def test_a_plan_is_the_loop_bit_for_bit():
    backbone, (x, _, labels) = UViT(model_of(SHAPE)), inputs(SHAPE)
    steps = sampler("dpm-singlestep")
    denoiser = Denoiser(backbone, steps, steps.timesteps(6), labels, scale=1.4)
    keep = masks.random(6, backbone.num_blocks, 25, seed=0)
    plan = follow(denoiser, compile_schedule(backbone, Schedule(keep=keep)))
    ends = [denoiser.walk(denoiser.begin(x), f).x for f in (plan, denoiser.hard(keep))]
    assert torch.equal(*ends)
    assert not torch.equal(ends[0], denoiser.walk(denoiser.begin(x), denoiser.computed).x)


def test_what_is_reused_is_not_computed_and_long_skips_always_are():
    shape, tokens, width = SHAPE, 18, 32
    counts = count(UViT(model_of(shape)), torch.zeros(1, dtype=torch.long))
    mlp = 2 * tokens * 4 * width**2
    attention = 4 * tokens * width**2 + 2 * tokens**2 * width
    assert counts.blocks == (attention, mlp) * (shape.depth + 1)
    skips = shape.depth // 2 * tokens * 2 * width**2
    ends = tokens * width * 16 + 16 * 16 * width  # decoder of all tokens, patches
    assert counts.fixed == skips + ends
