"""A table: its columns, blanks with reasons, committed values beside the cells, refusals, and
figures of stable bytes.
"""

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest

from analysis import figures, paper_scale, records, report, table
from analysis.document import markdown
from analysis.paper_numbers import FOLDER, published
from analysis.tables import ABLATIONS, TABLE1, TABLE2, TABLES
from experiments import paper_scale as paper_scale_rows
from experiments.table2 import BLOCKS
from harmonica.errors import BadInput
from harmonica.files import read_json, write_json
from harmonica.lab.provenance import code_sha
from harmonica.lab.store import Store

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = (
    "model T method CUR_percent CUR_natural_percent IS FID sFID precision recall rFID rFID_floor "
    "x0_mse agreement latency_ms speedup speedup_theoretical num_images num_replicates run_ids"
).replace(" ", ",")


def parsed(groups):
    return list(csv.DictReader(table.csv_text(groups, {}).splitlines()))


def test_columns_and_methods_are_the_contract(measured):
    groups = records.load(*measured())
    assert table.csv_text(groups, {}).splitlines()[0] == COLUMNS
    rows = parsed(groups)
    assert [row["method"] for row in rows] == [
        "DDIM",
        "DDIM",
        "FORA",
        "random",
        "Learning-to-Cache",
        "HarmoniCa",
        "Search",
        "Search + prediction",
        "Search + prediction, refitted",
        "random",
        "Learning-to-Cache",
        "HarmoniCa",
        "Search",
        "Search + prediction",
        "Search + prediction, refitted",
    ]


def test_a_table_of_several_samplers_has_a_column_for_them(measured, text_rows):
    named = [row for block in BLOCKS for row in text_rows(block=block)]
    groups = records.load(*measured(named=named))
    rows = parsed(groups)
    assert list(rows[0]) == COLUMNS.replace("model,", "model,sampler,").split(",")
    assert [(row["sampler"], row["T"], row["method"]) for row in rows[:8]] == [
        ("DPM-Solver++", "10", "DPM-Solver++"),
        ("DPM-Solver++", "7", "DPM-Solver++"),
        ("DPM-Solver++", "5", "DPM-Solver++"),
        ("DPM-Solver++", "10", "FORA"),
        ("DPM-Solver++", "10", "HarmoniCa"),
        ("DPM-Solver++", "10", "Search"),
        ("DPM-Solver++", "10", "Search + prediction"),
        ("DPM-Solver++", "10", "Search + prediction, refitted"),
    ]
    assert len(rows) == 24
    heading, lines = table.carrying_block(groups[0], {})[1:]
    fewer = ["DPM-Solver++, 7 steps", "DPM-Solver++, 5 steps"]
    trained = ["HarmoniCa", "Search", "Search + prediction", "Search + prediction, refitted"]
    assert [line[0] for line in lines] == ["uncached", *fewer, "FORA", *trained]


def test_groups_that_model_sampler_and_steps_do_not_tell_apart_are_named(measured):
    """And their rows find their own committed values."""
    (table_,) = (t for t in ABLATIONS if t.name == "ablation_iepo_vs_mse")
    root, named = measured(named=table_.rows("digits"))
    groups = records.load(root, named)
    rows = parsed(groups)
    assert list(rows[0])[:2] == ["group", "model"] and len(rows) == 13
    forced = {"SDT + MSE": lambda model, noise: 9.0}
    other, _ = measured(named=named[7:], folder="other", levels=forced)
    committed = records.same(root, named[:7]) | records.same(other, named[7:])
    shown = [table.carrying_block(group, committed)[2] for group in groups]
    assert [line[2] for lines in shown for line in lines if line[0] == "SDT + MSE"] == [
        "1.5 (1.5)",
        "1.5 (9)",
    ]


@pytest.mark.parametrize(
    "which", [t for t in ABLATIONS if t.rows("smoke")], ids=lambda which: which.name
)
def test_ablations_at_paper_scale_are_rendered_without_the_papers_rows(
    which, measured, tmp_path, monkeypatch
):
    monkeypatch.setattr(paper_scale_rows, "published_sha256", lambda name: "0" * 64)
    root, rows = measured(named=which.rows("paper"), latency=False)
    (csv_file, document_file), text = paper_scale.render(root, tmp_path / "out", rows, which)
    assert csv_file.name == f"{which.name}.paper.csv" and csv_file.read_text().count(
        "\n"
    ) == 1 + len(rows)
    assert (
        f"{which.title} at paper scale" in document_file.read_text()
        and "FID in the paper" not in text
    )


