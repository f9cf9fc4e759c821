"""pyproject.toml, environment.yml and requirements.lock say the same; tools/install.py decides
rightly what to do. No network.
"""

import ast
import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT_TEXT = (ROOT / "pyproject.toml").read_text()
PYPROJECT = tomllib.loads(PYPROJECT_TEXT)
LOCK = (ROOT / "requirements.lock").read_text()
TARGETS = (
    "help install test test-slurm reproduce-table1 reproduce-table2 reproduce-ablations base-models paper publish bench "
    "clean"
).split()

spec = importlib.util.spec_from_file_location("install", ROOT / "tools" / "install.py")
install = importlib.util.module_from_spec(spec)
spec.loader.exec_module(install)


def by_name(lines):
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(r.name): r.specifier for r in requirements}


def declared():
    project = PYPROJECT["project"]
    extras = [line for group in project["optional-dependencies"].values() for line in group]
    return by_name([*project["dependencies"], *extras])


def conda():
    items = re.findall(r"^\s+- ([^\s:]+)$", (ROOT / "environment.yml").read_text(), re.M)
    return by_name(
        re.sub(r"^pytorch\b", "torch", item) for item in items if item not in ("conda-forge", "pip")
    )


def imported(folder):
    """Top-level names that the files of a folder import, wherever in the file."""
    names = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.split(".")[0])
    return names


def test_conda_users_get_the_same_names_and_pins():
    (build,) = PYPROJECT["build-system"]["requires"]
    python = Requirement("python" + PYPROJECT["project"]["requires-python"])
    assert conda() == {**declared(), **by_name([build]), "python": python.specifier}


def test_every_dependency_has_its_reason_beside_it():
    dependencies = re.search(
        r"^dependencies = \[\n(.*?)^\]\n\n\[tool", PYPROJECT_TEXT, re.M | re.S
    )[1]
    lines = [line for line in dependencies.splitlines() if line.startswith('    "')]
    assert len(lines) == len(declared())
    assert [line for line in lines if not re.search(r'",\s+# \w', line.replace("# ...", "#"))] == []


def test_the_lock_has_every_dependency_inside_its_range():
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", LOCK, re.M))
    wrong = [
        name
        for name, range_ in declared().items()
        if pins.get(name) is None or pins[name] not in range_
    ]
    assert wrong == []


def test_the_lock_keeps_cuda_to_linux_and_names_no_place():
    gpu = [line for line in LOCK.splitlines() if re.match(r"nvidia-|cuda-|triton", line)]
    assert gpu and all("sys_platform == 'linux'" in line for line in gpu)
    assert not re.search(r"://|^--|^-", LOCK, re.M)


@pytest.mark.parametrize("folder", ["harmonica", "experiments", "slurm", "analysis"])
def test_everything_imported_is_declared(folder):
    distributions = {
        "sklearn": "scikit-learn",
        "torch_fidelity": "torch-fidelity",
        "cleanfid": "clean-fid",
        "huggingface_hub": "huggingface-hub",
        "PIL": "pillow",
    }
    ours = {"harmonica", "experiments", "slurm", "analysis"}
    foreign = imported(folder) - set(sys.stdlib_module_names) - ours
    assert sorted(name for name in foreign if distributions.get(name, name) not in declared()) == []


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
class TestMakefile:
    def make(self, *arguments):
        return subprocess.run(
            ["make", "--no-print-directory", *arguments], cwd=ROOT, capture_output=True, text=True
        )

    def test_help_lists_every_target_and_variable(self):
        said = self.make().stdout
        assert re.findall(r"^  ([a-z0-9-]+)  ", said, re.M) == TARGETS
        assert re.findall(r"^  ([A-Z]+)=", said, re.M) == [
            "SCALE",
            "ROWS",
            "SEEDS",
            "WHERE",
            "FRESH",
            "JOBS",
            "ARGS",
            "VENV",
        ]

    @pytest.mark.parametrize("setting", ["SCALE=digit", "ROWS=", "WHERE=local slurm", "FRESH=yes"])
    def test_an_unknown_value_is_one_sentence(self, setting):
        made = self.make("-n", "reproduce-table1", setting)
        assert made.returncode == 2 and made.stdout == ""
        assert (
            f"{setting} is unknown; choose one of: " in made.stderr and made.stderr.count("\n") == 1
        )

    def test_on_slurm_nothing_is_tabled_before_the_jobs_are_done(self):
        assert "analysis table1" in self.make("-n", "reproduce-table1").stdout
        assert "analysis" not in self.make("-n", "reproduce-table1", "WHERE=slurm").stdout


