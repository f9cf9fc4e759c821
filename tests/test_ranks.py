"""Training and search on several ranks: in exact arithmetic the same as on one; every rank ends
with it, one of them writes.
"""

import os
import socket
from contextlib import contextmanager
from multiprocessing import get_context

import pytest
import torch

from harmonica import samplers
from harmonica.errors import BadInput
from harmonica.lab.make import make
from harmonica.lab.makings import ModelSpec, RouterSpec
from harmonica.lab.models import load_model
from harmonica.lab.store import Store
from harmonica.method import ranks, seeds
from harmonica.method.learner import Learner
from harmonica.method.settings import RouterTraining
from harmonica.method.train import Work, initial_logits, train
from harmonica.search.search import Search
from harmonica.search.settings import Settings
from harmonica.search.walks import ModelWalk

IEPO = {"lambda_scores": "soft", "refresh": 1, "lambda_batch": 4}
METHODS = {
    "HarmoniCa": {"walk": "sdt", "objective": "leave-one-out", **IEPO},
    "HarmoniCa, released lambda": {"walk": "sdt", "objective": "cumulative", **IEPO},
    "Learning-to-Cache": {"walk": "ltc", "ltc_form": "all-pairs", "objective": "mse"},
}
TRAINING = {
    "trajectories": 12,
    "batch": 4,
    "lr": 0.1,
    "adam_eps": 1e-12,
    "tau": 0.1,
    "cur_percent": 40,
}