def test_fewer_steps_of_a_sampler_that_draws_noise_have_no_x0_error(measured, text_rows):
    groups = records.load(*measured(named=text_rows(block=BLOCKS[1])))
    there = [row["x0_mse"] != "" for row in parsed(groups)]
    assert there == [True, False, False, True, True, True, True, True]
    assert (
        "x_0 error of IDDPM, 15 steps, IDDPM, 11 steps: the sampler draws noise at each step"
        in document(groups, TABLE2)
    )


def test_cells_are_means_over_replicates(measured):
    rows = parsed(records.load(*measured(3)))
    uncached, harmonica = rows[0], rows[5]
    assert (uncached["rFID"], uncached["x0_mse"], uncached["CUR_natural_percent"]) == (
        "1.1",
        "0",
        "",
    )
    assert (
        harmonica["rFID"] == "1.65"
        and harmonica["rFID_floor"] == "1.1"
        and harmonica["CUR_natural_percent"] == "51.25"
    )
    assert harmonica["num_replicates"] == "3" and len(set(harmonica["run_ids"].split(" "))) == 3
    assert (harmonica["latency_ms"], harmonica["speedup"]) == ("12.5", "1.25")


def document(groups, which=TABLE1):
    return markdown(report.document(which, groups, "smoke", {}))


def test_missing_latency_is_blank_and_its_reason_is_in_the_document(measured):
    groups = records.load(*measured(latency=False))
    assert {row["latency_ms"] + row["speedup"] for row in parsed(groups)} == {""}
    assert "no finished latency record fake-t-4-latency-" in document(groups)


def test_the_document_names_scale_form_host_and_keeps_the_papers_numbers_apart(measured):
    written = document(records.load(*measured(3)))
    for words in (
        "Fake, T = 4 (smoke scale)",
        "| Learning-to-Cache | all-pairs |",
        "| Learning-to-Cache | released |",
        "on a machine, 2 cores",
        "32 images per cell, 3 replicates.",
        "| 1.65 [1.28, 2.02]",
    ):
        assert words in written
    measured_part, paper_part = written.split("## The paper's own numbers")
    assert "13.35" in paper_part and "13.35" not in measured_part


def test_table_2_says_what_stands_for_the_clip_score(measured, text_rows):
    named = text_rows(3, scale="digits")
    measured_part, paper_part = document(records.load(*measured(named=named)), TABLE2).split(
        "## The paper's own numbers"
    )
    for words in (
        "# Table 2 at smoke scale",
        "Agreement takes the place of the paper's CLIP score",
        "fake, DPM-Solver++, T = 10",
        "A plain baseline (FORA, fewer steps) beats HarmoniCa",
    ):
        assert words in measured_part
    assert "CLIP" in paper_part and "Learning-to-Cache" not in measured_part


def test_committed_values_of_the_same_runs_stand_beside_the_cells(measured):
    """Of three replicates that are committed the same one, not the mean."""
    committed, _ = measured(3, folder="committed", levels={"sdt": lambda m, n: 1.75 + m + n})
    root, rows = measured(1)
    groups, there = records.load(root, rows), records.same(committed, rows)
    heading, lines = table.carrying_block(groups[0], there)[1:]
    harmonica = next(line for line in lines if line[0] == "HarmoniCa" and line[2] == "50")
    assert harmonica[heading.index("rFID")] == "1.5 (1.75)"
    assert harmonica[heading.index("speedup")] == "1.25 [1.2, 1.3]"
    (said,) = report.beside(TABLE1, groups, "digits", there)
    assert "the committed value of the same cell in the same replicate." in said
    assert "of 60 are equal to the digits shown; furthest apart is" in said
    assert "HarmoniCa in fake, T = 4, by 14 %" in said
    assert "were made on" not in said  # the same device
    assert said in report.text(report.short(TABLE1, groups, "digits", there)).replace("\n", " ")
    (own,) = groups[0].lines[0].devices

    def said_of(device):
        made = {runs: replace(line, devices=(device,)) for runs, line in there.items()}
        return table.repeats(groups, made)

    assert "made on" not in said_of(f"{own.rsplit(',')[0]}, 64 cores")
    assert "was made on another CPU: another processor rounds" in said_of("another CPU, 2 cores")


