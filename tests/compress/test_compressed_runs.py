"""Compressed models as artefacts: made once, found by their ids, run in shards, over routers and
schedules, with cost against the model before compression.
"""

from dataclasses import replace

import numpy as np
import pytest

from experiments.ablation import HARMONICA, training
from harmonica.errors import BadInput
from harmonica.lab import make as lab
from harmonica.lab.ids import with_needs
from harmonica.lab.makings import CompressedSpec, ModelSpec, RouterSpec
from harmonica.lab.models import load_model
from harmonica.lab.sampling import load_samples
from harmonica.lab.specs import LatencySpec, RunSpec
from harmonica.lab.store import Store


@pytest.fixture
def model(smoke_model, quantisation):
    return replace(smoke_model, compression=quantisation(4, 8))


def run_of(model, **fields):
    base = {"num_steps": 4, "against": 4, "num_images": 12, "batch": 4}
    return RunSpec(model=model, **{**base, **fields})


@pytest.fixture
def made(model, tmp_path):
    """A store in which the compressed model lies."""
    store = Store(tmp_path)
    lab.make(CompressedSpec(model=model), store)
    return store


def test_a_run_rests_on_its_compressed_model_and_the_plain_uncached_one(model):
    run = run_of(model, schedule="fora")
    kinds = [artefact.kind for artefact in with_needs([run])]
    assert kinds == ["run", "compressed", "run", "run"]
    assert run.baseline().model == run.reference().model == model.original
    assert run.baseline() == run_of(model.original)
    latency = LatencySpec(group="g", runs=(run,))
    assert CompressedSpec(model=model) in latency.needs()


def test_what_was_done_enters_the_ids_and_an_uncompressed_models_stay_as_they_are(
    model, quantisation
):
    plain = ModelSpec(name="m", sha256="0" * 64, scale="digits")
    assert RunSpec(model=plain, num_steps=10, num_images=2000, against=10).id == (
        "m-t10-full-e0-f73a7542"
    )
    variants = [model, model.original, replace(model, sha256="1" * 64)]
    variants += [replace(model, compression=quantisation(*bits)) for bits in ((8, 8), (4, 4))]
    variants.append(replace(model, compression=quantisation(4, 8, "adaround")))
    assert len({run_of(one).id for one in variants}) == len(variants)
    assert run_of(model).id.startswith("smoke-s0-efficientdm-w4a8-t4-full-e0-")
    assert CompressedSpec(model=model).id.startswith("smoke-s0-efficientdm-w4a8-")


def test_the_record_says_bits_size_and_compute(model, made):
    spec = CompressedSpec(model=model)
    metrics = made.finished(spec)["metrics"]
    assert metrics["bits"] == "W4A8"
    assert metrics["block_macs"] == metrics["original_block_macs"]
    assert 3 < metrics["original_bytes"] / metrics["stored_bytes"] < 8
    path = made.file_path(spec)
    assert path.stat().st_size - metrics["stored_bytes"] < 20_000  # names and settings
    path.write_bytes(path.read_bytes()[:100])
    assert made.finished(spec) is None and made.missing([spec]) == [spec]


def test_shards_give_the_same_bytes_as_one_walk(model, made):
    """Each shard loads the model anew and begins its walk in the middle of the run's images."""
    run = run_of(model, schedule="fora")
    lab.make_shard(run, made, 0, 1)
    straight = load_samples(run, made)
    for path in made.samples(run).iterdir():
        path.unlink()
    for shard in (2, 0, 1):
        lab.make_shard(run, made, shard, 3)
    assert not made.missing_blocks(run)
    assert np.array_equal(load_samples(run, made), straight)


def test_a_router_is_trained_on_the_compressed_model_and_runs_over_it(model, made):
    learned = training("smoke", HARMONICA, 50, batch=4, refresh=2, lambda_batch=4)
    router = RouterSpec(model=model, num_steps=4, training=learned)
    run = run_of(model, schedule="router", router=router, cur_percent=50, num_images=32)
    for artefact in with_needs([run]):
        record = lab.make(artefact, made)
    assert record["cost"]["cur_percent"] == 50
    assert 1.3 < record["cost"]["speedup_theoretical"] < 2
    assert record["metrics"]["x0_mse"] > 0
    with pytest.raises(BadInput, match="router's model"):
        replace(run, model=model.original)


def test_speedup_of_a_pruned_model_is_against_the_whole_one(smoke_model, pruning, tmp_path):
    store, model = Store(tmp_path), replace(smoke_model, compression=pruning)
    run = run_of(model, num_images=32)
    for artefact in with_needs([run]):
        record = lab.make(artefact, store)
    assert 1.3 < record["cost"]["speedup_theoretical"] < 1 / 0.6
    assert record["cost"]["cur_percent"] == 0
    spec = CompressedSpec(model=model)
    metrics = store.finished(spec)["metrics"]
    assert metrics["block_macs"] == pytest.approx(0.6 * metrics["original_block_macs"], rel=0.02)
    smaller = load_model(model, store=store).backbone.model
    assert metrics["stored_bytes"] == sum(p.nbytes for p in smaller.parameters())