class TestInstall:
    def test_an_environment_is_current_only_after_a_finished_install(self, tmp_path, capsys):
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "python").touch()
        install.write_stamp(tmp_path, digest=install.digest(ROOT), torch="2.15.0")
        install.install(tmp_path)  # would fail if it went on: this python cannot run
        assert "up to date" in capsys.readouterr().out

        install.write_stamp(tmp_path, digest=None, torch="2.15.0")
        with pytest.raises(SystemExit) as stopped:
            install.install(tmp_path)
        assert stopped.value.code == 2 and "no virtual environment" in capsys.readouterr().err

    def test_a_missing_or_torn_stamp_is_no_stamp(self, tmp_path):
        assert install.read_stamp(tmp_path)["digest"] is None
        (tmp_path / ".harmonica-install").write_text('{"digest": "ab')
        assert install.read_stamp(tmp_path)["digest"] is None

    def test_the_digest_follows_lock_project_and_place(self, tmp_path):
        digests = set()
        for place in ("a", "b"):
            root = tmp_path / place
            root.mkdir()
            for name in ("requirements.lock", "pyproject.toml"):
                (root / name).write_text("")
            for name in ("requirements.lock", "pyproject.toml"):
                digests.add(install.digest(root))
                (root / name).write_text("changed")
            digests.add(install.digest(root))
        assert len(digests) == 6

    @pytest.mark.parametrize(
        "installed, from_lock, kept",
        [
            (None, None, None),  # nothing to keep
            ("2.15.0", None, None),  # the lock's own
            ("2.15.0+cpu", None, "2.15.0+cpu"),  # another build of it
            ("2.13.0+cu126", None, "2.13.0+cu126"),
            ("2.9.1", None, None),  # too old
            ("3.0.0", None, None),  # too new
            ("2.14.0", "2.14.0", None),  # an earlier lock brought it: follow the new lock
        ],
    )
    def test_a_torch_that_satisfies_is_kept(self, installed, from_lock, kept):
        assert install.torch_to_keep(installed, "2.15.0", ">=2.11,<3", from_lock) == kept

    def test_beside_a_kept_torch_nothing_of_torch_is_locked(self):
        rest = install.without_torch(LOCK.splitlines())
        assert not [line for line in rest if re.match(r"torch(vision)?=|nvidia|cuda|triton", line)]
        assert {"torch-fidelity", "diffusers", "numpy"} <= set(
            by_name(re.findall(r"^[^#\s]+", "\n".join(rest), re.M))
        )

    def test_packages_a_killed_pip_left_half_done_are_forgotten(self, tmp_path):
        site = tmp_path / "lib" / "python3.12" / "site-packages"
        for name in ("whole-1.dist-info", "half-1.dist-info", "~half-0.dist-info"):
            (site / name).mkdir(parents=True)
        (site / "whole-1.dist-info" / "INSTALLER").write_text("pip")
        install.forget_unfinished(tmp_path)
        assert [path.name for path in site.iterdir()] == ["whole-1.dist-info"]

    @pytest.mark.parametrize(
        "said, sentence",
        [
            ("OSError: [Errno 28] No space left on device", "disk is full"),
            (
                "WARNING: Retrying after connection broken by 'NewConnectionError(...)'",
                "no network",
            ),
            ("ERROR: something else", "pip failed"),
        ],
    )
    def test_a_failing_pip_is_told_in_one_sentence(self, tmp_path, capfd, said, sentence):
        python = tmp_path / "python"
        python.write_text(f'#!/bin/sh\necho "{said}" >&2\nexit 1\n')
        python.chmod(0o755)
        with pytest.raises(SystemExit) as stopped:
            install.pip(python, "torch")
        assert stopped.value.code == 2 and sentence in capfd.readouterr().err.splitlines()[-1]
