"""The launcher without Slurm: what is read and refused, which jobs there are, and the same on
clusters local and debug.
"""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from analysis.tables import COMPRESSION, TABLE1, TABLE2, UVIT
from experiments.ablation import SDT_MSE, training
from experiments.rows import latency_specs
from harmonica.errors import BadInput
from harmonica.files import write_json
from harmonica.lab.ids import SCHEMA, with_needs
from harmonica.lab.make import make_shard
from harmonica.lab.makings import RouterSpec
from harmonica.lab.provenance import check_gpu
from harmonica.lab.specs import LatencySpec, RunSpec
from harmonica.lab.store import Store
from harmonica.weights.specs import FileSpec, ImageSpec
from slurm import launch, report, submission
from slurm.jobs import jobs_of
from slurm.resources import KINDS, Resources, Site, load
from slurm.squeue import Live, Queue
from slurm.work import failed_path, forget_failures

EXAMPLE = Path(__file__).resolve().parents[2] / "slurm" / "cluster.example.toml"


@pytest.fixture(scope="module")
def wanted(smoke_model):
    """A router, the runs that it takes to evaluate it, needs first: router, reference, uncached,
    routed. 5 blocks each.
    """
    learned = training("smoke", SDT_MSE, 50, trajectories=3, batch=4)
    router = RouterSpec(model=smoke_model, num_steps=3, training=learned)
    full = RunSpec(model=smoke_model, num_steps=3, against=3, num_images=20, batch=4)
    return with_needs(
        [router, full, replace(full, schedule="router", cur_percent=50, router=router)]
    )


@pytest.fixture(scope="module")
def latency(wanted):
    return LatencySpec(group="small", runs=(wanted[2], wanted[3]), batch=2, repeats=2)


@pytest.fixture
def go(wanted, tmp_path):
    """-> go(site, options): the launcher over `wanted` on the cluster file that `site` is the text
    of.
    """

    def go(site, latencies=(), wanted=wanted, **options):
        (tmp_path / "c.toml").write_text(site)
        arguments = (
            {"cluster_file": tmp_path / "c.toml", "table": None}
            | {option: False for option in ("dry_run", "status", "cancel", "fresh", "wait")}
            | options
        )
        return launch.main(
            SimpleNamespace(**arguments), wanted, list(latencies), tmp_path / "local"
        )

    return go


WRONG = {
    "[train]\ngpu = 4": "[train] key: 'gpu'",
    "[training]\ngpus = 4": "table: 'training'",
    "gpus = 4": "table: 'gpus'",
    "[all]\nminutes = '2 h'": "[all] minutes: '2 h' is not possible; give a whole number",
    "[all]\ngpus = -1": "[all] gpus: -1 is not possible; it must be at least 0",
    "[sample]\nshards = 0": "[sample] shards: 0",
    "[evaluate]\ncpus = 1.5": "[evaluate] cpus: 1.5",
    "[all]\nexclusive = 'yes'": "give true or false",
    "[all]\nsetup = 'module load a'": "[all] setup: 'module load a' is not possible; give a list",
    "[evaluate]\nshards = 2": "[evaluate] key: 'shards' is not possible; it belongs to [sample]",
    "[train]\ngpus = 4": "each process has one GPU, so with gpus = 4 it is 4",
    "[sample]\ngpus = 2": "[sample] gpus: 2 is not possible; only training",
    "[render]\nminutes = 2": "[render] minutes: 2",
    "[site]\ncluster = 'pbs'": "[site] cluster: 'pbs'",
    "[site]\ngpu_syntax = 'gpu'": "[site] gpu_syntax: 'gpu'",
    "[site]\nsrun = false\n[train]\nprocesses = 2": "2 is not possible; without srun",
    "[all": "not a TOML file",
}


@pytest.mark.parametrize(
    "text, words", WRONG.items(), ids=[text.replace("\n", " ") for text in WRONG]
)
def test_a_wrong_cluster_file_is_one_sentence(tmp_path, text, words):
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(BadInput) as error:
        load(tmp_path / "c.toml")
    assert (
        str(error.value).startswith(f"{tmp_path}/c.toml: ")
        and words in str(error.value)
        and "\n" not in str(error.value)
    )


