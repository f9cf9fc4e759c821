"""The whole chain of the paper scale on a CPU: tiny weights in exactly the published formats, paths
and counts changed.
"""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from analysis import paper_scale as tables
from analysis.tables import TABLE1
from experiments.dit_xl2_256.config import settings
from experiments.paper_scale import Base, Budget, PaperSteps, rows_of
from experiments.rows import latency_specs
from harmonica import weights
from harmonica.__main__ import main
from harmonica.backbones.dit_official import to_official
from harmonica.errors import BadInput
from harmonica.lab import evaluation
from harmonica.lab.cost import mac_fraction
from harmonica.lab.make import make, make_shard
from harmonica.lab.makings import ModelSpec
from harmonica.lab.sampling import blocks_of
from harmonica.lab.schedules import schedule_of
from harmonica.lab.specs import LatencySpec, RunSpec
from harmonica.lab.store import Store
from harmonica.method.router import Router
from harmonica.metrics import adm
from harmonica.metrics.images import open_images, write_npz
from harmonica.search.settings import Settings
from harmonica.weights import class_folders, formats, latents
from harmonica.weights.specs import FileSpec, ImageSpec, PublishedRouter
from harmonica.weights.vae import Vae

ROUTERS = os.environ.get("HARMONICA_ROUTERS")
STEPS, BLOCKS, SIDE = 4, 4, 4  # latents of 4 x 4 are images of 32 x 32
QUICK = Settings(images=2, check_images=2, window=3, stages=(1.0,), rounds=1, swaps=2)
BUDGET = Budget(
    num_images=10, block=4, iterations=8, refresh=4, sdt_batch=2, ltc_batch=3, search=QUICK
)


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_dit, tiny_vae, random_weights, few_features):
    """A folder of weights: an official .pt, a diffusers VAE, Inception, a published router,
    latents, a reference.
    """
    root = tmp_path_factory.mktemp("paper")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARMONICA_WEIGHTS", str(root))
        for name in ("HARMONICA_ROUTERS", "HARMONICA_LATENTS"):
            patch.delenv(name, raising=False)
        torch.save(
            to_official(tiny_dit(dtype=torch.float32, sample_size=SIDE).model), root / "tiny.pt"
        )
        (root / "vae").symlink_to(tiny_vae)
        (root / "inception.pth").symlink_to(random_weights)
        (root / "routers").mkdir()
        logits = torch.where(torch.arange(STEPS * BLOCKS).view(STEPS, BLOCKS) % 3 == 1, -5.0, 5.0)
        logits[0] = 5  # the first step of HarmoniCa's files
        formats.write(root / "routers" / "theirs.pt", Router(logits=logits))
        rng = np.random.default_rng(0)
        for i in range(6):
            (root / "images" / f"n{i % 3}").mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(256, size=(40, 50, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "images" / f"n{i % 3}" / f"{i}.png")
        latents.prepare(
            class_folders.below(root / "images")[0],
            latents.latents_folder(SIDE),
            Vae(file("vae")),
            size=8 * SIDE,
        )
        write_npz(
            root / "real.npz",
            [rng.integers(256, size=(12, 3, 8 * SIDE, 8 * SIDE), dtype=np.uint8)],
            12,
        )
        adm.write_reference(root / "quick.npz", open_images(root / "real.npz"), few_features)
        yield root


def file(name):
    return FileSpec(name=name, sha256=weights.sha256(weights.find(name)))


@pytest.fixture(scope="module")
def base(place):
    model = ModelSpec(
        name="tiny.pt", sha256=weights.sha256(place / "tiny.pt"), scale="paper", heads=4
    )
    return Base(
        label="DiT-XL/2 256x256",
        model=model,
        images=ImageSpec(
            decoder=file("vae"), reference="quick.npz", inception=file("inception.pth")
        ),
    )


@pytest.fixture(scope="module")
def rows(base, place):
    published = PublishedRouter(
        name="theirs.pt", sha256=weights.sha256(place / "routers" / "theirs.pt")
    )
    setting = PaperSteps(
        num_steps=STEPS,
        fewer=3,
        ltc_cur=25,
        harmonica_cur=25,
        harmonica_beta=1e-8,
        published=published,
    )
    return rows_of(base, setting, BUDGET)


@pytest.fixture(scope="module")
def store(rows, all_made):
    return all_made(rows)


def test_every_row_is_measured_and_rendered(rows, store, tmp_path):
    latency = replace(latency_specs(rows)[0], batch=1, repeats=2)
    assert isinstance(latency, LatencySpec) and len(make(latency, store)["rows"]) == len(rows)
    uncached = store.record(rows[0].runs[0])
    assert set(uncached["metrics"]["x_mse_curve"]) == {0.0}
    for row in rows:
        record = store.record(row.runs[0])
        metrics = record["metrics"]
        assert (
            metrics["num_images"] == BUDGET.num_images
            and metrics["reference_sha256"]
            and metrics["inception_sha256"]
        )
        assert (
            all(np.isfinite(metrics[name]) for name in TABLE1.measured)
            and record["cost"]["macs"] > 0
        )
        assert (
            record["config"]["images"]["decoder"]["sha256"] and record["config"]["guidance"] == 1.5
        )
    assert [(row.method, row.form) for row in rows] == [
        ("DDIM", ""),
        ("DDIM", ""),
        ("Learning-to-Cache", "trained here"),
        ("HarmoniCa", "trained here"),
        ("Search + prediction", ""),
        ("Learning-to-Cache", "published router"),
        ("HarmoniCa", "published beta"),
    ]
    (csv, document), text = tables.render(store.root, tmp_path, rows, TABLE1)
    assert csv.name == "table1.paper.csv" and csv.read_text().count("\n") == 1 + len(rows)
    assert (
        "published router" in document.read_text()
        and "FID in the paper" in text
        and "no finished latency record" in text
    )


def test_a_run_is_evaluated_by_inception(rows, store, place, tmp_path):
    """The whole of one row with nothing replaced: a distance of 2048 features takes seconds, so not
    all of them.
    """
    run = replace(
        rows[2].runs[0], images=replace(rows[2].runs[0].images, reference="reference.npz")
    )
    other = Store(tmp_path)
    with pytest.warns(UserWarning, match="means nothing"):
        inception = evaluation._inception(run.images.inception)
        adm.write_reference(place / "reference.npz", open_images(place / "real.npz"), inception)
        make(run.router, other)
        make_shard(run.baseline(), other, 0, 1)  # its latents are compared with
        metrics = make(run, other)["metrics"]
    assert (
        metrics["inception_sha256"] == run.images.inception.sha256
        and metrics["num_images"] == BUDGET.num_images
    )
    assert other.file_path(run.router).read_bytes() == store.file_path(run.router).read_bytes()
    assert all(np.isfinite(metrics[name]) for name in TABLE1.measured)


def test_the_published_router_is_followed_to_the_letter(rows, store, place, monkeypatch):
    run = next(row.runs[0] for row in rows if row.form == "published router")
    own, natural = schedule_of(run, store, BLOCKS)
    keep = own.keep
    theirs = formats.read(place / "routers" / "theirs.pt").keep()
    assert torch.equal(keep, theirs) and natural == store.record(run)["cost"]["cur_percent"] > 0
    (place / "routers" / "theirs.pt").rename(place / "routers" / "renamed.pt")
    try:  # a file is its hash
        assert torch.equal(schedule_of(run, store, BLOCKS)[0].keep, theirs)
        monkeypatch.setenv("HARMONICA_ROUTERS", str(place))
        with pytest.raises(BadInput, match="router: .*theirs.pt does not exist"):
            schedule_of(run, store, BLOCKS)
    finally:
        (place / "routers" / "renamed.pt").rename(place / "routers" / "theirs.pt")


@pytest.mark.skipif(not ROUTERS, reason="HARMONICA_ROUTERS names no folder with a published router")
def test_learning_to_caches_router_for_t_20(tmp_path, monkeypatch):
    """The file that its authors publish: 872 of 1120 entries computed, 0.7785 of the
    multiply-accumulates.
    """
    monkeypatch.setenv("HARMONICA_ROUTERS", ROUTERS)
    setting = next(setting for setting in settings() if setting.num_steps == 20)
    run = RunSpec(
        model=ModelSpec(name="DiT-XL-2-256x256.pt", sha256="any", scale="paper"),
        num_steps=20,
        against=20,
        num_images=50_000,
        guidance=1.5,
        schedule="router",
        published=setting.published,
    )
    try:
        own, natural = schedule_of(run, Store(tmp_path), 56)
    except BadInput as missing:
        pytest.skip(str(missing))
    keep = own.keep
    assert int(keep.sum()) == 872 and round(natural, 2) == 22.14
    assert (
        round(mac_fraction("DiT-XL/2 256", keep), 4)
        == round(mac_fraction(run.model.name, keep), 4)
        == 0.7785
    )


def test_any_number_of_shards_gives_the_same_bytes(rows, store, tmp_path):
    run = rows[0].runs[0]
    for num_shards in (1, 2, 5):
        other = Store(tmp_path / str(num_shards))
        for shard in reversed(range(num_shards)):
            make_shard(run, other, shard, num_shards)
        for own, again in zip(blocks_of(run, store), blocks_of(run, other), strict=True):
            assert (
                own.dtype == np.uint8
                and own.shape[1:] == (3, 8 * SIDE, 8 * SIDE)
                and np.array_equal(own, again)
            )


def test_images_leave_as_adm_reads_them(rows, store, tmp_path, monkeypatch, refused_here):
    run = rows[0].runs[0]
    monkeypatch.setattr("harmonica.lab.store.LOCAL", store.root)
    assert main(["samples", run.id, str(tmp_path / "x.npz")]) == 0
    with np.load(tmp_path / "x.npz") as exported:
        assert np.array_equal(
            exported["arr_0"].transpose(0, 3, 1, 2), np.concatenate(list(blocks_of(run, store)))
        )
    refused_here(
        "samples", "no-such-run", tmp_path / "x.npz", words=["no-such-run", "only a finished run"]
    )


def test_more_images_take_no_more_memory(rows, tmp_path, monkeypatch):
    """Blocks go to disk one by one; a run of any length holds one."""
    import tracemalloc

    monkeypatch.setattr(evaluation, "evaluate", lambda run, store: {"num_images": run.num_images})
    peaks = []
    for count in (4, 24):
        tracemalloc.start()
        make(replace(rows[0].runs[0], num_images=count, seed=1), Store(tmp_path))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 2**18


def test_precision_is_part_of_a_run(rows, store, tmp_path):
    run = rows[0].runs[0]
    low = replace(run, precision="bfloat16")
    assert low.id != run.id and replace(run, precision="tf32").id not in (low.id, run.id)
    make_shard(low, Store(tmp_path), 0, 1)
    exact, rounded = (
        np.load(place.samples(r) / "trajectory.npy")
        for place, r in ((store, run), (Store(tmp_path), low))
    )
    assert rounded.dtype == np.float32 and np.array_equal(exact[0], rounded[0])
    assert 1e-5 < np.abs(exact[-1] - rounded[-1]).max() / np.abs(exact[-1]).max() < 0.3
    with pytest.raises(BadInput, match="precision: 'fp8'"):
        replace(run, precision="fp8")


def test_learning_to_cache_without_latents_says_what_makes_them(rows, store, tmp_path, monkeypatch):
    monkeypatch.setenv("HARMONICA_LATENTS", str(tmp_path / "none"))
    router = next(row.runs[0].router for row in rows if row.method == "Learning-to-Cache")
    with pytest.raises(BadInput, match="latents prepare"):
        make(router, Store(tmp_path))


def test_the_record_tells_the_files(rows, store):
    published = next(row.runs[0] for row in rows if row.runs[0].published)
    config = json.loads(store.record_path(published).read_text())["config"]
    assert (
        config["published"]["name"] == "theirs.pt" and config["images"]["reference"] == "quick.npz"
    )
