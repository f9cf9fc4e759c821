"""The page of verdicts follows from the records: other numbers, another verdict; what is not there
is not tested yet.
"""

import pytest

from analysis import cost
from analysis.compare import settings
from analysis.document import markdown
from analysis.paper_claims import paper_claims
from analysis.records import load
from analysis.tables import ABLATIONS, TABLES
from analysis.verdicts import NEEDS_GPUS, NOT_YET, UNDECIDED, VERDICTS, judge, page, together

GOOD = {
    "Learning-to-Cache, all pairs": 4.0,
    "Learning-to-Cache, released": 3.0,
    "SDT + MSE": 2.0,
    "HarmoniCa": 1.5,
}


@pytest.fixture
def groups(measured):
    """-> a function that gives {name: groups} of one table from invented records, on 3 base models
    x `seeds` noises.
    """

    def make(name, seeds=3, **levels):
        rows = TABLES[name].rows("digits", "all", seeds)
        return {name: load(*measured(levels=GOOD | levels, named=rows, folder=f"{name} {levels}"))}

    return make


def claim(words):
    (found,) = (claim for claim in paper_claims() if words in claim.title)
    return found


def test_a_record_decides_the_verdict(groups):
    sdt = claim("SDT beats")
    assert judge(sdt, groups("ablation_sdt_vs_standard"), None)[0] == "holds"
    assert (
        judge(sdt, groups("ablation_sdt_vs_standard", **{"SDT + MSE": 3.5}), None)[0]
        == "holds in part"
    )
    assert (
        judge(sdt, groups("ablation_sdt_vs_standard", **{"SDT + MSE": 5.0}), None)[0]
        == "does not hold"
    )
    unsure = groups(
        "ablation_sdt_vs_standard", **{"SDT + MSE": lambda model, noise: (1.0, 4.0, 9.0)[model]}
    )
    assert judge(sdt, unsure, None)[0] == UNDECIDED


def test_iepo_is_compared_with_mse_in_both_groups(groups):
    verdict, blocks = judge(claim("IEPO"), groups("ablation_iepo_vs_mse"), None)
    said = markdown(blocks)
    assert (
        verdict == "holds"
        and "last step reused, T = 10, CUR 50 %" in said
        and "IEPO against MSE, T = 10, CUR 50 %" in said
    )
    assert "CUR and quality" in said and "not tested yet; `make reproduce-ablations" in said
    assert "3 base models x 3 noises = 9 pairs (`make reproduce-ablations SEEDS=3`)" in said


def test_plain_baselines_that_win_are_said_beside_the_claim(groups):
    verdict, blocks = judge(
        claim("fewer steps"), groups("ablation_beta", fewer=9.0, fora=1.2), None
    )
    said = markdown(blocks)
    assert verdict == "holds" and "A plain baseline ahead of HarmoniCa: somewhere" in said
    assert (
        "CUR 50 %: FORA below HarmoniCa" in said
        and "CUR 60 %: FORA, interval 3 below HarmoniCa" in said
    )


@pytest.mark.parametrize(
    "seconds, verdict", [(1.0, "holds"), (2.0, "holds in part"), (3.0, "holds in part")]
)
def test_training_is_judged_by_images_and_time(measured, seconds, verdict):
    specs = TABLES["ablation_training_cost"].costs("digits")
    root, _ = measured(levels={"HarmoniCa": seconds}, named=[], costs=specs)
    costs, _ = cost.load(root, specs)
    made, blocks = judge(claim("image-free"), {}, costs)
    assert made == verdict and "900 training images" in markdown(blocks)
    assert [c.verdict for c in cost.claims(costs)] == [
        "holds",
        {1.0: "holds", 2.0: "undecided", 3.0: "does not hold"}[seconds],
    ]


def test_without_records_nothing_is_tested_and_every_claim_stands_on_the_page():
    judged = {claim.title: judge(claim, {}, None)[0] for claim in paper_claims()}
    assert set(judged.values()) == {NOT_YET, NEEDS_GPUS}
    said = markdown(page({}, None))
    assert all(f"## {title}: {verdict}" in said for title, verdict in judged.items())
    assert said.count("The paper: ") == len(judged) == 12


def test_one_verdict_for_several_tests():
    assert [
        together(words)
        for words in (
            ["holds", "holds"],
            ["holds", "does not hold"],
            ["undecided", "does not hold"],
            ["undecided"],
            ["nothing is claimed"],
            ["nothing is claimed", "holds"],
        )
    ] == ["holds", "holds in part", "does not hold", "undecided", "undecided", "holds"]
    assert {together([word]) for word in VERDICTS[:4]} == set(VERDICTS[:4])


def test_claims_are_tested_by_methods_that_their_tables_have():
    for asked in paper_claims():
        for name, pairs in asked.tests.items():
            methods = {row.method for row in TABLES[name].rows("digits", "all", 1)} | {
                "fewer steps",
                "uncached",
            }
            assert {method for pair in pairs for method in pair} <= methods


@pytest.mark.parametrize("table", ABLATIONS, ids=lambda table: table.name)
def test_every_comparison_of_an_ablation_meets_in_some_setting(table, measured):
    rows = table.rows("digits", "all", 1)
    found = [setting for group in load(*measured(named=rows)) for setting in settings(group)]
    for left, right, _ in table.comparisons:
        assert any(setting.compare(left, right) for setting in found), (left, right)
    assert all(len(setting.methods) > 1 for setting in found)
