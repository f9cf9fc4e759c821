"""Rows over compressed models: the paper's are all there, what is simulated is not timed, and every
row of a group is compared with the same plain model.
"""

import pytest

from analysis.paper_numbers import published
from experiments.compression import config as compression
from experiments.quantisation import config as quantisation
from experiments.rows import latency_specs
from harmonica.lab.ids import with_needs

BOTH = (compression, quantisation)


def test_all_rows_of_the_paper_are_there_at_paper_scale():
    rows = {(row.model, row.method): row for row in quantisation.table("paper")}
    for line in published("table_quantization"):
        row = rows[line["model"], line["method"].split(" (")[0]]
        cur = row.cur_percent or 0
        assert f"{cur:g}" == (line["CUR_percent"] or "0")
        assert row.num_steps == 20 and row.runs[0].model.compression.bits == "W8A8"
    methods = {row.method for row in compression.table("paper")}
    theirs = {line["method"].replace("PTQ4DiT", "PTQ") for line in published("table_compression")}
    assert methods == theirs


@pytest.mark.parametrize("scale", ["smoke", "digits", "paper"])
@pytest.mark.parametrize("config", BOTH)
def test_quantised_models_are_not_timed_and_pruned_ones_are(config, scale):
    rows = config.table(scale, "all", 1)
    timed = {run for spec in latency_specs(rows) for run in spec.runs}
    for row in rows:
        simulated = row.form.startswith("W") or row.method.startswith("EfficientDM")
        assert (row.runs[0] in timed) == (not simulated)


@pytest.mark.parametrize("config", BOTH)
def test_a_group_has_one_plain_uncached_model(config):
    for rows in ("core", "all"):
        for seeds in (1, 3):
            groups = {}
            for row in config.table("digits", rows, seeds):
                plain = tuple(run.baseline() for run in row.runs)
                assert groups.setdefault(row.group, plain) == plain
                assert all(run.model.compression is None for run in plain)


@pytest.mark.parametrize("config", BOTH)
def test_more_seeds_and_rows_contain_fewer(config):
    def ids(rows, seeds):
        runs = [run for row in config.table("digits", rows, seeds) for run in row.runs]
        return {artefact.id for artefact in with_needs(runs)}

    assert ids("core", 1) < ids("all", 1) < ids("all", 2) < ids("all", 3)


def test_routers_and_schedules_are_made_on_the_quantised_model():
    for row in quantisation.table("digits", "all", 1):
        run = row.runs[0]
        made = run.router or run.made
        assert made is None or made.model == run.model
        if run.model.compression:
            settings = run.model.compression
            assert (settings.sampler, settings.num_steps) == (run.sampler, run.num_steps)


def test_pruning_takes_as_much_compute_as_harmonicas_cur():
    rows = {row.method: row for row in compression.table("digits")}
    removed = rows["Diff-Pruning"].runs[0].model.compression.removed_percent
    assert removed == rows["HarmoniCa"].cur_percent
