"""Through a real Slurm: whatever happens to jobs and launchers, the records are those of one
undisturbed process.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from small.config import table

from experiments.rows import latency_specs
from harmonica.lab.ids import with_needs
from harmonica.lab.store import Store
from slurm import launch, submission
from slurm.resources import Resources, Site
from slurm.squeue import Queue

pytestmark = pytest.mark.slurm
ROOT = Path(__file__).resolve().parents[2]
# At 10 minutes submitit takes every signal for a time-out, at 30 for a preemption. 30 of 64 CPUs:
# two jobs at a time.
CLUSTER = """
[all]
partition = "ci"
cpus = 30
memory_gb = 1
minutes = 30
[sample]
shards = 3
cpus = 20
minutes = 10
"""
ROWS = table("smoke")
WANTED = with_needs([run for row in ROWS for run in row.runs])
REFERENCE, FULL, ROUTER, ROUTED = WANTED
(LATENCY,) = latency_specs(ROWS)


@pytest.fixture(scope="module")
def wanted():
    return WANTED


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to launch from, with the small experiment; its jobs are cancelled when the test
    ends.
    """
    (tmp_path / "experiments").mkdir()
    for module in (ROOT / "experiments").glob("*.py"):
        (tmp_path / "experiments" / module.name).symlink_to(module)
    (tmp_path / "experiments" / "small").symlink_to(Path(__file__).parent / "small")
    (tmp_path / "cluster.toml").write_text(CLUSTER)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield tmp_path
    jobs = Queue(tmp_path / "results" / "local")
    jobs.cancel([one for own in jobs.live().values() for one in own])


def command(*options):
    return [
        sys.executable,
        "-m",
        "experiments",
        "run",
        "small",
        "--scale",
        "smoke",
        "--where",
        "slurm",
        "--cluster-file",
        "cluster.toml",
        *options,
    ]


def run(place, *options):
    return subprocess.run(command(*options), cwd=place, capture_output=True, text=True, timeout=300)


class Cluster:
    """What the test sees of jobs and files, and does to them."""

    def __init__(self, place, wait_for):
        local = place / "results" / "local"
        self.jobs, self.store, self.wait_for = Queue(local), Store(local), wait_for

    def pid(self, lock, but=None):
        """The process at work on an artefact or shard, once there is one other than `but`."""
        return self.wait_for(lambda: self.at_work(lock, but), seconds=120)

    def at_work(self, lock, but=None):
        """The same, None where there is none now."""
        path = self.store.root / "locks" / f"{lock}.json"
        try:
            return (pid := json.loads(path.read_text())["pid"]) != but and pid
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def id_of(self, key, index=0):
        return sorted(one.id for one in self.jobs.live()[key])[index]

    def names(self):
        """Names of live jobs, tasks of an array with their index."""
        return [f"{key} {one.index}" for key, own in self.jobs.live().items() for one in own]


def restarts(id_):
    said = subprocess.run(["scontrol", "show", "job", id_], capture_output=True, text=True).stdout
    return int(re.search(r"Restarts=(\d+)", said)[1])


def signal_job(id_):
    subprocess.run(["scancel", id_, "--signal=USR2"], check=True)


