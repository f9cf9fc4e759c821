"""What schedules took to make, and compute at equal error: sums and interpolation that can be done
by hand.
"""

from dataclasses import replace

import numpy as np
import pytest

from analysis import equal_error, making, records, report
from analysis.compare import places
from analysis.tables import FRONTIER
from harmonica.lab.estimates import training_forwards


@pytest.fixture
def frontier_records(measured):
    return measured(named=FRONTIER.rows("smoke"), levels={"smoothcache": 2.0})


@pytest.fixture
def frontier(frontier_records):
    return records.load(*frontier_records)


def test_what_a_row_rests_on_is_counted(frontier_records):
    root, named = frontier_records
    groups = records.load(root, named)
    (made,) = making.makings(root, groups)
    found = {line.row.method: own for line, own in zip(groups[0].lines, made)}
    plain, trained, searched = found["FORA"], found["HarmoniCa"], found["Search"]
    assert (plain.seconds, plain.forwards) == (0, 0)
    assert (searched.seconds, searched.forwards) == (1, 1)
    router = next(row for row in named if row.method == "HarmoniCa").runs[0].router
    assert (trained.seconds, trained.forwards) == (1, training_forwards(router))
    assert {own.cache_kb for own in made} == {0.004}


def test_a_training_is_its_updates_and_its_walks_for_lambda():
    router = (
        next(row for row in FRONTIER.rows("digits") if row.method == "HarmoniCa").runs[0].router
    )
    assert (router.num_steps, router.training.batch, router.training.refresh) == (20, 16, 10)
    assert training_forwards(router) == 100 * 19 * 16 * 4 + 10 * 16 * 20 * 21 / 2


def test_the_frontier_shows_it_in_both_files(frontier_records):
    root, named = frontier_records
    groups = records.load(root, named)
    made = making.makings(root, groups)
    blocks = report.document(FRONTIER, groups, "smoke", {}, made)
    assert ("text", making.ABOUT) in blocks
    rows = next(block[2] for block in blocks if block[0] == "table" and "seconds" in block[1])
    assert len(rows) == len(groups[0].lines)
    columns = making.columns(made)
    assert list(columns) == list(making.COLUMNS) and len(columns["making_seconds"]) == len(rows)


def with_points(group, points):
    """The group with rows of these methods alone: {method: [(speedup, error)]}."""
    first = next(line for line in group.lines if line.row.method == "HarmoniCa")

    def line(method, number, speedup, error):
        row = replace(first.row, method=method, form="", cur_percent=50 + number)
        own = {"speedup_theoretical": np.full_like(first.values["rFID"], speedup)}
        own["x0_mse"] = np.full_like(first.values["rFID"], error)
        return replace(first, row=row, values=first.values | own)

    lines = [
        line(method, number, *point)
        for method, own in points.items()
        for number, point in enumerate(own)
    ]
    return replace(group, lines=(group.lines[0], *lines))


def test_compute_at_equal_error_is_interpolated_in_log_error(frontier):
    points = {
        "HarmoniCa": [(2, 0.01)],
        "FORA": [(4, 0.1), (2, 0.001)],
        "Search": [(4, 0.001), (2, 0.0001)],
        "SmoothCache": [(4, 1), (2, 0.1)],
        "FORA + Taylor": [(2, 0.001)],
    }
    group = with_points(frontier[0], points)
    assert equal_error.needed(group) == {
        "HarmoniCa": "50.0",
        "FORA": "37.5",
        "Search": "< 25.0",
        "SmoothCache": "> 50.0",
    }
    *_, (_, headings, rows) = equal_error.blocks([group])
    assert headings == ["method", *places([group])] and ["FORA", "37.5"] in rows


def test_without_harmonicas_row_or_a_second_point_nothing_is_said(frontier):
    points = {"HarmoniCa": [(2, 0.01)], "FORA": [(2, 0.001)]}
    assert equal_error.blocks([with_points(frontier[0], points)]) == []
    del points["HarmoniCa"]
    assert equal_error.blocks([with_points(frontier[0], points)]) == []
