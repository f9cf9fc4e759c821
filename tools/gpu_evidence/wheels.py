"""Installs the packages that are missing on a machine with torch but no network, from wheels."""

import subprocess
import sys
import tempfile
from pathlib import Path

NEEDED = ("diffusers", "torch-fidelity", "clean-fid", "submitit")


def install(argv):
    """If --wheels names a folder, install its wheels into a temporary folder at the front of
    sys.path. No package index is used, and installed packages are not changed.
    """
    folder = _given(argv)
    if folder is None:
        return
    wheels = sorted(map(str, Path(folder).glob("*.whl")))
    if not wheels:
        print(
            f"wheels: {folder} holds none; put those of {', '.join(NEEDED)} there", file=sys.stderr
        )
        sys.exit(2)
    site = tempfile.mkdtemp(prefix="wheels-")
    options = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--target", site]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, *wheels], check=True)
    sys.path.insert(0, site)


def _given(argv):
    for option, value in zip(argv, argv[1:]):
        if option == "--wheels":
            return value
    joined = [argument.partition("=")[2] for argument in argv if argument.startswith("--wheels=")]
    return joined[0] if joined else None