def test_committed_values_of_zero_and_of_other_runs_are_compared_without_a_division(measured):
    committed, _ = measured(folder="committed", levels={"sdt": lambda m, n: 0.0})
    root, rows = measured()
    groups, there = records.load(root, rows), records.same(committed, rows)
    assert "HarmoniCa in fake, T = 4, whose committed value is 0." in table.repeats(groups, there)
    others = {(): next(iter(there.values()))}
    assert table.repeats(groups, others) == "0 of 0 are equal to the digits shown."


def test_what_repeats_the_committed_values_says_so_and_without_any_nothing_is_said(measured):
    root, rows = measured()
    groups = records.load(root, rows)
    (said,) = report.beside(TABLE1, groups, "digits", records.same(root, rows))
    assert "60 of 60 are equal to the digits shown. Speedups" in said
    assert (
        report.beside(TABLE1, groups, "digits", {})
        == []
        == report.beside(TABLE1, groups, "digits", records.same(root.parent, rows))
    )


def test_smoke_scale_claims_no_ordering(measured):
    said = document(records.load(*measured(3)))
    assert "Smoke scale only shows that everything runs: no ordering is claimed." in said
    assert "wins" not in said and "**" not in said


def test_a_missing_record_is_named_with_the_command_that_makes_it(measured):
    root, rows = measured()
    path = Store(root).record_path(rows[-1].runs[0])
    path.unlink()
    with pytest.raises(BadInput, match=f"{path.name} is missing; `make this` makes"):
        records.require(root, records.artefacts(rows), "make this")


def test_a_partial_table_leaves_out_what_is_missing(measured):
    root, rows = measured(3)
    lost = next(row for row in rows if row.method == "HarmoniCa")
    Store(root).record_path(lost.runs[1].router).unlink()
    found, _, sentences = records.finished(root, rows, [])
    distinct = [row for _, group_rows in records.groups_of(rows) for row in group_rows]
    assert [row for row in distinct if row not in found] == [lost] and len(sentences) == 1
    assert sentences[0] == (
        f"left out: {lost.group}, HarmoniCa: {lost.runs[1].router.id} is missing"
    )
    groups = records.load(root, found)
    assert len(parsed(groups)) == len(found)
    assert document(groups)
    Store(root).record_path(rows[0].runs[0]).unlink()  # that of the first group's uncached row
    found, _, _ = records.finished(root, rows, [])
    assert rows[0].group not in {row.group for row in found}


def test_runs_that_were_compared_with_different_references_are_no_group(measured):
    root, rows = measured()
    path = Store(root).record_path(rows[-1].runs[0])
    stored = read_json(path)
    stored["metrics"]["reference_sha256"] = "f" * 64
    write_json(path, stored)
    with pytest.raises(BadInput, match=f"reference of {rows[-1].group}: "):
        records.load(root, rows)


@pytest.mark.parametrize(
    "field, value, words", [("schema", 0, "has schema 0"), ("id", "other", "id 'other'")]
)
def test_a_record_of_another_schema_or_id_is_refused_by_name(measured, field, value, words):
    root, rows = measured()
    path = Store(root).record_path(rows[0].runs[0])
    write_json(path, {**read_json(path), field: value})
    with pytest.raises(BadInput, match=words) as refusal:
        records.load(root, rows)
    assert path.name in str(refusal.value)


def test_a_record_of_another_scale_is_refused_by_name(measured):
    root, rows = measured()
    path = Store(root).record_path(rows[0].runs[0])
    record = read_json(path)
    record["config"]["model"]["scale"] = "digits"
    write_json(path, record)
    with pytest.raises(BadInput, match='was made with model = .*"digits"') as refusal:
        records.load(root, rows)
    assert path.name in str(refusal.value)


