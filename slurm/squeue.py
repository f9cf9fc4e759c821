"""What the cluster knows of this clone's jobs. They are found by their names, which say what a job
makes and in which folder.

So whatever happened to a launcher, the next one finds its jobs. A note of each submission
(results/local/jobs/KEY.json) says which shards an array has, and gives the id of a job that has
left the queue.
"""

import getpass
import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harmonica.errors import BadInput
from harmonica.files import read_json, write_json

LIVE = "PENDING,RUNNING,SUSPENDED,COMPLETING,CONFIGURING"
CLIENT_S = 60


@dataclass(frozen=True)
class Live:
    """A job or one task of an array that has not ended. id: as Slurm has it, e.g. 12 or 12_3."""

    id: str
    state: str
    reason: str

    @property
    def job(self):
        return self.id.split("_")[0]

    @property
    def index(self):
        return int(self.id.split("_")[1]) if "_" in self.id else 0


class Queue:
    """The jobs of one set of artefacts below `root`. in_queue: whether the cluster has a queue."""

    def __init__(self, root, in_queue=True):
        self.root, self.in_queue = Path(root).resolve(), in_queue

    def name(self, key):
        return f"{key}@{hashlib.sha256(str(self.root).encode()).hexdigest()[:8]}"

    def folder(self, key):
        """submitit's folder of a job, with logs and pickles."""
        return self.root / "jobs" / key

    def live(self):
        """{key: [Live]} of all jobs of this set. BadInput where Slurm does not answer."""
        if not self.in_queue:
            return {}
        command = [
            "squeue",
            "--noheader",
            "--array",
            f"--user={getpass.getuser()}",
            f"--states={LIVE}",
            "--format=%i|%T|%r|%j",
        ]
        ending = self.name("")
        jobs = {}
        for line in client(command).splitlines():
            id_, state, reason, name = line.split("|", 3)
            if name.endswith(ending):
                jobs.setdefault(name.removesuffix(ending), []).append(Live(id_, state, reason))
        return jobs

    def cancel(self, live):
        if live:
            client(["scancel", "--quiet", *(job.id for job in live)])

    def notes(self, key):
        """What was submitted for a key, oldest first: [{"job": id, "shards": [[shard, number of
        shards], ...] or []}, ...]
        """
        path = self.root / "jobs" / f"{key}.json"
        return read_json(path) if path.exists() else []

    def note(self, key, job, shards):
        write_json(
            self.root / "jobs" / f"{key}.json", [*self.notes(key), {"job": job, "shards": shards}]
        )

    def shard(self, key, live):
        """The shard that a live job samples, (shard, number of shards); None where the job is not
        divided, or has no note.
        """
        notes = (note["shards"] for note in self.notes(key) if note["job"] == live.job)
        shards = next(notes, None)
        return tuple(shards[live.index]) if shards else None

    def divided(self, live):
        """{key: number of shards} of arrays in the queue; live: as `live` has them."""
        shards = {key: [self.shard(key, task) for task in tasks] for key, tasks in live.items()}
        return {
            key: known[0][1] for key, all_ in shards.items() if (known := [*filter(None, all_)])
        }

    def log(self, key, job="*"):
        """The newest log of standard error of a job, or of one shard (12_3), or of all that have
        this key; None where none started.
        """
        logs = self.folder(key).glob(f"{job}_*log.err")
        return max(logs, key=lambda path: path.stat().st_mtime, default=None)

    def how_it_ended(self, key, lacks=None):
        """How a job ended that left the queue without giving a reason: what Slurm's accounting
        says, and the last line of its log; of an array the log of a shard that `lacks` something.
        """
        note = self.notes(key)[-1]
        id_ = note["job"]
        tasks = [i for i, shard in enumerate(note["shards"]) if lacks and lacks(*shard)]
        log = self.log(key, f"{id_}_{tasks[0]}" if tasks else id_)
        if not log:
            return (
                f"job {id_} ended before it started: it was cancelled, or what it waited for failed"
            )
        try:
            lines = client(["sacct", "-X", "-n", "-P", "-o", "State", "-j", id_]).splitlines()
            states = {line.split()[0] for line in lines if line}
        except BadInput:  # no accounting here
            states = set()
        text = f"job {id_} ended {'/'.join(sorted(states - {'COMPLETED'})) or 'without a result'}"
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        return f"{text}; log: {log}" + (f", which ends: {lines[-1].strip()[:200]}" if lines else "")


def client(command):
    """Run a command of Slurm -> its stdout. BadInput with its stderr where it fails."""
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=CLIENT_S)
    except FileNotFoundError:
        raise BadInput(
            f"{command[0]}: not found; run this on a login node of the cluster"
        ) from None
    except subprocess.TimeoutExpired:
        raise BadInput(
            f"{command[0]}: no answer in {CLIENT_S} s; ask again, what was submitted is kept"
        ) from None
    if process.returncode:
        raise BadInput(f"{command[0]}: {' '.join(process.stderr.split()) or 'failed'}")
    return process.stdout
