"""Every script of examples/ runs as its first lines say, from another folder, without a network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAST_LINES = {
    "apply_router": "router removed       the same images as before: True",
    "make_router": "           ",
    "own_schedule": "no cross-attention   30 % reused, mean squared difference",
}


def test_every_example_is_tried_here():
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == set(LAST_LINES)


@pytest.mark.parametrize("name", LAST_LINES)
def test_an_example_runs(name, tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / f"{name}.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=540,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(LAST_LINES[name]), done.stdout
    assert list(tmp_path.iterdir()) == []
