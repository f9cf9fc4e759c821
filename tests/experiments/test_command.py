"""`python -m experiments run`: a mistake is met by one sentence and exit 2, and costs nothing that
was there.
"""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest

from harmonica import files
from harmonica.digits.manifest import what_adds

ROOT = Path(__file__).resolve().parents[2]
SMOKE = ("run", "dit_xl2_256", "--scale", "smoke")

WRONG_WORDS = [
    ([], "COMMAND"),
    (["walk"], "walk"),
    (["run"], "EXPERIMENT"),
    (["run", "dit_xl2_1024"], "dit_xl2_256, dit_xl2_512, dit_xl2_sanity"),
    (["run", "../experiments/dit_xl2_256"], "choose one of"),
    (["run", "dit_xl2_256/"], "choose one of"),
    (["run", "dit_xl2_256", "--scale", "huge"], "--scale: invalid choice: 'huge'"),
    (["run", "dit_xl2_256", "--rows", "some"], "--rows: invalid choice: 'some'"),
    (["run", "dit_xl2_256", "--seeds", "0"], "--seeds: 0 is not possible"),
    (["run", "dit_xl2_256", "--seeds", "101"], "--seeds: 101 is not possible"),
    (
        ["run", "dit_xl2_256", "--seeds", "7"],
        "seeds: 7 is not possible; of base models like dit-digits-s0 there are 6",
    ),
    (["run", "dit_xl2_256", "--seeds", "many"], "many"),
    (["run", "dit_xl2_256", "--jobs", "-1"], "--jobs: -1 is not possible"),
    (["run", "dit_xl2_256", "--where", "cloud"], "--where: invalid choice: 'cloud'"),
    (["run", "dit_xl2_256", "--cur", "120"], "--cur"),
    (["run", ""], "'' is not possible"),
    (["run", "dit_xl2_256", "--jobs", "0"], "--jobs: 0 is not possible"),
    (["run", "dit_xl2_256", "--wait"], "--wait: it goes with --where slurm"),
    (["run", "dit_xl2_256", "--cluster-file", "x.toml"], "--cluster-file: it goes with --where"),
    (["run", "dit_xl2_256", "--cancel"], "--cancel: it goes with --where slurm"),
    (["run", "dit_xl2_256", "--table", "table1"], "--table: it goes with --where slurm"),
    (["run", "dit_xl2_256", "--where", "slurm", "--cluster-file", "no"], "--cluster-file: 'no'"),
    (["run", "dit_xl2_256", "--status", "--dry-run"], "not allowed with"),
    (["run", "dit_xl2_256", "--status", "--fresh"], "leave FRESH out to see the present one"),
    (["run", "frontier", "uvit", "--rows", "no-images"], "frontier has core, all"),
    (["run", "dit_xl2_256", "--rows", "no-images"], "it goes with SCALE=paper"),
]


@pytest.mark.parametrize(
    "arguments, words", WRONG_WORDS, ids=[" ".join(a) or "nothing" for a, _ in WRONG_WORDS]
)
def test_bad_arguments(refused, workplace, arguments, words):
    refused(*arguments, words=[words])
    assert not (workplace / "results").exists()


def test_a_replicate_too_many_is_met_by_the_commands_of_the_docs(refused, workplace):
    block = (ROOT / "docs" / "yours.md").read_text().split("A seventh replicate")[1].split("```")[1]
    copy, train, again = block.strip().splitlines()
    words = [copy, train, again.partition(" ")[0]]
    refused("run", "dit_xl2_256", "--seeds", "7", words=words)


def test_own_base_models_are_added_to_their_own_folder(monkeypatch):
    monkeypatch.setenv("HARMONICA_MODELS", "mine")
    assert what_adds("dit-clothes-s2", "clothes", 2) == (
        'to train more: `make base-models SCALE=clothes ARGS="--out mine --kinds dit-clothes '
        '--seeds 3 4"`, then this command again'
    )


WITHOUT_ROWS = {
    ("clothes", "compression"): "compression has no core rows at clothes scale, it has some at "
    "smoke, digits, paper",
    ("digits", "dit_xl2_512"): "it has some at digits (--rows all), paper",
    ("paper", "ablation_search", "frontier"): "frontier has no core rows at paper scale",
}


@pytest.mark.parametrize("where", WITHOUT_ROWS, ids=" ".join)
def test_an_experiment_without_rows_at_a_scale_says_where_it_has_some(refused, where):
    scale, *names = where
    refused("run", *names, "--scale", scale, words=[names[0], WITHOUT_ROWS[where]])


def test_beside_others_an_experiment_without_rows_is_skipped(cli):
    names = ("ablation_search", "ablation_training_cost")
    listed = cli("run", *names, "--scale", "paper", "--dry-run").stdout.splitlines()
    assert listed[0] == "ablation_search has no core rows at paper scale"
    assert any("training" in line for line in listed[1:])


def test_list_names_every_experiment_and_a_target_that_runs_it(cli):
    lines = [re.split("  +", line) for line in cli("list").stdout.splitlines()]
    folders = {path.parent.name for path in (ROOT / "experiments").glob("*/config.py")}
    assert {name for name, _, _ in lines} == folders
    assert all(title for _, title, _ in lines)
    by_name = {name: target for name, _, target in lines}
    assert by_name["pixart_alpha"] == "make reproduce-table2"
    assert by_name["ablation_beta"] == "make reproduce-ablations"
    assert [name for name, target in by_name.items() if target == "-"] == ["dit_xl2_sanity"]


