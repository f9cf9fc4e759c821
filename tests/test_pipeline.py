"""A router on a diffusers pipeline: everything kept is the untouched pipeline, nothing leaks
between calls, and what does not fit is refused before the first step. Each way in which other
caching packages fail on these pipelines is a test.
"""

import functools
import gc
import inspect
import re
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch
from accelerate import cpu_offload, cpu_offload_with_hook
from accelerate.hooks import ModelHook, add_hook_to_module, remove_hook_from_module
from diffusers import (
    DDIMScheduler,
    DiTPipeline,
    DPMSolverMultistepScheduler,
    FirstBlockCacheConfig,
    HeunDiscreteScheduler,
)
from diffusers.hooks import TaylorSeerCacheConfig, apply_first_block_cache, apply_taylorseer_cache
from replays import rerun

import harmonica
from harmonica.errors import BadInput
from harmonica.fast.cudagraph import GraphPlan
from harmonica.fast.plan import compile_mask
from harmonica.method import masks
from harmonica.method.router import Router, from_keep
from harmonica.pipeline import planned as pipeline
from harmonica.pipeline.apply import find_applied
from harmonica.pipeline.unit_by_unit import UnitByUnit
from harmonica.weights.formats import write

T = 4
KINDS = ("dit", "alpha", "alpha-1024", "sigma")
every_kind = pytest.mark.parametrize("kind", KINDS)
one_of_each = pytest.mark.parametrize("kind", ["dit", "sigma"])


@pytest.fixture
def pipe(tiny_pipe, kind):
    return tiny_pipe(kind)


def call(pipe, *, steps=T, seed=0, count=2, **options):
    """Images of one call, for the first `count` labels or prompts: pixels (B, 3, H, W), or a
    PixArt's latents.
    """
    if is_dit(pipe):
        what = {"class_labels": [3, 7, 1][:count], "output_type": "pt"}
    else:
        what = {
            "prompt": ["a fox", "a long red train", "fog"][:count],
            "output_type": "latent",
            "clean_caption": False,
            "use_resolution_binning": False,
            "max_sequence_length": 16,
            "height": 8,
            "width": 8,
        }
    images = pipe(
        num_inference_steps=steps,
        generator=torch.Generator().manual_seed(seed),
        **{**what, **options},
    ).images
    return torch.as_tensor(images)  # before 0.41, DiT's pipeline gives arrays of numpy


def is_dit(pipe):
    return isinstance(pipe, DiTPipeline)


def timesteps_of(pipe, steps=T):
    pipe.scheduler.set_timesteps(steps)
    return tuple(pipe.scheduler.timesteps.tolist())


def blocks_of(pipe):
    return len(pipe.transformer.transformer_blocks) * (2 if is_dit(pipe) else 3)


def router_of(pipe, steps=T, keep=None):
    """By default every second step reuses everything."""
    keep = masks.fora(steps, blocks_of(pipe)) if keep is None else keep
    return from_keep(keep, timesteps=timesteps_of(pipe, steps))


def everything(pipe, steps=T):
    return router_of(pipe, steps, masks.full(steps, blocks_of(pipe)))


def attributes(pipe):
    """What apply_router may touch, and must put back."""
    return {name: set(vars(getattr(pipe, name))) for name in ("transformer", "scheduler")}


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
    @pytest.mark.parametrize("scheduler", [DDIMScheduler, DPMSolverMultistepScheduler])
    def test_equals_it_under_another_scheduler(self, pipe, scheduler):
        pipe.scheduler = scheduler.from_config(pipe.scheduler.config)
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
    def test_no_feature_is_held_after_a_call(self, pipe, monkeypatch):
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


def graphs_without_a_gpu(backbone, keep, backend="eager", weights=None):
    """A GraphPlan whose captures are called again instead of replayed."""

    return (
        GraphPlan(backbone, keep, weights, rerun)
        if backend == "cudagraph"
        else compile_mask(backbone, keep, backend, weights)
    )


