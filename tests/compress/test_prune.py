"""Pruned models: what is removed adds nothing any more, the rest is a smaller model of plain
modules at the wanted compute.
"""

from dataclasses import replace

import pytest
import torch

from harmonica.backbones.counts import count
from harmonica.compress import transform
from harmonica.compress.prune import even, keep_heads, keep_units, prune
from harmonica.errors import BadInput
from harmonica.fast.plan import compile_schedule
from harmonica.files import save_tensors
from harmonica.method import masks
from harmonica.method.denoise import run_all
from harmonica.method.schedule import Schedule


def test_every_block_loses_as_many_to_within_one():
    scores = torch.rand(5, 8, generator=torch.Generator().manual_seed(0))
    for removed in range(36):
        kept = even(scores, removed)
        lost = (~kept).sum(1)
        assert lost.sum() == removed and lost.max() - lost.min() <= 1
        assert all(scores[b][kept[b]].min() >= scores[b][~kept[b]].max() for b in lost.nonzero())
    with pytest.raises(BadInput, match="pruning"):
        even(scores, 36)  # of the last one a block keeps something


@torch.no_grad()
def test_removing_is_the_same_as_adding_nothing(tiny_dit):
    whole, smaller = (tiny_dit(dtype=torch.float64) for _ in range(2))
    heads = torch.tensor([True, False, True, True])
    units = torch.arange(128) % 3 > 0
    for zeroed, cut in zip(whole.model.transformer_blocks, smaller.model.transformer_blocks):
        zeroed.attn1.to_out[0].weight[:, ~heads.repeat_interleave(8)] = 0
        zeroed.ff.net[2].weight[:, ~units] = 0
        keep_heads(cut.attn1, heads)
        keep_units(cut.ff, units)
    x, t = torch.randn(2, 4, 8, 8, dtype=torch.float64), torch.tensor([7, 700])
    ctx = whole.prepare(torch.tensor([1, 2]))
    torch.testing.assert_close(run_all(whole, x, t, ctx), run_all(smaller, x, t, ctx))


def test_compute_is_what_was_asked_for_to_a_unit(tiny_model, pruning):
    before = count(tiny_model.backbone, tiny_model.cond([0]))
    smaller = prune(tiny_model, pruning)
    after = count(smaller.backbone, smaller.cond([0]))
    of_unit = before.blocks[1] / 128
    assert abs(sum(after.blocks) - 0.6 * sum(before.blocks)) <= of_unit
    assert after.fixed == before.fixed and after.elements == before.elements


def test_a_pruned_model_is_read_as_it_was_saved_and_is_smaller(tiny_model, pruning, tmp_path):
    tensors, about = transform.compress(tiny_model, pruning, tmp_path / "state")
    save_tensors(tmp_path / "made", tensors, about)
    own = transform.restore(tiny_model, tmp_path / "made")
    modules = {type(module) for module in own.backbone.model.modules()}
    assert modules == {type(module) for module in tiny_model.backbone.model.modules()}
    again = dict(own.backbone.model.named_parameters())
    assert all(torch.equal(value, again[name]) for name, value in tensors.items())
    sizes = [sum(p.numel() for p in m.backbone.parameters()) for m in (own, tiny_model)]
    assert sizes[0] < sizes[1]
    keep = masks.fora(4, 4, 2)
    plan = compile_schedule(own.backbone, Schedule(keep=keep))
    x, t = torch.randn(2, 1, 8, 8), torch.full((2,), 500)
    ctx = own.backbone.prepare(own.cond([0, 1]))
    with torch.no_grad():
        out, _ = plan.step(0, x, t, ctx, plan.empty())
        assert torch.equal(out, run_all(own.backbone, x, t, ctx))


def test_text_models_and_models_without_images_are_refused(tiny_pixart, tiny_model, pruning):
    with pytest.raises(BadInput, match="needs training images"):
        prune(replace(tiny_model, images=None), pruning)
    text = replace(tiny_model, backbone=tiny_pixart(dtype=torch.float32))
    with pytest.raises(BadInput, match="class-conditional"):
        prune(text, pruning)
