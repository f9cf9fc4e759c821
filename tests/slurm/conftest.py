"""Tests marked `slurm` run on the rehearsal cluster of tools/local_cluster, never on a cluster that
others use.

Without it they are skipped, with the reason; with REQUIRE_SLURM=1 they fail instead.
"""

import os
import subprocess
import time
from functools import cache
from pathlib import Path

import pytest
import submitit

from harmonica.lab.make import make
from harmonica.lab.store import Store

ROOT = Path(__file__).resolve().parents[2]
HOW = '`tools/local_cluster up`, then `eval "$(tools/local_cluster env)"`'


def pytest_runtest_setup(item):
    if item.get_closest_marker("slurm") and (reason := why_not()):
        (pytest.fail if os.environ.get("REQUIRE_SLURM") == "1" else pytest.skip)(reason)


@cache
def why_not():
    """Why the tests cannot run here; None where they can."""
    conf = Path(os.environ.get("SLURM_CONF", "/nowhere"))
    if not conf.is_file() or "ClusterName=rehearsal" not in conf.read_text():
        return f"SLURM_CONF is not that of the rehearsal cluster: {HOW}"
    try:  # ping gives up at once; other clients hang for seconds where no controller is
        subprocess.run(["scontrol", "ping"], check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError) as error:
        return f"no Slurm answers ({error}): {HOW}"


@pytest.fixture(scope="module")
def alone(wanted, tmp_path_factory):
    """-> a store with everything in `wanted`, made by one process that nothing disturbs, without
    Slurm.
    """
    store = Store(tmp_path_factory.mktemp("alone"))
    for artefact in wanted:
        make(artefact, store)
    return store


@pytest.fixture(scope="module")
def same(wanted, alone):
    """-> same(store): its records of `wanted` are those of `alone`."""

    def same(store):
        for artefact in wanted:
            mine, theirs = (own.record(artefact) | {"provenance": None} for own in (store, alone))
            assert mine == theirs, artefact.id

    return same


@pytest.fixture
def submitit_folder(tmp_path, monkeypatch):
    """-> a fresh folder for submitit, in an environment in which jobs find the project and the test
    modules.
    """
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(ROOT), str(Path(__file__).parent)]), prepend=os.pathsep
    )
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(
        submitit.SlurmJob, "_results_timeout_s", 1
    )  # a job that left no result is reported soon
    return tmp_path / "submitit"


@pytest.fixture
def executor(submitit_folder):
    """-> a submitit executor with small defaults; its jobs are cancelled when the test ends."""
    executor = submitit.AutoExecutor(submitit_folder, cluster="slurm")
    name = f"test-{os.getpid()}-{time.monotonic_ns()}"
    executor.update_parameters(
        name=name, slurm_partition="ci", timeout_min=30, mem_gb=1, cpus_per_task=1
    )
    yield executor
    subprocess.run(["scancel", "--quiet", f"--name={name}"], check=True)


@pytest.fixture
def wait_for():
    """-> wait_for(condition, seconds=60): polls, returns the first true value, fails the test when
    time is up.
    """

    def wait_for(condition, seconds=60):
        end = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < end, f"still waiting after {seconds} s"
            time.sleep(0.02)
        return value

    return wait_for


@pytest.fixture
def result_of(wait_for):
    """-> result_of(job, seconds=60): its result, or its own error; never blocks for longer."""

    def result_of(job, seconds=60):
        wait_for(lambda: job.done(force_check=True), seconds)
        return job.result()

    return result_of
