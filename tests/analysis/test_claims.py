"""The sentences follow from the numbers: other numbers, other sentences; too few seeds, no
ordering.
"""

import re

import pytest

from analysis.claims import NOT_CLAIMED, claims, overall
from analysis.records import load
from analysis.tables import TABLE1, TABLE2
from experiments.table2 import BLOCKS

PLAIN, LEARNING_TO_CACHE, FORA, FEWER, LOSSLESS = range(5)


@pytest.fixture
def said(measured):
    """-> a function that gives the Claims of records with these levels of rFID."""

    def make(models=3, **levels):
        return claims(load(*measured(models, levels)), TABLE1)

    return make


def text(claim):
    return " ".join([claim.summary, *claim.findings])


def test_better_everywhere_holds(said):
    claim = said(sdt=1.5, ltc=2.0)[LEARNING_TO_CACHE]
    assert claim.verdict == "holds"
    assert "rFID is lower in 2 of 2 settings" in claim.summary
    assert "1.65 against 2.2, ratio 0.75" in text(claim) and "lower in 3 of 3 base models" in text(
        claim
    )


def test_swapped_numbers_swap_the_sentence(said):
    claim = said(sdt=2.0, ltc=1.5)[LEARNING_TO_CACHE]
    assert claim.verdict == "does not hold"
    assert "HarmoniCa lower" not in text(claim) and "Learning-to-Cache lower in rFID" in text(claim)


def test_an_interval_over_one_claims_no_ordering(said):
    claim = said(sdt=lambda model, noise: (1.0, 1.0, 3.0)[model], ltc=1.5)[LEARNING_TO_CACHE]
    assert claim.verdict == "undecided"
    assert "HarmoniCa lower" not in text(claim) and "Learning-to-Cache lower" not in text(claim)
    assert "undecided in rFID" in text(claim) and "lower in 2 of 3 base models" in text(claim)


def test_base_models_that_disagree_claim_no_ordering(said):
    """Two base models far ahead, one behind on average over its noises, yet the interval leaves out
    1.
    """
    third = (1.1, 1.5, 2.1)
    claim = said(
        sdt=lambda model, noise: third[noise] if model == 2 else 0.5, ltc=lambda model, noise: 1.5
    )[LEARNING_TO_CACHE]
    low, high = re.search(r"ratio \S+ \[(\S+), (\S+)\]", text(claim)).groups()
    assert float(high) < 1
    assert claim.verdict == "undecided" and "lower in 2 of 3 base models" in text(claim)


def test_fora_stands_for_the_released_form_at_half_reuse(said):
    claim = said(sdt=1.5, fora=1.2)[FORA]
    assert claim.verdict == "does not hold" and len(claim.findings) == 1
    assert "FORA lower in rFID" in text(claim) and "CUR 50 %" in text(claim)


def test_plain_baselines_that_win_are_said_first(said):
    first = said(fora=1.2)[PLAIN]
    assert first.verdict == "somewhere"
    assert any(
        finding.startswith("fake, T = 4, CUR 50 %: FORA below HarmoniCa in rFID")
        for finding in first.findings
    )
    assert not any("random below" in finding for finding in first.findings)


def test_nowhere_is_said_too(said):
    assert said(fewer=5.0)[PLAIN].verdict == "nowhere"


def test_fewer_steps_state_their_compute(said):
    claim = said(fewer=5.0)[FEWER]
    assert claim.verdict == "holds"
    assert "2.00x in theory against DDIM with 2 steps, 2.00x" in text(claim)


@pytest.mark.parametrize("models, reason", [(1, "one seed"), (2, "only 2 base models")])
def test_few_seeds_give_numbers_and_no_ordering(said, models, reason):
    for claim in said(models):
        assert claim.verdict == NOT_CLAIMED
        assert f"{reason}: no ordering is claimed".lower() in claim.summary.lower()
        for words in ("HarmoniCa lower", "Cache lower", "steps lower", "undecided"):
            assert words not in text(claim)
        assert "ratio" in text(claim) or "over uncached" in text(claim)


def test_nearly_lossless_needs_all_three_bounds(said):
    claim = said(sdt=1.05)[LOSSLESS]
    assert claim.verdict == "holds" and "2 of 2 settings" in claim.summary
    claim = said(sdt=1.5)[LOSSLESS]
    assert claim.verdict == "does not hold" and "0 of 2 settings" in claim.summary
    assert "FID over uncached 1.50 [1.50, 1.50] (not kept)" in text(claim)
    assert "rFID over its floor 1.50 [1.50, 1.50] (kept)" in text(claim)
    assert said(sdt=300.0)[LOSSLESS].verdict == "does not hold"


def test_overall_verdicts():
    words = {"l": "lower", "h": "higher", "o": "open"}
    assert {
        marks: overall([words[mark] for mark in marks])
        for marks in ("l", "lo", "llh", "lh", "oh", "o")
    } == {
        "l": "holds",
        "lo": "holds in part",
        "llh": "holds in part",
        "lh": "does not hold",
        "oh": "does not hold",
        "o": "undecided",
    }


class TestTable2:
    """Its rows are not of equal compute: every sentence says by how much, and what computes more
    may still win.
    """

    @pytest.fixture
    def said(self, measured, text_rows):
        def make(models=3, **levels):
            return claims(load(*measured(levels=levels, named=text_rows(models))), TABLE2)

        return make

    def test_unequal_compute_is_said_wherever_two_methods_meet(self, said):
        _, fewer, fora, _ = said()
        assert "2.27x in theory against DPM-Solver++ with 7 steps, 1.43x" in text(fewer)
        assert "2.27x in theory against FORA, 2.00x" in text(fora)

    def test_where_a_baseline_wins_is_said_first(self, said):
        first, fewer, fora, lossless = said(fora=1.2, fewer=1.2)
        assert first.verdict == "somewhere" and fewer.verdict == fora.verdict == "does not hold"
        assert "FORA below HarmoniCa in rFID" in text(
            first
        ) and "DPM-Solver++ with 7 steps below HarmoniCa" in text(first)
        assert "fewer steps lower in rFID" in text(fewer) and lossless.verdict == "does not hold"

    def test_an_interval_over_one_claims_nothing(self, said):
        first, fewer, *_ = said(sdt=lambda model, noise: (1.0, 1.0, 3.0)[model], fewer=1.5)
        assert fewer.verdict == "undecided" and first.verdict == "nowhere"

    def test_fewer_steps_of_a_sampler_that_draws_noise_are_not_compared_image_by_image(
        self, measured, text_rows
    ):
        groups = load(*measured(levels={"fewer": 9.0}, named=text_rows(3, block=BLOCKS[1])))
        _, fewer, fora, _ = claims(groups, TABLE2)
        assert (
            fewer.verdict == "holds"
            and "rFID" in text(fewer)
            and "x_0" not in " ".join(fewer.findings)
        )
        assert "x_0 error" in " ".join(fora.findings)
