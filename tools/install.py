"""Create the virtual environment or bring it up to date: requirements.lock, then this checkout in
editable mode.

Usage: python3 tools/install.py [FOLDER]          (FOLDER: .venv, or an environment of your own,
conda's too)

Every `make` target runs this first; it needs Python 3.11+ and nothing else. A stamp in the
environment, completed last, names what was installed: an interrupted install is done again, a
changed lock is followed, an unchanged one costs nothing. A torch that was already there and
satisfies pyproject.toml is kept, and so is everything that satisfies it in a conda environment.
"""

import hashlib
import json
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ".[dev,notebooks]"
LINUX = platform.system() == "Linux"
DOWNLOAD_GB, DISK_GB = (
    (3.2, 7) if LINUX else (0.5, 2)
)  # on Linux torch comes with its CUDA libraries
NO_NETWORK = r"NewConnectionError|NameResolutionError|Temporary failure in name|unreachable|ConnectTimeout|[Rr]ead timed out|ProxyError"


def fail(sentence):
    print(f"install: {sentence}", file=sys.stderr)
    sys.exit(2)


def digest(root):
    """What an environment was made from: the lock, the project's own list, and the place of the
    checkout (the install is editable).
    """
    files = [(root / name).read_bytes() for name in ("requirements.lock", "pyproject.toml")]
    return hashlib.sha256(b"\0".join([*files, str(root).encode()])).hexdigest()


def read_stamp(environment):
    """{"digest": ... or None while an install runs, "torch": the version that came from the lock or
    None}.
    """
    try:
        return json.loads((environment / ".harmonica-install").read_text())
    except (FileNotFoundError, ValueError):
        return {"digest": None, "torch": None}


def write_stamp(environment, **stamp):
    (environment / ".harmonica-install").write_text(json.dumps(stamp))


def satisfies(version, wanted):
    """Is a version like 2.13.0+cpu inside a range like >=2.11,<3 ?"""

    def numbers(text):
        return tuple(int(n) for n in re.match(r"\d+(\.\d+)*", text)[0].split("."))

    clauses = [re.fullmatch(r"(>=|<)([\d.]+)", clause).groups() for clause in wanted.split(",")]
    return all((numbers(version) >= numbers(bound)) == (sign == ">=") for sign, bound in clauses)


def torch_to_keep(installed, pinned, wanted, from_lock):
    """The installed torch where it stays although the lock has another: it satisfies, and no
    earlier lock brought it.
    """
    keep = installed not in (None, pinned, from_lock) and satisfies(installed, wanted)
    return installed if keep else None


def without_torch(lock):
    """The lock's lines less torch, what only torch needs, and torchvision, which must fit the torch
    that is kept.
    """
    return [
        line for line in lock if not re.match(r"torch==|torchvision==|triton==|nvidia-|cuda-", line)
    ]


def ask(python):
    """(Python's version, torch's version or None) of an environment; None where it is missing or
    broken.
    """
    code = (
        "import json, platform, pip._internal.commands.install\nfrom importlib import metadata\n"
        "found = [d.version for d in metadata.distributions(name='torch')]\n"
        "print(json.dumps([platform.python_version(), found[0] if found else None]))"
    )
    try:
        answer = subprocess.run([python, "-c", code], capture_output=True, text=True)
    except OSError:
        return None
    return json.loads(answer.stdout) if answer.returncode == 0 else None


def create(environment, python):
    if (
        environment.exists()
        and any(environment.iterdir())
        and not (environment / "pyvenv.cfg").exists()
    ):
        fail(
            f"{environment} has no working bin/python with pip and is no virtual environment, so it is left as it is."
        )
    try:
        import ensurepip  # noqa: F401  (Debian leaves it out of python3)
    except ImportError:
        fail(
            "this Python cannot create virtual environments; on Debian or Ubuntu: apt-get install python3-venv."
        )
    print(f"install: creating {environment} with Python {platform.python_version()}", flush=True)
    for clear in (
        [],
        ["--clear"],
    ):  # a half-made environment is completed where that works, else made anew
        made = subprocess.run(
            [sys.executable, "-m", "venv", *clear, environment], capture_output=True, text=True
        )
        if made.returncode == 0 and ask(python):
            return
    fail(
        f"python -m venv {environment} failed: {(made.stdout + made.stderr).strip().splitlines()[-1:]}"
    )


