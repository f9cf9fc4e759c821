"""The jobs that make missing artefacts: what each does, and which must have succeeded before it.
Imports no torch.
"""

from dataclasses import dataclass
from typing import Any

from harmonica.errors import check
from harmonica.lab.store import num_blocks

KIND = {"router": "train"}  # {kind of artefact: kind of job}; all others are "evaluate"


@dataclass(frozen=True)
class Job:
    """One job, or the array of a run's shards. key: names what it makes, unique in this clone.
    needs: keys of the jobs that must have succeeded before it.
    """

    key: str
    kind: str
    needs: tuple[str, ...]
    artefact: Any = None  # a spec of lab/specs.py; None: `command` is run
    shards: tuple[tuple[int, int], ...] = ()  # (shard, number of shards) of those that lack images
    command: tuple[str, ...] = ()


def jobs_of(artefacts, latencies, store, resources, table=None):
    """[Job] for what is missing of `artefacts` (needs first, as ids.with_needs orders them) and of
    `latencies`, each after the jobs that it needs.

    Latency and the cost of training are measured when all else is done; `table` (key, arguments of
    `python -m analysis`) is rendered at the end.
    """
    jobs = {}
    for artefact in store.missing(artefacts):
        for job in _jobs_of_one(artefact, store, resources, jobs):
            jobs[job.key] = job
    before = _last(jobs)
    for artefact in latencies:
        if store.record(artefact) is None:
            jobs[artefact.id] = Job(artefact.id, "latency", before, artefact)
    if table and jobs:
        key, arguments = table
        jobs[key] = Job(key, "render", _last(jobs), command=("-m", "analysis", *arguments))
    return list(jobs.values())


def _jobs_of_one(artefact, store, resources, jobs):
    needs = tuple(need.id for need in artefact.needs() if need.id in jobs)
    if artefact.kind == "router":
        _check_parts(artefact.training, resources["train"].processes)
    num_shards = (
        min(resources["sample"].shards, num_blocks(artefact)) if artefact.kind == "run" else 1
    )
    if num_shards > 1:
        shards = tuple(
            (shard, num_shards)
            for shard in range(num_shards)
            if store.missing_blocks(artefact, shard, num_shards)
        )
        if shards:
            # sampling does not need other runs: only the evaluation compares with them
            ids = {need.id for need in artefact.needs() if need.kind != "run"}
            before = tuple(need for need in needs if need in ids)
            yield Job(f"{artefact.id}.samples", "sample", before, artefact, shards)
            needs += (f"{artefact.id}.samples",)
    yield Job(artefact.id, KIND.get(artefact.kind, "evaluate"), needs, artefact)


def _check_parts(training, processes):
    for field in ("batch", "lambda_batch"):
        check(
            (getattr(training, field) or 0) % processes == 0,
            field,
            getattr(training, field),
            f"{processes} processes ([train] processes) need a multiple of {processes}",
        )


def _last(jobs):
    """Keys of the jobs that no other one waits for: when they have ended, all have."""
    waited_for = {need for job in jobs.values() for need in job.needs}
    return tuple(key for key in jobs if key not in waited_for)
