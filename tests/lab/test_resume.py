"""kill -9 at any moment and ask again: what was finished is kept, and the end is the same in every
bit.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from experiments.ablation import HARMONICA, training
from harmonica import files
from harmonica.lab.make import make
from harmonica.lab.makings import RouterSpec
from harmonica.lab.specs import RunSpec
from harmonica.lab.store import Store

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.filterwarnings("ignore:This process")  # fork() in a process with threads


def outcome(local):
    """Everything below results/local that must not depend on interruptions: name -> content."""
    found = {}
    for path in sorted(local.rglob("*.*")):
        if path.suffix == ".json" and path.parent.name in ("runs", "routers"):
            found[path.name] = {
                key: value
                for key, value in json.loads(path.read_text()).items()
                if key != "provenance"
            }
        elif path.suffix in (".npy", ".safetensors") and path.parent.name != "state":
            found[str(path.relative_to(local))] = path.read_bytes()
    return found


def assert_whole(local):
    """No file can be half written."""
    readers = {
        ".json": lambda path: json.loads(path.read_text()),
        ".npy": np.load,
        ".safetensors": load_file,
    }
    for path in local.rglob("[!.]*"):
        readers.get(path.suffix, lambda folder: folder.iterdir())(path)


@pytest.fixture(scope="module")
def artefacts(smoke_model):
    """A router of 25 trajectories, its state saved at 10 and 20, and runs of two blocks each."""
    few = {"trajectories": 25, "batch": 2, "refresh": 4, "lambda_batch": 2}
    learned = training("smoke", HARMONICA, 40, **few)
    router = RouterSpec(model=smoke_model, num_steps=3, training=learned)
    full = RunSpec(model=smoke_model, num_steps=3, against=3, num_images=30, batch=16)
    routed = replace(full, schedule="router", cur_percent=40, router=router)
    return [router, full.reference(), full, routed]


def make_all(artefacts, local):
    for artefact in artefacts:
        make(artefact, Store(local))


@pytest.fixture(scope="module")
def straight(artefacts, tmp_path_factory):
    local = tmp_path_factory.mktemp("straight")
    make_all(artefacts, local)
    return outcome(local)


def forked(work, kill_after=None):
    """Run `work` in a child process, killed after so many seconds -> whether it came to its end."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.__stderr__, flush=True)
            os._exit(1)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), code
    return code == 0


def dying(count, before):
    """os.replace, by which every file gets its name; the process dies right before or after the
    count-th.
    """
    replace, calls = os.replace, iter(range(1, 10**6))

    def replace_and_die(source, target):
        call = next(calls)
        if before and call == count:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)
        if call == count:
            os.kill(os.getpid(), signal.SIGKILL)

    return replace_and_die


@pytest.mark.parametrize("before", [True, False], ids=["right before", "right after"])
def test_killed_around_every_file(artefacts, straight, tmp_path, before):
    """The first child dies at the first file, the next at its second, and so on, until one comes to
    its end.
    """

    def work():
        files.os = type("os", (), {**vars(os), "replace": staticmethod(dying(count, before))})
        make_all(artefacts, tmp_path)

    for count in range(1, 100):
        finished = forked(work)
        assert_whole(tmp_path)
        if finished:
            break
    assert finished and count > 8 and outcome(tmp_path) == straight


@pytest.mark.parametrize("seed", [0, 1])
def test_killed_at_any_time(artefacts, straight, tmp_path, seed):
    """Inside training and sampling, at random delays that grow until there is progress between two
    kills.
    """
    delays, kills = random.Random(seed), 0
    while not forked(
        lambda: make_all(artefacts, tmp_path), kill_after=delays.uniform(0.01, 0.05 + 0.02 * kills)
    ):
        assert_whole(tmp_path)
        kills += 1
        assert kills < 100
    assert kills > 3 and outcome(tmp_path) == straight


def test_the_command_line_killed_at_many_moments(tmp_path):
    """The whole process group of `run dit_xl2_256 --scale smoke`, while it starts and after so many
    files more.
    """
    done = {}
    for name in ("straight", "killed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "experiments").symlink_to(ROOT / "experiments")
    for kill_at in (
        "0.2 s",
        "3 s",
        "1 files",
        "4 files",
        "7 files",
        "12 files",
        "17 files",
        "22 files",
    ):
        killed_run(tmp_path / "killed", kill_at)
        assert_whole(tmp_path / "killed" / "results")
    for name in ("straight", "killed"):
        finished = subprocess.run(**command(tmp_path / name), timeout=300)
        assert finished.returncode == 0, finished.stderr
        done[name] = outcome(tmp_path / name / "results" / "local")
    assert len(done["straight"]) > 40 and done["straight"] == done["killed"]


def command(folder):
    return {
        "args": [
            sys.executable,
            "-m",
            "experiments",
            "run",
            "dit_xl2_256",
            "--scale",
            "smoke",
            "--jobs",
            "1",
        ],
        "cwd": folder,
        "env": {**os.environ, "PYTHONPATH": str(ROOT)},
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }


def killed_run(folder, kill_at):
    def files():
        return len([path for path in folder.glob("results/local/*/**/*.*") if path.is_file()])

    amount, unit = kill_at.split()
    before, begin = files(), time.monotonic()
    process = subprocess.Popen(**command(folder), start_new_session=True)
    while process.poll() is None:
        if (time.monotonic() - begin if unit == "s" else files() - before) >= float(amount):
            break
        time.sleep(0.005)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
