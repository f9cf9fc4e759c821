"""Submits the missing artefacts of experiments as Slurm jobs: `python -m experiments run
EXPERIMENT... --where slurm`.

Nothing waits on the login node: dependencies (afterok) order the jobs, and Slurm ends a job whose
dependency failed. The same command given again submits what is missing and not queued. A launcher
may be killed at any moment: it submits a job first and writes a note of it then, and the next
launcher cancels a queued job of this clone that has no note before it submits that job again.

The same jobs run on submitit's clusters `local` and `debug`, which have no queue: the launcher runs
one after another.
"""

import math
import time
from functools import partial

from submitit.core.utils import FailedJobError, UncompletedJobError

from harmonica.errors import BadInput, check
from harmonica.files import write_json
from harmonica.lab.store import Store, set_aside

from . import report, submission
from .jobs import jobs_of
from .resources import load
from .squeue import Queue
from .work import Work, failed_path, failures, forget_failures

POLL_S = 5
ENDING_S = 60  # Slurm kills what has not ended after KillWait, by default 30 s
NEVER = "DependencyNeverSatisfied"


def main(arguments, artefacts, latencies, local):
    """What the command line does on a cluster; `arguments` as in experiments/run.py. BadInput
    where something failed.
    """
    site, resources = load(arguments.cluster_file)
    store, queue = Store(local), Queue(local, in_queue=site.cluster == "slurm")
    if arguments.fresh and not (arguments.dry_run or arguments.status or arguments.cancel):
        queued = sum(map(len, queue.live().values()))
        check(
            not queued,
            "FRESH",
            1,
            f"{queued} jobs of the present set are queued; wait for them, or --cancel first",
        )
        set_aside(local)
    table = _table(arguments)
    if arguments.fresh and arguments.dry_run:
        store = Store(local / "none")  # as empty as the new set would be
    jobs = jobs_of(artefacts, latencies, store, resources, table)
    if not (arguments.status or arguments.cancel):
        _check_gpus(jobs, resources, arguments.cluster_file)
    if arguments.dry_run:
        return report.plan(jobs, resources)
    if not (jobs or arguments.status or arguments.cancel):
        return print(f"nothing to run: all {len(artefacts + latencies)} records are in {local}")
    queued = queue.live()
    if divided := queue.divided(queued):
        jobs = jobs_of(artefacts, latencies, store, resources, table, divided)
    own = {f"{artefact.id}{end}" for artefact in artefacts + latencies for end in ("", ".samples")}
    report.of_others(queued, own | ({table[0]} if table else set()))
    if arguments.status:
        return report.status(report.states(artefacts + latencies, table, store, queue))
    if arguments.cancel:
        live = [task for job in jobs for task in queued.get(job.key, [])]
        queue.cancel(live)
        # a job that was running takes a moment to end, and counts as queued until then
        ending = wait(jobs, queue, ENDING_S)
        still = (
            f"; {ending} have not ended yet, ask again when squeue lists them no more"
            if ending
            else ""
        )
        return print(f"cancelled {len(live)} jobs; what they finished is kept{still}")
    with store.lock("launcher"):
        if site.cluster == "slurm":
            submit_all(jobs, site, resources, queue, arguments.cluster_file)
        else:
            run_here(jobs, site, resources, queue)
    if arguments.wait or site.cluster != "slurm":
        wait(jobs, queue)
        report.raise_failed(report.states(artefacts + latencies, table, store, queue))


def _check_gpus(jobs, resources, cluster_file):
    """BadInput where a job of the paper's scale would run on a CPU."""
    for job in jobs:
        gpus = resources[job.kind].gpus
        small = job.artefact is None or job.artefact.model.scale != "paper"
        right = "at paper scale it is at least 1"
        check(small or gpus, f"{cluster_file}: [{job.kind}] gpus", gpus, right)


def _table(arguments):
    """-> key and command of the rendering job, or None."""
    if arguments.table:
        return (
            f"{arguments.table}.{arguments.scale}.{arguments.rows}.{arguments.seeds}",
            (
                arguments.table,
                "--scale",
                arguments.scale,
                "--rows",
                arguments.rows,
                "--seeds",
                str(arguments.seeds),
            ),
        )


