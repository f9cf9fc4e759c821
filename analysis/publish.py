"""From what this clone measured to what is committed: finished records of clean code are copied,
and none is overwritten.
"""

import shutil
from collections import defaultdict

import numpy as np

from harmonica.errors import BadInput
from harmonica.files import atomic
from harmonica.lab.store import Store

from .figures.samples import DIGITS
from .records import committed_images, images, record

UNCLEAN = "made while harmonica/, experiments/ or requirements.lock had uncommitted changes"
THERE = "already committed"
ABSENT = "not measured yet"
HELD = "good, but of a table that is not whole yet"


def publish(local, results, tables, pictured):
    """Copy the records of whole tables from `local` to `results`, and the images of the `pictured`
    runs that figures show -> (paths written, {reason: ids that were not copied}).

    tables: {title: all artefacts that the table needs}. A table is whole if every record of it is
    committed already or may be copied. Records that no table needs stay where they are.
    """
    local_store, committed_store = Store(local), Store(results)
    artefacts = {a.id: a for needed in tables.values() for a in needed}
    reasons = {
        id_: refusal(artefact, local_store, committed_store) for id_, artefact in artefacts.items()
    }
    lacking = {
        title: [a.id for a in needed if reasons[a.id] not in (None, THERE)]
        for title, needed in tables.items()
    }
    complete = {a.id for title, needed in tables.items() if not lacking[title] for a in needed}
    written, skipped = [], defaultdict(list)
    for id_, artefact in artefacts.items():
        if id_ in complete and reasons[id_] is None:
            written += _copy(artefact, local_store, committed_store)
        elif local_store.record_path(artefact).exists():
            skipped[reasons[id_] or HELD].append(id_)
    for title, needed in tables.items():
        missing = [id_ for id_ in lacking[title] if reasons[id_] == ABSENT]
        if 0 < len(missing) < len(needed):
            skipped[f"{title} is not whole, these are not measured yet"] += missing
    unnamed = [path.stem for path in local_store.record_paths() if path.stem not in artefacts]
    if unnamed:
        skipped["no experiment names it at this scale"] = unnamed
    return written + _copy_images(pictured, local_store, committed_store), dict(skipped)


def refusal(artefact, local_store, committed_store):
    """Why a local record is not copied; None where it may be."""
    if committed_store.record_path(artefact).exists():
        return THERE
    try:
        stored = record(local_store, artefact)
    except BadInput as error:
        return str(error)
    if stored is None:
        return ABSENT
    if stored["provenance"].get("code_clean") is not True:
        return UNCLEAN
    path = local_store.committed_path(artefact)
    if path is not None and not path.exists():
        return "its .safetensors is not there"
    return None


def _copy(artefact, local_store, committed_store):
    """Copy an artefact's file, then its record: no record is ever without it. -> the new paths"""
    pairs = [(local_store.record_path(artefact), committed_store.record_path(artefact))]
    if local_store.committed_path(artefact) is not None:
        pairs.insert(
            0, (local_store.committed_path(artefact), committed_store.committed_path(artefact))
        )
    for source, target in pairs:
        with atomic(target) as temporary:
            shutil.copyfile(source, temporary)
    return [target for _, target in pairs]


def _copy_images(pictured, local_store, committed_store):
    """Write the images that figures show, of runs whose committed record is this clone's own. ->
    the new paths
    """
    written = []
    for run in pictured:
        path = committed_images(committed_store.root, run)
        local, committed = local_store.record_path(run), committed_store.record_path(run)
        ours = (
            committed.exists() and local.exists() and committed.read_bytes() == local.read_bytes()
        )
        if ours and not path.exists() and local_store.samples(run).is_dir():
            pixels = images(local_store.root, run, DIGITS)
            with atomic(path) as temporary, open(temporary, "wb") as file:
                np.savez_compressed(file, images=pixels)
            written.append(path)
    return written