class TestBackends:
    """What torch.compile makes of the steps is traced here, not translated; CUDA graphs without a
    GPU: see above.
    """

    @pytest.fixture(autouse=True)
    def on_this_machine(self, monkeypatch):
        monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
        monkeypatch.setattr(pipeline, "compile_mask", graphs_without_a_gpu)

    @pytest.mark.parametrize(
        "kind, backend",
        [
            ("dit", "compile"),
            ("alpha-1024", "compile"),
            ("dit", "cudagraph"),
            ("alpha", "cudagraph"),
            ("alpha-1024", "cudagraph"),
        ],
    )
    def test_give_the_images_of_eager_and_compile_once(self, pipe, monkeypatch, backend):
        router = router_of(pipe)
        with harmonica.apply_router(pipe, router):
            expected, other = call(pipe), call(pipe, seed=1, count=3)
        if backend == "cudagraph":
            monkeypatch.setattr(pipeline, "check_backend", lambda *_: None)
        with harmonica.apply_router(pipe, router, backend=backend):
            for again in (False, True):
                with torch._dynamo.config.patch(error_on_recompile=again):
                    assert torch.equal(call(pipe), expected) and torch.equal(
                        call(pipe, seed=1, count=3), other
                    )

    @one_of_each
    def test_follow_weights_that_have_moved(self, pipe):
        router = router_of(pipe)
        with harmonica.apply_router(pipe, router, backend="compile"):
            call(pipe)
            for parameter in pipe.transformer.parameters():
                parameter.data = parameter.data * 1.1
            changed = call(pipe)
        with harmonica.apply_router(pipe, router):
            assert torch.equal(call(pipe), changed)

    @one_of_each
    @pytest.mark.parametrize("first", ["offload", "router"])
    def test_are_refused_under_offload(self, pipe, first):
        router = router_of(pipe)
        if first == "offload":
            cpu_offload_with_hook(pipe.transformer, torch.device("cpu"))
        with pytest.raises(
            BadInput, match="backend: 'compile' is not possible; offloading moves the weights"
        ):
            with harmonica.apply_router(pipe, router, backend="compile"):
                cpu_offload_with_hook(pipe.transformer, torch.device("cpu"))
                call(pipe)
        assert find_applied(pipe) is None and "set_timesteps" not in vars(pipe.scheduler)

    @one_of_each
    @pytest.mark.parametrize(
        "backend, words",
        [
            ("cudagraph", "is on cpu, CUDA graphs need it on a GPU"),
            ("fast", "choose one of eager, compile, cudagraph"),
        ],
    )
    def test_that_cannot_work_are_refused(self, pipe, backend, words):
        router, before = router_of(pipe), attributes(pipe)
        with pytest.raises(BadInput, match=f"backend: '{backend}' is not possible; .*{words}"):
            harmonica.apply_router(pipe, router, backend=backend)
        assert attributes(pipe) == before


class TestRemoval:
    @every_kind
    def test_leaves_the_pipeline_as_it_was(self, pipe):
        expected, before = call(pipe), attributes(pipe)
        with harmonica.apply_router(pipe, router_of(pipe)):
            call(pipe)
            assert {name: own - before[name] for name, own in attributes(pipe).items()} == {
                "transformer": {"forward"},
                "scheduler": {"set_timesteps"},
            }
        assert attributes(pipe) == before and torch.equal(call(pipe), expected)
        harmonica.apply_router(pipe, router_of(pipe))
        harmonica.remove_router(pipe)
        assert attributes(pipe) == before and torch.equal(call(pipe), expected)

    @every_kind
    def test_follows_an_exception_in_the_block(self, pipe):
        before = attributes(pipe)
        with pytest.raises(KeyboardInterrupt), harmonica.apply_router(pipe, router_of(pipe)):
            raise KeyboardInterrupt
        assert attributes(pipe) == before

    @every_kind
    def test_inside_the_block_is_enough(self, pipe):
        with harmonica.apply_router(pipe, router_of(pipe)):
            harmonica.remove_router(pipe)
        assert find_applied(pipe) is None

    @every_kind
    def test_of_nothing_is_refused(self, pipe):
        with pytest.raises(BadInput, match="nothing to remove"):
            harmonica.remove_router(pipe)


