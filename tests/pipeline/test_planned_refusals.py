"""What does not fit a DiT or PixArt pipeline is refused before the first step; and how other
caching packages fail on these pipelines.
"""

import pytest
import torch
from diffusers import FirstBlockCacheConfig, HeunDiscreteScheduler
from diffusers.hooks import TaylorSeerCacheConfig, apply_first_block_cache, apply_taylorseer_cache
from dit_and_pixart import T, attributes, call, everything, one_of_each, router_of, timesteps_of

import harmonica
from harmonica.errors import BadInput
from harmonica.method import masks
from harmonica.method.router import Router, from_keep
from harmonica.weights.formats import write


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
