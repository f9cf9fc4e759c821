"""The jobs that make missing artefacts: what each does, and what it waits for. Imports no torch."""

import math
from dataclasses import dataclass
from typing import Any

from harmonica.lab.store import num_blocks

# {kind of artefact: kind of job}; all others are "evaluate"
KIND = {"router": "train", "schedule": "search", "compressed": "search"}


@dataclass(frozen=True)
class Job:
    """One job, or the array of a run's shards. key: names what it makes, unique in this clone.
    needs: keys of the jobs that must have succeeded before it; after: of those that must have
    ended, one way or another. processes: how many ranks do it. share: how much of its images is
    still to be sampled.
    """

    key: str
    kind: str
    needs: tuple[str, ...] = ()
    artefact: Any = None  # a spec of lab/specs.py; None: `command` is run
    shards: tuple[tuple[int, int], ...] = ()  # (shard, number of shards) of those that lack images
    command: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    processes: int = 1
    share: float = 1.0


def jobs_of(artefacts, latencies, store, resources, table=None, divided=None):
    """[Job] for what is missing of `artefacts` (needs first, as ids.with_needs orders them) and of
    `latencies`, each after the jobs that it needs.

    Latency and the cost of training are measured when all else has ended; `table` (key, arguments
    of `python -m analysis`) is rendered at the end, without what failed. divided: {key of an array
    that is queued: its number of shards}, which stays.
    """
    jobs = {}
    for artefact in store.missing(artefacts):
        for job in _jobs_of_one(artefact, store, resources, jobs, divided or {}):
            jobs[job.key] = job
    before = _last(jobs)
    timed = []
    for artefact in latencies:
        if store.record(artefact) is None:
            needs = _needs(artefact, jobs)
            timed.append(Job(artefact.id, "latency", needs, artefact, after=before))
    jobs |= {job.key: job for job in timed}
    if table and jobs:
        key, arguments = table
        command = ("-m", "analysis", *arguments, "--partial")
        # not of the timed ones alone: one that runs already waits for nothing that is tried again
        after = (*before, *(job.key for job in timed))
        jobs[key] = Job(key, "render", command=command, after=after)
    return list(jobs.values())


def _needs(artefact, jobs):
    return tuple(need.id for need in artefact.needs() if need.id in jobs)


def _jobs_of_one(artefact, store, resources, jobs, divided):
    needs = _needs(artefact, jobs)
    kind = KIND.get(artefact.kind, "evaluate")
    if artefact.kind != "run":
        processes = _processes(artefact.training, resources) if kind == "train" else 1
        yield Job(artefact.id, kind, needs, artefact, processes=processes)
        return
    samples = f"{artefact.id}.samples"
    share = len(store.missing_blocks(artefact)) / num_blocks(artefact)
    shards = min(resources["sample"].shards, num_blocks(artefact))
    num_shards = divided.get(samples, shards)
    if share and num_shards > 1:
        lacking = tuple(
            (shard, num_shards)
            for shard in range(num_shards)
            if store.missing_blocks(artefact, shard, num_shards)
        )
        # sampling does not need other runs: only the evaluation compares with them
        ids = {need.id for need in artefact.needs() if need.kind != "run"}
        before = tuple(need for need in needs if need in ids)
        yield Job(samples, "sample", before, artefact, lacking, share=share)
        needs, share = (*needs, samples), 0.0
    yield Job(artefact.id, kind, needs, artefact, share=share)


def _processes(training, resources):
    """How many ranks train a router: those of [train], or the most of them that share its batches
    without remainder.
    """
    shared = math.gcd(training.batch, training.lambda_batch or 0)
    most = resources["train"].processes
    return max(ranks for ranks in range(1, most + 1) if shared % ranks == 0)


def _last(jobs):
    """Keys of the jobs that no other one waits for: when they have succeeded, all have."""
    waited_for = {key for job in jobs.values() for key in (*job.needs, *job.after)}
    return tuple(key for key in jobs if key not in waited_for)
