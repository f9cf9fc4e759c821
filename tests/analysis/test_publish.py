"""What may be committed, that nothing is overwritten, and that the committed set is checked by
name.
"""

import numpy as np
import pytest

from analysis import committed, records
from analysis import publish as publishing
from analysis.__main__ import main
from analysis.publish import HELD, THERE, UNCLEAN
from analysis.tables import TABLE1, TABLES
from harmonica.errors import BadInput
from harmonica.files import read_json, write_json
from harmonica.lab.store import Store


@pytest.fixture
def published(measured, tmp_path):
    """-> a function that publishes records as `measured` makes them: (results folder, rows,
    written, skipped).
    """

    def make(**kind):
        root, rows = measured(**kind)
        results = tmp_path / "results"
        return (
            results,
            rows,
            *publishing.publish(
                root, results, {"Table 1": records.artefacts(rows)}, committed.pictured(rows)
            ),
        )

    return make


@pytest.fixture
def as_committed(published, monkeypatch):
    """A published set that stands for the committed one."""
    results, rows, *_ = published(models=3, curs=(50,), scale="digits")
    monkeypatch.setattr(committed, "rows", lambda table: rows if table == TABLE1 else [])
    monkeypatch.setattr(
        committed, "artefacts", lambda table: records.artefacts(committed.rows(table))
    )
    monkeypatch.setattr(committed.notebooks, "execute", lambda results: [])
    return results, rows


def test_clean_records_routers_and_pictures_are_copied(published):
    results, rows, written, skipped = published()
    wanted = records.artefacts(rows)
    assert not skipped and len(written) == len(set(written))
    assert all(Store(results).record_path(artefact).exists() for artefact in wanted)
    assert all(
        Store(results).file_path(artefact).exists()
        for artefact in wanted
        if artefact.kind == "router"
    )
    with np.load(records.committed_images(results, rows[0].runs[0]), allow_pickle=False) as file:
        assert file["images"].shape == (10, 1, 8, 8)


def test_records_of_unclean_code_stay(published):
    results, rows, written, skipped = published(clean=False)
    assert not written and not results.exists()
    assert set(skipped) == {UNCLEAN} and len(skipped[UNCLEAN]) == len(records.artefacts(rows))


def test_nothing_is_overwritten(published):
    results, rows, *_ = published()
    before = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    _, _, written, skipped = published(folder="another", levels={"sdt": 9.0})
    assert not written and set(skipped) == {THERE}
    assert {path: path.read_bytes() for path in results.rglob("*") if path.is_file()} == before


def test_damaged_and_unnamed_records_are_left_out_with_their_reason(measured, tmp_path):
    root, rows = measured()
    wanted = {artefact.id: artefact for artefact in records.artefacts(rows)}
    damaged, unnamed = Store(root).record_path(rows[0].runs[0]), wanted.pop(rows[-1].runs[0].id)
    damaged.write_text('{"schema": 1')
    written, skipped = publishing.publish(
        root, tmp_path / "results", {"Table 1": wanted.values()}, []
    )
    reasons = {id_: reason for reason, ids in skipped.items() for id_ in ids}
    assert (
        "not a whole JSON file" in reasons[damaged.stem] and "no experiment" in reasons[unnamed.id]
    )
    assert not written and reasons[rows[-1].runs[0].made.id] == HELD


def test_where_nothing_is_new_nothing_is_rendered_and_few_names_are_printed(monkeypatch, capsys):
    skipped = {THERE: ["a"], UNCLEAN: [f"run-{k}" for k in range(5)]}
    monkeypatch.setattr(publishing, "publish", lambda *given: ([], skipped))
    assert main(["publish"]) == 0
    printed = capsys.readouterr().out
    assert "run-2 and 2 more" in printed and "run-3" not in printed
    assert "`make paper` renders what is committed" in printed