def test_the_example_is_right_and_a_missing_file_says_so(tmp_path):
    site, kinds = load(EXAMPLE)
    assert site.cluster == "slurm" and kinds["render"].gpus == 0
    assert kinds["train"].processes == 4 and kinds["train"].partition == "gpu"
    with pytest.raises(BadInput, match="--cluster-file: .*copy slurm/cluster.example.toml"):
        load(tmp_path / "none.toml")
    with pytest.raises(BadInput, match="--cluster-file: .*it is a folder; name a file"):
        load(tmp_path)


def kinds(**changes):
    return {kind: replace(Resources(), **changes.get(kind, {})) for kind in KINDS}


def test_every_job_comes_after_what_it_needs(wanted, latency, tmp_path):
    router, reference, full, routed = wanted
    jobs = jobs_of(
        wanted, [latency], Store(tmp_path), kinds(sample={"shards": 3}), ("table1", ("table1",))
    )
    assert [(job.key, job.kind) for job in jobs] == [
        (router.id, "train"),
        (f"{reference.id}.samples", "sample"),
        (reference.id, "evaluate"),
        (f"{full.id}.samples", "sample"),
        (full.id, "evaluate"),
        (f"{routed.id}.samples", "sample"),
        (routed.id, "evaluate"),
        (latency.id, "latency"),
        ("table1", "render"),
    ]
    needs = {job.key: set(job.needs) for job in jobs}
    assert needs[f"{routed.id}.samples"] == {router.id} and not needs[f"{full.id}.samples"]
    assert needs[routed.id] == {reference.id, router.id, full.id, f"{routed.id}.samples"}
    assert needs[latency.id] == {router.id} and not needs["table1"]
    after = {job.key: job.after for job in jobs}  # the last ones imply the others
    assert after[latency.id] == (routed.id,) and after["table1"] == (routed.id, latency.id)
    assert jobs[1].shards == ((0, 3), (1, 3), (2, 3))


def test_only_what_is_missing_becomes_a_job(wanted, alone, tmp_path):
    router, reference, full, routed = wanted
    assert jobs_of(wanted, [], alone, kinds()) == []
    store = Store(tmp_path)
    shutil.copytree(alone.root, store.root, dirs_exist_ok=True)
    store.record_path(routed).unlink()
    (job,) = jobs_of(wanted, [], store, kinds(sample={"shards": 5}))  # its images are there
    assert (job.key, job.needs) == (routed.id, ())
    (store.samples(routed) / "block-00003.npy").unlink()
    samples, job = jobs_of(wanted, [], store, kinds(sample={"shards": 5}))
    assert samples.shards == ((3, 5),) and job.needs == (samples.key,)
    (job,) = jobs_of(wanted, [], store, kinds(sample={"shards": 1}))
    assert job.kind == "evaluate"


@pytest.mark.parametrize("processes, ranks", [(4, 4), (8, 4), (6, 4), (3, 2)])
def test_a_router_trains_on_as_many_ranks_as_share_its_batch(wanted, tmp_path, processes, ranks):
    job = jobs_of(wanted, [], Store(tmp_path), kinds(train={"processes": processes}))[0]
    assert (job.kind, job.processes) == ("train", ranks)  # of a batch of 4
    asked = submission.parameters(Resources(gpus=processes), Site(), job.processes)
    assert (asked["tasks_per_node"], asked["gpus_per_node"]) == (ranks, ranks)


@pytest.mark.parametrize("table", [TABLE1, TABLE2, UVIT, COMPRESSION], ids=lambda table: table.name)
def test_every_table_of_the_paper_fits_the_example_file(table, tmp_path, capsys):
    rows = table.rows("paper")
    artefacts = with_needs([run for row in rows for run in row.runs])
    _, resources = load(EXAMPLE)
    report.plan(jobs_of(artefacts, latency_specs(rows), Store(tmp_path), resources), resources)
    assert "expected hours" in capsys.readouterr().out


