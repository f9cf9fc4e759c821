"""Making artefacts: one process does the work, records say what was done, lost files come back."""

import json
import time
from dataclasses import replace
from multiprocessing import get_context
from shutil import copytree

import numpy as np
import pytest
import torch

from experiments.ablation import SDT_MSE, training
from harmonica.errors import BadInput
from harmonica.lab import make as maker
from harmonica.lab import sampling
from harmonica.lab.ids import SCHEMA, canonical
from harmonica.lab.make import make, make_shard
from harmonica.lab.makings import RouterSpec
from harmonica.lab.sampling import load_samples
from harmonica.lab.schedules import schedule_of
from harmonica.lab.specs import LatencySpec, RunSpec
from harmonica.lab.store import Store, num_blocks, shard_blocks
from harmonica.method import masks
from harmonica.method import router as routers


@pytest.fixture(scope="module")
def specs(smoke_model):
    """A router and runs, as small as can be."""
    learned = training("smoke", SDT_MSE, 50, batch=2)
    router = RouterSpec(model=smoke_model, num_steps=3, training=learned)
    full = RunSpec(model=smoke_model, num_steps=3, against=3, num_images=30, batch=16)
    return {
        "router": router,
        "full": full,
        "fora": RunSpec(**shared(full), schedule="fora"),
        "random": RunSpec(**shared(full), schedule="random", cur_percent=25),
        "routed": RunSpec(**shared(full), schedule="router", cur_percent=50, router=router),
    }


def shared(run):
    return {
        name: getattr(run, name)
        for name in ("model", "num_steps", "against", "num_images", "batch")
    }


@pytest.fixture(scope="module")
def made(specs, tmp_path_factory):
    """A store with everything in it."""
    store = Store(tmp_path_factory.mktemp("local"))
    for artefact in (specs["full"].reference(), *specs.values()):
        make(artefact, store)
    return store


def test_records_say_what_was_done(specs, made):
    for artefact in specs.values():
        record = made.record(artefact)
        assert record["config"] == json.loads(canonical(artefact)) and record["schema"] == SCHEMA
        assert {"versions", "device", "commit", "code_sha", "code_clean", "wall_s"} <= set(
            record["provenance"]
        )
    routed = made.record(specs["routed"])
    own, natural = schedule_of(specs["routed"], made, 4)
    keep = own.keep
    assert routed["keep"] == ["".join(str(int(k)) for k in row) for row in keep.tolist()]
    assert routed["cost"]["cur_percent"] == 50 and routed["cost"]["cur_natural_percent"] == natural
    assert routed["metrics"]["num_images"] == 30 and len(routed["metrics"]["x_mse_curve"]) == 4
    router = made.record(specs["router"])
    assert len(router["log"]) == 2 and router["metrics"]["cur_natural_percent"] == natural


def test_a_routers_mask_can_be_made_to_reuse_the_last_step(specs, made):
    own, natural = schedule_of(replace(specs["routed"], reuse_last_step=True), made, 4)
    keep = own.keep
    assert (
        not keep[-1].any()
        and int((~keep).sum()) == 6
        and natural == schedule_of(specs["routed"], made, 4)[1]
    )


def test_a_router_can_be_used_under_another_sampler_when_that_is_said(specs, made):
    """The same mask; and the file of another model's router is asked for by its own name."""
    foreign = RunSpec(
        **shared(specs["full"]),
        sampler="dpm++",
        schedule="router",
        cur_percent=50,
        router=specs["router"],
        transferred=True,
    )
    assert torch.equal(
        schedule_of(foreign, made, 4)[0].keep, schedule_of(specs["routed"], made, 4)[0].keep
    )
    other = replace(
        specs["router"], model=replace(specs["router"].model, name="other", sha256="1" * 64)
    )
    with pytest.raises(BadInput, match="other-t3-.* does not exist"):
        schedule_of(replace(specs["routed"], router=other, transferred=True), made, 4)


def test_the_uncached_run_has_no_error_and_reuse_has_some(specs, made):
    metrics = {
        name: made.record(spec)["metrics"] for name, spec in specs.items() if name != "router"
    }
    assert metrics["full"]["x0_mse"] == 0 and set(metrics["full"]["x_mse_curve"]) == {0.0}
    for name in ("fora", "random", "routed"):
        assert metrics[name]["x0_mse"] > 0 and metrics[name]["x_mse_curve"][:2] == [
            0.0,
            0.0,
        ]  # noise, first step


def test_asking_again_does_nothing(specs, made, monkeypatch):
    monkeypatch.setattr(maker, "MAKERS", {})
    files = {
        path: path.stat().st_mtime_ns
        for path in made.root.rglob("*.*")
        if path.is_file() and "lock" not in str(path)
    }
    for artefact in specs.values():
        assert make(artefact, made) == made.record(artefact)
    assert files == {path: path.stat().st_mtime_ns for path in files}


