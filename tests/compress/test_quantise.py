"""Quantised models: with many bits the model itself; scales that follow the walk's step whatever a
schedule skips and wherever a walk begins; and everything that runs over a model runs over them.
"""

import warnings
from copy import deepcopy
from dataclasses import replace
from functools import partial

import pytest
import torch
from replays import rerun

from harmonica.backbones.stock import is_own
from harmonica.compress import transform
from harmonica.compress.observe import walk
from harmonica.compress.quantise import Quantised, bits_of, is_of_prompt, layers
from harmonica.fast.cudagraph import GraphPlan
from harmonica.fast.fused import lazy
from harmonica.fast.plan import compile_schedule, follow
from harmonica.fast.training import fast_pair
from harmonica.files import save_tensors
from harmonica.method import masks
from harmonica.method.denoise import Denoiser, Loaded, run_all
from harmonica.method.learner import Learner
from harmonica.method.schedule import Schedule
from harmonica.method.sdt import update_by


@pytest.fixture
def classes(tiny_model):
    return tiny_model


@pytest.fixture
def text(tiny_pixart, tiny_prompts):
    backbone, known = tiny_pixart(dtype=torch.float32), tiny_prompts(8, dtype=torch.float32)

    def cond(indices):
        k = torch.as_tensor(indices) % 8
        return replace(known, embeds=known.embeds[k], mask=known.mask[k])

    return Loaded(backbone, cond, 8)


