"""Every table of the benchmark runs on tiny models and is written; both sides of it compute the
same.
"""

import json
from dataclasses import replace

import pytest
import torch

from harmonica.bench import cases, prediction, profiles, sdt_update
from harmonica.bench.__main__ import TABLES, main
from harmonica.bench.bench import Bench
from harmonica.bench.report import markdown
from harmonica.fast.plan import compile_schedule
from harmonica.method import masks
from harmonica.method.schedule import Schedule


@pytest.fixture
def tiny_cases(monkeypatch):
    monkeypatch.setattr(
        cases,
        "dit_s2",
        lambda: replace(cases.dit(32, depth=1, heads=2, sample_size=4, num_steps=4), repeats=2),
    )


def test_the_tables_are_written(tiny_cases, tmp_path, capsys):
    tables = ["forward", "sampling", "prediction", "sdt-update", "lambda-refresh"]
    options = [
        "--model",
        "smoke-s0",
        "--repeats",
        "2",
        "--backends",
        "eager",
        "--out",
        str(tmp_path),
    ]
    assert main(["--tables", *tables, *options]) == 0
    (path,) = tmp_path.glob("*.json")
    content = json.loads(path.read_text())
    assert list(content["tables"]) == sorted(tables) and content["provenance"]["threads"] == 1
    assert [one["table"] for one in content["profiles"]] == ["forward", "sampling", "sdt-update"]
    assert {row["schedule"] for row in content["tables"]["sampling"]} == {
        "random CUR 25 %",
        "random CUR 37.5 %",
        "random CUR 50 %",
        "FORA 2",
        "random CUR 50 %, predicted",
    }
    for row in sum(content["tables"].values(), []):
        assert row["ratio"] > 0 and row["ratio_iqr"][0] <= row["ratio"] <= row["ratio_iqr"][1]
    page = path.with_suffix(".md").read_text()
    assert all(f"\n## {table}\n" in page for table in [*tables, "profiles"])
    assert "forward" in capsys.readouterr().out


@pytest.mark.parametrize("name", TABLES)
def test_a_title_is_whole_sentences_in_one_line(name):
    docstring = TABLES[name].__doc__
    lines = markdown({name: docstring}, {name: [{"ratio": 1.0}]}, []).splitlines()
    title = lines[lines.index(f"## {name}") + 2]
    assert title.endswith(".") and docstring.split()[: len(title.split())] == title.split()
    assert lines[lines.index(title) + 2] == "| ratio |"


@torch.no_grad()
def test_the_predicted_step_predicts_and_the_reused_one_reuses():
    case = Bench("smoke-s0", 2, ["eager"]).digits
    x, ctx = case.noise(2), case.backbone.prepare(case.cond(2))
    t = torch.full((2,), 500)
    schedules = prediction.schedules(case.backbone)
    reused, predicted = (compile_schedule(case.backbone, schedule) for schedule in schedules)
    outs = [prediction.step_of(plan, 2, x, t, ctx)() for plan in (reused, predicted)]
    assert len(schedules[1].weights) == case.backbone.num_blocks and outs == [None, None]
    assert {code for code in predicted.codes[2]} == {-2} and not any(reused.weights)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Bench("smoke-s0", 2).digits,
        lambda: cases.pixart(8, depth=1, heads=1),
        lambda: cases.pixart(128, depth=1, heads=1),
    ],
    ids=["digits", "PixArt", "PixArt, sizes"],
)
@torch.no_grad()
def test_both_sides_of_the_forward_table_compute_the_same(make):
    case = make()
    x, cond = case.noise(2), case.cond(2)
    t = torch.full((2,), 500, device=x.device)
    plan = compile_schedule(case.backbone, Schedule(keep=masks.full(1, case.backbone.num_blocks)))
    own, theirs = (
        plan.step(0, x, t, case.backbone.prepare(cond), plan.empty())[0],
        case.theirs(case.backbone.model, x, t, cond),
    )
    torch.testing.assert_close(own, theirs, rtol=0, atol=1e-5 * float(theirs.abs().max()))


def test_the_lean_update_keeps_less_and_the_weights_stay_frozen():
    bench = Bench("smoke-s0", 2, ["eager"])
    rows = {row["way"]: row for row, _ in sdt_update.rows(bench)}
    assert rows["lean, checkpointed"]["memory_share"] < rows["lean"]["memory_share"] < 1
    assert not any(
        p.requires_grad or p.grad is not None for p in bench.digits.backbone.parameters()
    )


def test_a_profile_counts_operations_and_the_time_outside(tiny_cases):
    case = cases.dit_s2()
    fora = case.schedules()["FORA 2"]
    found = {}
    for name, schedule in (("full", Schedule(keep=fora.keep | True)), ("FORA", fora)):
        sample = case.sampled(2, compile_schedule(case.backbone, schedule))
        found[name] = profiles.profile(sample, 4, case.backbone)
    assert all(
        0 < found[name]["share_outside"] < 1 for name in found
    )  # a time: no more can be said in a test
    assert found["FORA"]["launched_per_step"] < found["full"]["launched_per_step"]
    assert not any(module._forward_hooks for module in case.backbone.model.modules())


def test_a_profile_puts_no_hooks_where_modules_are_not_called(tiny_cases):
    case = cases.dit_s2()
    attn = case.backbone.model.transformer_blocks[0].attn1
    hooked = []
    found = profiles.profile(
        lambda: hooked.append(len(attn.to_q._forward_pre_hooks)), 1, case.modules("cudagraph")
    )
    assert found["share_outside"] is None and hooked == [0, 0]
    profiles.profile(
        lambda: hooked.append(len(attn.to_q._forward_pre_hooks)), 1, case.modules("eager")
    )
    assert hooked == [0, 0, 0, 1]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--repeats", "1"], "repeats: 1 is not possible; give a whole number from 2"),
        (["--model", "dit"], "model: 'dit' is not possible; choose one of"),
        (["--model", "pixart-digits-s0"], "choose one of dit-digits-s0"),
        (["--tables", "speed"], "invalid choice: 'speed'"),
        (
            ["--peer", "nowhere"],
            "peer: 'nowhere' is not possible; a checkout of the released code holds "
            "models/dynamic_mo",
        ),
        pytest.param(
            ["--backends", "cudagraph"],
            "backends: 'cudagraph' is not possible; CUDA graphs need a CUDA device",
            marks=pytest.mark.skipif(
                torch.cuda.is_available(), reason="for machines without a GPU"
            ),
        ),
    ],
    ids=str,
)
def test_mistakes_are_met_with_one_sentence(arguments, words, tmp_path, capsys):
    assert main([*arguments, "--out", str(tmp_path / "new")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line and not (tmp_path / "new").exists()