def test_an_array_in_the_queue_keeps_its_number_of_shards(wanted, tmp_path):
    key = f"{wanted[1].id}.samples"
    jobs = jobs_of(wanted, [], Store(tmp_path), kinds(sample={"shards": 3}), divided={key: 5})
    assert [len(job.shards) for job in jobs if job.shards] == [5, 3, 3]
    queue = Queue(tmp_path)
    queue.note(key, "7", [(3, 5), (4, 5)])
    live = {key: [Live("7_0", "RUNNING", "None")], "unknown": [Live("8", "PENDING", "Priority")]}
    assert queue.divided(live) == {key: 5}


def test_jobs_that_belong_to_nothing_here_are_named(capsys):
    live = {"mine": [Live("7_0", "RUNNING", "None")], "lost": [Live("9_1", "PENDING", "None")]}
    report.of_others(live, {"mine"})
    said = capsys.readouterr().out
    assert "not by this command" in said and "lost; `scancel 9` ends 1 job" in said


def test_the_failure_of_one_shard_is_its_own(wanted, tmp_path):
    """Another one that succeeds does not hide it, and its log is the one that is shown."""
    run, queue = wanted[1], Queue(tmp_path, in_queue=False)
    key = f"{run.id}.samples"
    write_json(failed_path(tmp_path, key, "7_1"), {"reason": "no space", "job": "7_1"})
    for shard in range(3):
        log = queue.folder(key) / f"7_{shard}_0_log.err"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"shard {shard}")
    state = report.states([run], None, Store(tmp_path), queue)[run.id]
    assert state == ("failed", f"no space; log: {queue.folder(key)}/7_1_0_log.err")
    forget_failures(tmp_path, key)
    queue.note(key, "7", [(0, 3), (1, 3), (2, 3)])
    assert queue.how_it_ended(key, lambda shard, _: shard == 2).endswith("which ends: shard 2")


def test_at_paper_scale_a_machine_without_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(BadInput, match="GPU: torch .* sees none; run the paper's scale where"):
        check_gpu()


def test_at_paper_scale_no_job_goes_without_a_gpu(go, wanted):
    large = replace(wanted[1], model=replace(wanted[1].model, scale="paper"))
    with pytest.raises(BadInput, match=r"\[evaluate\] gpus: 0 is not possible; at paper scale"):
        go("[sample]\ngpus = 1", wanted=[large], dry_run=True)
    go("[evaluate]\ngpus = 1", wanted=[large], dry_run=True)  # it trains nothing


def test_dry_run_says_what_it_takes_and_makes_nothing(go, wanted, latency, tmp_path, capsys):
    go("[all]\ngpus = 1\nminutes = 30\n[sample]\nshards = 5\nparallel = 2", [latency], dry_run=True)
    said = capsys.readouterr().out
    words = [line.split() for line in said.splitlines()]
    lines = {line[0]: line for line in words if line[1:] and line[1].isdigit()}
    assert (
        lines["sample"][1:4] == ["15", "1", "1"] and lines["sample"][-1] == "7.5"
    )  # 15 shards of half an hour
    assert (
        f"sample    {wanted[3].id}.samples  5 shards, 2 at a time\n          after {wanted[0].id}\n"
        in said
    )
    assert "disk: about" in said and not (tmp_path / "local").exists()


def test_the_plan_of_a_fresh_set_has_every_job(go, wanted, tmp_path, capsys):
    go("", dry_run=True)
    plan = capsys.readouterr().out
    make_shard(wanted[1], Store(tmp_path / "local"), 0, 1)
    go("", dry_run=True)
    assert capsys.readouterr().out != plan
    go("", dry_run=True, fresh=True)
    assert capsys.readouterr().out == plan and (tmp_path / "local").exists()