def test_a_table_is_published_whole_or_not_at_all(measured, rows, tmp_path):
    """What another table needs too is copied with that one."""
    four, six = rows(curs=(50,)), rows(curs=(50,), num_steps=6)
    root, _ = measured(named=four + six)
    last = six[-1].runs[0]
    Store(root).record_path(last).unlink()
    tables = {"small": records.artefacts(four), "large": records.artefacts(four + six)}
    written, skipped = publishing.publish(root, tmp_path / "results", tables, [])
    small, large = ({a.id for a in own} for own in tables.values())
    assert {path.stem for path in written} == small
    assert set(skipped[HELD]) == large - small - {last.id}
    assert skipped["large is not whole, these are not measured yet"] == [last.id]


def test_the_committed_set_renders_from_itself_alone_and_unchanged(as_committed):
    results, _ = as_committed
    paths, _ = committed.render(results)
    before = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    assert set(paths) < set(before)
    committed.render(results)
    assert {path: path.read_bytes() for path in results.rglob("*") if path.is_file()} == before


def test_every_kind_of_missing_file_is_named(as_committed):
    results, rows = as_committed
    store, routers = Store(results), (row.runs[0].router for row in rows)
    router = next(filter(None, routers))
    (latency,) = records.latency_specs(rows)
    made = f"`{TABLE1.committed_command()}"
    for path, remedy in (
        (store.record_path(rows[0].runs[-1]), made),
        (store.record_path(router), made),
        (store.record_path(latency), made),
        (store.file_path(router), "`git checkout"),
        (records.committed_images(results, rows[0].runs[0]), "`git checkout"),
    ):
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(BadInput, match=f"{path}.* missing; {remedy}"):
            committed.check(results)
        path.write_bytes(content)
    committed.check(results)


@pytest.mark.parametrize(
    "changed, words",
    [
        ({}, "no experiment names it now"),
        ({"schema": 0}, "it has schema 0, not 1"),
        ({"sha256": "f" * 64}, "made with other weights of fake-s2 than the shipped ones"),
    ],
)
def test_a_record_that_nothing_names_is_stale_and_its_heir_is_named(as_committed, changed, words):
    results, rows = as_committed
    current = Store(results).record_path(rows[0].runs[-1])
    old = current.with_stem(current.stem[:-8] + "00000000")
    found = read_json(current)
    found["config"]["model"] |= {key: value for key, value in changed.items() if key == "sha256"}
    write_json(old, found | {key: value for key, value in changed.items() if key == "schema"})
    with pytest.raises(
        BadInput,
        match=f"{old.name} is stale, .*{words}; delete it, "
        "`make reproduce-table1 .* takes its place",
    ):
        committed.check(results)


def test_other_code_is_shown_and_not_refused(as_committed):
    results, rows = as_committed
    wanted = len(records.artefacts(rows))
    assert committed.other_code(results).startswith(
        f"{wanted} of {wanted} records were made by other code"
    )
    committed.check(results)


def test_a_rendered_table_without_any_record_is_not_taken_for_one_that_was_never_made(as_committed):
    results, _ = as_committed
    committed.render(results)
    for path in [*results.glob("runs/*"), *results.glob("latency/*"), *results.glob("routers/*")]:
        path.unlink()
    with pytest.raises(BadInput, match="missing; `make reproduce-table1"):
        committed.render(results)


def test_pictures_that_no_table_shows_go_and_images_that_no_figure_shows_are_named(as_committed):
    results, rows = as_committed
    committed.render(results)
    before = sorted((results / "figures").iterdir())
    old = results / "figures" / "old.samples.png"
    old.write_bytes(b"")
    _, text = committed.render(results)
    assert f"Removed {old}" in text and sorted((results / "figures").iterdir()) == before
    images = results / "samples" / "old.npz"
    images.write_bytes(b"")
    with pytest.raises(BadInput, match="old.npz is stale, no figure shows it now; delete it"):
        committed.check(results)


def test_a_table_of_which_nothing_is_committed_is_left_out(as_committed, tmp_path):
    results, _ = as_committed
    assert list(committed.begun(results)) == [TABLE1] and not committed.begun(tmp_path / "nothing")


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_the_committed_set_is_that_of_the_experiments(table):
    assert {artefact.id for artefact in records.artefacts(committed.rows(table))} <= set(
        committed.named()
    )
