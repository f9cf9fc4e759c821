"""What clothes scale measures: the paper's settings, at equal budgets for all that is trained."""

import json

import pytest

from experiments.dit_xl2_256 import config as table1
from experiments.frontier import config as frontier
from experiments.pixart_alpha import config as table2
from harmonica.errors import BadInput
from harmonica.lab import estimates
from harmonica.lab.ids import with_needs

ABOUT = {"sha256": "0" * 64, "side": 28, "training": {"patch": 4, "width": 128, "depth": 12}}


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch):
    monkeypatch.setenv("HARMONICA_MODELS", str(tmp_path))
    content = {f"dit-clothes-s{seed}": ABOUT for seed in range(3)}
    (tmp_path / "models.json").write_text(json.dumps(content))


def test_core_is_the_papers_20_and_10_steps_under_guidance_within_an_hour_of_two_cores():
    rows = table1.table("clothes")
    assert {(row.runs[0].guidance, row.runs[0].against) for row in rows} == {(1.5, 20), (1.5, 10)}
    assert {row.runs[0].num_images for row in rows} == {2000}
    made = with_needs([run for row in rows for run in row.runs])
    assert sum(map(estimates.seconds, made)) / 2 <= 3600


def test_all_rows_are_every_method_at_the_papers_steps_and_guidances():
    rows = table1.table("clothes", "all", 3)
    settings = {(row.runs[0].guidance, row.runs[0].against) for row in rows}
    assert settings == {(g, t) for g in (1.5, 1.0) for t in (50, 20, 10)}
    assert len({row.group for row in rows}) == 6
    own = [row for row in rows if row.runs[0].against == 20 and row.runs[0].guidance == 1]
    forms = {(row.method, row.form, row.cur_percent) for row in own}
    for cur in (50, 37.5):
        for method in ("HarmoniCa", "Search", "Search + prediction", "random"):
            assert (method, "", cur) in forms
        assert ("Learning-to-Cache", "all-pairs", cur) in forms
    assert ("Learning-to-Cache", "released", 37.5) in forms and ("FORA", "", None) in forms


def test_all_routers_are_trained_alike():
    rows = [row for row in table1.table("clothes", "all") if row.runs[0].router]
    budgets = {
        (run.router.training.trajectories, run.router.training.batch, run.router.training.lr)
        for row in rows
        for run in row.runs
    }
    assert len(budgets) == 1


def test_the_frontier_shares_what_table_1_makes():
    rows = [row for row in table1.table("clothes") if row.runs[0].against == 20]
    theirs = {a.id for a in with_needs([r for row in rows for r in row.runs])}
    ours = {a.id for a in with_needs([r for row in frontier.table("clothes") for r in row.runs])}
    assert theirs <= ours
    groups = {row.runs[0].against for row in frontier.table("clothes", "all")}
    assert groups == {20, 50}


def test_other_tables_have_no_clothes():
    with pytest.raises(BadInput, match="the clothes have Table 1 and the frontier"):
        table2.table("clothes")
