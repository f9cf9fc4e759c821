"""From what this clone measured to what is committed: finished records of clean code are copied,
and none is overwritten.
"""

import shutil
from collections import defaultdict

import numpy as np

from harmonica.errors import BadInput
from harmonica.files import atomic
from harmonica.lab.store import FOLDERS, Store

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
    here, there = Store(local), Store(results)
    named = {a.id: a for own in tables.values() for a in own}
    reasons = {id_: refusal(artefact, here, there) for id_, artefact in named.items()}
    lacking = {
        title: [a.id for a in own if reasons[a.id] not in (None, THERE)]
        for title, own in tables.items()
    }
    whole = {a.id for title, own in tables.items() if not lacking[title] for a in own}
    written, skipped = [], defaultdict(list)
    for id_, artefact in named.items():
        if id_ in whole and reasons[id_] is None:
            written += _copy(artefact, here, there)
        elif here.record_path(artefact).exists():
            skipped[reasons[id_] or HELD].append(id_)
    for title, own in tables.items():
        missing = [id_ for id_ in lacking[title] if reasons[id_] == ABSENT]
        if 0 < len(missing) < len(own):
            skipped[f"{title} is not whole, these are not measured yet"] += missing
    unnamed = [id_ for id_ in _recorded(here) if id_ not in named]
    if unnamed:
        skipped["no experiment names it at this scale"] = unnamed
    return written + _copy_images(pictured, here, there), dict(skipped)


def refusal(artefact, here, there):
    """Why a local record is not copied; None where it may be."""
    if there.record_path(artefact).exists():
        return THERE
    try:
        found = record(here, artefact)
    except BadInput as error:
        return str(error)
    if found is None:
        return ABSENT
    if found["provenance"].get("code_clean") is not True:
        return UNCLEAN
    path = here.committed_path(artefact)
    if path is not None and not path.exists():
        return "its .safetensors is not there"
    return None


def _copy(artefact, here, there):
    """Copy an artefact's file, then its record: no record is ever without it. -> the new paths"""
    pairs = [(here.record_path(artefact), there.record_path(artefact))]
    if here.committed_path(artefact) is not None:
        pairs.insert(0, (here.committed_path(artefact), there.committed_path(artefact)))
    for source, target in pairs:
        with atomic(target) as temporary:
            shutil.copyfile(source, temporary)
    return [target for _, target in pairs]


def _copy_images(pictured, here, there):
    """Write the images that figures show, of runs whose committed record is this clone's own. ->
    the new paths
    """
    written = []
    for run in pictured:
        path = committed_images(there.root, run)
        own, committed = here.record_path(run), there.record_path(run)
        ours = committed.exists() and own.exists() and committed.read_bytes() == own.read_bytes()
        if ours and not path.exists() and here.samples(run).is_dir():
            shown = images(here.root, run, DIGITS)
            with atomic(path) as temporary, open(temporary, "wb") as file:
                np.savez_compressed(file, images=shown)
            written.append(path)
    return written


def _recorded(store):
    """The ids of all records of a store."""
    folders = [store.root / folder for folder in FOLDERS.values()]
    return [path.stem for folder in folders for path in sorted(folder.glob("*.json"))]