@pytest.mark.parametrize("shards", [1, 3])
def test_debug_makes_what_make_makes(go, wanted, latency, alone, same, tmp_path, capsys, shards):
    site = f"[site]\ncluster = 'debug'\n[sample]\nshards = {shards}\nparallel = 2"
    go(site, [latency])
    store = Store(tmp_path / "local")
    same(store)
    assert store.record(latency)["rows"].keys() == {wanted[2].id, wanted[3].id}
    for artefact in wanted[1:]:
        assert {path.name: path.read_bytes() for path in store.samples(artefact).iterdir()} == {
            path.name: path.read_bytes() for path in alone.samples(artefact).iterdir()
        }
    go(site, [latency])
    assert "nothing to run: all 5 records" in capsys.readouterr().out


def test_local_trains_on_two_ranks(go, wanted, alone, tmp_path):
    go("[site]\ncluster = 'local'\n[train]\nprocesses = 2", wanted=wanted[:1])
    mine, theirs = (made.record(wanted[0]) for made in (Store(tmp_path / "local"), alone))
    assert mine["provenance"]["ranks"] == 2
    assert mine["log"][0]["data_loss"] == pytest.approx(theirs["log"][0]["data_loss"], rel=1e-3)


def test_what_fails_says_why_its_dependants_say_so_and_nothing_else_is_lost(
    go, wanted, same, tmp_path, capsys
):
    site, store = "[site]\ncluster = 'debug'", Store(tmp_path / "local")
    state = store.state_path(wanted[0])
    state.parent.mkdir(parents=True)
    state.write_bytes(b"cut off")
    with pytest.raises(
        BadInput, match=f"run: {wanted[0].id}: .*not a whole training state.*2 failed"
    ):
        go(site)
    assert f"failed: {wanted[3].id}: needs {wanted[0].id}, which failed" in capsys.readouterr().out
    go(site, status=True)
    said = [line.split() for line in capsys.readouterr().out.splitlines()]
    states = [(state, id_) for state, id_, *rest in said if not rest]
    assert states == list(
        zip(("failed", "done", "done", "failed"), [artefact.id for artefact in wanted])
    )
    state.unlink()
    go(site)
    same(store)
    assert not list((tmp_path / "local" / "failed").iterdir())


def test_a_lost_shard_is_redone_alone(go, wanted, same, tmp_path):
    site, store = "[site]\ncluster = 'debug'\n[sample]\nshards = 5", Store(tmp_path / "local")
    make_shard(wanted[1], store, 0, 5)
    make_shard(wanted[1], store, 4, 5)
    before = {path: path.stat().st_mtime_ns for path in store.samples(wanted[1]).iterdir()}
    go(site)
    assert before == {path: path.stat().st_mtime_ns for path in before}
    same(store)


def test_states_without_a_queue(wanted, tmp_path):
    queue = Queue(tmp_path, in_queue=False)
    assert report.states(wanted, None, Store(tmp_path), queue) == {
        artefact.id: ("missing", "") for artefact in wanted
    }


def test_a_run_of_paper_scale_is_done_when_its_images_are_deleted(wanted, tmp_path):
    """As the command counts it: they are missed only where another run needs them."""
    run = wanted[2]
    large = replace(
        run,
        model=replace(run.model, scale="paper"),
        images=ImageSpec(decoder=FileSpec(name="vae", sha256="1" * 64), reference="some.npz"),
    )
    store, queue = Store(tmp_path), Queue(tmp_path, in_queue=False)
    store.finish(large, {"schema": SCHEMA, "id": large.id})
    found = report.states([large], None, store, queue)
    assert found == {large.id: ("done", "")}
    report.raise_failed(found)
    cached = replace(large, schedule="fora")
    states = report.states([large, cached], None, store, queue)
    assert {state for state, _ in states.values()} == {"missing"}


@pytest.mark.parametrize("option", [{}, {"status": True}, {"cancel": True}, {"wait": True}])
def test_without_slurm_there_is_one_sentence(go, monkeypatch, tmp_path, option):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInput, match="^squeue: not found; run this on a login node"):
        go("[site]\ncluster = 'slurm'", **option)