def test_outside_a_checkout(refused, workplace):
    (workplace / "experiments").unlink()
    refused("run", "dit_xl2_256", words=["experiments"])


@pytest.mark.parametrize("content", ["", '{"schema": 1, "id": "smo', '{"schema": 0}'])
def test_an_interrupted_record_is_named_and_nothing_is_lost(cli, refused, workplace, content):
    """Found before anything starts; the sentence says what to do."""
    listed = cli(*SMOKE, "--dry-run").stdout
    kinds = {line.split()[1]: line.split()[2] for line in listed.splitlines()[:-2]}
    local = workplace / "results" / "local"
    first = local / "latency" / f"{kinds['latency']}.json"
    last = local / "runs" / f"{kinds['run']}.json"
    first.parent.mkdir(parents=True)
    last.parent.mkdir()
    first.write_text(whole := json.dumps({"schema": 1, "id": first.stem}))
    last.write_text(content)
    for option in ([], ["--status"], ["--dry-run"]):
        refused(*SMOKE, *option, words=[f"{last.stem}.json", "delete it to have it made again"])
    assert first.read_text() == whole and last.read_text() == content
    last.unlink()
    status = cli(*SMOKE, "--status")
    assert (
        status.returncode == 0
        and [line.split()[0] for line in status.stdout.splitlines()].count("done") == 1
    )


@pytest.fixture
def mounted(workplace):
    """-> a function that mounts a file system of that size on results/ (again). Needs the right to
    mount.
    """
    results = workplace / "results"
    results.mkdir()

    def mount(options):
        again = "remount," if os.path.ismount(results) else ""
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", again + options, "tmpfs", results],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            pytest.skip(f"cannot mount: {done.stderr.strip()}")

    try:
        yield mount
    finally:
        subprocess.run(["umount", results], capture_output=True)


def test_a_full_results_folder_costs_only_what_did_not_fit(refused, cli, mounted, workplace):
    mounted("size=120k")
    refused(*SMOKE, "--jobs", 1, words=["No space left on device"])
    kept = {
        path: path.read_bytes()
        for path in workplace.glob("results/local/*/*.*")
        if path.is_file() and path.suffix != ".guard"
    }
    finished = [path for path in kept if path.suffix == ".json"]
    assert finished and all(json.loads(kept[path])["id"] == path.stem for path in finished)
    assert not list(workplace.rglob("*.tmp"))
    status = cli(*SMOKE, "--status").stdout.splitlines()
    assert sorted(line.split()[-1] for line in status if line.startswith("done")) == sorted(
        path.stem for path in finished
    )


def test_a_read_only_results_folder(refused, mounted, workplace):
    (workplace / "results" / "local").mkdir()
    mounted("size=1m")
    (workplace / "results" / "local" / "runs").mkdir(parents=True)
    mounted("ro")
    refused(*SMOKE, "--jobs", 1, words=["Read-only file system"])
    refused(*SMOKE, "--fresh", words=["Read-only file system", "what was finished is kept"])


@pytest.mark.parametrize("option", ["--dry-run", "--status"])
def test_lists_end_with_a_count_and_a_time(cli, workplace, option):
    said = cli(*SMOKE, option).stdout.splitlines()
    assert said[-2] == f"{len(said) - 2} artefacts: 0 done"
    assert said[-1].startswith(f"{len(said) - 2} missing: about ") and " with " in said[-1]
    assert not (workplace / "results").exists()


def test_of_a_fresh_set_nothing_is_done_yet(cli, workplace):
    options = (*SMOKE, "--dry-run")
    new = cli(*options, "--fresh").stdout
    (timing,) = [line.split()[-1] for line in new.splitlines() if " latency " in line]
    record = workplace / "results" / "local" / "latency" / f"{timing}.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"schema": 1, "id": timing}))
    assert "artefacts: 1 done" in cli(*options).stdout
    note = "these in a new set: results/local would be renamed\n"
    assert cli(*options, "--fresh").stdout == new + note and record.exists()


@pytest.mark.parametrize("said", ["to make, about", ": done"])
def test_ctrl_c_is_one_line_and_costs_only_what_was_at_work(workplace, cli, said):
    """For the whole process group, as a terminal sends it: to processes that are starting, and to
    some that are at work.
    """
    command = [sys.executable, "-m", "experiments", *SMOKE]
    process = subprocess.Popen(
        command,
        cwd=workplace,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert any(said in line for line in process.stdout)  # read no further than that line
    os.killpg(process.pid, signal.SIGINT)
    (line,) = process.communicate(timeout=60)[1].splitlines()
    assert process.returncode == 130 and line.startswith("interrupted: what was finished is kept")


def test_the_code_of_another_checkout_is_refused(refused, workplace):
    """Two checkouts that share an environment import what was installed last."""
    (workplace / "experiments").unlink()
    copytree(ROOT / "experiments", workplace / "experiments")
    refused("run", "dit_xl2_256", words=["checkout:", str(workplace), str(ROOT)])


def test_a_fresh_set_is_refused_while_another_process_is_at_work(refused, workplace):
    local = workplace / "results" / "local"
    with files.at_work(local / "locks"):
        refused(
            *SMOKE, "--fresh", words=["FRESH: results/local is in use", f"process {os.getpid()}"]
        )
    assert local.exists()
