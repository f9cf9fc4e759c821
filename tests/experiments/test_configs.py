"""Experiments: more seeds add runs and change none, cached rows of a block share one count, methods
are those of the table.
"""

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from analysis.paper_numbers import published
from experiments.rows import SAMPLERS, STOCHASTIC
from experiments.table2 import BLOCKS as BLOCKS_OF_TABLE_2
from harmonica.lab.ids import with_needs
from harmonica.lab.needed import missing_files
from harmonica.method.masks import budget, deepcache

NAMES = ("dit_xl2_256", "dit_xl2_512")
TEXT = "pixart_alpha"
BLOCKS = {"DiT-digits 16 tokens": 16, "DiT-digits-fine 64 tokens": 16, "smoke": 4}


def table(name, *arguments):
    return import_module(f"experiments.{name}.config").table(*arguments)


@pytest.mark.parametrize("name", NAMES + (TEXT, "uvit"))
@pytest.mark.parametrize("scale, rows", [("digits", "core"), ("digits", "all"), ("smoke", "core")])
def test_three_seeds_contain_two_and_two_contain_one(name, scale, rows):
    by_seeds = [table(name, scale, rows, seeds) for seeds in (1, 2, 3)]
    for fewer, more in zip(by_seeds, by_seeds[1:]):
        assert [(r.group, r.method, r.num_steps, r.cur_percent, r.form) for r in fewer] == [
            (r.group, r.method, r.num_steps, r.cur_percent, r.form) for r in more
        ]
        for few, many in zip(fewer, more):
            assert {run.id for run in few.runs} <= {run.id for run in many.runs}
    for row in by_seeds[2]:
        assert [run.seed for run in row.runs] == [0, 1, 2]
        assert len({run.model.sha256 for run in row.runs}) == (1 if scale == "smoke" else 3)
        for run in row.runs:  # base model, router or search, and noise are those of one replicate
            assert scale == "smoke" or run.model.name.endswith(f"-s{run.seed}")
            assert run.router is None or run.router.training.seed == run.seed
            assert run.made is None or run.made.settings.seed == run.seed


@pytest.mark.parametrize("name", NAMES + (TEXT, "frontier"))
def test_all_rows_contain_the_core(name):
    core, every = (
        {run.id for row in table(name, "digits", rows) for run in row.runs}
        for rows in ("core", "all")
    )
    assert core < every


@pytest.mark.parametrize("name", NAMES)
def test_the_rows_of_a_block(name):
    rows = table(name, "digits", "all", 1)
    assert {row.method for row in rows} == {
        "DDIM",
        "FORA",
        "random",
        "Learning-to-Cache",
        "HarmoniCa",
        "Search",
        "Search + prediction",
        *(["Search + prediction, refitted"] if name != "dit_xl2_512" else []),  # 64 tokens
    }
    assert sum(
        row.method == "DDIM" and row.cur_percent is None and row.num_steps == row.runs[0].against
        for row in rows
    ) == len({row.group for row in rows})
    for row in rows:
        run, blocks = row.runs[0], BLOCKS[row.model]
        if row.method in ("random", "Learning-to-Cache", "HarmoniCa"):
            assert run.cur_percent == row.cur_percent and budget(
                row.cur_percent, run.num_steps, blocks
            ) == round(row.cur_percent / 100 * run.num_steps * blocks)
        if row.method == "Learning-to-Cache":
            assert (
                row.form
                == run.router.training.ltc_form
                == ("all-pairs" if row.cur_percent >= 50 else "released")
            )
        if row.method == "HarmoniCa":
            training = run.router.training
            assert (training.walk, training.objective, training.lambda_scores) == (
                "sdt",
                "leave-one-out",
                "soft",
            )
        if row.method.startswith("Search"):
            predict = row.method != "Search"
            assert run.made.cur_percent == row.cur_percent
            assert run.made.settings.predict == predict
        if row.method == "FORA":
            assert row.cur_percent is None and run.schedule == "fora"


