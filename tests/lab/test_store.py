"""Files are whole or absent, a finished record stays and counts only with its files, and a set does
not move under who works in it.
"""

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from harmonica.errors import BadInput
from harmonica.files import atomic, save_array, write_json
from harmonica.lab.ids import SCHEMA
from harmonica.lab.makings import ModelSpec
from harmonica.lab.specs import RunSpec
from harmonica.lab.store import Store, set_aside
from harmonica.weights.specs import FileSpec, ImageSpec

RUN = RunSpec(
    model=ModelSpec(name="m", sha256="0" * 64, scale="smoke"), num_steps=4, against=4, num_images=4
)
RECORD = {"schema": SCHEMA, "id": RUN.id, "metrics": {"FID": 1.25, "x_mse_curve": [0.1, 1e-17]}}


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "file.json"
    with pytest.raises(RuntimeError), atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert list(path.parent.iterdir()) == []
    for content in ("first", "second"):
        with atomic(path) as temporary:
            temporary.write_text(content)
            assert not path.exists() or path.read_text() == "first"
        assert path.read_text() == content and [p.name for p in path.parent.iterdir()] == [
            "file.json"
        ]


def test_a_record_round_trips_and_is_never_overwritten(tmp_path):
    store = Store(tmp_path)
    assert store.record(RUN) is None
    store.finish(RUN, RECORD)
    assert store.record(RUN) == RECORD
    before = store.record_path(RUN).read_bytes()
    store.finish(RUN, {**RECORD, "metrics": {}})
    assert store.record_path(RUN).read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        json.dumps(RECORD)[:40],
        "\x00\x00",
        json.dumps({**RECORD, "schema": SCHEMA + 1}),
        json.dumps({**RECORD, "id": "other"}),
        json.dumps({}),
    ],
)
def test_a_damaged_or_foreign_record_is_named_and_kept(tmp_path, content):
    store = Store(tmp_path)
    write_json(store.record_path(RUN), RECORD)
    store.record_path(RUN).write_text(content)
    for attempt in (lambda: store.record(RUN), lambda: store.finish(RUN, RECORD)):
        with pytest.raises(BadInput, match=f"{RUN.id}.json .*delete it to have it made again"):
            attempt()
    assert store.record_path(RUN).read_text() == content


def test_a_set_in_use_is_not_set_aside(tmp_path, capsys):
    local = tmp_path / "local"
    store = Store(local)
    store.finish(RUN, RECORD)
    with store.lock(RUN.id), pytest.raises(BadInput, match=rf"FRESH: .* process {os.getpid()} on"):
        set_aside(local)
    assert store.record(RUN) == RECORD
    set_aside(local)
    assert not local.exists() and "the old one is kept as" in capsys.readouterr().out


@pytest.mark.parametrize("replaced", [True, False])
def test_a_set_renamed_while_something_is_made_ends_it_in_one_sentence(tmp_path, replaced):
    """Not in an error about some file of the new set, and nothing is written into that."""
    store = Store(tmp_path / "local")
    with pytest.raises(BadInput, match="was renamed or replaced .* give the command again"):
        with store.lock(RUN.id):
            store.root.rename(tmp_path / "renamed")
            if replaced:
                store.root.mkdir()
            raise FileNotFoundError("block-00000.npy")
    with pytest.raises(BadInput, match="was renamed or replaced"):
        with store.lock(RUN.id):
            store.root.rename(tmp_path / "renamed again")
            if replaced:
                store.root.mkdir()
            store.finish(RUN, RECORD)
    assert store.record(RUN) is None


def whole(store, run):
    store.samples(run).mkdir(parents=True)
    for name in ("block-00000", "trajectory"):
        save_array(store.samples(run) / f"{name}.npy", np.zeros((4, 1, 8, 8), np.float32))


@pytest.mark.parametrize("name", ["block-00000.npy", "trajectory.npy"])
@pytest.mark.parametrize("harm", ["gone", "empty", "cut"])
def test_a_record_counts_only_with_its_images(tmp_path, name, harm):
    store = Store(tmp_path)
    store.finish(RUN, RECORD)
    assert store.finished(RUN) is None and store.missing([RUN]) == [RUN.reference(), RUN]
    whole(store, RUN)
    assert store.finished(RUN) == RECORD
    path = store.samples(RUN) / name
    content = path.read_bytes()
    path.unlink() if harm == "gone" else path.write_bytes(content[:-5] if harm == "cut" else b"")
    assert store.finished(RUN) is None and store.lost(RUN) == "its images are missing or damaged"


def test_images_of_paper_scale_may_be_deleted_until_something_rests_on_them(tmp_path):
    """They are large. Needed by a run without a record, they are missing."""
    model = replace(RUN.model, scale="paper")
    vae = FileSpec(name="vae", sha256="1" * 64)
    uncached = replace(RUN, model=model, images=ImageSpec(decoder=vae, reference="some.npz"))
    fora = replace(uncached, schedule="fora")
    store = Store(tmp_path)
    store.finish(uncached, RECORD | {"id": uncached.id})
    assert store.missing([uncached]) == []
    assert store.missing([uncached, fora]) == [uncached, fora]
    store.finish(fora, RECORD | {"id": fora.id})
    assert store.missing([uncached, fora]) == []
