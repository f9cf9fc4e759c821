"""What is claimed follows from the numbers: other numbers, other verdicts; too few replicates, no
ordering.
"""

import re
from dataclasses import replace

import numpy as np
import pytest

from analysis.claims import COMPARED, claims, overall, why_not
from analysis.compare import LOSES, OPEN, WINS, settings
from analysis.records import load
from analysis.tables import TABLE1, TABLE2
from experiments.table2 import BLOCKS
from harmonica.errors import BadInput

PLAIN, PUBLISHED, ALL_PAIRS, FEWER, LOSSLESS = range(5)
SETTING, AGAINST, SPEEDS, RFID, X0 = range(5)


@pytest.fixture
def said(measured):
    """-> a function that gives the Claims of records with these levels of rFID."""

    def make(models=3, **levels):
        return claims(load(*measured(models, levels, scale="digits")), TABLE1)

    return make


def test_better_everywhere_holds(said):
    claim = said(sdt=1.5, ltc=2.0, fora=2.5)[PUBLISHED]
    assert claim.verdict == "holds" and claim.marks == (WINS,) * 4
    assert "HarmoniCa has the lower rFID in 2 of 2 settings" in claim.sentence
    assert claim.headings == COMPARED and len(claim.rows) == 2
    assert claim.rows[0][RFID] == "**wins** 0.75 [0.75, 0.75], 3 of 3"


def test_the_published_form_is_fora_at_half_reuse(said):
    claim = said(sdt=1.5, ltc=2.0, fora=1.2)[PUBLISHED]
    assert [(row[SETTING], row[AGAINST]) for row in claim.rows] == [
        ("fake, T = 4, CUR 37.5 %", "Learning-to-Cache, released"),
        ("fake, T = 4, CUR 50 %", "FORA"),
    ]
    assert claim.rows[0][RFID].startswith("**wins**")
    assert claim.rows[1][RFID].startswith("**loses**")
    own = said(sdt=1.5, ltc=2.0)[ALL_PAIRS]
    assert [row[AGAINST] for row in own.rows] == ["Learning-to-Cache, all pairs"]


def test_swapped_numbers_swap_the_verdict(said):
    claim = said(sdt=2.0, ltc=1.5)[ALL_PAIRS]
    assert claim.verdict == "does not hold" and set(claim.marks) == {LOSES}


def test_an_interval_over_one_claims_no_ordering(said):
    claim = said(sdt=lambda model, noise: (1.0, 1.0, 3.0)[model], ltc=1.5)[ALL_PAIRS]
    assert claim.verdict == "undecided" and set(claim.marks) == {OPEN}
    assert re.fullmatch(r"open \S+ \[\S+, \S+\], 2 of 3", claim.rows[0][RFID])


def test_an_ordering_is_claimed_where_the_interval_leaves_out_1_though_one_replicate_disagrees(
    said,
):
    claim = said(
        6,
        sdt=lambda model, noise: 1.55 if model == 5 else 0.7 + 0.1 * model,
        ltc=lambda model, noise: 1.5,
    )
    cell = claim[ALL_PAIRS].rows[0][RFID]
    assert claim[ALL_PAIRS].verdict == "holds" and re.search(r"\*\*wins.* 5 of 6$", cell)


def test_plain_baselines_that_win_come_first(said):
    first = said(fora=1.2, fewer=9.0, search=1.0)[PLAIN]
    assert first.verdict == "somewhere" and set(first.marks) == {WINS, LOSES}
    assert [row[0] for row in first.rows] == ["FORA", "FORA"]  # over either trained method
    assert all(row[1] == "fake, T = 4, CUR 50 %" for row in first.rows)
    assert all(row[1 + RFID].startswith("**wins**") for row in first.rows)


def test_nowhere_is_said_too(said):
    first = said(fewer=5.0)[PLAIN]
    assert first.verdict == "nowhere" and not first.rows and "in 0 of" in first.sentence


def test_fewer_steps_state_their_compute(said):
    claim = said(fewer=5.0)[FEWER]
    assert claim.verdict == "holds"
    assert claim.rows[-1][AGAINST : SPEEDS + 1] == ("DDIM, 2 steps", "2.00x / 2.00x")


@pytest.mark.parametrize("models, reason", [(1, "One replicate"), (2, "Only 2 replicates")])
def test_few_replicates_claim_no_ordering(measured, models, reason):
    groups = load(*measured(models, scale="digits"))
    assert why_not(groups) == f"{reason}: no ordering is claimed."
    assert why_not(load(*measured(3, scale="digits", folder="three"))) == ""


def test_smoke_scale_claims_no_ordering_over_any_number_of_replicates(measured):
    assert "Smoke scale" in why_not(load(*measured(3)))


def test_nearly_lossless_needs_all_three_bounds(said):
    claim = said(sdt=1.05)[LOSSLESS]
    assert claim.verdict == "holds" and "in 2 of 2 settings" in claim.sentence
    claim = said(sdt=1.5)[LOSSLESS]
    assert claim.verdict == "does not hold" and "in 0 of 2 settings" in claim.sentence
    assert "**broken** 1.50 [1.50, 1.50]" in claim.rows[0]
    assert "**kept** 1.50 [1.50, 1.50]" in claim.rows[0]  # rFID may be twice its floor
    assert said(sdt=300.0)[LOSSLESS].verdict == "does not hold"


