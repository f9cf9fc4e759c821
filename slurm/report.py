"""What the launcher says: the plan with its cost, the state of every artefact, and what failed."""

from functools import partial

from harmonica.errors import check_done
from harmonica.files import read_json
from harmonica.lab import estimates, words
from harmonica.lab.needed import missing_files

from .resources import KINDS
from .work import failures

COLUMNS = "{:8}  {:>5}  {:>4}  {:>4}  {:>14}  {:>19}"
HOURS = "expected hours", "GPU-hours requested"


def plan(jobs, resources):
    """Print jobs, what each waits for, GPU-hours and disk."""
    for job in jobs:
        shards = (
            f"  {len(job.shards)} shards, {resources['sample'].parallel} at a time"
            if job.shards
            else ""
        )
        print(f"{job.kind:8}  {job.key}{shards}")
        before = (*job.needs, *job.after)
        print(f"          after {_named(before)}" if before else "          at once")
    print("\n" + COLUMNS.format("kind", "jobs", "GPUs", "CPUs", *HOURS))
    for kind in KINDS:
        if of_kind := [job for job in jobs if job.kind == kind]:
            print(_line(kind, of_kind, resources[kind]))
    print(
        "\nexpected hours: all jobs together, of one GPU at paper scale (an assumed rate, "
        "harmonica/lab/estimates.py; metrics left out), of one core else; "
        "requested: one time limit of every job"
    )
    for kind, of_one, most in _memory(jobs):
        print(
            f"memory: about {words.size(most)} {of_one}; [{kind}] memory_gb = "
            f"{resources[kind].memory_gb}"
        )
    artefacts = [job.artefact for job in jobs if job.artefact and job.kind != "sample"]
    disk = sum(estimates.disk_bytes(job.artefact) * job.share for job in jobs if job.artefact)
    print(f"disk: about {words.size(disk)} of images below results/local/samples")
    for sentence in missing_files(artefacts):
        print(f"missing {sentence}")


def _line(kind, jobs, resources):
    tasks = [job for job in jobs for _ in job.shards or (None,)]
    gpus = [min(resources.gpus, job.processes) for job in tasks]
    most = max(job.processes for job in jobs)
    hours = f"{sum(map(_hours, jobs)):.3g}", f"{sum(gpus) * resources.minutes / 60:.4g}"
    return COLUMNS.format(kind, len(tasks), max(gpus), resources.cpus * most, *hours)


def _hours(job):
    """Expected hours of one core, of one GPU at paper scale, all shards of a job together."""
    if job.artefact is None:
        return 0.0
    if job.artefact.kind == "run":
        sampling = job.share * estimates.seconds(job.artefact)
        return (sampling or estimates.CORE.start_s) / 3600
    return estimates.seconds(job.artefact) / 3600


def _memory(jobs):
    """Yield (kind of job, whose memory in words, bytes) of the largest search and the largest
    training at paper scale, for which there are estimates.
    """
    of_paper = [job for job in jobs if job.artefact and job.artefact.model.scale == "paper"]
    routers = [job for job in of_paper if job.artefact.kind == "router"]
    if routers:
        most = max(estimates.training_bytes(job.artefact, job.processes) for job in routers)
        yield "train", "of each GPU for the largest training", most
    schedules = [job.artefact for job in of_paper if job.artefact.kind == "schedule"]
    if searches := [schedule for schedule in schedules if schedule.making == "search"]:
        most = max(map(estimates.search_bytes, searches))
        yield "search", "for the largest search, in CPU memory what the GPU does not hold", most


def _named(keys):
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")


def status(by_id):
    """Print every artefact's state, with the log of what runs or failed. by_id: from `states`."""
    for id_, (state, detail) in by_id.items():
        print(f"{state:7} {id_}" + (f"\n        {detail}" if detail else ""))


def of_others(live, own):
    """Print which queued jobs of this clone make none of the keys `own`: another command's, or of
    files that have changed since, which gives what they make another id.
    """
    others = {key: tasks for key, tasks in live.items() if key not in own}
    if others:
        ids = sorted({task.job for tasks in others.values() for task in tasks})
        print(
            f"queued for this clone, but not by this command with its present files (is "
            f"HARMONICA_WEIGHTS as it was?): {_named([*others])}; `scancel {' '.join(ids)}` ends "
            f"{words.count(len(ids), 'job')}"
        )


def raise_failed(by_id):
    """BadInput where something is not done, after printing everything that is not, with reasons."""
    check_done({id_: detail or state for id_, (state, detail) in by_id.items() if state != "done"})


def states(artefacts, table, store, queue):
    """{id: (done | failed | running | queued | missing, detail)} of artefacts, which are given with
    needs first; of a table (key, command) only while it is queued or has failed.
    """
    live = queue.live()
    missing = {artefact.id for artefact in store.missing(artefacts)}
    by_id = {}
    for artefact in artefacts:
        by_id[artefact.id] = (
            _state_of(artefact, live, by_id, store, queue)
            if artefact.id in missing
            else ("done", "")
        )
    if table and (state := _state([table[0]], live, queue)):
        by_id[table[0]] = state
    return by_id


def _state_of(artefact, live, by_id, store, queue):
    keys, lacks = [artefact.id], None
    if artefact.kind == "run" and store.missing_blocks(artefact):
        keys = [f"{artefact.id}.samples", artefact.id]
        lacks = partial(store.missing_blocks, artefact)
    if state := _state(keys, live, queue):
        return state
    for need in artefact.needs():
        if by_id[need.id][0] == "failed":
            return "failed", f"needs {need.id}, which failed"
    if ended := [key for key in keys if queue.notes(key)]:
        return "failed", queue.how_it_ended(ended[0], lacks)
    return "missing", ""


def _state(keys, live, queue):
    """The state of jobs that failed with a reason, run or are queued; else None."""
    for key in keys:
        for mark in failures(queue.root, key):
            failure = read_json(mark)
            log = queue.log(key, failure["job"]) or queue.log(key)
            return "failed", failure["reason"] + (f"; log: {log}" if log else "")
    queued = [(key, task) for key in keys for task in live.get(key, [])]
    if running := [key for key, task in queued if task.state != "PENDING"]:
        return (
            "running",
            f"{len(running)} of {len(queued)} queued jobs; log: {queue.log(running[0])}",
        )
    if queued:
        return "queued", f"job {queued[0][1].id}: {queued[0][1].reason}"
