"""Routers and accelerate's offload hooks on a DiT or PixArt pipeline leave each other alone."""

import pytest
import torch
from accelerate import cpu_offload, cpu_offload_with_hook
from accelerate.hooks import ModelHook, add_hook_to_module, remove_hook_from_module
from dit_and_pixart import T, call, one_of_each, router_of

import harmonica
from harmonica.errors import BadInput
from harmonica.pipeline.apply import find_applied
from harmonica.pipeline.unit_by_unit import UnitByUnit


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
