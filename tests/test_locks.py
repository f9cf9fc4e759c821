"""One process at a time does a piece of work. No clock decides, and who waits says for whom."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from harmonica import files

WORK = """
import sys, time
from pathlib import Path
from harmonica import files
files.POLL_S = 0.01
folder = Path(sys.argv[1])
for _ in range(20):
    with files.locked(folder, "it"):
        mark = folder / "inside"
        mark.touch(exist_ok=False)      # an error where two are inside
        time.sleep(0.002)
        mark.unlink()
"""
HOLD = """
import sys
from pathlib import Path
from harmonica import files
with files.locked(Path(sys.argv[1]), "it"):
    print("inside", flush=True)
    input()
"""


def process(code, folder, **options):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(folder)]
    return subprocess.Popen(command, env=environment, text=True, **options)


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock until it reads a line."""
    other = process(HOLD, tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout.readline() == "inside\n"
    yield other
    other.kill()
    other.communicate()


def test_a_lock_says_who_holds_it_and_goes_away(tmp_path):
    with files.locked(tmp_path, "it"):
        note = json.loads((tmp_path / "it.json").read_text())
        assert note == {"host": socket.gethostname(), "pid": os.getpid()}
    assert not (tmp_path / "it.json").exists() and files.holders(tmp_path) == []
    with pytest.raises(RuntimeError), files.locked(tmp_path, "it"):
        raise RuntimeError
    assert files.holders(tmp_path) == []


def test_who_waits_says_so_at_once_and_goes_on_when_the_other_is_done(tmp_path, holder):
    waiting = process(HOLD, tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    said = waiting.stdout.readline()
    assert f"waiting for it: process {holder.pid} on {socket.gethostname()}" in said
    assert "end it to go on here" in said
    (busy,) = files.holders(tmp_path)
    assert str(holder.pid) in busy
    holder.communicate("\n")
    assert waiting.communicate("\n", timeout=60)[0] == "inside\n" and waiting.returncode == 0


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    while not holder_ended(holder.pid):  # though its parent has not waited for it
        time.sleep(0.01)
    assert (tmp_path / "it.json").exists() and files.holders(tmp_path) == []
    with files.locked(tmp_path, "it"):
        assert json.loads((tmp_path / "it.json").read_text())["pid"] == os.getpid()


def holder_ended(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] == "Z"


@pytest.mark.parametrize("content", ['{"host": "elsewhere", "pid": 1}', '{"host": "cut o', "[]"])
def test_a_note_that_was_left_behind_holds_nothing(tmp_path, content):
    (tmp_path / "it.json").write_text(content)
    with files.locked(tmp_path, "it"):
        pass


@pytest.mark.parametrize("seconds", [-1e6, 1e6])
def test_clocks_that_disagree_change_nothing(tmp_path, holder, seconds):
    for path in tmp_path.iterdir():
        os.utime(path, (time.time() + seconds,) * 2)
    assert len(files.holders(tmp_path)) == 1


def test_no_two_processes_are_inside_at_once(tmp_path):
    workers = [process(WORK, tmp_path, stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0, 0]


def test_several_may_be_at_work_and_each_is_known(tmp_path):
    with files.at_work(tmp_path), files.at_work(tmp_path):
        assert [who.split()[-1] for who in files.holders(tmp_path)] == ["(run-0)", "(run-1)"]
    with files.at_work(tmp_path):
        assert [who.split()[-1] for who in files.holders(tmp_path)] == ["(run-0)"]
    assert files.holders(tmp_path) == []
