"""Where a record comes from: versions, commit, code hash, device."""

import hashlib
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harmonica.errors import BadInput

ROOT = Path(__file__).parents[2]
CODE = ("harmonica", "experiments", "requirements.lock")
PACKAGES = ("torch", "diffusers", "torch-fidelity", "numpy", "scipy", "scikit-learn")


@cache
def provenance():
    """-> versions, device, threads, commit or "none", code_sha and code_clean, the same for the
    whole process.
    """
    import torch

    return {
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "device": device_name(),
        "threads": torch.get_num_threads(),
        "commit": _git("rev-parse", "HEAD") or "none",
        "code_sha": code_sha(),
        "code_clean": _git("status", "--porcelain", "--", *CODE) == "",
    }


@cache
def code_sha():
    """sha256 over names and contents of the code that a record depends on."""
    digest = hashlib.sha256()
    for top in CODE:
        path = ROOT / top
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.suffix in (".py", ".lock", ".safetensors") and file.is_file():
                digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


@cache
def device_name():
    """The name of the GPU; without one, the processor and how many cores this process may use."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    try:
        cpu = next(
            line.split(":", 1)[1].strip()
            for line in open("/proc/cpuinfo")
            if line.startswith("model name")
        )
    except (OSError, StopIteration):
        cpu = platform.processor() or platform.machine()
    return f"{cpu}, {num_cores()} cores"


def num_gpus():
    import torch

    return torch.cuda.device_count()


def check_gpu():
    """BadInput where the paper's scale would run on a CPU, which would take months."""
    import torch

    if not torch.cuda.is_available():
        raise BadInput(
            f"GPU: torch {torch.__version__} sees none; run the paper's scale where there is one, "
            f"with a driver that serves CUDA {torch.version.cuda}, or with WHERE=slurm"
        )


def num_cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _git(*arguments):
    """Output of a git command in the checkout, None outside one."""
    try:
        process = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return process.stdout.strip() if process.returncode == 0 else None