def test_made_again_it_is_the_same(specs, made, tmp_path):
    other = Store(tmp_path)
    for artefact in (specs["full"].reference(), *specs.values()):
        record, known = make(artefact, other), made.record(artefact)
        assert {key: value for key, value in record.items() if key != "provenance"} == {
            key: value for key, value in known.items() if key != "provenance"
        }
    for path in [*made.root.rglob("*.npy"), *made.root.rglob("*.safetensors")]:
        assert path.read_bytes() == (tmp_path / path.relative_to(made.root)).read_bytes()


@pytest.fixture
def long_run(specs, made):
    """Of 8 blocks, the last one padded."""
    run = replace(specs["routed"], num_images=30, batch=4)
    assert num_blocks(run) == 8
    return run


def store_with_router(specs, made, folder):
    store = Store(folder)
    copytree(made.root / "routers", store.root / "routers")
    return store


def sampled(run, store):
    return {path.name: path.read_bytes() for path in store.samples(run).iterdir()}


@pytest.mark.parametrize(
    "order",
    [
        [(0, 2), (1, 2)],
        [(4, 5), (2, 5), (0, 5), (3, 5), (1, 5)],
        [(k, 11) for k in range(11)],
        [(1, 2), (0, 3), (1, 3), (2, 3)],
    ],
    ids=["2", "5", "more than blocks", "mixed"],
)
def test_any_shards_give_the_same_bytes(specs, made, long_run, tmp_path, order):
    whole, store = (store_with_router(specs, made, tmp_path / name) for name in ("whole", "shards"))
    make_shard(long_run, whole, 0, 1)
    for shard, num_shards in order:
        make_shard(long_run, store, shard, num_shards)
        assert not store.missing_blocks(long_run, shard, num_shards)
    assert len(sampled(long_run, whole)) == 9 and sampled(long_run, store) == sampled(
        long_run, whole
    )


@pytest.mark.parametrize("num_shards", [1, 2, 3, 5, 8, 11])
def test_shards_cover_every_block_once(long_run, num_shards):
    parts = [list(shard_blocks(long_run, shard, num_shards)) for shard in range(num_shards)]
    assert sum(parts, []) == list(range(8)) and max(map(len, parts)) - min(map(len, parts)) <= 1
    for wrong in (-1, num_shards):
        with pytest.raises(BadInput, match=f"shard: {wrong} "):
            shard_blocks(long_run, wrong, num_shards)


def test_after_its_shards_a_run_samples_nothing_and_a_lost_shard_is_redone_alone(
    specs, made, tmp_path, monkeypatch
):
    store = Store(tmp_path)
    run = specs["full"].reference()
    for shard in range(2):
        make_shard(run, store, shard, 2)
    (store.samples(run) / "block-00001.npy").unlink()
    blocks, sample = [], sampling.sample_block
    monkeypatch.setattr(
        sampling,
        "sample_block",
        lambda *arguments: blocks.append(arguments[-1]) or sample(*arguments),
    )
    for shard in range(2):
        make_shard(run, store, shard, 2)
    assert make(run, store)["metrics"] == {"num_images": 30} and blocks == [1]
    assert sampled(run, store) == sampled(run, made)


