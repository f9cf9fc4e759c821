"""Ids of artefacts, and the order in which they can be made. Imports no torch.

An id is a readable slug and 8 hex digits of a hash over the canonical config: JSON with sorted keys
in which options that are not used (None, False) do not appear. Weights enter by hash, never by
path; where and in how many shards something is computed does not enter at all.
"""

import hashlib
import json
import re
from dataclasses import asdict

SCHEMA = 1  # of records


def canonical(artefact):
    """The config of a spec as JSON text. Latencies name their runs, training costs their routers,
    by id alone.
    """
    config = asdict(artefact)
    if artefact.kind == "latency":
        config["runs"] = [run.id for run in artefact.runs]
    if artefact.kind == "training":
        config["rows"] = [[method, router.id] for method, router in artefact.rows]
    return json.dumps(_used(config), sort_keys=True, separators=(",", ":"))


def _used(config):
    return {
        key: _used(value) if isinstance(value, dict) else value
        for key, value in config.items()
        if value is not None and value is not False
    }


def make_id(artefact, slug):
    slug = re.sub(r"[^a-z0-9.-]+", "-", slug.lower())  # hub ids have slashes
    return f"{slug}-{hashlib.sha256(canonical(artefact).encode()).hexdigest()[:8]}"


def slug_of(name):
    """The name of a group or device as part of a slug or file name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def cur(percent):
    """The CUR as part of a slug, empty where none is given."""
    return "" if percent is None else f"-cur{percent:g}"


def with_needs(artefacts):
    """The given artefacts and everything that they need, once each, needs before dependants."""
    ordered = {}

    def visit(artefact):
        for need in artefact.needs():
            visit(need)
        ordered.setdefault(artefact.id, artefact)

    for artefact in artefacts:
        visit(artefact)
    return list(ordered.values())
