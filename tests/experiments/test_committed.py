"""Records are found by their ids: a change of any committed one orphans what was measured."""

import json
from importlib import import_module
from pathlib import Path

from experiments.rows import latency_specs, sets_of
from harmonica.errors import BadInput
from harmonica.lab import store
from harmonica.lab.ids import canonical, with_needs

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {folder: kind for kind, folder in store.FOLDERS.items()}


def rows(config, which):
    """The rows with six replicates, or with three where no more base models ship."""
    try:
        return config.table("digits", which, 6)
    except BadInput:
        return config.table("digits", which, 3)


def clothes(config, which):
    """The rows at clothes scale, none of an experiment that has no such scale."""
    try:
        return config.table("clothes", which, 3)
    except BadInput:
        return []


def named():
    """{id: artefact} of all experiments with all rows and seeds."""
    found = {}
    for path in (ROOT / "experiments").glob("*/config.py"):
        config = import_module(f"experiments.{path.parent.name}.config")
        specs = []
        for which in sets_of(config):
            several, first = rows(config, which), config.table("digits", which)
            garments = clothes(config, which)
            specs += with_needs([run for row in several + garments for run in row.runs])
            specs += latency_specs(several) + latency_specs(first) + latency_specs(garments)
        specs += config.costs("digits") if hasattr(config, "costs") else []
        found |= {spec.id: spec for spec in specs}
    return found


def test_every_committed_record_is_one_that_an_experiment_names():
    specs = named()
    for folder, kind in FOLDERS.items():
        paths = list((ROOT / "results" / folder).glob("*.json"))
        assert paths
        for path in paths:
            message = "no experiment names it now: was a row of its group added or changed?"
            assert path.stem in specs, f"{path.stem}: {message}"
            record, spec = json.loads(path.read_text()), specs[path.stem]
            assert (record["kind"], record["id"]) == (kind, path.stem) and spec.kind == kind
            assert record["config"] == json.loads(canonical(spec))
