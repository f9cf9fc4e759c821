"""A router on a DiT or PixArt pipeline: everything kept is the untouched pipeline, a reused block
is not run, and no feature is left behind.
"""

import gc
import inspect
import re
import weakref
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from dit_and_pixart import (
    KINDS,
    T,
    blocks_of,
    call,
    every_kind,
    everything,
    is_dit,
    router_of,
    timesteps_of,
)

import harmonica
from harmonica.method import masks
from harmonica.method.router import Router
from harmonica.pipeline.apply import find_applied
from harmonica.weights.formats import write


class TestEverythingKept:
    @every_kind
    @pytest.mark.parametrize("guidance_scale", [1.0, 4.0])
    def test_equals_the_untouched_pipeline_bit_for_bit(self, pipe, guidance_scale):
        expected = call(pipe, guidance_scale=guidance_scale)
        with harmonica.apply_router(pipe, everything(pipe)):
            for _ in range(2):
                assert torch.equal(call(pipe, guidance_scale=guidance_scale), expected)

    @pytest.mark.parametrize("kind", KINDS[1:])
    @pytest.mark.parametrize(
        "options",
        [
            {"num_images_per_prompt": 3, "count": 1},
            {"height": 16, "width": 24},
            {"negative_prompt": "blue", "count": 3},
        ],
        ids=str,
    )
    def test_equals_it_for_any_number_size_and_negative_prompt(self, pipe, options):
        expected = call(pipe, **options)
        with harmonica.apply_router(pipe, everything(pipe)):
            assert torch.equal(call(pipe, **options), expected)

    @every_kind
    def test_equals_it_in_bfloat16_to_rounding(self, tiny_pipe, kind):
        pipe = tiny_pipe(kind, dtype=torch.bfloat16)
        expected = call(pipe)
        with harmonica.apply_router(pipe, everything(pipe)):
            images = call(pipe)
        assert (
            images.dtype == expected.dtype
            and (images - expected).abs().max() < 0.02 * expected.abs().max()
        )

    @every_kind
    def test_equals_it_under_another_scheduler(self, pipe):
        other = DPMSolverMultistepScheduler if is_dit(pipe) else DDIMScheduler
        pipe.scheduler = other.from_config(pipe.scheduler.config)
        expected = call(pipe)
        with harmonica.apply_router(pipe, everything(pipe)):
            assert torch.equal(call(pipe), expected)

    @pytest.mark.parametrize("kind", ["dit"])
    def test_a_loop_may_write_the_timestep_into_one_tensor(self, pipe):
        x, labels, t = (
            torch.randn(2, 4, 8, 8),
            torch.tensor([3, 7]),
            torch.zeros(2, dtype=torch.long),
        )
        inputs = {"hidden_states": x, "timestep": t, "class_labels": labels}

        def outputs():
            return [
                pipe.transformer(**inputs).sample
                for timestep in pipe.scheduler.timesteps
                if t.fill_(timestep) is t
            ]

        with torch.no_grad():
            pipe.scheduler.set_timesteps(T)
            expected = outputs()
            with harmonica.apply_router(pipe, everything(pipe)):
                pipe.scheduler.set_timesteps(T)
                assert all(map(torch.equal, outputs(), expected))

    @every_kind
    def test_follows_weights_that_change_or_move_between_calls(self, pipe):
        """As when an adapter is fused, or the pipeline is moved to another device or dtype."""
        with harmonica.apply_router(pipe, everything(pipe)):
            call(pipe)
            for parameter in pipe.transformer.parameters():
                parameter.data *= 1.1
            changed = call(pipe)
        assert torch.equal(call(pipe), changed)

    @every_kind
    def test_goes_through_adapters(self, pipe):
        """Modules in the place of linear layers, as a LoRA puts them there."""

        class Adapted(torch.nn.Linear):
            def forward(self, x):
                return super().forward(x) + x.mean(-1, keepdim=True)

        for module in list(pipe.transformer.modules()):
            for _, child in module.named_children():
                if type(child) is torch.nn.Linear:
                    child.__class__ = Adapted
        expected = call(pipe)
        with harmonica.apply_router(pipe, everything(pipe)):
            assert torch.equal(call(pipe), expected)


