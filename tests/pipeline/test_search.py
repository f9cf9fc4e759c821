"""harmonica.search on real pipelines with tiny weights: better than FORA at the same count, the
same again, also after a kill and by offload; the pipeline is left as it was.
"""

import diffusers
import numpy as np
import pytest
import torch
from diffusers.configuration_utils import FrozenDict
from tiny_pipelines import PIPELINES, flux, sd3
from torch.utils._pytree import tree_map

import harmonica
from harmonica.errors import BadInput
from harmonica.method import masks
from harmonica.method.schedule import Schedule
from harmonica.pipeline import estimate
from harmonica.pipeline.calls import last_latents
from harmonica.pipeline.schedules import read_schedules
from harmonica.search.measure import Measure
from harmonica.search.refit import refitted
from harmonica.search.search import Search

T = 6
NAMES = ("PixArt-alpha", "DiT", "Flux", "SD3", "Wan", "Qwen-Image", "Sana", "Lumina2", "Wan 2.2")
SMALL = {"images": 8, "rounds": 1, "quiet": True}
SMALLER = {"images": 4, "rounds": 0, "quiet": True}


def drawn(pipe, inputs, steps=T):
    """call(pipe, seed, count) -> latents, of a tiny pipeline whose prompts are embeddings."""

    def call(pipe, seed, count):
        generators = [torch.Generator().manual_seed(seed + k) for k in range(count)]
        more = {"num_inference_steps": steps, "generator": generators}
        if "class_labels" in inputs:
            return last_latents(pipe, {**inputs, "class_labels": [3] * count, **more}, count)
        for name, value in inputs.items():
            if isinstance(value, torch.Tensor):
                more[name] = value.repeat(count, *[1] * (value.ndim - 1))
        return pipe(**{**inputs, **more}, return_dict=False)[0]

    return call


def error(pipe, call, schedule):
    """Of a schedule that is applied, on noise of its own."""
    with torch.no_grad():
        exact = call(pipe, 12345, 16)
        with harmonica.apply(pipe, schedule):
            return float((call(pipe, 12345, 16) - exact).square().mean())


def assert_same(one, other):
    assert torch.equal(one.keep, other.keep) and one.weights.keys() == other.weights.keys()
    assert all(torch.equal(one.weights[entry], other.weights[entry]) for entry in one.weights)


def state_of(pipe):
    """What a search may touch and must put back."""
    models = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
    return (
        type(pipe),
        vars(pipe).keys() & {"progress_bar", "encode_prompt"},
        pipe._progress_bar_config,
        [parameter.requires_grad for model in models for parameter in model.parameters()],
        ["forward" in vars(module) for model in models for module in model.modules()],
        vars(pipe.scheduler).keys() & {"step", "set_timesteps"},
    )


@pytest.mark.parametrize("name", NAMES)
def test_it_is_closer_than_fora_at_the_same_count_and_travels(name, tmp_path):
    pipe, inputs = PIPELINES[name][0]()
    call, before = drawn(pipe, inputs), state_of(pipe)
    found = harmonica.search(pipe, call=call, cur=50, out=tmp_path, **SMALL)
    assert state_of(pipe) == before
    counted = [i for i, unit in enumerate(found.about["units"]) if unit not in found.about["free"]]
    assert (~found.keep[:, counted]).sum() == T * len(counted) // 2 and found.cur_percent == 50
    assert found.num_steps == T == len(found.timesteps) and found.weights
    fora = Schedule(keep=masks.fora(T, found.num_blocks), timesteps=found.timesteps)
    own = error(pipe, call, found)
    assert own < error(pipe, call, fora)
    told = found.about["error"]["of"]
    assert own == pytest.approx(told["this schedule"], rel=4) and len(told) == 3
    again = Schedule.from_pretrained(tmp_path)
    assert_same(found, again)
    assert error(pipe, call, again) == own == error(pipe, call, tmp_path)
    assert again.about == tree_map(lambda leaf: leaf, found.about)
    assert "| this schedule |" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize("name", ["PixArt-alpha", "DiT", "SD3", "Flux"])
