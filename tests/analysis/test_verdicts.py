"""The page of verdicts follows from the records: other numbers, another verdict; what is not there
is not tested yet; what no table can answer is refused.
"""

from dataclasses import replace

import pytest

from analysis import cache_share, cost, scales, verdicts
from analysis.cases import found_in
from analysis.compare import LOSES, OPEN, WINS
from analysis.document import markdown
from analysis.paper_claims import NEEDS_GPUS, paper_claims
from analysis.records import _ages, load
from analysis.tables import ABLATIONS, CLOTHES, TABLES
from analysis.verdicts import NOT_YET, judge, other_findings, page
from harmonica.errors import BadInput

GOOD = {
    "Learning-to-Cache, all pairs": 4.0,
    "Learning-to-Cache, released": 3.0,
    "SDT + MSE": 2.0,
    "HarmoniCa": 1.5,
}


@pytest.fixture
def groups(measured):
    """-> a function that gives {name: groups} of one table from invented records."""

    def make(name, seeds=3, **levels):
        rows = TABLES[name].rows("digits", "all", seeds)
        return {name: load(*measured(levels=GOOD | levels, named=rows, folder=f"{name} {levels}"))}

    return make


def claim(words):
    (found,) = (claim for claim in paper_claims() if words in claim.title)
    return found


def test_a_record_decides_the_verdict(groups):
    def verdict(**levels):
        return judge(claim("SDT beats"), groups("ablation_sdt_vs_standard", **levels), {}).verdict

    assert verdict() == "holds"
    assert verdict(**{"SDT + MSE": 3.5}) == "holds in part"
    assert verdict(**{"SDT + MSE": 5.0}) == "does not hold"
    unsure = {"SDT + MSE": lambda model, noise: (1.0, 4.0, 9.0)[model]}
    assert verdict(**unsure) == "undecided"


def test_a_comparison_that_two_tables_show_counts_once(groups):
    """CUR 35 % and 50 % of SDT against standard training are the same runs in both."""
    both = groups("ablation_sdt_vs_standard") | groups("ablation_beta")
    made = judge(claim("SDT beats"), both, {})
    assert len(set(made.rows)) == len(made.rows) == 6 and len(made.marks) == 12
    shared = [row for row in made.rows if row[-1].count("tables/") == 2]
    assert [row[0].split(", ")[-1] for row in shared] == ["CUR 35 %", "CUR 50 %"]


def test_of_two_tables_with_the_same_comparison_the_one_with_more_replicates_counts(groups):
    both = groups("ablation_sdt_vs_standard") | groups("ablation_beta", seeds=6)
    made = judge(claim("SDT beats"), both, {})
    assert len(made.rows) == 6 and len(made.marks) == 12
    assert {row[-1].count("tables/") for row in made.rows} == {1}
    (shared,) = (row for row in made.rows if "CUR 35 %" in row[0] and "all pairs" in row[1])
    assert "6 of 6" in shared[3] and "ablation_beta" in shared[-1]


def test_forms_of_learning_to_cache_are_told_apart_and_the_published_one_comes_first(groups):
    made = judge(claim("HarmoniCa beats Learning"), groups("ablation_sdt_vs_standard"), {})
    published, pairs = made.sentence.split("; against")
    assert "published form (released; at CUR 50 % that is FORA): HarmoniCa has" in published
    assert "all-pairs form (this repository's own): HarmoniCa has" in pairs
    said = markdown(page(groups("ablation_sdt_vs_standard"), {})).split("| HarmoniCa beats L")[1]
    assert said.index("... against its published form") < said.index("... against its all-pairs")


def test_iepo_is_compared_with_mse_in_both_groups(groups):
    made = judge(claim("IEPO"), groups("ablation_iepo_vs_mse"), {})
    assert made.verdict == "holds"
    assert [row[0] for row in made.rows] == [
        "DiT-digits 16 tokens, T = 10, CUR 50 %",
        "DiT-digits 16 tokens, T = 10, last step reused, CUR 50 %",
    ]


def test_where_plain_baselines_win_comes_before_all_claims(groups):
    said = markdown(page(groups("ablation_beta", fewer=9.0, fora=1.2), {}))
    first = said.split("\n## ")[1]
    assert first.startswith("Where plain baselines win") and "beats HarmoniCa" in first
    assert "| FORA | DiT-digits 16 tokens, T = 10, CUR 50 % | HarmoniCa |" in first
    assert "| FORA, interval 3 | DiT-digits 16 tokens, T = 10, CUR 60 % | HarmoniCa |" in first
    assert "DDIM" not in first.split("\n\n", 1)[1]


@pytest.mark.parametrize(
    "seconds, verdict, time",
    [(1.0, "holds", WINS), (2.0, "holds in part", OPEN), (3.0, "does not hold", LOSES)],
)
def test_training_is_judged_by_images_and_time(measured, seconds, verdict, time):
    specs = TABLES["ablation_training_cost"].costs("digits")
    root, _ = measured(levels={"HarmoniCa": seconds}, named=[], costs=specs)
    costs, _ = cost.load(root, specs)
    made = judge(claim("image-free"), {}, {"ablation_training_cost": cost.claim(costs)})
    assert made.marks == (WINS, time) * 2 and made.verdict == verdict
    assert all("0 / 900" in row[2] for row in made.rows)


def test_the_cost_of_training_for_the_image_itself_is_held_against_the_papers_factors(measured):
    specs = TABLES["ablation_objective_cost"].costs("digits")
    levels = {"HarmoniCa": 1.0, "x_0 itself": 6.0, "x_0 itself, recomputed": 2.0}
    root, _ = measured(levels=levels, named=[], costs=specs)
    costs, _ = cost.load(root, specs)
    made = judge(claim("x_0 itself"), {}, {"ablation_objective_cost": cost.claim(costs)})
    assert made.marks == (WINS, LOSES, LOSES, LOSES) and made.verdict == "does not hold"
    assert [row[2] for row in made.rows] == ["**wins** 6", "**loses** 2"]


