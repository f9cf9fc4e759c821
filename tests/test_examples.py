"""Every script of examples/ runs as its first lines say, from another folder, without a network."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAST_LINES = {
    "apply_router": "router removed       the same images as before: True",
    "make_router": "           ",
    "own_schedule": "no cross-attention   30 % reused, mean squared difference",
    "search_schedule": "searched   50 % skipped, mean squared difference",
}
LARGE = {  # with --tiny: units that are computed of all
    "flux": "32 units, 16 computed",
    "pixart_sigma": "24 units, 12 computed",
    "qwen_image": "24 units, 11 computed",  # one more reaches nothing
    "sd35": "36 units, 18 computed",
    "wan": "24 units, 12 computed",
}


def test_every_example_is_tried_here():
    there = {path.stem for path in (ROOT / "examples").glob("*.py")} - {"tiny"}
    assert there == {*LAST_LINES, *LARGE}


@pytest.mark.parametrize("name", [*LAST_LINES, *LARGE])
def test_an_example_runs(name, tmp_path):
    options = ["--tiny"] if name in LARGE else []
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / f"{name}.py", *options],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=540,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith((LAST_LINES | LARGE)[name]), done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [*LAST_LINES, *LARGE])
def test_help_helps_and_an_unknown_option_is_refused(name, tmp_path, monkeypatch, capsys):
    script = ROOT / "examples" / f"{name}.py"
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(script.parent)
    for option, code in {"--help": 0, "--tinny": 2}.items():
        monkeypatch.setattr(sys, "argv", [script.name, option])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(script), run_name="__main__")
        assert ended.value.code == code
    out, err = capsys.readouterr()
    assert script.read_text()[3:30] in out.replace("\n", " ")
    assert err.splitlines()[-1] == f"{name}.py: error: unrecognized arguments: --tinny"
    assert list(tmp_path.iterdir()) == []