def forget_unfinished(environment):
    """Packages that a killed pip was writing or removing look installed: remove their metadata, so
    that pip writes them again.
    """
    for site in environment.glob("lib/python3*/site-packages"):
        halves = [
            d for d in site.glob("*.dist-info") if not (d / "INSTALLER").exists()
        ]  # what pip writes last
        for path in [*halves, *site.glob("~*")]:
            shutil.rmtree(path, ignore_errors=True)


def pip(python, *arguments):
    command = [python, "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    said = ""
    for line in process.stderr:
        sys.stderr.write(line)
        said += line
    if process.wait() == 0:
        return
    if "No space left on device" in said:
        fail(
            "the disk is full: free some space (pip also uses its cache and TMPDIR) and run the same command again."
        )
    if re.search(NO_NETWORK, said):
        fail(
            "no network: pip could not reach its package index; run the same command again once it can."
        )
    fail("pip failed, its reason is above; run the same command again when that is mended.")


def announce(environment, own, version, torch, kept, pinned):
    print(
        f"install: bringing {environment} (Python {version}) to "
        + ("requirements.lock" if own else "pyproject.toml; what satisfies it stays")
    )
    if kept:
        print(
            f"install: keeping torch {kept} (the lock has {pinned}), with a torchvision that fits it; at most 0.2 GB to download"
        )
    elif torch == pinned:
        print(
            "install: torch is there already; at most 0.2 GB to download"
            + (" besides missing CUDA libraries" if LINUX else "")
        )
    else:
        print(
            f"install: about {DOWNLOAD_GB} GB to download, most of it torch, and {DISK_GB} GB on disk; takes a few minutes"
        )
        free = shutil.disk_usage(environment).free / 1e9
        if free < DISK_GB:
            fail(
                f"the disk is full: {environment} needs about {DISK_GB} GB and has {free:.1f} GB free."
            )
    sys.stdout.flush()


def install(environment):
    import tomllib

    python, wanted_digest, stamp = (
        environment / "bin" / "python",
        digest(ROOT),
        read_stamp(environment),
    )
    if stamp["digest"] == wanted_digest and python.exists():
        return print(f"install: {environment} is up to date")
    if ask(python) is None:
        create(environment, python)
    own = (environment / "pyvenv.cfg").exists()
    if own:
        forget_unfinished(environment)
    version, torch = ask(python)
    if not satisfies(version, ">=3.11"):
        fail(f"{environment} has Python {version}, but 3.11 or newer is needed.")

    lock = (ROOT / "requirements.lock").read_text().splitlines()
    pinned = next(line.split("==")[1].split()[0] for line in lock if line.startswith("torch=="))
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    wanted = next(d.removeprefix("torch") for d in dependencies if re.match(r"torch[<>=]", d))
    kept = torch_to_keep(torch, pinned, wanted, stamp["torch"])
    announce(environment, own, version, torch, kept, pinned)

    from_lock = None if kept or not own else pinned
    write_stamp(environment, digest=None, torch=from_lock)
    if own:
        chosen = environment / "requirements.txt"
        chosen.write_text("\n".join(without_torch(lock) if kept else lock))
        pip(python, "--no-deps", "-r", chosen)
    pip(
        python,
        *(["--no-build-isolation"] if own else []),
        "-e",
        EXTRAS,
        *([f"torch=={kept}"] if kept else []),
    )
    if subprocess.run([python, "-c", "import torch, torchvision"], cwd=ROOT).returncode:
        fail(
            f"torch and torchvision do not work together: install a torchvision from where torch came from, or remove {environment}."
        )
    write_stamp(environment, digest=wanted_digest, torch=from_lock)
    print(f"install: {environment} is ready")


if __name__ == "__main__":
    if sys.version_info < (3, 11):
        fail(
            f"Python 3.11 or newer is needed, this is {platform.python_version()}; name another one: make PYTHON=python3.12 ..."
        )
    try:
        install(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / ".venv").absolute())
    except KeyboardInterrupt:
        fail("interrupted; the same command continues.")
    except OSError as error:
        fail(f"{error.strerror}: {error.filename or ''}")
