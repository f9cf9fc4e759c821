"""Files are whole or absent, a finished record stays, and one process at a time works on an
artefact.
"""

import json
import os
import subprocess
import sys
import time

import pytest

from harmonica.errors import BadInput
from harmonica.files import atomic, write_json
from harmonica.lab import store as stores
from harmonica.lab.ids import SCHEMA
from harmonica.lab.specs import ModelSpec, RunSpec
from harmonica.lab.store import Store

RUN = RunSpec(
    model=ModelSpec(name="m", sha256="0" * 64, scale="smoke"), num_steps=4, against=4, num_images=4
)
RECORD = {"schema": SCHEMA, "id": RUN.id, "metrics": {"FID": 1.25, "x_mse_curve": [0.1, 1e-17]}}


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "file.json"
    with pytest.raises(RuntimeError), atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert list(path.parent.iterdir()) == []
    for content in ("first", "second"):
        with atomic(path) as temporary:
            temporary.write_text(content)
            assert not path.exists() or path.read_text() == "first"
        assert path.read_text() == content and [p.name for p in path.parent.iterdir()] == [
            "file.json"
        ]


def test_a_record_round_trips_and_is_never_overwritten(tmp_path):
    store = Store(tmp_path)
    assert store.record(RUN) is None
    store.finish(RUN, RECORD)
    assert store.record(RUN) == RECORD
    before = store.record_path(RUN).read_bytes()
    store.finish(RUN, {**RECORD, "metrics": {}})
    assert store.record_path(RUN).read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        json.dumps(RECORD)[:40],
        "\x00\x00",
        json.dumps({**RECORD, "schema": SCHEMA + 1}),
        json.dumps({**RECORD, "id": "other"}),
        json.dumps({}),
    ],
)
def test_a_damaged_or_foreign_record_is_named_and_kept(tmp_path, content):
    store = Store(tmp_path)
    write_json(store.record_path(RUN), RECORD)
    store.record_path(RUN).write_text(content)
    for attempt in (lambda: store.record(RUN), lambda: store.finish(RUN, RECORD)):
        with pytest.raises(BadInput, match=f"{RUN.id}.json .*delete it to have it made again"):
            attempt()
    assert store.record_path(RUN).read_text() == content


def lock_file(store):
    return store.root / "locks" / f"{RUN.id}.json"


def hold(store, **holder):
    own = {
        "host": stores.socket.gethostname(),
        "pid": os.getpid(),
        "started": stores._started(os.getpid()),
    }
    write_json(lock_file(store), own | holder)


def acquired(store):
    return store._acquire(lock_file(store))


def test_a_lock_says_who_holds_it_and_goes_away(tmp_path):
    store = Store(tmp_path)
    with store.lock(RUN):
        assert json.loads(lock_file(store).read_text())["pid"] == os.getpid()
        assert not acquired(store)
    assert not lock_file(store).exists() and acquired(store)


def test_the_lock_of_a_dead_process_is_broken(tmp_path):
    store = Store(tmp_path)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    hold(store, pid=child.pid, started=stores._started(child.pid))
    assert not acquired(store)
    child.kill()
    while stores.Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
        time.sleep(0.01)
    assert acquired(store)  # dead, though its parent has not waited for it
    child.wait()
    hold(store, pid=child.pid, started="1")
    assert acquired(store)
    hold(store, started="another time: the pid was used again")
    assert acquired(store)
    lock_file(store).write_text('{"host": "cut o')
    assert acquired(store)


def test_the_lock_of_another_host_lives_by_its_heartbeat(tmp_path):
    store = Store(tmp_path)
    hold(store, host="elsewhere", pid=1)
    assert not acquired(store)
    old = time.time() - stores.FOREIGN_LOCK_STALE_S - 1
    os.utime(lock_file(store), (old, old))
    assert acquired(store)


def test_a_lock_is_given_back_after_an_error(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(RuntimeError), store.lock(RUN):
        raise RuntimeError
    assert not lock_file(store).exists()


WORK = """
import sys, time
from harmonica.lab.store import Store
from test_store import RUN
store = Store(sys.argv[1])
for _ in range(20):
    with store.lock(RUN, wait_s=0.01):
        mark = store.root / "inside"
        mark.touch(exist_ok=False)      # an error where two are inside
        time.sleep(0.002)
        mark.unlink()
"""


def test_no_two_processes_are_inside_at_once(tmp_path):
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*sys.path, os.path.dirname(__file__)]),
    }
    workers = [
        subprocess.Popen([sys.executable, "-c", WORK, tmp_path], env=environment) for _ in range(3)
    ]
    assert [worker.wait(timeout=60) for worker in workers] == [0, 0, 0]