def submit_all(jobs, site, resources, queue, cluster_file):
    """Submit what is not queued yet, each job after what it needs; print what was done."""
    live = queue.live()  # without Slurm this is where it ends
    ids, new = {}, set()
    for kind in {job.kind: None for job in jobs}:
        submission.check_accepted(kind, resources[kind], site, cluster_file)
    for job in jobs:
        kept, lost = _kept_and_lost(job, live.get(job.key, []), queue, new)
        queue.cancel(lost)
        busy = {queue.shard(job.key, task) for task in kept}
        todo = [shard for shard in job.shards or (None,) if shard not in busy]
        ids[job.key] = [task.id for task in kept]
        if todo:
            forget_failures(queue.root, job.key)
            waits = {
                "afterok": [id_ for key in job.needs for id_ in ids.get(key, [])],
                "afterany": [id_ for key in job.after for id_ in ids.get(key, [])],
            }
            ids[job.key] += submit(job, todo, waits, resources[job.kind], site, queue)
            new.add(job.key)
    queued = f", {len(jobs) - len(new)} were queued already" if len(new) < len(jobs) else ""
    print(
        f"{len(new)} jobs submitted{queued}; results go to {queue.root}, logs to {queue.root}/jobs"
    )


def _kept_and_lost(job, live, queue, new):
    """Split the queued jobs `live` of a Job -> those to keep, and those that will never do their
    work: they have no note (and perhaps no pickle), as their launcher was killed; or they wait for
    a job that failed, or for one that was submitted anew (its key is in `new`).
    """
    noted = {note["job"] for note in queue.notes(job.key)}
    lost = [
        task
        for task in live
        if task.job not in noted
        or task.reason == NEVER
        or task.state == "PENDING"
        and new & {*job.needs, *job.after}
    ]
    return [task for task in live if task not in lost], lost


def submit(job, todo, waits, resources, site, queue):
    """Submit a job, or an array of its shards `todo` -> their ids, for other jobs to wait for;
    without a queue submitit's own jobs. waits: {kind of Slurm's dependency: ids}
    """
    executor = submission.new_executor(queue.folder(job.key), site, job.kind)
    executor.update_parameters(
        name=queue.name(job.key), **submission.parameters(resources, site, job.processes)
    )
    if waits := [":".join([kind, *ids]) for kind, ids in waits.items() if ids]:
        executor.update_parameters(slurm_dependency=",".join(waits))
    if site.cluster == "slurm":
        marks = partial(failed_path, queue.root, job.key)
        executor.update_parameters(slurm_teardown=submission.start_again(marks, site.retries))
    works = [Work(queue.root, job, shard) for shard in todo]
    try:
        with executor.batch():
            submitted = [executor.submit(work) for work in works]
    except FailedJobError as error:
        raise BadInput(
            f"sbatch: {' '.join(str(error).split())}; asking again goes on from here"
        ) from None
    queue.note(job.key, submitted[0].job_id.split("_")[0], [shard for shard in todo if shard])
    return [slurm_job.job_id for slurm_job in submitted] if site.cluster == "slurm" else submitted


def run_here(jobs, site, resources, queue):
    """Run the jobs one after another, for the clusters local and debug. Of a run's shards so many
    run at a time as [sample] parallel says.
    """
    failed = set()
    for number, job in enumerate(jobs, 1):
        print(f"[{number}/{len(jobs)}] {job.kind} {job.key}", flush=True)
        if failed & set(job.needs):
            failed.add(job.key)  # the report says why
            continue
        forget_failures(queue.root, job.key)
        todo = list(job.shards or (None,))
        step = resources[job.kind].parallel
        for start in range(0, len(todo), step):
            for slurm_job in submit(
                job, todo[start : start + step], {}, resources[job.kind], site, queue
            ):
                if error := _error_of(slurm_job):
                    failed.add(job.key)
                    if not failures(queue.root, job.key):
                        mark = failed_path(queue.root, job.key, slurm_job.job_id)
                        reason = str(error).strip().splitlines()[-1]
                        write_json(mark, {"reason": reason, "job": slurm_job.job_id})


def _error_of(submitted):
    try:
        return submitted.exception()
    except UncompletedJobError as error:
        return error


def wait(jobs, queue, seconds=math.inf):
    """Wait until none of the jobs is queued, or for `seconds` -> how many still are. Those whose
    need failed are cancelled, even where Slurm would let them wait.
    """
    keys = {job.key for job in jobs}
    end = time.monotonic() + seconds
    while (
        live := [task for key, tasks in queue.live().items() if key in keys for task in tasks]
    ) and time.monotonic() < end:
        queue.cancel([task for task in live if task.reason == NEVER])
        time.sleep(POLL_S)
    return len(live)
