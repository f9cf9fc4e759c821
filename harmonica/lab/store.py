"""Where artefacts are stored. A record is never overwritten, and counts only while the files that
belong to it are whole; locks let one process at a time make an artefact. Imports no torch.

A Store is a folder: runs/, routers/, schedules/, compressed/, latency/ and training/ hold finished
records (JSON) and the files that belong to them, samples/ the images of runs, state/ unfinished
work, locks/ which process is at work on what.
"""

import time
from contextlib import contextmanager
from pathlib import Path

from harmonica.digits.manifest import folders as models_folders
from harmonica.errors import BadInput, check
from harmonica.files import (
    holders,
    is_whole_array,
    is_whole_tensors,
    locked,
    read_json,
    write_json,
)
from harmonica.lab.ids import SCHEMA, with_needs

LOCAL = Path("results/local")  # what this clone measured
FOLDERS = {
    "run": "runs",
    "router": "routers",
    "schedule": "schedules",
    "compressed": "compressed",
    "latency": "latency",
    "training": "training",
}


class Store:
    """One set of artefacts below `root`."""

    def __init__(self, root):
        self.root, self._place = Path(root), None

    def record_path(self, artefact):
        return self.root / FOLDERS[artefact.kind] / f"{artefact.id}.json"

    def record_paths(self):
        """The files of all records."""
        folders = [self.root / folder for folder in FOLDERS.values()]
        return [path for folder in folders for path in sorted(folder.glob("*.json"))]

    def file_path(self, artefact):
        """The file that a router, schedule or compressed model is kept in; None for other kinds."""
        path = self.record_path(artefact).with_suffix(".safetensors")
        return path if artefact.kind in ("router", "schedule", "compressed") else None

    def committed_path(self, artefact):
        """The file that is committed beside a record, or None. A compressed model's is too large:
        the command of its runs makes it again.
        """
        return None if artefact.kind == "compressed" else self.file_path(artefact)

    def state_path(self, artefact):
        return self.root / "state" / f"{artefact.id}.safetensors"

    def samples(self, run):
        return self.root / "samples" / run.id

    def missing_blocks(self, run, shard=0, num_shards=1):
        """The blocks of a shard whose files are missing or damaged."""
        folder = self.samples(run)
        blocks = shard_blocks(run, shard, num_shards)
        return [block for block in blocks if not _is_whole(folder, block)]

    def record(self, artefact):
        """The finished record, or None. BadInput for a damaged one or one of another schema."""
        path = self.record_path(artefact)
        if not path.exists():
            return None
        record = read_json(path)
        if not isinstance(record, dict):
            raise BadInput(f"record: {path} is no record; delete it to have it made again")
        if record.get("schema") != SCHEMA or record.get("id") != artefact.id:
            raise BadInput(
                f"record: {path} has schema {record.get('schema')!r} and id {record.get('id')!r}, "
                f"not {SCHEMA} and {artefact.id}; delete it to have it made again"
            )
        return record

    def lost(self, artefact):
        """Which file of a record is missing or damaged, as a sentence; None where all are whole."""
        path = self.file_path(artefact)
        if path is not None and not is_whole_tensors(path):
            return f"its {artefact.kind} file is missing or damaged"
        if artefact.kind == "run" and self.missing_blocks(artefact):
            return "its images are missing or damaged"
        return None

    def finished(self, artefact):
        """The record, if the files that belong to it are whole; else None."""
        record = self.record(artefact)
        return None if record is None or self.lost(artefact) else record

    def missing(self, artefacts):
        """Those of the artefacts and of all that they need that must be made, needs first.

        At paper scale a run's images may be deleted once it has its record: they are missed only
        where something that must be made needs them.
        """
        missing, needed = [], set()
        for artefact in reversed(with_needs(artefacts)):
            large = artefact.kind == "run" and artefact.model.scale == "paper"
            optional = large and artefact.id not in needed
            if (self.record if optional else self.finished)(artefact) is None:
                missing.append(artefact)
                needed |= {need.id for need in artefact.needs()}
        return missing[::-1]

    def finish(self, artefact, record):
        """Write the record of a finished artefact, unless there is one."""
        self._check_place()
        if self.record(artefact) is None:
            write_json(self.record_path(artefact), record)

    @contextmanager
    def lock(self, name):
        """Hold the lock of an artefact (its id) or of a part of it. While another process holds it,
        print a line and wait.
        """
        with locked(self.root / "locks", name):
            self._place = self._where()
            try:
                yield
            except Exception:
                self._check_place()  # a set that was renamed explains the error
                raise

    def _where(self):
        try:
            status = self.root.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def _check_place(self):
        if self._place is not None and self._where() != self._place:
            raise BadInput(
                f"run: {self.root} was renamed or replaced while this ran, and what it made went "
                "with it; give the command again"
            ) from None


def num_blocks(run):
    """How many blocks of `batch` consecutive images a run has."""
    return -(-run.num_images // run.batch)


def shard_blocks(run, shard, num_shards):
    """The blocks of one shard of `num_shards`: contiguous, as equal as can be, perhaps none."""
    check(num_shards >= 1, "num_shards", num_shards, "it must be at least 1")
    check(0 <= shard < num_shards, "shard", shard, f"it lies in 0..{num_shards - 1}")
    return range(num_blocks(run) * shard // num_shards, num_blocks(run) * (shard + 1) // num_shards)


def block_path(folder, block):
    """The file of a block's images, below the folder of a run's samples."""
    return folder / f"block-{block:05d}.npy"


def trajectory_path(folder):
    """The file of the first block's images at every step."""
    return folder / "trajectory.npy"


def _is_whole(folder, block):
    files = [block_path(folder, block)] + ([] if block else [trajectory_path(folder)])
    return all(map(is_whole_array, files))


def set_aside(local):
    """Rename the local set, date and time in the new name, so that a fresh one starts. BadInput
    while a process works in it.
    """
    for folder in models_folders():
        check(
            not folder.resolve().is_relative_to(local.resolve()),
            "HARMONICA_MODELS",
            str(folder),
            f"FRESH renames {local}, so the base models must lie elsewhere",
        )
    if local.exists():
        sentences = holders(local / "locks")
        if sentences:
            raise BadInput(f"FRESH: {local} is in use: {sentences[0]}; wait for it, or end it")
        new_path = local.with_name(f"local-{time.strftime('%Y%m%d-%H%M%S')}")
        local.rename(new_path)
        print(f"starting a fresh set; the old one is kept as {new_path}")