@pytest.mark.filterwarnings("ignore:This process")  # fork() in a process with threads
def test_two_processes_at_the_same_blocks_do_not_disturb_each_other(
    specs, made, long_run, tmp_path
):
    """The same shard twice: one waits. Overlapping shards: both sample, every file is whole."""
    whole, store = (store_with_router(specs, made, tmp_path / name) for name in ("whole", "shards"))
    make_shard(long_run, whole, 0, 1)
    fork = get_context("fork")
    workers = [
        fork.Process(target=make_shard, args=(long_run, store, *shard))
        for shard in ((0, 1), (0, 1), (0, 2), (1, 2))
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4 and sampled(
        long_run, store
    ) == sampled(long_run, whole)


def test_masks(specs, made):
    assert torch.equal(schedule_of(specs["full"], made, 4)[0].keep, masks.full(3, 4))
    assert torch.equal(schedule_of(specs["fora"], made, 4)[0].keep, masks.fora(3, 4))
    assert int((~schedule_of(specs["random"], made, 4)[0].keep).sum()) == 3
    assert int((~schedule_of(specs["routed"], made, 4)[0].keep).sum()) == 6


@pytest.mark.parametrize(
    "num_steps, num_blocks, sha256, words",
    [
        (5, 4, None, "is for 5 steps and 4 blocks, but the run has 3 steps and 4 blocks"),
        (3, 6, None, "is for 3 steps and 6 blocks"),
        (3, 4, "1" * 64, "was made for model 'other'"),
    ],
)
def test_a_router_of_another_model_or_t_is_refused(
    specs, tmp_path, num_steps, num_blocks, sha256, words
):
    store = Store(tmp_path)
    about = {"model": "other", "model_sha256": sha256 or specs["routed"].model.sha256}
    routers.Router(logits=torch.ones(num_steps, num_blocks), about=about).save(
        store.file_path(specs["router"])
    )
    with pytest.raises(BadInput, match=words):
        schedule_of(specs["routed"], store, 4)


def test_missing_or_damaged_samples_are_named(specs, made):
    path = made.samples(specs["random"]) / "block-00001.npy"
    whole = path.read_bytes()
    assert load_samples(specs["random"], made).shape == (30, 1, 8, 8)
    try:
        for size in (0, 20, 200, None):
            path.unlink() if size is None else path.write_bytes(whole[:size])
            with pytest.raises(BadInput, match="block-00001.npy is missing or damaged"):
                load_samples(specs["random"], made)
    finally:
        path.write_bytes(whole)


@pytest.fixture
def harmed(specs, made, tmp_path):
    """-> a function that does harm to a file of a copy of the whole store -> the copy."""

    def harm(path, how):
        store = Store(tmp_path / how)
        copytree(made.root, store.root)
        path = store.root / path
        whole = path.read_bytes()
        path.unlink() if how == "gone" else path.write_bytes(whole[: len(whole) // 2])
        return store

    return harm


@pytest.mark.parametrize("how", ["gone", "cut"])
def test_a_router_whose_file_is_lost_is_trained_again(specs, made, harmed, capsys, how):
    """Nothing else is missing; and a run that rests on it is made as if nothing had happened."""
    router, routed = specs["router"], specs["routed"]
    store = harmed(made.file_path(router).relative_to(made.root), how)
    assert store.missing(list(specs.values())) == [router]
    store.record_path(routed).unlink()
    assert store.missing(list(specs.values())) == [router, routed]
    for artefact in (router, routed):
        make(artefact, store)
    assert (
        f"{router.id}: its router file is missing or damaged: made again" in capsys.readouterr().out
    )
    assert store.file_path(router).read_bytes() == made.file_path(router).read_bytes()
    assert store.record(routed)["metrics"] == made.record(routed)["metrics"]
    assert store.missing(list(specs.values())) == []


@pytest.mark.parametrize("how", ["gone", "cut"])
@pytest.mark.parametrize("name", ["block-00001.npy", "trajectory.npy"])
def test_a_run_whose_images_are_lost_is_sampled_again(specs, made, harmed, capsys, how, name):
    """Only the block that was harmed; the record stays as it is."""
    run = specs["fora"]
    store = harmed((made.samples(run) / name).relative_to(made.root), how)
    others = {p: p.stat().st_mtime_ns for p in store.samples(run).iterdir() if p.name != name}
    record = store.record_path(run).read_bytes()
    assert store.missing([run]) == [run]
    make(run, store)
    assert f"{run.id}: its images are missing or damaged: made again" in capsys.readouterr().out
    assert sampled(run, store) == sampled(run, made)
    assert store.record_path(run).read_bytes() == record
    untouched = [p for p, time_ns in others.items() if p.stat().st_mtime_ns == time_ns]
    assert len(untouched) == (2 if name == "block-00001.npy" else 1)


def test_a_damaged_training_state_is_named(specs, tmp_path):
    store = Store(tmp_path)
    store.state_path(specs["router"]).parent.mkdir()
    store.state_path(specs["router"]).write_bytes(b"cut off")
    with pytest.raises(BadInput, match="not a whole training state .* delete it"):
        make(specs["router"], store)


def _count(artefact, store, progress):
    with open(store.root / "worked", "a") as file:
        file.write("x")
    time.sleep(0.5)
    return {"metrics": {}}


@pytest.mark.filterwarnings("ignore:This process")  # fork() in a process with threads
def test_of_two_processes_that_want_the_same_one_does_the_work(specs, tmp_path, monkeypatch):
    monkeypatch.setattr(maker, "MAKERS", {"run": _count})
    fork = get_context("fork")
    workers = [fork.Process(target=make, args=(specs["full"], Store(tmp_path))) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0] and (
        tmp_path / "worked"
    ).read_text() == "x"


def test_latency_is_a_record_of_its_own(specs, made):
    runs = tuple(specs[name] for name in ("full", "fora", "routed"))
    rows = make(LatencySpec(group="g", runs=runs, batch=2, repeats=3), made)["rows"]
    assert list(rows) == sorted(run.id for run in runs) and rows[specs["full"].id]["speedup"] == 1
    assert all(
        row["latency_ms"] > 0
        and row["latency_iqr_ms"][0] <= row["latency_ms"] <= row["latency_iqr_ms"][1]
        for row in rows.values()
    )


def test_images_are_saved_as_float32(specs, made):
    images = load_samples(specs["full"], made)
    trajectory = np.load(made.samples(specs["full"]) / "trajectory.npy")
    assert (
        images.dtype == np.float32
        and trajectory.shape == (4, 16, 1, 8, 8)
        and np.array_equal(trajectory[-1], images[:16])
    )
