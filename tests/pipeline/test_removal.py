"""A DiT or PixArt pipeline is as before when a router is removed, and after a call ends early."""

import pytest
import torch
from dit_and_pixart import T, attributes, call, every_kind, router_of

import harmonica
from harmonica.pipeline.apply import find_applied


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