class TestReuse:
    @every_kind
    def test_a_reused_block_is_not_run_and_every_other_one_is(self, pipe):
        keep = masks.random(T, blocks_of(pipe), reused=T, seed=0)
        calls = []
        for block in pipe.transformer.transformer_blocks:
            for module in (
                [block.attn1.to_q, block.ff]
                if is_dit(pipe)
                else [block.attn1.to_q, block.attn2.to_q, block.ff]
            ):
                place = len(calls)
                module.register_forward_hook(lambda *_, at=place: calls[at].append(1))
                calls.append([])
        with harmonica.apply_router(pipe, router_of(pipe, keep=keep)):
            call(pipe)
        assert [len(own) for own in calls] == keep.sum(0).tolist()

    @every_kind
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_a_second_call_equals_the_first_whatever_was_called_between(
        self, tiny_pipe, kind, dtype
    ):
        """Other packages keep their state for the next call."""
        pipe = tiny_pipe(kind, dtype=dtype)
        untouched = call(pipe)
        with harmonica.apply_router(pipe, router_of(pipe)):
            first = call(pipe)
            assert not torch.equal(first, untouched)
            assert torch.equal(call(pipe), first)
            call(pipe, seed=1, count=3)
            call(pipe, guidance_scale=1.0, count=1)
            if not is_dit(pipe):
                call(pipe, num_images_per_prompt=2, height=16, width=24, negative_prompt="blue")
            assert torch.equal(call(pipe), first)

    @every_kind
    def test_a_cur_is_met_exactly(self, pipe):
        logits = torch.randn(T, blocks_of(pipe), generator=torch.Generator().manual_seed(0))
        router = Router(logits=logits, timesteps=timesteps_of(pipe))
        with harmonica.apply_router(pipe, router, cur=25) as applied:
            assert (~applied.keep).sum() == round(0.25 * logits.numel()) and torch.equal(
                applied.keep, router.keep(25)
            )
        with harmonica.apply_router(pipe, router) as applied:
            assert torch.equal(applied.keep, router.keep())

    @every_kind
    def test_no_feature_is_held_after_a_call(self, pipe):
        held = []
        block = pipe.transformer.transformer_blocks[0].ff
        block.register_forward_hook(lambda module, args, out: held.append(weakref.ref(out)))
        with harmonica.apply_router(pipe, router_of(pipe)):
            call(pipe)
            gc.collect()
            assert held and all(ref() is None for ref in held)

    @every_kind
    @pytest.mark.parametrize("where", ["transformer", "scheduler"])
    def test_no_feature_is_held_after_an_error_in_a_call(self, pipe, where, monkeypatch):
        held, failing = [], []
        first, last = pipe.transformer.transformer_blocks
        first.ff.register_forward_hook(lambda module, args, out: held.append(weakref.ref(out)))

        def fail(*_, **__):
            if failing:
                raise RuntimeError("in the middle")

        last.ff.register_forward_hook(fail)
        with harmonica.apply_router(pipe, router_of(pipe)):
            expected = call(pipe)
            with monkeypatch.context() as patch:
                failing.append(where)
                if where == "scheduler":
                    failing.clear()  # and step gives None
                    patch.setattr(pipe.scheduler, "step", lambda *args, **_: None)
                with pytest.raises(Exception):  # noqa: B017
                    call(pipe)
            failing.clear()
            gc.collect()
            assert held and all(ref() is None for ref in held)
            assert torch.equal(call(pipe), expected)

    @every_kind
    def test_features_are_held_only_while_a_later_step_reuses_them(self, pipe):
        keep = masks.full(T, blocks_of(pipe))
        keep[2, 0] = False
        filled = []
        with harmonica.apply_router(pipe, router_of(pipe, keep=keep)) as applied:
            pipe.transformer.register_forward_pre_hook(
                lambda *_: filled.append(
                    [i for i, slot in enumerate(applied.cache or []) if slot is not None]
                )
            )
            call(pipe)
        assert filled == [[], [], [0], []]


def test_a_pipeline_can_still_be_given_its_own_timesteps(tiny_pipe):
    """The pipeline looks at the signature of set_timesteps."""
    pipe = tiny_pipe("dit")
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    expected = inspect.signature(pipe.scheduler.set_timesteps)
    with harmonica.apply_router(pipe, router_of(pipe)):
        assert inspect.signature(pipe.scheduler.set_timesteps) == expected


def test_a_router_comes_from_any_known_format(tiny_pipe, tmp_path):
    pipe = tiny_pipe("dit")
    router = router_of(pipe)
    for name in ("router.safetensors", "schedule.json", "router.pt"):
        write(tmp_path / name, router)
    router.save_pretrained(tmp_path / "folder")
    with harmonica.apply_router(pipe, router):
        expected = call(pipe)
    for name in ("router.safetensors", "folder", "router.pt"):
        with harmonica.apply_router(pipe, tmp_path / name):
            assert torch.equal(call(pipe), expected)
    with (
        pytest.warns(UserWarning),
        harmonica.apply_router(pipe, tmp_path / "schedule.json", assume_timesteps=True),
    ):
        assert torch.equal(call(pipe), expected)


def test_the_readme_s_example_runs(tiny_pipe, tmp_path, monkeypatch):
    """As it stands, but for the line that loads the pipeline."""
    readme = (Path(harmonica.__file__).parent.parent / "README.md").read_text()
    lines = re.search(r"## One line for your pipeline.*?```python\n(.*?)```", readme, re.S)[
        1
    ].splitlines()
    pipe = tiny_pipe("sigma-256")
    found = router_of(pipe, 20).schedule()
    monkeypatch.setattr(harmonica, "search", lambda pipe, out, **_: found.save_pretrained(out))
    monkeypatch.chdir(tmp_path)
    names = {"pipe": pipe}
    exec("\n".join(line for line in lines if not line.startswith("pipe =")), names)
    assert len(lines) == 8 and names["image"].size == (256, 256) and find_applied(pipe) is None