def test_refitted_weights_are_better_on_other_noise(name, tmp_path):
    pipe, inputs = PIPELINES[name][0]()
    call, before = drawn(pipe, inputs), state_of(pipe)
    plain = harmonica.search(pipe, call=call, refit=False, **SMALLER)
    found = harmonica.search(pipe, call=call, out=tmp_path, **SMALLER)
    assert state_of(pipe) == before
    assert torch.equal(found.keep, plain.keep) and found.weights.keys() == plain.weights.keys()
    assert found.about["method"] == "search, skipped units predicted, weights refitted"
    assert error(pipe, call, found) < error(pipe, call, plain)
    assert_same(found, harmonica.search(pipe, call=call, out=tmp_path, **SMALLER))
    with pytest.raises(BadInput, match="out: .* a schedule with another"):
        harmonica.search(pipe, call=call, refit=False, out=tmp_path, **SMALLER)
    for without in ({"predict": False}, {"offload": True}):
        found = harmonica.search(pipe, call=call, **without, **SMALLER)
        assert "refit" not in found.about["search"]


def test_reuse_alone_another_seed_and_the_same_again():
    pipe, inputs = flux()
    call = drawn(pipe, inputs)
    found, again, other = (
        harmonica.search(pipe, call=call, predict=False, seed=seed, **SMALLER) for seed in (0, 0, 1)
    )
    assert not found.weights and found.about["method"] == "search"
    assert_same(found, again)
    assert other.about["error"] != found.about["error"]


class Killed(Exception):
    pass


def test_a_killed_search_goes_on_in_its_folder_and_a_finished_one_runs_nothing(
    tmp_path, monkeypatch
):
    pipe, inputs = flux()
    call, before = drawn(pipe, inputs), state_of(pipe)
    straight = harmonica.search(pipe, call=call, **SMALLER)

    def killed(measure, what, error=None):
        if measure.state.values["done"] == 3:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Measure, "tell", killed)
        harmonica.search(pipe, call=call, out=tmp_path, **SMALLER)
    assert state_of(pipe) == before
    assert {path.name for path in tmp_path.iterdir()} == {"search.json", "state.safetensors"}
    assert_same(harmonica.search(pipe, call=call, out=tmp_path, **SMALLER), straight)
    assert {path.name for path in tmp_path.iterdir()} == {
        "README.md",
        "search.json",
        "schedule.safetensors",
    }
    with monkeypatch.context() as patch:
        patch.setattr(Search, "run", None)
        assert_same(harmonica.search(pipe, call=call, out=tmp_path, **SMALLER), straight)
        with pytest.raises(BadInput, match="a schedule with another cur_percent; choose another"):
            harmonica.search(pipe, call=call, out=tmp_path, cur=40, **SMALLER)
        # on a machine of little memory, where fewer images are walked at once
        patch.setattr(estimate, "memory_of", lambda device: 0)
        assert_same(harmonica.search(pipe, call=call, out=tmp_path, **SMALLER), straight)


@pytest.mark.parametrize("name", ["Flux", "Sana", "Qwen-Image"])
def test_by_offload_it_is_the_same(name):
    """Blocks checkpointed, features in CPU memory: one image at a time, the same numbers."""
    pipe, inputs = PIPELINES[name][0]()
    call, before = drawn(pipe, inputs, steps=4), state_of(pipe)
    few = {"images": 2, "rounds": 0, "quiet": True, "call": call}
    found = harmonica.search(pipe, batch=1, refit=False, **few)
    by_offload = harmonica.search(pipe, offload=True, **few)
    assert_same(found, by_offload)
    assert by_offload.about["error"] == found.about["error"]
    assert state_of(pipe) == before and not pipe.transformer.is_gradient_checkpointing