def test_the_rows_of_table_2():
    """Per sampler: uncached, fewer steps, FORA; at the CUR of the paper's 256 px row HarmoniCa,
    with one router each, and our searches.
    """
    rows = table(TEXT, "digits", "core", 1)
    assert [(row.sampler, row.method, row.num_steps, row.cur_percent) for row in rows] == [
        ("DPM-Solver++", "DPM-Solver++", 10, None),
        ("DPM-Solver++", "DPM-Solver++", 7, None),
        ("DPM-Solver++", "DPM-Solver++", 5, None),
        ("DPM-Solver++", "FORA", 10, None),
        ("DPM-Solver++", "HarmoniCa", 10, 56.01),
        ("DPM-Solver++", "Search", 10, 56.01),
        ("DPM-Solver++", "Search + prediction", 10, 56.01),
        ("DPM-Solver++", "Search + prediction, refitted", 10, 56.01),
        ("IDDPM", "IDDPM", 20, None),
        ("IDDPM", "IDDPM", 15, None),
        ("IDDPM", "IDDPM", 11, None),
        ("IDDPM", "FORA", 20, None),
        ("IDDPM", "HarmoniCa", 20, 53.24),
        ("IDDPM", "Search", 20, 53.24),
        ("IDDPM", "Search + prediction", 20, 53.24),
        ("IDDPM", "Search + prediction, refitted", 20, 53.24),
        ("SA-Solver", "SA-Solver", 12, None),
        ("SA-Solver", "SA-Solver", 10, None),
        ("SA-Solver", "SA-Solver", 7, None),
        ("SA-Solver", "FORA", 12, None),
        ("SA-Solver", "HarmoniCa", 12, 54.19),
        ("SA-Solver", "Search", 12, 54.19),
        ("SA-Solver", "Search + prediction", 12, 54.19),
        ("SA-Solver", "Search + prediction, refitted", 12, 54.19),
    ]
    routers = [row.runs[0].router for row in rows if row.runs[0].router]
    assert [router.sampler for router in routers] == ["dpm++", "iddpm", "sa-solver"]
    assert {run.guidance for row in rows for run in row.runs} == {1.0}
    guided = {
        row.group: {run.guidance for run in row.runs}
        for row in table(TEXT, "digits", "all", 1)[len(rows) :]
    }
    assert guided == {"PixArt-digits 16 tokens, guidance 4.5, DPM-Solver++, T = 10": {4.5}}


UVIT = ("DPM-Solver", "Faster Diffusion", "DeepCache", "FORA", "DPM-Solver", "Learning-to-Cache")
UVIT += ("HarmoniCa", "Search", "Search + prediction", "Search + prediction, refitted")


@pytest.mark.parametrize("scale, blocks", [("digits", 18), ("smoke", 6)])
def test_the_rows_of_u_vit_have_the_cur_of_deepcaches_mask(scale, blocks):
    rows = table("uvit", scale, "core", 1)
    assert tuple(row.method for row in rows) == UVIT
    (cur,) = {row.cur_percent for row in rows} - {None}
    steps = rows[0].num_steps
    own = int((~deepcache(steps, blocks)).sum())
    assert budget(cur, steps, blocks) == own
    assert {run.sampler for row in rows for run in row.runs} == {"dpm-singlestep"}
    assert rows[4].num_steps % 2 == 0 and rows[4].num_steps <= steps * (1 - cur / 100)


def test_u_vit_at_paper_scale_has_the_papers_rows_and_the_published_router(no_weights):
    rows = table("uvit", "paper", "core", 1)
    paper = [(line["model"], line["method"], int(line["T"])) for line in published("table_uvit")]
    assert [(row.model, row.method, row.num_steps) for row in rows[:4]] == paper
    assert rows[4].form == "published router" and rows[4].runs[0].published.tau == 0.9
    own = int((~deepcache(20, 58)).sum())
    assert budget(rows[3].cur_percent, 20, 58) == own
    assert {(run.guidance, run.num_images) for row in rows for run in row.runs} == {(1.4, 50_000)}
    (ltc,) = (row for row in table("uvit", "paper", "all", 1) if row.form == "published beta")
    assert ltc.runs[0].router.training.tau == 0.9


def test_which_samplers_draw_noise_is_said_rightly():
    from harmonica import samplers

    assert all(samplers.load(name).stochastic == (name in STOCHASTIC) for name in SAMPLERS)


def test_the_papers_cur_is_that_of_its_table():
    paper = {
        row["sampler"]: float(row["CUR_percent"])
        for row in published("table2_text_to_image")
        if row["model"] == "PixArt-alpha 256x256" and row["method"] == "HarmoniCa"
    }
    assert paper == {SAMPLERS[block.sampler]: block.cur_percent for block in BLOCKS_OF_TABLE_2}


def test_routers_are_trained_alike():
    """Every learned row: the same updates per row, batch, rates and threshold."""
    same = ("trajectories", "batch", "lr", "adam_eps", "tau", "seed", "beta")
    trained = [
        row.runs[0].router.training
        for name in NAMES + (TEXT,)
        for row in table(name, "digits", "all")
        if row.runs[0].router
    ]
    assert (
        len(trained) > 4 and len({tuple(getattr(t, field) for field in same) for t in trained}) == 1
    )


