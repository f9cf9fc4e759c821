"""Make an environment, or update it: install requirements.lock, then this checkout as editable.

python3 tools/install.py [FOLDER]. A stamp is written last: an interrupted install is repeated."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT, UV = Path(__file__).resolve().parent.parent, shutil.which("uv")
REASONS = {
    "No space left|os error 28": "the disk is full; free about 7 GB (macOS: 2) and try again",
    "NewConn|NameRes|nreachable|imed ?out|ProxyErr|(dns|connect) error": "no network; try again",
    "ifferent Python|[Rr]equires-[Pp]ython": "its Python is too old, 3.11 or newer is needed",
    "ResolutionImpossible|No solution found": "what is there does not satisfy pyproject.toml",
    "": "it failed for the reason above; once that is mended, the same command goes on",
}


def run(*command):
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    output = "".join(line for line in process.stderr if sys.stderr.write(line))
    if process.wait():
        sys.exit(next(REASONS[key] for key in REASONS if re.search(key, output)))


def install(folder):
    sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed (PYTHON=...)")
    python, stamp = folder / "bin/python", folder / ".harmonica-install"
    lock, project = ((ROOT / name).read_text() for name in ("requirements.lock", "pyproject.toml"))
    pins = dict(re.findall(r"(?m)^(\S+)==([^#\n]*[^#\s])", lock))
    root, brought, done = ((stamp.read_text() if stamp.exists() else "") + "\n\n").split("\n", 2)
    if root not in ("", str(ROOT)) and Path(root).exists():
        sys.exit(f"{folder} runs the code of {root}; name another one (VENV=FOLDER)")
    if python.exists() and root == str(ROOT) and done.startswith(lock + project):
        return print(f"install: {folder} is up to date")
    print(f"install: {folder}: a new one takes 3 GB of downloads, 7 GB of disk (macOS: 0.5, 2)")
    conda = any(folder.glob("*")) and not (folder / "pyvenv.cfg").exists()
    metadata = folder.glob("lib/python3*/site-packages/*.dist-info")  # some left by a killed pip
    names = [i.name for i in metadata if conda or (i / "INSTALLER").exists() or shutil.rmtree(i)]
    if not conda and not (python.exists() and any(name.startswith("pip-") for name in names)):
        run(sys.executable, "-m", "venv", *["--without-pip"] * bool(UV), folder)
    kept = {name[6:-10] for name in names if name.startswith("torch-")} - {pins["torch"], brought}
    brought = "" if kept else pins["torch"]
    stamp.write_text(f"{ROOT}\n{brought}\nunfinished")
    pip = [UV, "pip", "install", "-p", python] if UV else [python, "-m", "pip", "install"]
    if not conda:  # a conda environment gets only what is missing, by pyproject.toml's ranges
        cuda = r"torch|torchvision|triton|nvidia-.*|cuda-.*" if kept else ""  # kept as they are
        run(*pip, "--no-deps", *(f"{p}=={pins[p]}" for p in pins if not re.fullmatch(cuda, p)))
    run(*pip, "--no-build-isolation", "-e", ".[dev,notebooks]", *(f"torch=={v}" for v in kept))
    stamp.write_text(f"{ROOT}\n{brought}\n{lock}{project}")


if __name__ == "__main__":
    try:
        install(Path(sys.argv[1] if sys.argv[1:] else ".venv").absolute())
    except (KeyboardInterrupt, OSError, SystemExit) as end:
        print(f"install: {str(end) or 'interrupted; asked again, it goes on'}", file=sys.stderr)
        sys.exit(2 if str(end) else 130)