class TestEndingEarly:
    @every_kind
    @pytest.mark.parametrize("at", [0, 1, T - 1])
    def test_leaves_nothing_for_the_next_call(self, pipe, at):
        """As when a callback stops the pipeline, or a user interrupts it."""
        with harmonica.apply_router(pipe, router_of(pipe)):
            expected = call(pipe)
            steps, step = iter(range(T)), pipe.scheduler.step

            def stopped(*args, **kwargs):
                if next(steps) == at:
                    raise KeyboardInterrupt
                return step(*args, **kwargs)

            pipe.scheduler.step = stopped
            with pytest.raises(KeyboardInterrupt):
                call(pipe, seed=1, count=1)
            del pipe.scheduler.step
            assert torch.equal(call(pipe), expected)


class TestRefusal:
    """BadInput, before anything is computed, and the pipeline as it was."""

    @pytest.fixture
    def nothing_runs(self, pipe):
        def run(*_):
            raise AssertionError("the transformer was run")

        handle = pipe.transformer.pos_embed.register_forward_pre_hook(run)
        yield
        handle.remove()

    @one_of_each
    def test_of_another_number_of_steps(self, pipe, nothing_runs):
        with harmonica.apply_router(pipe, router_of(pipe, 20)):
            with pytest.raises(
                BadInput, match="25 is not possible; .* but this schedule is for 20"
            ):
                call(pipe, steps=25)

    @one_of_each
    def test_of_a_scheduler_that_calls_more_often_than_it_has_steps(self, pipe, nothing_runs):
        router = router_of(pipe)
        pipe.scheduler = HeunDiscreteScheduler.from_config(pipe.scheduler.config)
        with (
            harmonica.apply_router(pipe, router),
            pytest.raises(BadInput, match=f"{2 * T - 1} is not possible"),
        ):
            call(pipe)

    @one_of_each
    def test_of_another_number_of_blocks(self, pipe):
        before = attributes(pipe)
        with pytest.raises(BadInput, match="schedule: 'N = 5' is not possible; this .* has"):
            harmonica.apply_router(pipe, from_keep(masks.fora(T, 5), timesteps=timesteps_of(pipe)))
        assert attributes(pipe) == before

    @one_of_each
    def test_of_other_timesteps_unless_they_are_assumed_to_fit(self, pipe):
        """A router for the official DiT's list on a leading-spaced scheduler."""
        official = Router(logits=router_of(pipe).logits, timesteps=(999, 666, 333, 0))
        with harmonica.apply_router(pipe, official):
            with pytest.raises(BadInput, match="made for 999, 666, 333, ..., 0; search or"):
                call(pipe)
        with harmonica.apply_router(pipe, router_of(pipe)):
            expected = call(pipe)
        with (
            harmonica.apply_router(pipe, official, assume_timesteps=True),
            pytest.warns(UserWarning, match="differ"),
        ):
            assert torch.equal(call(pipe), expected)

    @one_of_each
    def test_of_a_published_file_unless_its_timesteps_are_assumed(self, pipe, tmp_path):
        router = router_of(pipe)
        write(tmp_path / "router.pt", Router(logits=router.logits, about=router.about))
        with pytest.raises(BadInput, match="assume_timesteps=True"):
            harmonica.apply_router(pipe, tmp_path / "router.pt")
        with harmonica.apply_router(pipe, router):
            expected = call(pipe)
        with pytest.warns(UserWarning, match="the schedule records no timesteps"):
            harmonica.apply_router(pipe, str(tmp_path / "router.pt"), assume_timesteps=True)
        assert torch.equal(call(pipe), expected)

    @one_of_each
    @pytest.mark.parametrize("cur", [-1, 76, 100])
    def test_of_a_cur_that_no_mask_has(self, pipe, cur):
        before, router = attributes(pipe), router_of(pipe)
        with pytest.raises(
            BadInput, match=f"cur: {cur} percent is not possible; with T = {T} it lies in 0..75"
        ):
            harmonica.apply_router(pipe, router, cur=cur)
        assert attributes(pipe) == before

    @one_of_each
    def test_of_a_second_router(self, pipe):
        with harmonica.apply_router(pipe, router_of(pipe)):
            expected = call(pipe)
            with pytest.raises(BadInput, match="applied to it already"):
                harmonica.apply_router(pipe, everything(pipe))
            assert torch.equal(call(pipe), expected)

    @one_of_each
    def test_of_a_pipeline_without_a_transformer_that_has_blocks(self, pipe):
        """TaylorSeer's default patterns hook nothing here and say nothing."""
        router = router_of(pipe)
        for transformer, words in (
            (None, "a pipeline with a transformer is needed"),
            (torch.nn.Linear(2, 2), "has no repeated transformer blocks"),
        ):
            object.__setattr__(pipe, "transformer", transformer)
            with pytest.raises(BadInput, match=words):
                harmonica.apply_router(pipe, router)

    @one_of_each
    def test_of_another_cache_at_work(self, pipe):
        router = router_of(pipe)
        apply_first_block_cache(pipe.transformer, FirstBlockCacheConfig(threshold=0.1))
        with pytest.raises(BadInput, match="another caching method is at work"):
            harmonica.apply_router(pipe, router)

    @one_of_each
    def test_of_a_forward_that_is_replaced_already(self, pipe):
        router, forward = router_of(pipe), pipe.transformer.forward
        pipe.transformer.forward = lambda *args, **kwargs: forward(*args, **kwargs)
        with pytest.raises(BadInput, match="replaced already"):
            harmonica.apply_router(pipe, router)
        del pipe.transformer.forward
        assert "set_timesteps" not in vars(pipe.scheduler)

    @one_of_each
    @pytest.mark.parametrize("component", ["transformer", "scheduler"])
    def test_of_a_component_exchanged_after_applying(self, pipe, tiny_pipe, kind, component):
        """A router that steers nothing must not pass in silence."""
        with harmonica.apply_router(pipe, router_of(pipe)), pytest.raises(BadInput, match="apply"):
            setattr(pipe, component, getattr(tiny_pipe(kind, seed=1), component))
            call(pipe)
        with harmonica.apply_router(pipe, router_of(pipe)):  # as the sentence says
            call(pipe)

    @one_of_each
    def test_of_a_call_outside_the_steps_of_a_pipeline(self, pipe):
        with harmonica.apply_router(pipe, router_of(pipe)):
            call(pipe)
            with pytest.raises(BadInput, match="outside the steps"):
                pipe.transformer(torch.zeros(1, 4, 8, 8), timestep=torch.tensor([0]))

    @one_of_each
    def test_of_a_timestep_that_is_not_the_step_s(self, pipe):
        with (
            harmonica.apply_router(pipe, router_of(pipe)),
            pytest.raises(BadInput, match="step 0 of this call is timestep"),
        ):
            pipe.scheduler.set_timesteps(T)
            pipe.transformer(torch.zeros(1, 4, 8, 8), timestep=torch.tensor([1]))

    @one_of_each
    def test_of_arguments_that_no_pipeline_gives(self, pipe):
        with (
            harmonica.apply_router(pipe, router_of(pipe)),
            pytest.raises(BadInput, match="'attention_mask'"),
        ):
            pipe.scheduler.set_timesteps(T)
            pipe.transformer(
                torch.zeros(1, 4, 8, 8),
                timestep=pipe.scheduler.timesteps[:1],
                attention_mask=torch.ones(1),
            )


