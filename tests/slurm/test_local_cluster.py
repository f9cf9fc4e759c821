"""What slurm/launch.py relies on: the rehearsal cluster, as `up` starts it, runs submitit's jobs as
a real one would.
"""

import os
import subprocess
import time
from pathlib import Path

import pytest
import submitit

pytestmark = pytest.mark.slurm


def squeue(job, fields):
    """One job's fields by squeue, e.g. "%T|%M"; also of a job that ended."""
    return subprocess.run(
        ["squeue", "--noheader", "--states=all", f"--jobs={job.job_id}", f"--format={fields}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def environment(*names):
    return [os.environ.get(name) for name in names]


def note(path, text="here"):
    with open(path, "a") as file:
        print(text, file=file)
    return path


def hold(path, seconds):
    """Take place in a file, with start and end."""
    start = time.time()
    time.sleep(seconds)
    note(path, f"{start} {time.time()}")


def fail():
    raise ValueError("on purpose")


def count(path, goal):
    """Append 0, 1, ... goal - 1 to a file, one every 0.2 s; go on where an earlier, killed run
    stopped.
    """
    for number in range(len(read(path)), goal):
        note(path, number)
        time.sleep(0.2)
    return os.environ.get("SLURM_RESTART_COUNT", "0")


def read(path):
    return Path(path).read_text().split() if Path(path).exists() else []


class Counter(submitit.helpers.Checkpointable):
    """`count`, and before a restart a note of the signal that announced it."""

    def __call__(self, path, goal):
        return count(path, goal)

    def checkpoint(self, path, goal):
        note(f"{path}.signalled")
        return submitit.helpers.DelayedSubmission(self, path, goal)


def test_a_job_runs_and_returns(executor, result_of):
    executor.update_parameters(slurm_gpus_per_node=2)
    job = executor.submit(environment, "SLURM_JOB_ID", "SLURM_JOB_NODELIST", "CUDA_VISIBLE_DEVICES")
    job_id, nodes, gpus = result_of(job)
    assert (job_id, nodes) == (job.job_id, "localhost")
    assert len(gpus.split(",")) == 2


def test_a_failure_comes_back_with_its_own_message(executor, result_of):
    with pytest.raises(submitit.core.utils.FailedJobError, match="on purpose"):
        result_of(executor.submit(fail))


def test_a_job_that_dies_without_a_result_is_noticed(executor, wait_for, tmp_path):
    job = executor.submit(count, tmp_path / "count", 1000)
    wait_for(lambda: read(tmp_path / "count"))
    job.cancel()
    wait_for(lambda: job.done(force_check=True), seconds=30)
    assert job.state == "CANCELLED"


def test_an_array_runs_no_more_than_its_cap_at_a_time(executor, result_of, tmp_path):
    executor.update_parameters(slurm_array_parallelism=2)
    jobs = executor.map_array(hold, [tmp_path / "times"] * 5, [1.0] * 5)
    for job in jobs:
        result_of(job)
    spans = [
        tuple(map(float, line.split())) for line in (tmp_path / "times").read_text().splitlines()
    ]
    at_once = [sum(start <= moment < end for start, end in spans) for moment, _ in spans]
    assert len(spans) == 5 and max(at_once) == 2


def test_afterok_waits_for_success_and_never_follows_failure(
    executor, result_of, wait_for, tmp_path
):
    first, bad = executor.submit(hold, tmp_path / "times", 3), executor.submit(fail)
    executor.update_parameters(slurm_dependency=f"afterok:{first.job_id}")
    second = executor.submit(note, tmp_path / "second")
    executor.update_parameters(slurm_dependency=f"afterok:{bad.job_id}")
    never = executor.submit(note, tmp_path / "never")
    assert squeue(second, "%T|%r") == "PENDING|Dependency"
    result_of(second)
    end_of_first = float((tmp_path / "times").read_text().split()[1])
    assert (tmp_path / "second").stat().st_mtime >= end_of_first
    wait_for(lambda: squeue(never, "%T|%r") == "PENDING|DependencyNeverSatisfied")
    assert not (tmp_path / "never").exists()


def test_a_production_request_is_accepted_unchanged(executor):
    executor.update_parameters(
        slurm_gpus_per_node=8,
        cpus_per_task=60,
        mem_gb=480,
        timeout_min=3 * 24 * 60,
        slurm_constraint="h100",
        slurm_account="any-account",
    )
    job = executor.submit(time.sleep, 600)
    state, reason, *request, gpus = squeue(job, "%T|%r|%C|%m|%l|%f|%a|%b").split("|")
    assert (state, reason) in {
        ("RUNNING", "None"),
        ("PENDING", "None"),
        ("PENDING", "Resources"),
        ("PENDING", "Priority"),
    }
    assert request == ["60", "480G", "3-00:00:00", "h100", "any-account"]
    assert gpus.endswith("gpu:8")  # gres:gpu:8 or, in newer versions, gres/gpu:8


@pytest.mark.parametrize(
    "wrong",
    [
        {"slurm_gpus_per_node": 9},
        {"cpus_per_task": 65},
        {"slurm_constraint": "v100"},
        {"slurm_partition": "gpu"},
    ],
)
def test_what_the_node_lacks_is_refused(executor, wrong):
    executor.update_parameters(**wrong)
    with pytest.raises(submitit.core.utils.FailedJobError):
        executor.submit(time.sleep, 1)


def test_a_signalled_job_checkpoints_and_is_requeued(executor, result_of, wait_for, tmp_path):
    job = executor.submit(Counter(), tmp_path / "count", 15)
    wait_for(lambda: read(tmp_path / "count"))
    job._interrupt(timeout=True)
    assert result_of(job) == "1"
    assert read(tmp_path / "count") == [str(number) for number in range(15)]
    assert read(tmp_path / "count.signalled") == ["here"]


def test_a_requeue_from_outside_restarts_without_a_checkpoint(
    executor, result_of, wait_for, tmp_path
):
    """submitit's jobs ignore the SIGTERM that comes first: they run on for KillWait (here 5 s),
    then are killed.
    """
    job = executor.submit(Counter(), tmp_path / "count", 40)
    wait_for(lambda: read(tmp_path / "count"))
    subprocess.run(["scontrol", "requeue", job.job_id], check=True)
    assert result_of(job) == "1"
    assert read(tmp_path / "count") == [str(number) for number in range(40)]
    assert not (tmp_path / "count.signalled").exists()