def test_the_share_of_a_cache_is_held_against_the_papers():
    row = {"model": "DiT", "batch": 1, "schedule": "FORA 2"}
    rows = [row | {"cache_share": share} for share in (0.02, 0.3)]
    made = judge(claim("of memory"), {}, {cache_share.NAME: cache_share.claim(rows)})
    assert made.marks == (WINS, LOSES) and made.rows[1][-1] == "**loses** 30.0 %"


def test_the_papers_measure_stands_beside_the_verdict(groups):
    made = judge(claim("IEPO"), groups("ablation_iepo_vs_mse"), {})
    assert made.sentence.endswith("has the lower FID to the data in 2 of 2 settings")


def test_two_tables_that_ask_the_same_have_one_answer(groups):
    there = groups("table1") | groups("frontier")
    _, _, (_, headings, rows) = other_findings(there)
    titles = [row[0] for row in rows if row[0]]
    assert len(set(titles)) == len(titles)


def test_a_method_that_is_missing_from_the_records_of_training_is_refused(measured):
    specs = TABLES["ablation_training_cost"].costs("digits")
    (group,), _ = cost.load(measured(named=[], costs=specs)[0], specs)
    with pytest.raises(BadInput, match="'Learning-to-Cache, released'.*has no such method"):
        cost.claim([group[1:]])


def test_without_records_nothing_is_tested_and_every_claim_stands_on_the_page():
    judged = {claim.title: judge(claim, {}, {}).verdict for claim in paper_claims()}
    assert set(judged.values()) == {NOT_YET, NEEDS_GPUS}
    said = markdown(page({}, {}))
    assert all(f"## {title}: {verdict}" in said for title, verdict in judged.items())
    assert said.count("The paper: ") == len(judged) == 14


def test_the_page_says_how_much_of_the_paper_is_known():
    said = markdown(page({}, {}))
    assert "the paper's 23 tables and 17 figures we know the numbers of 6 tables and 2 fig" in said
    assert "of 6 (Table 1, Table 2," in said and "Of the other 17 tables we know nothing" in said


def test_a_claim_that_finds_no_rows_is_refused(groups, monkeypatch):
    """As after a method's renaming: no verdict drops out unseen."""
    there = groups("ablation_iepo_vs_mse")
    asked = claim("IEPO")
    other = replace(asked, parts=(replace(asked.parts[0], right="SDT + MSE loss"),))
    with pytest.raises(BadInput, match="claim: 'IEPO beats MSE'.*ablation_iepo_vs_mse has both"):
        judge(other, there, {})
    monkeypatch.setattr(verdicts, "paper_claims", lambda: [other])
    with pytest.raises(BadInput, match="SDT \\+ MSE loss"):
        page(there, {})


def test_other_findings_leave_out_what_is_said_above(groups):
    _, _, (_, headings, rows) = other_findings(groups("ablation_iepo_vs_mse"))
    titles = [row[0] for row in rows if row[0]]
    assert len(titles) == 4 and all(title.startswith("lambda") for title in titles)


def test_a_page_of_too_few_replicates_is_refused(groups):
    with pytest.raises(BadInput, match="One replicate: no ordering is claimed"):
        page(groups("ablation_refresh", seeds=1), {})


def test_claims_are_tested_by_methods_that_their_tables_have(groups):
    """Every part of every claim meets in each of its tables."""
    names = {name for asked in paper_claims() for part in asked.parts for name in part.tables}
    there = {}
    for name in sorted(names):
        there |= groups(name)
    for asked in paper_claims():
        for part in asked.parts:
            assert verdicts._cases(asked, part, there)


@pytest.mark.parametrize("table", ABLATIONS, ids=lambda table: table.name)
def test_every_question_of_an_ablation_meets_in_some_setting(table, measured):
    rows = table.rows("digits", "all", 1)
    found = found_in(load(*measured(named=rows)))
    for question in table.questions:
        assert any(s.line(question.left) and s.line(question.right) for s, _ in found), question
    assert all(len(setting.methods) > 1 for setting, _ in found)


def test_both_scales_answer_the_same_questions_side_by_side(groups):
    own = groups("table1")
    _, _, (_, headings, rows), *_ = scales.side_by_side(own, own)
    assert headings == list(scales.HEADINGS)
    assert len(rows) == len(CLOTHES["table1"].questions)
    assert all(row[1:3] == row[3:5] == row[5:] for row in rows)
    assert any(row[1] == "**holds**" and row[2].endswith(", 0, 0") for row in rows)
    assert scales.side_by_side(own, {}) == []


def test_the_smaller_scale_answers_also_for_the_settings_that_both_have(groups):
    own = groups("table1")
    both = {"table1": [group for group in own["table1"] if "T = 20" in group.name]}
    _, _, (_, _, rows), *_ = scales.side_by_side(own, both)
    assert all(row[3:5] == row[5:] for row in rows) and any(row[1:3] != row[3:5] for row in rows)


def test_the_age_of_a_feature_is_counted_from_the_step_that_computed_it():
    (name, mean), (_, oldest) = _ages([["11", "01", "00", "10"], ["11", "11", "01", "01"]]).items()
    assert name == "feature_age" and mean.tolist() == [(1 + 2 + 1 + 2) / 4, 1.5]
    assert oldest.tolist() == [2, 2]
    assert _ages([["11", "11"]])["feature_age"] is None