def test_a_claim_holds_in_part_where_half_is_decided_and_more_won_than_lost():
    words = {"w": WINS, "l": LOSES, "o": OPEN}
    given = ("w", "wo", "wwl", "woo", "wooll", "wl", "ol", "o")
    assert {marks: overall([words[mark] for mark in marks]) for marks in given} == {
        "w": "holds",
        "wo": "holds in part",
        "wwl": "holds in part",
        "woo": "undecided",
        "wooll": "does not hold",
        "wl": "does not hold",
        "ol": "does not hold",
        "o": "undecided",
    }


def test_a_question_that_finds_no_rows_is_refused(measured):
    """A method renamed in the question, or in the experiment."""
    groups = load(*measured(3, scale="digits"))
    question = replace(TABLE1.questions[0], right="Learning-to-Cache, relased")
    with pytest.raises(BadInput, match="no setting of Table 1 has both 'HarmoniCa' and 'Learning"):
        claims(groups, replace(TABLE1, questions=(question,)))


def test_a_row_whose_method_is_not_listed_is_refused(measured, rows):
    renamed = [
        replace(row, method="HarmoniKa") if row.method == "HarmoniCa" else row for row in rows()
    ]
    root, _ = measured(named=renamed)
    with pytest.raises(BadInput, match="method: 'HarmoniKa'.*analysis/methods.py"):
        load(root, renamed)


class TestTable2:
    """Its rows are not of equal compute: every line says by how much, and what computes more may
    still win.
    """

    @pytest.fixture
    def said(self, measured, text_rows):
        def make(models=3, **levels):
            named = text_rows(models, scale="digits")
            return claims(load(*measured(levels=levels, named=named)), TABLE2)

        return make

    def test_unequal_compute_is_said_wherever_two_methods_meet(self, said):
        _, papers, fewer, fora, *_ = said()
        assert papers.rows[0][AGAINST : SPEEDS + 1] == ("DPM-Solver++, 7 steps", "2.27x / 1.43x")
        assert fewer.rows[0][AGAINST : SPEEDS + 1] == ("DPM-Solver++, 5 steps", "2.27x / 2.00x")
        assert fora.rows[0][AGAINST : SPEEDS + 1] == ("FORA", "2.27x / 2.00x")

    def test_where_a_baseline_wins_comes_first(self, said):
        first, papers, fewer, fora, lossless, *_ = said(fora=1.2, fewer=1.2, search=1.0)
        assert first.verdict == "somewhere"
        assert papers.verdict == fewer.verdict == fora.verdict == "does not hold"
        assert {row[0] for row in first.rows} == {"FORA", "DPM-Solver++, 5 steps"}
        assert lossless.verdict == "does not hold"

    def test_our_own_rows_are_marked_as_ours(self, said):
        ours = [
            claim for claim in said(search=1.0, refitted=0.9) if "not the paper's" in claim.title
        ]
        assert len(ours) == 4 and {claim.verdict for claim in ours} == {"holds"}

    def test_an_interval_over_one_claims_nothing(self, said):
        first, _, fewer, *_ = said(sdt=lambda model, noise: (1.0, 1.0, 3.0)[model], fewer=1.5)
        assert fewer.verdict == "undecided" and first.verdict == "nowhere"

    def test_fewer_steps_of_a_sampler_that_draws_noise_are_not_compared_image_by_image(
        self, measured, text_rows
    ):
        named = text_rows(3, block=BLOCKS[1], scale="digits")
        groups = load(*measured(levels={"fewer": 9.0}, named=named))
        _, _, fewer, fora, *_ = claims(groups, TABLE2)
        assert fewer.verdict == "holds" and len(fewer.marks) == 1
        assert fewer.rows[0][X0] == "" and fora.rows[0][X0] != ""


def test_methods_that_are_new_enter_settings_by_their_names(measured, rows):
    """A row without a CUR of its own counts where it happens to have the setting's."""
    fora = next(row for row in rows() if row.method == "FORA")
    (group,) = load(*measured())
    (line,) = [line for line in group.lines if line.row.method == fora.method]
    new = replace(line, row=replace(fora, method="FORA + Taylor"))
    found = settings(replace(group, lines=(*group.lines, new)))
    assert ["FORA + Taylor" in setting.methods for setting in found] == [True, False]


@pytest.mark.parametrize("met, compared", [(78.0, True), (70.0, False)])
def test_a_row_that_misses_its_share_is_not_compared_at_it(measured, rows, met, compared):
    """SmoothCache reuses for three steps at most, so it cannot skip as much as others."""
    fora = next(row for row in rows() if row.method == "FORA")
    (group,) = load(*measured())
    (line,) = [line for line in group.lines if line.row.method == fora.method]
    missed = {**line.values, "cur_percent": np.full_like(line.values["cur_percent"], met)}
    new = replace(line, row=replace(fora, method="SmoothCache", cur_percent=80), values=missed)
    found = settings(replace(group, lines=(*group.lines, new)))
    at_80 = next(setting for setting in found if setting.cur == 80)
    assert ("SmoothCache" in at_80.methods) == compared