@pytest.mark.parametrize("name", ["dit_xl2_256", TEXT])
def test_one_noise_serves_all_methods(name):
    for row in table(name, "digits", "all", 3):
        assert {(run.seed, run.noise, run.num_images, run.batch) for run in row.runs} == {
            (seed, "evaluation", row.runs[0].num_images, row.runs[0].batch) for seed in range(3)
        }


@pytest.mark.parametrize("name", ["dit_xl2_256", TEXT])
def test_no_record_of_smoke_scale_can_enter_a_table(name):
    smoke, digits = (
        {
            a.id
            for a in with_needs([run for row in table(name, scale, "all", 3) for run in row.runs])
        }
        for scale in ("smoke", "digits")
    )
    assert smoke and not smoke & digits


@pytest.fixture
def no_weights(tmp_path, monkeypatch):
    for name in ("HARMONICA_WEIGHTS", "HARMONICA_ROUTERS"):
        monkeypatch.setenv(name, str(tmp_path / "weights"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))


def test_at_paper_scale_the_papers_rows_are_all_there(no_weights):
    """Its 16 rows, T and CUR for T and CUR, whether or not any weights are; published routers and
    betas beside them.
    """
    rows = [row for name in NAMES for row in table(name, "paper", "core", 1)]
    own = {
        (row.model, row.method, row.num_steps, row.cur_percent)
        for row in rows
        if not row.form.startswith("published") and row.method != "Search + prediction"
    }
    paper = {
        (
            line["model"],
            line["method"],
            int(line["T"]),
            float(line["CUR_percent"]) if line["CUR_percent"] else None,
        )
        for line in published("table1_class_conditional")
    }
    assert own == paper and len(paper) == 16
    assert [
        (row.method, row.num_steps, row.form) for row in rows if row.form.startswith("published")
    ] == [
        ("Learning-to-Cache", 50, "published router"),
        ("Learning-to-Cache", 20, "published router"),
        ("HarmoniCa", 10, "published beta"),
    ]
    searched = [row for row in rows if row.method == "Search + prediction"]
    trained = [row for row in rows if row.form == "trained here" and row.method == "HarmoniCa"]
    assert [row.cur_percent for row in searched] == [row.cur_percent for row in trained]
    for row in rows:
        (run,) = row.runs
        assert (run.num_images, run.guidance, run.num_images % run.batch, run.precision) == (
            50_000,
            1.5,
            0,
            None,
        )
        assert run.model.scale == "paper" and run.images.decoder.name == "stabilityai/sd-vae-ft-ema"


def test_at_paper_scale_all_rows_and_seeds_contain_fewer(no_weights):
    for name in NAMES:
        core, every, seeds = (
            {run.id for row in table(name, "paper", *which) for run in row.runs}
            for which in (("core", 1), ("all", 1), ("all", 3))
        )
        assert core < every < seeds and len(seeds) == 3 * len(every)
        assert {"FORA", "DDIM"} <= {row.method for row in table(name, "paper", "all", 1)[4:]}
    released = next(
        row.runs[0].router.training
        for row in table("dit_xl2_256", "paper")
        if row.form == "published beta"
    )
    assert (
        released.beta,
        released.lr,
        released.batch,
        released.trajectories,
        released.refresh,
        released.tau,
    ) == (7e-8, 0.01, 32, 2000, 50, 0.1)


@pytest.mark.parametrize("name", NAMES)
def test_without_imagenets_images_the_routers_trained_on_them_are_left_out(name, no_weights):
    def on_images(row):
        return any(run.router and run.router.training.walk == "ltc" for run in row.runs)

    core = table(name, "paper")
    without = [row for row in core if not on_images(row)]
    assert any(map(on_images, core))
    assert table(name, "paper", "no-images") == without
    listed = missing_files(with_needs([run for row in core for run in row.runs]))
    fewer = missing_files(with_needs([run for row in without for run in row.runs]))
    assert [sentence for sentence in listed if sentence not in fewer] == [
        sentence for sentence in listed if sentence.startswith("latents: ")
    ]


def test_the_sanity_run_is_paper_scale_alone(no_weights):
    assert table("dit_xl2_sanity", "digits") == table("dit_xl2_sanity", "smoke") == []
    assert [(row.form, row.runs[0].num_images) for row in table("dit_xl2_sanity", "paper")] == [
        ("", 5000),
        ("published router", 5000),
    ]