def killed_launcher(place, cluster, at):
    """A launcher that is killed as soon as so many jobs are queued."""
    process = subprocess.Popen(
        command(), cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    cluster.wait_for(lambda: len(cluster.jobs.live()) >= at or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_killed_on_the_way_the_records_are_the_same(place, alone, same, wait_for):
    cluster = Cluster(place, wait_for)
    local = cluster.store
    for made in (REFERENCE, FULL):  # these are there already: the launcher asks for the others only
        shutil.copytree(alone.samples(made), local.samples(made))
        local.finish(made, alone.record(made))

    # A job that fails for good: it says why, its dependants say so, nothing hangs. And a launcher
    # killed half-way.
    local.state_path(ROUTER).parent.mkdir(parents=True)
    local.state_path(ROUTER).write_bytes(b"cut off")
    killed_launcher(place, cluster, at=1)
    killed_launcher(place, cluster, at=2)
    asked = run(place, "--wait")
    assert asked.returncode == 2 and "not a whole training state" in asked.stderr, (
        asked.stderr + asked.stdout
    )
    status = run(place, "--status").stdout
    assert (
        f"failed  {ROUTER.id}\n" in status
        and f"failed  {ROUTED.id}\n        needs {ROUTER.id}, which failed" in status
    )
    assert cluster.names() == []
    local.state_path(ROUTER).unlink()

    # Asked again: what is missing, once each; and once more: nothing.
    assert "4 jobs submitted; " in run(place).stdout
    once = sorted(cluster.names())
    shards = [f"{ROUTED.id}.samples {k}" for k in range(3)]
    assert once == sorted([f"{ROUTER.id} 0", *shards, f"{ROUTED.id} 0", f"{LATENCY.id} 0"])
    assert (
        "0 jobs submitted, 4 were queued" in run(place).stdout and sorted(cluster.names()) == once
    )

    # Training: a kill -9, then a polite preemption, each after a saved state.
    training = cluster.id_of(ROUTER.id)
    first = cluster.pid(ROUTER.id)
    wait_for(local.state_path(ROUTER).exists)
    os.kill(first, signal.SIGKILL)
    second = cluster.pid(ROUTER.id, but=first)
    signal_job(training)
    cluster.pid(ROUTER.id, but=second)

    # Sampling: a kill -9, a time-out, a requeue from outside, a shard each, on the way.
    shards = [cluster.id_of(f"{ROUTED.id}.samples", index) for index in range(3)]
    harm = [
        lambda pid, id_: os.kill(pid, signal.SIGKILL),
        lambda pid, id_: signal_job(id_),
        lambda pid, id_: subprocess.run(["scontrol", "requeue", id_], check=True),
    ]
    unharmed = dict(enumerate(shards))

    def all_harmed():  # in whatever order they begin: none may end before it is seen
        for index in [*unharmed]:
            if pid := cluster.at_work(f"{ROUTED.id}-shard-{index}-of-3"):
                harm[index](pid, unharmed.pop(index))
        return not unharmed

    wait_for(all_harmed, seconds=120)

    asked = run(place, "--wait")
    assert asked.returncode == 0 and "0 jobs submitted" in asked.stdout, asked.stderr + asked.stdout
    assert [restarts(id_) for id_ in [training, *shards]] == [2, 1, 1, 1]
    same(local)
    assert local.file_path(ROUTER).read_bytes() == alone.file_path(ROUTER).read_bytes()
    for path in alone.samples(ROUTED).iterdir():
        assert path.read_bytes() == (local.samples(ROUTED) / path.name).read_bytes()
    assert local.record(LATENCY)["rows"].keys() == {FULL.id, ROUTED.id}
    assert "nothing to run" in run(place).stdout


def test_cancelled_jobs_leave_the_queue_and_can_be_asked_for_again(place, wait_for):
    assert "jobs submitted" in run(place).stdout
    Cluster(place, wait_for).pid(ROUTER.id)  # one that runs takes a moment to end
    assert "what they finished is kept\n" in run(place, "--cancel").stdout
    assert "jobs submitted; " in run(place).stdout


def test_a_request_that_the_cluster_refuses_is_named_before_anything_is_submitted(place, wait_for):
    (place / "cluster.toml").write_text(CLUSTER + "[evaluate]\nconstraint = 'v100'\n")
    refused = run(place)
    assert (
        refused.returncode == 2
        and "cluster.toml: [evaluate]: this cluster refuses such a job" in refused.stderr
    )
    assert Cluster(place, wait_for).names() == []


@pytest.mark.parametrize("syntax", ["gpus-per-node", "gpus-per-task", "gres"])
def test_a_production_request_is_accepted(syntax, tmp_path):
    """8 GPUs, 3 days, constraint, account: the script that would be submitted, as it is."""
    own = Resources(
        partition="ci",
        account="some-account",
        constraint="h100",
        gpus=8,
        processes=8,
        cpus=7,
        memory_gb=480,
        minutes=3 * 24 * 60,
    )
    submission.check_accepted("train", own, Site(gpu_syntax=syntax), tmp_path / "cluster.toml")


def test_two_ranks_train_one_router(place, wait_for):
    (place / "cluster.toml").write_text(CLUSTER + "[train]\nprocesses = 2\ngpus = 2\ncpus = 15\n")
    site, resources = launch.load(place / "cluster.toml")
    queue = Queue(place / "results" / "local")
    launch.submit_all(
        launch.jobs_of([ROUTER], [], Store(queue.root), resources),
        site,
        resources,
        queue,
        "cluster.toml",
    )
    wait_for(lambda: not queue.live(), seconds=120)
    log = queue.log(ROUTER.id)
    assert Store(queue.root).record(ROUTER)["provenance"]["ranks"] == 2, log and log.read_text()
