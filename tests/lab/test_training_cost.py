"""What training takes: each method is measured, images and updates are counted, and nothing is left
behind.
"""

import pytest

from experiments.ablation import ALL_PAIRS, HARMONICA, RELEASED, SDT_MSE, group_of, training
from harmonica.lab.make import make
from harmonica.lab.specs import TrainingCostSpec
from harmonica.lab.store import Store


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    group = group_of("cost", "smoke", 1)
    spec = TrainingCostSpec(
        group="cost",
        rows=tuple(
            (method, group.router(training("smoke", method, 35)))
            for method in (RELEASED, ALL_PAIRS, SDT_MSE, HARMONICA)
        ),
        repeats=2,
    )
    record = make(spec, Store(tmp_path_factory.mktemp("store")))
    return {method: record["rows"][router.id] for method, router in spec.rows}


def test_only_learning_to_cache_sees_training_images(rows):
    """T = 4, 2 trajectories, batch 16: 2 rows of the released form, 3 of all pairs."""
    assert {method: row["images"] for method, row in rows.items()} == {
        RELEASED: 64,
        ALL_PAIRS: 96,
        SDT_MSE: 0,
        HARMONICA: 0,
    }
    assert [rows[method]["updates"] for method in (RELEASED, ALL_PAIRS, SDT_MSE, HARMONICA)] == [
        4,
        6,
        6,
        6,
    ]


def test_the_whole_is_its_trajectories_and_its_refreshes(rows):
    for method, row in rows.items():
        assert (row["lambda_seconds"] is not None) == (method == HARMONICA)
        assert row["seconds_total"] == pytest.approx(
            2 * row["seconds_per_trajectory"] + (row["lambda_seconds"] or 0)
        )
        assert row["seconds_iqr"][0] <= row["seconds_per_trajectory"] <= row["seconds_iqr"][1]


def test_memory_is_that_of_one_update_whatever_the_method(rows):
    """One student's graph: the walk and the objective change nothing in it."""
    assert (
        len({row["memory_bytes"] for row in rows.values()}) == 1
        and rows[SDT_MSE]["memory_bytes"] > 10_000
    )
