"""Atomic files, and locks by which only one process at a time does some work. Imports no torch.

A lock is an operating system's lock on a file: it ends when the process that holds it ends, so no
timeout or heartbeat is needed. A JSON file beside it names the process, for those who wait.
"""

import hashlib
import io
import json
import os
import socket
import sys
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import count
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from harmonica.errors import BadInput

POLL_S = 1.0  # seconds between two tries to get a lock that another process holds
LARGE = 2**30  # bytes of a file whose hash takes seconds


@contextmanager
def atomic(path):
    """Yield a temporary path beside `path`; on success it replaces `path`, on an error it is
    removed. If writing fails, the OSError names `path`, not the temporary file.
    """
    path = Path(path)
    # with the host's name, as several hosts may share the folder
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        own_paths = (None, temporary, *path.parents)
        if error.errno is None or error.filename not in (*own_paths, *map(str, own_paths)):
            raise  # an error about another file, raised inside the `with` block
        reason = f"cannot be written: {error.strerror}"
        raise OSError(error.errno, reason, str(path)) from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_json(path, content):
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def read_json(path, field="record", remedy="delete it to have it made again"):
    """-> the content of a JSON file. BadInput, naming field and remedy, where it is damaged;
    FileNotFoundError where there is none.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{field}: {path} is not a whole JSON file ({error}); {remedy}") from None


def sha256(path):
    """The sha256 of a file, in hex. Computed once per modification time of the file; of a large
    one it takes seconds, so a line on stderr says what is being read.
    """
    about = os.stat(path)
    return _sha256(path, about.st_mtime_ns, about.st_size)


@lru_cache
def _sha256(path, changed, num_bytes):
    if num_bytes >= LARGE:
        print(f"reading {path} for its hash, {num_bytes / 1e9:.1f} GB", file=sys.stderr, flush=True)
    with open(path, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def save_array(path, array):
    """Write a .npy file, through Python's own write: numpy's does not report a full disk."""
    array = np.asarray(array)
    if not array.flags.c_contiguous:
        array = np.ascontiguousarray(array)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    with atomic(path) as temporary, open(temporary, "wb") as file:
        file.write(header.getvalue())
        file.write(array.reshape(-1).view(np.uint8).data)


def read_array(path, field, remedy, *, mapped=False):
    """-> the array of a .npy file, as a memory map if asked for. BadInput names field, file and
    remedy where it is missing, damaged, or holds Python objects.
    """
    try:
        return np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except Exception as error:  # numpy raises almost anything on a damaged file
        raise BadInput(
            f"{field}: {path} is missing or damaged ({first_line(error)}); {remedy}"
        ) from None


def is_whole_array(path):
    """Whether a .npy file is there and as long as its header says."""
    try:
        read_array(path, "", "", mapped=True)
    except BadInput:
        return False
    return True


def is_whole_tensors(path):
    """Whether a .safetensors file is there and as long as its header says."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np"):
            return True
    except (SafetensorError, OSError):
        return False


def first_line(error):
    """An error's message on one line, of at most 150 characters."""
    message = " ".join(str(error).split()) or type(error).__name__
    return message if len(message) <= 150 else f"{message[:150].rsplit(' ', 1)[0]} ..."


def save_tensors(path, tensors, about):
    """Save tensors {name: tensor}, and `about`, anything that JSON can hold: a router or schedule,
    a compressed model, or what an interrupted training or search resumes from.
    """
    from safetensors.torch import save

    tensors = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    # one entry of metadata only: safetensors writes several in no fixed order
    content = save(tensors, {"about": json.dumps(about, sort_keys=True)})
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def load_tensors(path, kind="training state", remedy="train from the start"):
    """-> {name: tensor}, about; None where there is no such file. BadInput where it is damaged; its
    message calls the file `kind` and says that deleting it means to `remedy`.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            return tensors, json.loads(file.metadata()["about"])
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise BadInput(
            f"state: {path} is not a whole {kind} ({error}); delete it to {remedy}"
        ) from None


@contextmanager
def locked(folder, name):
    """Hold the lock `name` in `folder`. While another process holds it, say so once and wait."""
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
def at_work(folder):
    """Hold the first free lock of run-0, run-1, ..., as a sign that a process works here. Several
    processes can do so at once.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in count():
        lock = FileLock(folder / f"run-{number}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        with _noted(folder, f"run-{number}", lock):
            yield
        return


def holders(folder):
    """-> for each lock in `folder` that is held, a sentence with its process and its name."""
    sentences = []
    for path in sorted(folder.glob("*.lock")):
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
            lock.release()
        except Timeout:
            sentences.append(f"{_holder(folder, path.stem)} ({path.stem})")
    return sentences


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
