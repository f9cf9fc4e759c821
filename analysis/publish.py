"""From what this clone measured to what is committed: copy finished records of clean code, never
over another one.
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
    """Copy the records of whole tables from `local` to `results`, and a few images of each of the
    `pictured` runs.

    tables: {title: all artefacts that it rests on}; whole are those of which every record is
    committed already or may be. -> (paths written, {reason: ids that were not copied}). Records of
    other artefacts stay where they are.
    """
    here, there = Store(local), Store(results)
    written, skipped, named = (
        [],
        defaultdict(list),
        {a.id: a for own in tables.values() for a in own},
    )
    reasons = {id_: refusal(artefact, here, there) for id_, artefact in named.items()}
    whole = {
        a.id
        for own in tables.values()
        if all(reasons[a.id] in (None, THERE) for a in own)
        for a in own
    }
    for id_, artefact in named.items():
        if id_ in whole and reasons[id_] is None:
            written += _copy(artefact, here, there)
        elif here.record_path(artefact).exists():
            skipped[reasons[id_] or HELD].append(id_)
    for title, own in tables.items():
        absent = [a.id for a in own if reasons[a.id] == ABSENT]
        if 0 < len(absent) < len(own):
            skipped[f"{title} is not whole, these are not measured yet"] += absent
    for id_ in _unnamed(here, named):
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
    if found is None:
        return ABSENT
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
        path, own, committed = (
            committed_images(there.root, run),
            here.record_path(run),
            there.record_path(run),
        )
        ours = committed.exists() and own.exists() and committed.read_bytes() == own.read_bytes()
        if ours and not path.exists() and here.samples(run).is_dir():
            shown = images(here.root, run, DIGITS)
            with atomic(path) as temporary, open(temporary, "wb") as file:
                np.savez_compressed(file, images=shown)
            written.append(path)
    return written


def _unnamed(store, wanted):
    files = [
        path for folder in FOLDERS.values() for path in sorted((store.root / folder).glob("*.json"))
    ]
    return [path.stem for path in files if path.stem not in wanted]
