"""What runs inside a job. submitit pickles a Work by reference, calls it, and calls it again after
every requeue.

Everything it does resumes from files (training state, sample blocks) and is done once (locks), so a
job may be stopped at any moment, with or without notice, and started again on any node.
"""

import subprocess
import sys
from pathlib import Path

import submitit
from submitit.helpers import DelayedSubmission, TorchDistributedEnvironment

from harmonica.errors import BadInput
from harmonica.files import write_json
from harmonica.lab.store import Store


class Work:
    """Make one artefact, one shard of it, or run one command of this repository."""

    def __init__(self, root, job, shard=None):
        self.root, self.job, self.shard = root, job, shard

    def __call__(self):
        id_ = job_id()
        mark = failed_path(self.root, self.job.key, id_)
        try:
            self.work()
        except Exception as error:  # the last time-out too, but not submitit's exit to be requeued
            if not mark.exists():  # the rank that failed first gave the reason
                reason = str(error) if isinstance(error, (BadInput, OSError)) else repr(error)
                write_json(mark, {"reason": reason or repr(error), "job": id_})
            raise
        mark.unlink(missing_ok=True)

    def checkpoint(self):
        """What runs after a time-out or preemption: the same again, which goes on from files."""
        return DelayedSubmission(self)

    def work(self):
        if self.job.command:
            if subprocess.run([sys.executable, *self.job.command]).returncode:
                raise BadInput(f"{' '.join(self.job.command)} failed; its log says why")
            return
        from harmonica.lab import make
        from harmonica.method import ranks

        prepare(self.job.artefact, self.job.processes)
        try:
            if self.shard:
                make.make_shard(self.job.artefact, Store(self.root), *self.shard)
            else:
                make.make(self.job.artefact, Store(self.root))
        finally:
            ranks.leave()


def prepare(artefact, processes):
    """Set the number of threads, and join the group of ranks, each of which gets its own GPU."""
    import torch

    from harmonica.lab.provenance import check_gpu
    from harmonica.method import ranks

    if artefact.model.scale == "paper":
        check_gpu()
    else:
        torch.set_num_threads(1)  # as everywhere at these scales: records are the same in every bit
    if processes > 1:
        environment = TorchDistributedEnvironment().export(
            set_cuda_visible_devices=False, overwrite=True
        )
        if torch.cuda.is_available():  # a task sees its own GPU alone, or all of them
            torch.cuda.set_device(environment.local_rank % torch.cuda.device_count())
        ranks.join()


def job_id():
    """As Slurm has it, 12 or 12_3 in an array, or submitit without Slurm."""
    try:
        return submitit.JobEnvironment().job_id
    except RuntimeError:
        return "debug"  # such jobs run inside the launcher


def failed_path(root, key, job_id):
    """Where a job or a task of an array says why it failed: each shard has its own mark."""
    return Path(root) / "failed" / f"{key}@{job_id}.json"


def failures(root, key):
    """The marks of a key's jobs that failed."""
    return sorted((Path(root) / "failed").glob(f"{key}@*.json"))


def forget_failures(root, key):
    """Before it is tried again."""
    for mark in failures(root, key):
        mark.unlink()