def test_rows_that_do_not_pair_are_refused(measured):
    root, (first, *rest) = measured(3)
    fewer = replace(rest[2], runs=rest[2].runs[1:])
    with pytest.raises(
        BadInput, match=r"replicates of .*, random: \[\('fake-s1', 1\), .*is paired"
    ):
        records.load(root, [first, fewer])


def test_the_same_records_give_the_same_bytes(measured, tmp_path):
    root, rows = measured(curs=(50,))
    first, _ = report.render(TABLE1, root, tmp_path / "first", rows, "smoke", committed={})
    again, _ = report.render(TABLE1, root, tmp_path / "again", rows, "smoke", committed={})
    assert [p.name for p in first] == [p.name for p in again] and len(first) == 14
    assert {"table1.smoke.frontier.png", "table1.smoke.frontier.pdf"} < {
        path.name for path in first
    }
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(first, again))
    assert not any(
        word in path.read_bytes()
        for path in first
        for word in (b"Software", b"CreationDate", b"Producer", b"Creator")
    )


def test_a_missing_sample_block_is_named(measured, tmp_path):
    root, rows = measured()
    missing = Store(root).samples(rows[3].runs[0]) / "block-00000.npy"
    missing.unlink()
    with pytest.raises(BadInput, match=rows[3].runs[0].id):
        report.render(TABLE1, root, tmp_path / "out", rows, "smoke", committed={})


def test_published_tables_are_whole():
    for path in sorted(FOLDER.glob("*.csv")):
        rows = published(path.stem)
        assert rows and all(None not in row and None not in row.values() for row in rows), path
    rows = published("table1_class_conditional")
    assert len(rows) == 16 and rows[3]["FID"] == "2.36"


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["table1", "--scale", "smoke"], "make reproduce-table1 SCALE=smoke"),
        (["table1", "--scale", "big"], "--scale: invalid choice: 'big'"),
        (["table1", "--seeds", "0"], "--seeds: 0 is not possible"),
        (["table1", "--rows", "some"], "--rows: invalid choice: 'some'"),
        (["table1", "--scale", "paper"], "make reproduce-table1 SCALE=paper"),
        (["table2", "--scale", "smoke"], "make reproduce-table2 SCALE=smoke"),
        (["frontier", "--scale", "paper"], "frontier has no core rows there"),
    ],
)
def test_mistakes_are_met_with_one_sentence(tmp_path, arguments, words, monkeypatch, capsys):
    from analysis.__main__ import main

    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and words in line


def test_the_index_names_every_table_and_every_kind_of_figure():
    index = (ROOT / "results" / "README.md").read_text()
    absent = {name for name in TABLES if f"{name}.digits.csv" not in index}
    kinds = (*figures.FIGURES, "frontier")
    absent |= {kind for kind in kinds if not re.search(rf"\b{kind}\b", index)}
    assert not absent, f"{absent}: `make paper` adds the line of a table"


def test_every_table_is_made_by_a_target_of_make():
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
    assert {table.target for table in TABLES.values()} <= set(targets)


def test_runs_of_other_code_are_counted_once(measured):
    group = records.load(*measured())[0]
    same = {id_: {**made, "code_sha": code_sha()} for id_, made in group.provenances.items()}
    assert report.of_other_code([replace(group, provenances=same)]) == []
    other = dict.fromkeys(list(same)[:2], {**next(iter(same.values())), "code_sha": "another"})
    mixed = replace(group, provenances=same | other)
    (said,) = report.of_other_code([mixed, mixed])
    assert said.startswith(f"2 of these {len(same)} runs were made by other code than this check")


def test_rows_of_fixed_schedules_alone_are_drawn_too(measured, tmp_path):
    """Without a CUR in any row there is nothing to name a panel by."""
    (group, *_) = records.load(*measured())
    fixed = [line for line in group.lines if line.row.cur_percent is None]
    group = replace(group, lines=tuple(fixed))
    assert figures.error.shows(group)
    figures.error.draw(tmp_path, group, [tmp_path / "error.png"])
    assert (tmp_path / "error.png").exists()
