"""How a command ends: a full disk, a file that cannot be used, Ctrl-C at any moment, too little
memory, a reader that has gone; one line each, no traceback.
"""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from harmonica.cli import command
from harmonica.errors import BadInput, sentence
from harmonica.files import atomic, save_array, write_json

ROOT = Path(__file__).resolve().parents[2]


def ended(capfd, function):
    code = command.run(function, [])
    (line,) = capfd.readouterr().err.splitlines()
    return code, line


def raising(error):
    def function(_):
        raise error

    return function


ERRORS = [
    (BadInput("x: 1 is not possible"), 2, "error: x: 1 is not possible"),
    (FileNotFoundError(errno.ENOENT, "No such file or directory", "a/b"), 2, "error: a/b: No such"),
    (PermissionError(errno.EACCES, "Permission denied", "a/b"), 2, "error: a/b: Permission denied"),
    (IsADirectoryError(errno.EISDIR, "Is a directory", "a/b"), 2, "error: a/b: Is a directory"),
    (MemoryError("Unable to allocate 7 TiB"), 2, "error: memory: Unable to allocate 7 TiB"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory:\nx"), 2, "error: memory: Default"),
    (KeyboardInterrupt(), 130, "interrupted: what was finished is kept"),
]


@pytest.mark.parametrize("error, code, words", ERRORS, ids=[type(e).__name__ for e, _, _ in ERRORS])
def test_what_a_user_can_mend_is_one_line(capfd, error, code, words):
    found, line = ended(capfd, raising(error))
    assert found == code and line.startswith(words)


def test_what_is_ours_keeps_its_traceback():
    assert sentence(KeyError("x")) is None
    assert sentence(ValueError("a schedule out of memory")) is None
    with pytest.raises(KeyError):
        command.run(raising(KeyError("x")), [])


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_what_cannot_be_written_is_named_once(tmp_path, capfd, number):
    def function(_):
        with atomic(tmp_path / "a.json"):
            raise OSError(number, os.strerror(number))

    code, line = ended(capfd, function)
    assert code == 2 and line.startswith(f"error: {tmp_path}/a.json: cannot be written: ")
    assert os.strerror(number) in line and line.count(os.strerror(number)) == 1


def test_an_error_of_another_file_keeps_its_name(tmp_path, capfd):
    def function(_):
        with atomic(tmp_path / "a.json"):
            open(tmp_path / "none")

    assert f"error: {tmp_path}/none: No such file" in ended(capfd, function)[1]


def test_a_path_below_a_file_is_named(tmp_path, capfd):
    (tmp_path / "file").write_text("x")
    code, line = ended(capfd, lambda _: write_json(tmp_path / "file" / "a.json", {}))
    assert code == 2 and f"{tmp_path}/file/a.json: cannot be written" in line


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 200 KB. Needs the right to mount."""
    place = tmp_path / "small"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", place], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"cannot mount: {made.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], capture_output=True)


def test_a_full_disk_says_so_for_every_kind_of_file(small_disk, capfd):
    """numpy's own writing says "3040 requested and 0 written", zipfile's stumbles over its end."""
    import torch

    from harmonica.method.router import Router
    from harmonica.metrics.images import write_npz
    from harmonica.plot import drawing
    from harmonica.weights.formats import write

    images = np.random.default_rng(0).integers(256, size=(8, 3, 128, 128), dtype=np.uint8)
    large = Router(logits=torch.randn(400, 400))

    def picture(_):
        with drawing([small_disk / "a.pdf"], 5, 5) as figure:
            figure.subplots().imshow(images.reshape(512, 256, 3))

    writers = {
        "a.npy": lambda _: save_array(small_disk / "a.npy", images),
        "a.json": lambda _: write_json(small_disk / "a.json", images.tolist()),
        "a.npz": lambda _: write_npz(small_disk / "a.npz", [images], 8),
        "a.safetensors": lambda _: write(small_disk / "a.safetensors", large),
        "a.pt": lambda _: write(small_disk / "a.pt", large),
        "a.pdf": picture,
    }
    for name, writer in writers.items():
        code, line = ended(capfd, writer)
        assert code == 2, name
        assert line.startswith(f"error: {small_disk}/{name}: cannot be written: No space left"), (
            line
        )
        assert not list(small_disk.iterdir()), name


def start(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        **options,
    )


@pytest.mark.parametrize("after", [0.15, 0.4, 0.8, 1.5, 2.5, 4])
def test_ctrl_c_at_any_moment_is_at_most_one_line(tmp_path, after):
    """Before the modules are there the process just ends; during imports and after, one line."""
    (tmp_path / "c.txt").write_text("a cat\n")
    command_line = [
        "train",
        "--model",
        "nothing/here",
        "--steps",
        "5",
        "--cur",
        "50",
        "--out",
        "new",
    ]
    process = start("-m", "harmonica", *command_line, cwd=tmp_path)
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err and len(err.splitlines()) <= 1, err
    if process.returncode not in (2, -signal.SIGINT):  # it was not over before
        assert process.returncode == 130 and err.startswith("interrupted: ")


SWALLOWED = """
import signal, sys, os
from harmonica.cli import command

class Noisy:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000): pass

def forget(_):
    noisy = Noisy()
    del noisy
    for _ in range(10**8): pass
    print("went on")

def convert(_):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000): pass
    except KeyboardInterrupt:
        raise ImportError("a module of C failed to initialize")

sys.exit(command.run({"forget": forget, "convert": convert}[sys.argv[1]], []))
"""


@pytest.mark.parametrize("how", ["forget", "convert"])
def test_a_ctrl_c_that_a_library_swallows_or_converts_is_one_too(how):
    process = start("-c", SWALLOWED, how)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "") and len(err.splitlines()) == 1, err


def test_a_reader_that_has_gone_is_no_error():
    process = start("-m", "harmonica", "--help")
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait(60) == 0


def test_output_that_cannot_be_written_is_said(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    (tmp_path / "s.json").write_text('{"attn-0": [1, 0], "mlp-0": [1, 1]}')
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "harmonica", "router", "info", "s.json"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and "No space left on device" in line