class Counting(ModelHook):
    """Stands for accelerate's offload hooks: before each forward the weights come, after it they
    may go.
    """

    def __init__(self):
        self.before = self.after = 0

    def pre_forward(self, module, *args, **kwargs):
        self.before += 1
        return args, kwargs

    def post_forward(self, module, output):
        self.after += 1
        return output


class TestOffloadHooks:
    @one_of_each
    @pytest.mark.parametrize("first", ["hook", "router"])
    def test_stay_around_the_router_and_survive_it(self, pipe, first):
        with harmonica.apply_router(pipe, router_of(pipe)):
            expected = call(pipe)
        untouched, hook = call(pipe), Counting()
        if first == "hook":
            add_hook_to_module(pipe.transformer, hook)
        with harmonica.apply_router(pipe, router_of(pipe)):
            if first == "router":
                add_hook_to_module(pipe.transformer, hook)
            assert torch.equal(call(pipe), expected) and (hook.before, hook.after) == (T, T)
        assert torch.equal(call(pipe), untouched) and hook.before == 2 * T
        remove_hook_from_module(pipe.transformer)
        assert torch.equal(call(pipe), untouched) and hook.before == 2 * T

    @one_of_each
    def test_that_are_taken_off_and_put_on_at_the_end_of_every_call(self, pipe):
        """What enable_model_cpu_offload has a pipeline do (maybe_free_model_hooks)."""
        hook = Counting()
        with harmonica.apply_router(pipe, router_of(pipe)):
            expected = call(pipe)
            for calls in (1, 2):
                add_hook_to_module(pipe.transformer, hook)
                assert torch.equal(call(pipe), expected) and hook.before == calls * T
                remove_hook_from_module(pipe.transformer, recurse=True)
            assert torch.equal(call(pipe), expected)
        assert find_applied(pipe) is None

    @one_of_each
    def test_under_a_foreign_wrapper_nothing_is_torn_out(self, pipe):
        with pytest.raises(BadInput, match="replaced after the schedule was applied"):
            with harmonica.apply_router(pipe, router_of(pipe)) as applied:
                pipe.transformer.forward = lambda *args, **kwargs: applied.forward(*args, **kwargs)
        pipe.transformer.forward = applied.forward
        harmonica.remove_router(pipe)

    @one_of_each
    @pytest.mark.parametrize("first", ["offload", "router"])
    def test_of_enable_model_cpu_offload(self, pipe, first):
        """The pipeline takes them off and puts them on again at the end of every call."""
        with harmonica.apply_router(pipe, router_of(pipe)):
            expected = call(pipe)
        untouched, router = call(pipe), router_of(pipe)
        if first == "offload":
            pipe.enable_model_cpu_offload(device="cpu")
        with harmonica.apply_router(pipe, router):
            if first == "router":
                pipe.enable_model_cpu_offload(device="cpu")
            for _ in range(2):
                assert torch.equal(call(pipe), expected)
            assert hasattr(pipe.transformer, "_hf_hook")
        assert torch.equal(call(pipe), untouched) and hasattr(pipe.transformer, "_hf_hook")
        pipe.remove_all_hooks()
        assert torch.equal(call(pipe), untouched)

    @one_of_each
    def test_of_single_modules(self, pipe):
        """What enable_sequential_cpu_offload does: from then on every unit is called as it is."""
        untouched, router = call(pipe), router_of(pipe)
        with harmonica.apply_router(pipe, router):
            expected = call(pipe)
            cpu_offload(pipe.transformer, torch.device("cpu"))
            with pytest.raises(BadInput, match="apply the schedule after"):
                call(pipe)
        with harmonica.apply_router(pipe, router) as applied:
            assert isinstance(applied, UnitByUnit)
            for _ in range(2):
                assert torch.equal(call(pipe), expected)
        assert find_applied(pipe) is None and torch.equal(call(pipe), untouched)

    @pytest.mark.parametrize("kind", ["sigma"])
    def test_do_not_have_the_prompt_prepared_at_every_step(self, pipe):
        """They hand on copies of the dicts that the pipeline gives."""
        projected = []
        pipe.transformer.caption_projection.register_forward_hook(lambda *_: projected.append(1))
        cpu_offload_with_hook(pipe.transformer, torch.device("cpu"))
        with harmonica.apply_router(pipe, router_of(pipe)):
            call(pipe)
        assert len(projected) == 1


class TestOthersFail:
    """The facts that this module is built on: should one of them change, its reasons change."""

    @one_of_each
    def test_diffusers_caches_are_not_offered_for_these_transformers(self, pipe):
        assert not hasattr(pipe.transformer, "enable_cache")

    @one_of_each
    def test_first_block_cache_finds_no_cache_context(self, pipe):
        apply_first_block_cache(pipe.transformer, FirstBlockCacheConfig(threshold=0.1))
        with pytest.raises(ValueError, match="context"):
            call(pipe)

    @one_of_each
    def test_taylorseer_hooks_nothing_and_says_nothing(self, pipe):
        expected = call(pipe)
        apply_taylorseer_cache(pipe.transformer, TaylorSeerCacheConfig())
        assert torch.equal(call(pipe), expected)


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


def test_importing_the_package_imports_no_torch():
    code = "import harmonica, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert {harmonica.apply_router, harmonica.remove_router, harmonica.Router}
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = harmonica.nothing
