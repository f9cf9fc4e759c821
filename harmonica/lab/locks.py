"""One process at a time does a piece of work; who waits says for whom. Imports no torch.

The lock is the operating system's, on a file, so it ends with the process that holds it: no clock
and no heartbeat decides. Who holds it stands in a note beside it, for people.
"""

import json
import os
import socket
from contextlib import contextmanager
from itertools import count

from filelock import FileLock, Timeout

from harmonica.files import write_json

POLL_S = 1.0


@contextmanager
def held(folder, name):
    """Hold the lock `name` below `folder`; wait, with a word, while another process holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"waiting for {name}: {_holder(folder, name)}; end it to go on here", flush=True)
        lock.acquire(poll_interval=POLL_S)
    with _noted(folder, name, lock):
        yield


@contextmanager
def at_work(folder, name):
    """Hold the first free one of `name`-0, `name`-1, ...: a sign that somebody is at work here."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in count():
        lock = FileLock(folder / f"{name}-{number}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        with _noted(folder, f"{name}-{number}", lock):
            yield
        return


def holders(folder):
    """-> [who holds what below `folder`, in words]."""
    found = []
    for path in sorted(folder.glob("*.lock")):
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
            lock.release()
        except Timeout:
            found.append(f"{_holder(folder, path.stem)} ({path.stem})")
    return found


@contextmanager
def _noted(folder, name, lock):
    note = folder / f"{name}.json"
    try:
        write_json(note, {"host": socket.gethostname(), "pid": os.getpid()})
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def _holder(folder, name):
    try:
        note = json.loads((folder / f"{name}.json").read_text())
        return f"process {note['pid']} on {note['host']} is at work on it"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process is at work on it"