ABLATIONS = sorted(path.parent.name for path in Path("experiments").glob("ablation_*/config.py"))


@pytest.mark.parametrize("name", ABLATIONS)
@pytest.mark.parametrize("scale", ["smoke", "digits"])
def test_an_ablations_rows_can_be_told_apart_and_share_the_tables_runs(name, scale):
    rows = table(name, scale, "core", 2)
    by_group = {row.group: [own for own in rows if own.group == row.group] for row in rows}
    for own in by_group.values():
        assert own[0].uncached and own[0].num_steps == own[0].runs[0].against
        told = [(row.method, row.cur_percent, row.num_steps) for row in own]
        assert len(set(told)) == len(told)
        assert {(run.model.sha256, run.seed) for run in own[0].runs} == {
            (run.model.sha256, run.seed) for row in own for run in row.runs
        }
    fewer = {run.id for row in table(name, scale, "core", 1) for run in row.runs}
    assert fewer <= {run.id for row in rows for run in row.runs}


def test_ablations_use_the_routers_of_table_1_where_these_are_the_same():
    of_table = {run.id: run for row in table("dit_xl2_256", "digits", "all", 3) for run in row.runs}
    for name in ("ablation_sdt_vs_standard", "ablation_beta"):
        shared = {
            row.method
            for row in table(name, "digits", "core", 3)
            if row.cur_percent == 50 and row.runs[0].id in of_table
        }
        assert shared == {"HarmoniCa", "Learning-to-Cache, all pairs"}


def test_settings_that_an_ablation_names_are_those_that_differ():
    refresh = [row.runs[0].router.training for row in table("ablation_refresh", "digits")[1:]]
    assert [training.refresh for training in refresh] == [2, 10, 50, 100]
    threshold = [row.runs[0].router.training for row in table("ablation_threshold", "digits")[1:]]
    assert [t.tau for t in threshold] == [0.05, 0.1, 0.3, 0.5] and len(
        {t.beta for t in threshold}
    ) == 1
    forced = [
        row
        for row in table("ablation_iepo_vs_mse", "digits")
        if "last step" in row.group and not row.uncached
    ]
    assert forced and all(run.reuse_last_step for row in forced for run in row.runs)


def test_transferred_routers_are_of_another_model_or_sampler():
    rows = [
        row for row in table("ablation_transfer", "digits", "core", 3) if row.runs[0].transferred
    ]
    assert {row.method for row in rows} == {
        "HarmoniCa, another model's router",
        "Learning-to-Cache, another model's router",
        "HarmoniCa, DDIM's router",
    }
    for run in (run for row in rows for run in row.runs):
        assert (run.router.model == run.model) != (run.router.sampler == run.sampler)


def test_the_ablation_of_our_search_changes_one_thing_a_row():
    rows = {
        row.method: row.runs[0].made
        for row in table("ablation_search", "digits", "all", 1)
        if row.group.startswith("our search, ")
    }
    default = rows["Search + prediction"]
    for method, made in rows.items():
        if method.startswith("Search + prediction, "):
            moved = made.model != default.model  # to the next replicate: its model, its seed
            fields = (
                vars(made.settings).items()
                - vars(default.settings).items()
                - ({("seed", 1)} if moved else set())
            )
            others = [made.by_macs, made.conds, made.making == "refitted"]
            assert len(fields) + moved + sum(map(bool, others)) == 1, method
    reuse = rows["Search"]
    assert rows["Search, then predictions"].mask == rows["Search, then Taylor"].mask == reuse
    evolved = rows["Evolution"]
    assert evolved.settings == replace(reuse.settings, images=6)
    assert evolved.forwards == reuse.settings.forwards(10)
    longer = rows["Evolution, ten times longer"]
    assert longer.forwards == 10 * evolved.forwards and longer.population == 24
    assert rows["Search + prediction, refitted"].mask == default
    once, longer = (
        row.runs[0].router.training
        for row in table("ablation_search", "digits", "all", 1)
        if row.runs[0].router
    )
    assert longer == replace(once, trajectories=10 * once.trajectories)


def test_the_cost_of_training_is_measured_on_one_router_per_method():
    (spec,) = import_module("experiments.ablation_training_cost.config").costs("digits")
    assert [method for method, _ in spec.rows] == [
        "Learning-to-Cache, released",
        "Learning-to-Cache, all pairs",
        "SDT + MSE",
        "HarmoniCa",
    ]
    assert len({router.id for _, router in spec.rows}) == 4