def test_prompts_are_embedded_once_and_arguments_go_to_the_call(tiny_pipe, capfd):
    pipe, prompts = tiny_pipe("alpha"), ["a fox", "a long red train", "fog"]
    pipe.scheduler = diffusers.DPMSolverMultistepScheduler()
    before, calls = state_of(pipe), []
    pipe.text_encoder.register_forward_hook(lambda *_: calls.append(1))
    size = {"height": 16, "width": 8, "max_sequence_length": 16}
    found = harmonica.search(pipe, prompts, steps=4, guidance=3.0, images=4, rounds=0, **size)
    # lists of 1 and 2 for what is learned, of 4 for the search, of 8 for its checks; and no prompt
    assert len(calls) <= 2 * 4 and state_of(pipe) == before
    assert found.about["guidance"] == 3.0 and found.about["kinds"] == ["attn", "cross", "mlp"]
    said = capfd.readouterr().err
    assert "T = 4, N = 6 units" in said and "memory" in said and "time" in said
    assert "units      transformer_blocks: attn1, attn2, ff\n" in said
    images = {"num_inference_steps": 4, "use_resolution_binning": False, "output_type": "latent"}
    with harmonica.apply(pipe, found):
        pipe(prompts, clean_caption=False, **images, **size)


def test_classes_of_a_dit(tiny_pipe):
    pipe = tiny_pipe("dit")
    found = harmonica.search(pipe, steps=4, cur=25, images=4, rounds=0, quiet=True)
    assert (~found.keep).sum() == 4 and found.about["kinds"] == ["attn", "mlp"]
    assert found.about["guidance"] == 4.0
    assert harmonica.search(pipe, [1, 2], steps=4, images=2, dry_run=True, quiet=True) is None
    config = dict(pipe.transformer.config) | {"num_embeds_ada_norm": None}
    pipe.transformer._internal_dict = FrozenDict(config)
    with pytest.raises(BadInput, match="does not say how many classes there are; give prompts="):
        harmonica.search(pipe, steps=4, images=2, dry_run=True)
    assert harmonica.search(pipe, [1, 2], steps=4, images=2, dry_run=True, quiet=True) is None


def test_image_to_image_is_searched_over_the_steps_that_run():
    pipe, inputs = sd3("StableDiffusion3Img2ImgPipeline", strength=0.5)
    inputs |= {"image": torch.rand(1, 3, 8, 8)}
    call = drawn(pipe, inputs, steps=8)
    found = harmonica.search(pipe, call=call, cur=50, images=4, rounds=0, quiet=True)
    assert found.num_steps == 4 and len(found.timesteps) == 4
    fora = Schedule(keep=masks.fora(4, found.num_blocks), timesteps=found.timesteps)
    assert error(pipe, call, found) < error(pipe, call, fora)


def test_the_second_of_two_transformers_computes_its_first_step():
    pipe, inputs = PIPELINES["Wan 2.2"][0]()
    found = harmonica.search(pipe, call=drawn(pipe, inputs), images=2, rounds=0, quiet=True)
    full = [step for step, row in enumerate(found.keep.tolist()) if all(row)]
    assert full[0] == 0 and len(full) > 1


