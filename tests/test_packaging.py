"""pyproject.toml, environment.yml and requirements.lock say the same; tools/install.py decides
rightly what to do. No network.
"""

import ast
import inspect
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import harmonica

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT_TEXT = (ROOT / "pyproject.toml").read_text()
PYPROJECT = tomllib.loads(PYPROJECT_TEXT)
LOCK = (ROOT / "requirements.lock").read_text()
TARGETS = (
    "help install test test-slurm reproduce-table1 reproduce-table2 reproduce-uvit "
    "reproduce-frontier "
    "reproduce-ablations base-models paper publish bench "
    "clean"
).split()


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

    @pytest.mark.parametrize("setting", ["SEED=6", "scale=clothes", "ARG=--status"])
    def test_an_unknown_variable_is_one_sentence(self, setting):
        made = self.make("-n", "reproduce-table1", "SEEDS=2", setting)
        assert made.returncode == 2 and made.stdout == ""
        known = "SCALE ROWS SEEDS WHERE FRESH JOBS ARGS VENV PYTHON"
        assert f"{setting.partition('=')[0]} is unknown; choose one of: {known};" in made.stderr
        assert made.stderr.count("\n") == 1

    def test_all_known_variables_may_be_given_at_once(self):
        settings = "SCALE=smoke ROWS=all SEEDS=2 WHERE=local FRESH=0 JOBS=2 VENV=env PYTHON=python3"
        programs = "HARMONICA_MODELS=models HARMONICA_WEIGHTS=weights MAKEFLAGS=-k"
        arguments = "ARGS=--dry-run --seeds=3"
        made = self.make("-n", "-j2", *settings.split(), *programs.split(), arguments, "test")
        assert made.returncode == 0 and "env/bin/python" in made.stdout

    def test_on_slurm_nothing_is_tabled_before_the_jobs_are_done(self):
        assert "analysis table1" in self.make("-n", "reproduce-table1").stdout
        assert "analysis" not in self.make("-n", "reproduce-table1", "WHERE=slurm").stdout


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["walk"], "invalid choice: 'walk'"),
        (["env", "--dir", "/" + 80 * "x"], "the Unix sockets inside allow 60"),
    ],
)
def test_mistakes_with_the_local_cluster_are_one_sentence(arguments, words):
    command = [sys.executable, ROOT / "tools" / "local_cluster", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if "not found: " in done.stderr:
        pytest.skip("Slurm is not installed")
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr and done.stderr.count("\n") == 1


class TestInstall:
    """tools/install.py in a checkout of its own, with a uv or a pip that only note what they are
    told.
    """

    @pytest.fixture
    def checkout(self, tmp_path):
        """-> a function that copies what an install reads to tmp_path/NAME."""

        def make(name="checkout"):
            root = tmp_path / name
            (root / "tools").mkdir(parents=True)
            for file in ("tools/install.py", "requirements.lock", "pyproject.toml"):
                shutil.copy(ROOT / file, root / file)
            return root

        return make

    @pytest.fixture
    def install(self, tmp_path):
        """-> a function that runs the installer -> what ended, and the commands of uv. `says`: uv
        writes that to stderr and fails.
        """
        uv, log = tmp_path / "bin" / "uv", tmp_path / "uv.log"
        uv.parent.mkdir()

        def run(root, folder, says=""):
            fails = f'echo "{says}" >&2; exit 1' if says else "exit 0"
            uv.write_text(f'#!/bin/sh\necho "$@" >> {log}\n{fails}\n')
            uv.chmod(0o755)
            log.write_text("")
            done = subprocess.run(
                [sys.executable, root / "tools" / "install.py", folder],
                env={**os.environ, "PATH": f"{uv.parent}:{os.environ['PATH']}"},
                capture_output=True,
                text=True,
            )
            return done, log.read_text().splitlines()

        return run

    def has(self, folder, *packages):
        """Let packages look installed, as pip or uv leave them."""
        (site,) = folder.glob("lib/python3*/site-packages")
        for package in packages:
            (site / f"{package}.dist-info").mkdir()
            (site / f"{package}.dist-info" / "INSTALLER").write_text("pip")
        return site

    def test_the_lock_then_the_checkout_then_nothing(self, checkout, install, tmp_path):
        root, folder = checkout(), tmp_path / "env"
        done, (lock, editable) = install(root, folder)
        assert done.returncode == 0 and (folder / "bin" / "python").exists()
        assert lock.startswith(f"pip install -p {folder}/bin/python --no-deps ")
        assert len(re.findall(r" \S+==\S+", lock)) == len(re.findall(r"^\S+==", LOCK, re.M))
        assert editable.endswith("--no-build-isolation -e .[dev,notebooks]")
        done, commands = install(root, folder)
        assert (done.returncode, commands) == (0, []) and "up to date" in done.stdout

    @pytest.mark.parametrize("file", ["requirements.lock", "pyproject.toml"])
    def test_what_changes_is_followed(self, checkout, install, tmp_path, file):
        root = checkout()
        install(root, tmp_path / "env")
        (root / file).write_text("# another\n" + (root / file).read_text())
        assert len(install(root, tmp_path / "env")[1]) == 2

    def test_an_install_that_failed_is_done_again(self, checkout, install, tmp_path):
        root, folder = checkout(), tmp_path / "env"
        install(root, folder)
        lock = (root / "requirements.lock").read_text()
        (root / "requirements.lock").write_text(lock.replace("numpy==", "numpy==99."))
        assert install(root, folder, says="broken")[0].returncode == 2
        (root / "requirements.lock").write_text(lock)  # half of the other is in there
        assert len(install(root, folder)[1]) == 2

    def test_what_a_killed_pip_left_half_done_is_forgotten(self, checkout, install, tmp_path):
        root, folder = checkout(), tmp_path / "env"
        install(root, folder, says="killed")
        site = self.has(folder, "whole-1")
        (site / "half-1.dist-info").mkdir()
        install(root, folder)
        assert [path.name for path in site.glob("*-1.dist-info")] == ["whole-1.dist-info"]

    @pytest.mark.parametrize("version, kept", [("2.13.0+cu126", True), (None, False)])
    def test_a_torch_that_was_there_is_kept(self, checkout, install, tmp_path, version, kept):
        root, folder = checkout(), tmp_path / "env"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        version = version or re.search(r"^torch==(\S+)", LOCK, re.M)[1]
        self.has(folder, f"torch-{version}")
        _, (lock, editable) = install(root, folder)
        assert editable.endswith(f" torch=={version}") == kept
        assert bool(re.search(r" (torch|torchvision|triton|nvidia-\S+|cuda-\S+)==", lock)) != kept
        assert {"torch-fidelity", "diffusers", "numpy"} <= set(re.findall(r"(\S+)==", lock))

    def test_a_torch_of_an_earlier_lock_follows_the_new_one(self, checkout, install, tmp_path):
        root, folder = checkout(), tmp_path / "env"
        lock = (root / "requirements.lock").read_text()
        (root / "requirements.lock").write_text(re.sub("(?m)^torch==.*", "torch==2.14.0", lock))
        install(root, folder)
        self.has(folder, "torch-2.14.0")
        (root / "requirements.lock").write_text(lock)
        _, (locked, editable) = install(root, folder)
        assert " torch==" in locked and " torch==" not in editable

    def test_in_a_conda_environment_only_what_is_missing_is_added(
        self, checkout, install, tmp_path
    ):
        folder = tmp_path / "env"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        (folder / "pyvenv.cfg").unlink()
        _, commands = install(checkout(), folder)
        assert len(commands) == 1 and commands[0].endswith("-e .[dev,notebooks]")

    def test_the_environment_of_another_clone_is_refused(self, checkout, install, tmp_path):
        first, second, folder = checkout("first"), checkout("second"), tmp_path / "env"
        install(first, folder)
        done, commands = install(second, folder)
        assert done.returncode == 2 and commands == []
        assert done.stderr.count("\n") == 1 and f"runs the code of {first}" in done.stderr
        assert "up to date" in install(first, folder)[0].stdout

        first.rename(tmp_path / "moved")  # the same clone in another place is followed
        assert len(install(tmp_path / "moved", folder)[1]) == 2

    @pytest.mark.parametrize(
        "says, sentence",
        [
            ("OSError: [Errno 28] No space left on device", "disk is full"),
            ("Retrying after connection broken by 'NewConnectionError(...)'", "no network"),
            ("error: dns error: failed to lookup address information", "no network"),
            ("  cause: tcp connect error", "no network"),
            ("Package requires a different Python: 3.10.1 not in '>=3.11'", "Python is too old"),
            ("ERROR: ResolutionImpossible: for help visit ...", "does not satisfy"),
            ("ERROR: something else", "the same command goes on"),
        ],
    )
    def test_a_failure_is_told_in_one_sentence(self, checkout, install, tmp_path, says, sentence):
        done, _ = install(checkout(), tmp_path / "env", says=says)
        assert done.returncode and sentence in done.stderr.splitlines()[-1]
        assert says in done.stderr and "Traceback" not in done.stderr

    def test_without_uv_pip_is_told_the_same(self, checkout, tmp_path):
        root, folder = checkout(), tmp_path / "env"
        (folder / "bin").mkdir(parents=True)
        (folder / "pyvenv.cfg").touch()
        (folder / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
        self.has(folder, "pip-1")
        python, log = folder / "bin" / "python", tmp_path / "pip.log"
        python.write_text(f'#!/bin/sh\necho "$@" >> {log}\n')
        python.chmod(0o755)
        subprocess.run(
            [sys.executable, root / "tools" / "install.py", folder],
            env={"PATH": "/usr/bin:/bin"},
            check=True,
        )
        lock, editable = log.read_text().splitlines()
        assert lock.startswith("-m pip install --no-deps ") and "numpy==" in lock
        assert editable == "-m pip install --no-build-isolation -e .[dev,notebooks]"


def test_the_package_installs_a_command_and_its_types():
    assert PYPROJECT["project"]["scripts"] == {"harmonica": "harmonica.__main__:main"}
    assert "py.typed" in PYPROJECT["tool"]["setuptools"]["package-data"]["harmonica"]
    assert (ROOT / "harmonica" / "py.typed").exists()


@pytest.mark.parametrize("name", ["search", "apply", "remove", "train"])
def test_the_types_of_public_functions_are_said(name):
    signature = inspect.signature(getattr(harmonica, name))
    named = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    assert all(parameter.annotation is not parameter.empty for parameter in named)
    assert signature.return_annotation is not signature.empty