@pytest.fixture(params=["classes", "text"])
def loaded(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """-> a function that quantises a model, once for all tests, and reads it back from its file."""
    folder, known = tmp_path_factory.mktemp("made"), {}

    def make(loaded, settings):
        key = loaded.backbone.kinds, settings
        if key not in known:
            known[key] = folder / f"{len(known)}.safetensors"
            save_tensors(known[key], *transform.compress(loaded, settings, folder / "state"))
            (folder / "state").unlink(missing_ok=True)
        return transform.restore(loaded, known[key])

    return make


def quantised_layers(loaded):
    modules = loaded.backbone.backbone.model.named_modules()
    return {name: module for name, module in modules if isinstance(module, Quantised)}


@torch.no_grad()
def image(loaded, settings, keep=None, count=3):
    denoiser, x = walk(loaded, settings, 0, count)
    forward = denoiser.computed if keep is None else denoiser.hard(keep)
    return denoiser.images(denoiser.walk(denoiser.begin(x), forward))


def test_with_16_bits_it_is_the_model_to_rounding(loaded, quantisation, made):
    errors = {}
    for bits in (8, 16):
        settings = quantisation(bits, bits, "adaround")
        own = image(made(loaded, settings), settings)
        wanted = image(loaded, settings)
        errors[bits] = float((own - wanted).norm() / wanted.norm())
    assert errors[16] < 0.01 and errors[16] < 0.05 * errors[8]


def test_the_model_itself_stays_as_it_is(loaded, quantisation, made):
    before = deepcopy(loaded.backbone.model.state_dict())
    made(loaded, quantisation())
    after = loaded.backbone.model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not any(parameter.requires_grad for parameter in loaded.backbone.model.parameters())


def test_every_step_has_scales_of_its_own(loaded, quantisation, made):
    own = quantised_layers(made(loaded, quantisation()))
    assert all(layer.scale.shape == (4,) for layer in own.values())
    assert sum(len(layer.scale.unique()) > 1 for layer in own.values()) > len(own) / 2


def rows_used(loaded):
    """{layer name: [the row of each call]}, noted as the model runs from now on."""
    used = {}
    for name, layer in quantised_layers(loaded).items():
        rows = used.setdefault(name, [])
        layer.register_forward_pre_hook(
            lambda module, given, rows=rows: rows.append(int(module.place.row))
        )
    return used


MASK = torch.tensor([[1, 1, 1, 1], [0, 1, 0, 0], [1, 0, 0, 1], [0, 0, 1, 1]]).bool()


@pytest.mark.parametrize("how", ["hard", "plan"])
def test_scales_follow_the_step_where_a_schedule_skips_calls(classes, quantisation, made, how):
    """A counter of calls would give the second call of a layer the second step's scale."""
    own = made(classes, quantisation())
    used = rows_used(own)
    denoiser, x = walk(own, quantisation(), 0, 2)
    forward = denoiser.hard(MASK)
    if how == "plan":
        forward = follow(denoiser, compile_schedule(own.backbone, Schedule(keep=MASK)))
    with torch.no_grad():
        denoiser.walk(denoiser.begin(x), forward)
    of_block = {0: "transformer_blocks.0.attn1.to_q", 1: "transformer_blocks.0.ff.net.2"}
    of_block |= {2: "transformer_blocks.1.attn1.to_out.0", 3: "transformer_blocks.1.ff.net.0.proj"}
    for block, name in of_block.items():
        assert used[name] == MASK[:, block].nonzero().flatten().tolist()
    assert used["pos_embed.proj"] == used["proj_out_2"] == [0, 1, 2, 3]


def test_a_walk_may_begin_and_fork_anywhere(loaded, quantisation, made):
    """Only the timestep decides: a step repeated, or another walk in between, changes nothing."""
    own = made(loaded, quantisation())
    denoiser, x = walk(own, quantisation(), 0, 2)
    with torch.no_grad():
        points = [denoiser.begin(x)]
        for _ in range(4):
            points.append(denoiser.advance(points[-1], denoiser.computed))
        for step in (2, 0, 3, 3, 1):
            again = denoiser.advance(points[step], denoiser.computed)
            assert torch.equal(again.x, points[step + 1].x)


def test_other_numbers_of_steps_take_the_nearest_timestep(classes, quantisation, made):
    own = made(classes, quantisation())
    used = rows_used(own)
    shorter = quantisation(num_steps=2)
    denoiser, x = walk(own, shorter, 0, 2)
    denoiser.walk(denoiser.begin(x), denoiser.computed)
    assert used["proj_out_2"] == [0, 3]


def test_a_gradient_uses_its_own_steps_scales_when_features_are_computed_again(
    classes, quantisation, made
):
    """With recomputation a block runs again in the backward pass, after other steps perhaps."""
    own = made(classes, quantisation())
    denoiser, x = walk(own, quantisation(), 0, 2)
    rows = {}
    for recompute in (False, True):
        torch.manual_seed(0)
        logits = torch.randn(4, own.backbone.num_blocks)
        learner = Learner(logits, tau=0.1, lr=0.1)
        learn = update_by(denoiser, learner, fast_pair(own.backbone, recompute))
        point = denoiser.advance(denoiser.begin(x), denoiser.computed)
        while point.step < 4:
            point = denoiser.advance(point, learn)
        rows[recompute] = learner.logits()
    assert torch.equal(rows[False], rows[True])
    assert not torch.equal(rows[True], logits)


def test_plans_are_the_plain_loop_bit_for_bit(loaded, quantisation, made, monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    settings = quantisation(4, 8)
    own = made(loaded, settings)
    keep = masks.random(4, own.backbone.num_blocks, own.backbone.num_blocks, seed=0)
    denoiser, x = walk(own, settings, 0, 3)
    expected = image(own, settings, keep)
    backbone, predict = lazy(own.backbone)
    schedule = Schedule(keep=keep)
    graphs = GraphPlan(backbone, schedule, rerun, predict)
    for plan in (compile_schedule(own.backbone, schedule), graphs, graphs):
        with torch.no_grad():
            planned = denoiser.walk(denoiser.begin(x), follow(denoiser, plan))
        assert torch.equal(denoiser.images(planned), expected)


def test_the_fast_path_calls_quantised_layers_as_they_are(classes, quantisation, made):
    backbone = made(classes, quantisation()).backbone.backbone
    linear = backbone.model.transformer_blocks[0].norm1.linear
    assert isinstance(linear, Quantised) and not is_own(linear, torch.nn.Linear)
    assert backbone.starts([(True,) * 4]) == [backbone.start_at]


def test_what_a_prompt_fixes_is_still_computed_once(text, quantisation, made):
    own = made(text, quantisation())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prompt = own.backbone.prepare(own.cond([0, 1]))
    assert None not in prompt.keys_values
    assert not any(map(is_of_prompt, quantised_layers(own)))


def test_guidance_walks_both_halves(classes, quantisation, made):
    settings = quantisation(16, 16, "adaround", guidance=1.5)
    own, wanted = image(made(classes, settings), settings), image(classes, settings)
    assert float((own - wanted).norm() / wanted.norm()) < 0.05


@pytest.mark.parametrize("bits", [(8, 8), (4, 8)])
def test_the_stored_size_is_that_of_codes_and_scales(classes, quantisation, tmp_path, bits):
    tensors, about = transform.compress(classes, quantisation(*bits), tmp_path / "state")
    wanted = 0
    for name, layer in layers(classes.backbone).items():
        own = bits_of(name, bits[0])
        assert own == (bits[0] if "transformer_blocks" in name and ".emb." not in name else 8)
        channels = layer.weight.shape[0]
        wanted += layer.weight.numel() * own // 8 + 8 * channels  # codes; scale and zero point
        wanted += 4 * channels * (layer.bias is not None)
        wanted += 4 * (4 + 4)  # scale and zero point of the inputs at each of 4 steps
    table = classes.backbone.embedders[0].class_embedder.embedding_table.weight
    assert transform.num_bytes(tensors) == wanted + 4 * table.numel()
    assert about["timesteps"] == [999, 666, 333, 0]


def test_a_quantised_output_differs_little(classes, quantisation, made):
    own = made(classes, quantisation())
    x, t = torch.randn(2, 1, 8, 8), torch.full((2,), 999)
    cond = classes.cond([3, 4])
    with torch.no_grad():
        wanted = run_all(classes.backbone, x, t, classes.backbone.prepare(cond))
        found = run_all(own.backbone, x, t, own.backbone.prepare(cond))
    assert 0 < (found - wanted).norm() < 0.1 * wanted.norm()


def test_it_walks_under_any_denoiser(classes, quantisation, made):
    own = made(classes, quantisation())
    denoiser, x = walk(own, quantisation(), 0, 2)
    again = Denoiser(own.backbone, denoiser.sampler, denoiser.timesteps, own.cond([1, 2]))
    scores = torch.full((4, 4), 0.5)
    scores[0] = 1
    with torch.no_grad():
        walked = again.walk(again.begin(x), again.soft(scores, 0.1))
    assert torch.isfinite(walked.x).all()
