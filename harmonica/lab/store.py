"""Files that are either whole or absent, records that are never overwritten, and one process per
artefact.

A Store is a folder: runs/ and routers/ hold finished records (JSON) and router files, state/ and
samples/ what is not finished yet, locks/ who is at work on what. Imports no torch.
"""

import fcntl
import json
import os
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from harmonica.digits.manifest import folder
from harmonica.errors import BadInput, check
from harmonica.files import read_json, write_json
from harmonica.lab.ids import SCHEMA

LOCAL = Path("results/local")  # what this clone measured
FOREIGN_LOCK_STALE_S = 300
FOLDERS = {
    "run": "runs",
    "router": "routers",
    "schedule": "schedules",
    "latency": "latency",
    "training": "training",
}


class Store:
    """One set of artefacts below `root`."""

    def __init__(self, root):
        self.root = Path(root)

    def record_path(self, artefact):
        return self.root / FOLDERS[artefact.kind] / f"{artefact.id}.json"

    def router_path(self, router):
        return self.root / "routers" / f"{router.id}.safetensors"

    def schedule_path(self, schedule):
        return self.root / "schedules" / f"{schedule.id}.safetensors"

    def state_path(self, artefact):
        return self.root / "state" / f"{artefact.id}.safetensors"

    def samples(self, run):
        return self.root / "samples" / run.id

    def record(self, artefact):
        """The finished record, or None. BadInput for a damaged one or one of another schema."""
        path = self.record_path(artefact)
        if not path.exists():
            return None
        record = read_json(path)
        if not isinstance(record, dict):
            raise BadInput(f"record: {path} is no record; delete it to have it made again")
        if record.get("schema") != SCHEMA or record.get("id") != artefact.id:
            raise BadInput(
                f"record: {path} has schema {record.get('schema')!r} and id {record.get('id')!r}, not "
                f"{SCHEMA} and {artefact.id}; delete it to have it made again"
            )
        return record

    def finish(self, artefact, record):
        """Write the record of a finished artefact, unless there is one."""
        if self.record(artefact) is None:
            write_json(self.record_path(artefact), record)

    @contextmanager
    def lock(self, artefact, part="", wait_s=2.0):
        """Hold the lock (host and pid) of an artefact or of a part of it; wait while another live
        process holds it, break a dead one's.
        """
        path = self.root / "locks" / f"{artefact.id}{part}.json"
        while not self._acquire(path):
            time.sleep(wait_s)
        done = threading.Event()
        beat = threading.Thread(target=_touch_until, args=(done, path), daemon=True)
        beat.start()
        try:
            yield
        finally:
            done.set()
            beat.join()
            path.unlink(missing_ok=True)

    def _acquire(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path.parent / ".guard", "w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            if path.exists() and _alive(path):
                return False
            write_json(
                path,
                {
                    "host": socket.gethostname(),
                    "pid": os.getpid(),
                    "started": _started(os.getpid()),
                },
            )
            return True


def set_aside(local):
    """Rename the local set to a name that says when, so that a fresh one starts."""
    check(
        not folder().resolve().is_relative_to(local.resolve()),
        "HARMONICA_MODELS",
        str(folder()),
        f"FRESH renames {local}, so the base models must lie elsewhere",
    )
    if local.exists():
        aside = local.with_name(f"local-{time.strftime('%Y%m%d-%H%M%S')}")
        local.rename(aside)
        print(f"starting a fresh set; the old one is kept as {aside}")


def _alive(path):
    """Whether the process that wrote this lock still runs. Of another host we only know the lock's
    heartbeat.
    """
    try:
        holder = json.loads(path.read_text())
        age = time.time() - path.stat().st_mtime
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    if holder.get("host") != socket.gethostname():
        return age < FOREIGN_LOCK_STALE_S
    return holder.get("started") is not None and holder["started"] == _started(holder["pid"])


def _started(pid):
    """When a process of this host began, in a form that a later process with the same pid does not
    repeat; else None.
    """
    try:
        os.kill(pid, 0)
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return None if state in "ZX" else fields[18]  # killed, but not yet waited for
    except ProcessLookupError:
        return None
    except OSError:
        return "unknown"  # no /proc (macOS), or another user's process


def _touch_until(done, path):
    while not done.wait(30):
        os.utime(path)