@pytest.fixture(scope="module")
def on_two_ranks():
    """-> on_two_ranks(work, *arguments): run it on two spawned ranks -> their results, the first
    rank's first.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    spawn = get_context("spawn")
    with spawn.Pool(2, initializer=join, initargs=(port, spawn.Value("i", 0))) as pool:

        def run(work, *arguments):
            calls = [pool.apply_async(together, (work, arguments)) for _ in range(2)]
            return [
                result
                for _, result in sorted(
                    (call.get(600) for call in calls), key=lambda ranked: ranked[0]
                )
            ]

        yield run


def join(port, joined):
    with joined.get_lock():
        rank, joined.value = joined.value, joined.value + 1
    os.environ.update(
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE="2"
    )
    torch.set_num_threads(1)
    ranks.join()


def together(work, arguments):
    torch.distributed.barrier()  # so that no rank takes both calls
    return torch.distributed.get_rank(), work(*arguments)


@contextmanager
def float64_noise():
    """seeds.normal in float64, as the float64 model wants it."""
    normal = seeds.normal
    seeds.normal = lambda rngs, shape: normal(rngs, shape).double()
    try:
        yield
    finally:
        seeds.normal = normal


def two_trajectories(loaded, router):
    """Two trajectories in float64, lambda measured before each -> logits, lambda, the last loss."""
    with float64_noise():
        work = Work(loaded, router)
        logits = initial_logits(router.num_steps, loaded.backbone.num_blocks, 0).double()
        learner = Learner(logits, tau=0.1, lr=0.1, adam_eps=1e-12, beta=1e-4)
        for trajectory in range(2):
            if router.training.objective != "mse":
                learner.lambda_ = work.lambda_(learner.logits(), trajectory)
            loss = work.walk(learner, trajectory)
        return learner.logits(), learner.lambda_, loss


def by_method(loaded):
    model = ModelSpec(name="tiny", sha256="0" * 64, scale="smoke")
    return {
        name: two_trajectories(
            loaded,
            RouterSpec(
                model=model,
                num_steps=4,
                guidance=1.5 if method["walk"] == "sdt" else 1.0,
                training=RouterTraining(**TRAINING, **method),
            ),
        )
        for name, method in METHODS.items()
    }


def test_in_float64_two_ranks_learn_what_one_learns(on_two_ranks, tiny_model_float64):
    alone = by_method(tiny_model_float64)
    first, second = on_two_ranks(by_method, tiny_model_float64)
    for name, (logits, lambda_, loss) in alone.items():
        assert (
            logits.dtype == torch.float64 and (logits - initial_logits(4, 4, 0)).abs().max() > 0.1
        ), name  # it did learn
        for mine, others in zip(
            (logits, lambda_, torch.tensor(loss, dtype=torch.float64)),
            zip(first[name], second[name]),
        ):
            one, two = (torch.as_tensor(other, dtype=mine.dtype) for other in others)
            assert torch.equal(one, two), name
            torch.testing.assert_close(one, mine, rtol=0, atol=1e-9)


def make_it(spec, root):
    return make(spec, Store(root))


def killed_at_eleven(loaded, spec, state):
    def progress(trajectories):
        for trajectory in trajectories:
            if trajectory == 11:
                return
            yield trajectory

    train(loaded, spec, state, progress=progress)


@pytest.fixture
def spec(smoke_model):
    return RouterSpec(
        model=smoke_model, num_steps=3, training=RouterTraining(**TRAINING, **METHODS["HarmoniCa"])
    )


def test_a_router_of_two_ranks_is_one_record(on_two_ranks, spec, tmp_path):
    first, second = on_two_ranks(make_it, spec, tmp_path)
    store = Store(tmp_path)
    assert first == second == store.record(spec)
    assert first["provenance"]["ranks"] == 2 and len(first["log"]) == 12
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert left == [
        f"locks/{spec.id}.lock",
        f"routers/{spec.id}.json",
        f"routers/{spec.id}.safetensors",
    ]
    alone = make(spec, Store(tmp_path / "alone"))
    assert "ranks" not in alone["provenance"]
    assert first["metrics"]["cur_natural_percent"] == alone["metrics"]["cur_natural_percent"]
    assert first["log"][-1]["data_loss"] == pytest.approx(alone["log"][-1]["data_loss"], rel=1e-3)


def test_all_ranks_resume_from_the_state_that_the_first_one_saved(on_two_ranks, spec, tmp_path):
    state = Store(tmp_path).state_path(spec)
    on_two_ranks(killed_at_eleven, load_model(spec.model), spec, state)
    assert state.exists()
    on_two_ranks(make_it, spec, tmp_path)
    on_two_ranks(make_it, spec, tmp_path / "straight")
    resumed, straight = (Store(root) for root in (tmp_path, tmp_path / "straight"))
    assert resumed.file_path(spec).read_bytes() == straight.file_path(spec).read_bytes()
    assert resumed.record(spec)["log"] == straight.record(spec)["log"]


def part_of_five():
    return ranks.part(5)


def test_a_batch_that_the_ranks_cannot_share_is_refused(on_two_ranks):
    assert ranks.part(5) == range(5) and ranks.count() == 1 and ranks.is_first()
    with pytest.raises(BadInput, match="batch: 5 samples cannot be divided over 2 ranks"):
        on_two_ranks(part_of_five)


def search_it(loaded):
    """A search in float64 -> its schedule's mask, its weights one below the other, its error."""
    with float64_noise():
        walk = ModelWalk(loaded, samplers.load("ddim"), 5, 1.5)
        few = {"images": 4, "check_images": 4, "window": 3, "rounds": 1, "stages": (0.5, 1.0)}
        settings = Settings(**few, directions=2)
        search = Search(walk, [10], settings)
        schedule = search.run()[10]
        weights = [schedule.weights[entry].double() for entry in sorted(schedule.weights)]
        forwards = search.state.values["forwards"]
        return schedule.keep, torch.cat(weights), search.held_back(schedule), forwards


def test_in_float64_two_ranks_find_the_schedule_that_one_finds(on_two_ranks, tiny_model_float64):
    keep, weights, error, forwards = search_it(tiny_model_float64)
    for own_keep, own_weights, own_error, own_forwards in on_two_ranks(
        search_it, tiny_model_float64
    ):
        assert torch.equal(own_keep, keep) and own_forwards == forwards
        torch.testing.assert_close(own_weights, weights, rtol=1e-3, atol=1e-6)  # float16
        assert own_error == pytest.approx(error, rel=1e-3)
