"""From what this clone measured to what is committed: copy finished records of clean code, never over another one."""
import shutil
from collections import defaultdict

import numpy as np

from harmonica import BadInput
from harmonica.store import FOLDERS, Store, atomic

from .figures.samples import DIGITS
from .records import committed_images, images, record

UNCLEAN = "made while harmonica/, experiments/ or requirements.lock had uncommitted changes"
THERE = "already committed"


def publish(local, results, wanted, pictured):
    """Copy the records of `wanted` artefacts from `local` to `results`, and a few images of each of the `pictured` runs.

    -> (paths written, {reason: ids that were not copied}). Records of other artefacts stay where they are.
    """
    here, there = Store(local), Store(results)
    written, skipped = [], defaultdict(list)
    for artefact in wanted.values():
        if here.record_path(artefact).exists():
            reason = refusal(artefact, here, there)
            if reason:
                skipped[reason].append(artefact.id)
            else:
                written += _copy(artefact, here, there)
    for id_ in _unnamed(here, wanted):
        skipped["no experiment names it at this scale"].append(id_)
    return written + _copy_images(pictured, here, there), dict(skipped)


def refusal(artefact, here, there):
    """Why a local record is not copied, None where it may be."""
    if there.record_path(artefact).exists():
        return THERE
    try:
        found = record(here, artefact)
    except BadInput as error:
        return str(error)
    if found["provenance"].get("code_clean") is not True:
        return UNCLEAN
    if artefact.kind == "router" and not here.router_path(artefact).exists():
        return "its .safetensors is not there"
    return None


def _copy(artefact, here, there):
    """The record last: where it is, all of it is."""
    pairs = [(here.record_path(artefact), there.record_path(artefact))]
    if artefact.kind == "router":
        pairs.insert(0, (here.router_path(artefact), there.router_path(artefact)))
    for source, target in pairs:
        with atomic(target) as temporary:
            shutil.copyfile(source, temporary)
    return [target for _, target in pairs]


def _copy_images(pictured, here, there):
    """The images that the figures show, of runs whose committed record is this clone's own."""
    written = []
    for run in pictured:
        path, own, committed = committed_images(there.root, run), here.record_path(run), there.record_path(run)
        ours = committed.exists() and own.exists() and committed.read_bytes() == own.read_bytes()
        if ours and not path.exists() and here.samples(run).is_dir():
            shown = images(here.root, run, DIGITS)
            with atomic(path) as temporary, open(temporary, "wb") as file:
                np.savez_compressed(file, images=shown)
            written.append(path)
    return written


def _unnamed(store, wanted):
    files = [path for folder in FOLDERS.values() for path in sorted((store.root / folder).glob("*.json"))]
    return [path.stem for path in files if path.stem not in wanted]
