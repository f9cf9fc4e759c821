"""Captured steps give a pipeline the images of eager ones, are captured once, and are refused where
they cannot work.
"""

import pytest
import torch
from accelerate import cpu_offload_with_hook
from dit_and_pixart import attributes, call, one_of_each, router_of
from replays import rerun

import harmonica
from harmonica.errors import BadInput
from harmonica.fast.cudagraph import GraphPlan
from harmonica.fast.plan import compile_schedule
from harmonica.pipeline import planned as pipeline
from harmonica.pipeline.apply import find_applied


def graphs_without_a_gpu(backbone, schedule, backend="eager"):
    """A GraphPlan whose captures are called again, not replayed; each is noted in CAPTURED."""
    if backend == "eager":
        return compile_schedule(backbone, schedule)
    return GraphPlan(backbone, schedule, lambda *args: CAPTURED.append(args) or rerun(*args))


CAPTURED = []


class TestBackends:
    """CUDA graphs without a GPU: see above."""

    @pytest.fixture(autouse=True)
    def on_this_machine(self, monkeypatch):
        monkeypatch.setattr(pipeline, "compile_schedule", graphs_without_a_gpu)

    @pytest.fixture
    def as_on_a_gpu(self, monkeypatch):
        monkeypatch.setattr(pipeline, "check_backend", lambda *_: None)

    @pytest.mark.parametrize("kind", ["dit", "alpha", "alpha-1024"])
    def test_give_the_images_of_eager_and_are_captured_once(self, pipe, as_on_a_gpu):
        router, counts = router_of(pipe), []
        CAPTURED.clear()
        with harmonica.apply_router(pipe, router):
            expected, other = call(pipe), call(pipe, seed=1, count=3)
        with harmonica.apply_router(pipe, router, backend="cudagraph"):
            for _ in range(2):
                assert torch.equal(call(pipe), expected)
                assert torch.equal(call(pipe, seed=1, count=3), other)
                counts.append(len(CAPTURED))
        assert counts[0] == counts[1] > 0

    @one_of_each
    def test_follow_weights_that_have_moved(self, pipe, as_on_a_gpu):
        router = router_of(pipe)
        with harmonica.apply_router(pipe, router, backend="cudagraph"):
            call(pipe)
            for parameter in pipe.transformer.parameters():
                parameter.data = parameter.data * 1.1
            changed = call(pipe)
        with harmonica.apply_router(pipe, router):
            assert torch.equal(call(pipe), changed)

    @one_of_each
    def test_are_refused_under_offload(self, pipe):
        router = router_of(pipe)
        cpu_offload_with_hook(pipe.transformer, torch.device("cpu"))
        with pytest.raises(
            BadInput, match="backend: 'cudagraph' is not possible; offloading moves the weights"
        ):
            harmonica.apply_router(pipe, router, backend="cudagraph")
        assert find_applied(pipe) is None and "set_timesteps" not in vars(pipe.scheduler)

    @one_of_each
    @pytest.mark.parametrize(
        "backend, words",
        [
            ("cudagraph", "is on cpu, CUDA graphs need it on a GPU"),
            ("compile", "choose one of eager, cudagraph"),
        ],
    )
    def test_that_cannot_work_are_refused(self, pipe, backend, words):
        router, before = router_of(pipe), attributes(pipe)
        with pytest.raises(BadInput, match=f"backend: '{backend}' is not possible; .*{words}"):
            harmonica.apply_router(pipe, router, backend=backend)
        assert attributes(pipe) == before