def test_several_shares_are_found_by_one_search(tmp_path, monkeypatch, capfd):
    pipe, inputs = flux()
    call, few = drawn(pipe, inputs), {**SMALLER, "quiet": False}
    found = harmonica.search(pipe, call=call, cur=[65, 40], out=tmp_path, **few)
    said = capfd.readouterr().err
    assert [*found] == [40, 65] and said.count("on held-back noise") == 2
    skipped = [schedule.cur_percent for schedule in found.values()]
    assert skipped == pytest.approx([40, 65], abs=2)
    assert "19 and 31 of 48 unit computations are to be skipped" in said
    assert "10 updates refit the predictions" in said
    for share, schedule in found.items():
        folder = tmp_path / f"cur{share}"
        assert_same(schedule, Schedule.from_pretrained(folder))
        assert schedule.about["cur_percent"] == share and error(pipe, call, folder) > 0
    with pytest.raises(BadInput, match="choose .*cur40 or .*cur65"):
        harmonica.apply(pipe, tmp_path)
    monkeypatch.setattr(Search, "run", None)  # a finished search runs nothing
    again = harmonica.search(pipe, call=call, cur=(40, 65), out=tmp_path, **SMALLER)
    assert_same(again[65], found[65])
    for cur in (40, [40, 50], [40]):
        with pytest.raises(BadInput, match="out: .* choose another folder"):
            harmonica.search(pipe, call=call, cur=cur, out=tmp_path, **SMALLER)
    with pytest.raises(BadInput, match=f"out: .*{tmp_path.name}.*; choose"):  # it would hide
        harmonica.search(pipe, call=call, cur=40, out=tmp_path.parent, **SMALLER)


@pytest.mark.parametrize(
    "cur", [[], [40, 0], "50", [True], {50: 1}, [50, 50.1], [33.33333333333, 33.33333333334]]
)
def test_shares_that_cannot_be_searched_are_refused(cur):
    pipe, inputs = flux()
    with pytest.raises(BadInput, match="cur: "):
        harmonica.search(pipe, call=drawn(pipe, inputs), cur=cur, dry_run=True, **SMALLER)


def test_shares_come_in_any_iterable_and_leave_other_searches_alone(tmp_path):
    pipe, inputs = flux()
    call = drawn(pipe, inputs)
    own = harmonica.search(pipe, call=call, cur=40, out=tmp_path / "cur40", **SMALLER, seed=5)
    with pytest.raises(BadInput, match=r"out: .* \(cur40\)"):
        harmonica.search(pipe, call=call, cur=np.array([40, 50]), out=tmp_path, **SMALLER)
    assert_same(Schedule.from_pretrained(tmp_path / "cur40"), own)
    few = {"out": tmp_path / "both", **SMALLER, "refit": False}
    found = harmonica.search(pipe, call=call, cur=np.array([50, 40.0]), **few)
    assert [*found] == [40, 50] and all(isinstance(share, int) for share in found)
    assert {path.name for path in (tmp_path / "both").glob("cur*")} == {"cur40", "cur50"}


def test_a_search_killed_between_two_shares_goes_on_with_the_second(tmp_path, monkeypatch):
    pipe, inputs = flux()
    call, few = drawn(pipe, inputs), {**SMALLER, "cur": [40, 65]}
    straight, refits = harmonica.search(pipe, call=call, **few), []

    def killed(*arguments):
        refits.append(arguments)
        return killed.refit(*arguments) if len(refits) == 1 else 1 / 0

    killed.refit = refitted
    with monkeypatch.context() as patched:
        patched.setattr("harmonica.pipeline.search.refitted", killed)
        with pytest.raises(ZeroDivisionError):
            harmonica.search(pipe, call=call, out=tmp_path, **few)
    assert (tmp_path / "cur40").exists() and not (tmp_path / "cur65").exists()
    with pytest.raises(BadInput, match="was killed or is still running"):
        harmonica.apply(pipe, tmp_path)
    resumed = harmonica.search(pipe, call=call, out=tmp_path, **few)
    for share in (40, 65):
        assert_same(resumed[share], straight[share])


def test_one_folder_for_several_numbers_of_steps(tmp_path):
    pipe, inputs = flux()
    for steps in (4, 5):
        call = drawn(pipe, inputs, steps)
        few = {"images": 2, "rounds": 0, "quiet": True, "cur": 40}
        harmonica.search(pipe, call=call, out=tmp_path / str(steps), **few)
    assert read_schedules(tmp_path, pipe.transformer).keys() == {4, 5}
    with harmonica.apply(pipe, tmp_path):
        for steps in (4, 5):
            drawn(pipe, inputs, steps)(pipe, 0, 1)
