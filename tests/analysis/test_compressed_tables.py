"""Tables of compressed models: bits and size beside the errors, and what is claimed of them."""

import csv
import io

import pytest

from analysis import table
from analysis.claims import claims
from analysis.compressed_tables import COMPRESSION, QUANTISATION
from analysis.paper_claims import paper_claims
from analysis.paper_numbers import REENACTED, coverage
from analysis.records import load
from analysis.verdicts import judge


@pytest.fixture
def groups(measured):
    """-> a function that gives the groups of a table from invented records over 3 replicates."""

    def make(which, rows="all", **levels):
        named = which.rows("digits", rows, 3)
        return load(*measured(named=named, levels=levels, folder=f"{which.name} {levels}"))

    return make


def test_bits_and_sizes_stand_beside_compressed_models_alone(groups, measured):
    own = list(csv.DictReader(io.StringIO(table.csv_text(groups(COMPRESSION), {}))))
    found = {row["method"]: (row["bits"], row["size_MB"], row["size_ratio"]) for row in own}
    assert found["HarmoniCa"] == found["DDIM"] == ("", "", "")
    assert found["Diff-Pruning"] == ("W32A32", "1", "4")
    assert {row["bits"] for row in own if row["method"] == "EfficientDM"} == {"W8A8", "W4A8"}
    assert "size_MB" not in table.csv_text(load(*measured()), {})


def claim(words):
    (found,) = (claim for claim in paper_claims() if words in claim.title)
    return found


def test_caching_against_compression_is_judged_by_errors(groups):
    asked = claim("beats compressing")
    for ours, verdict in ((1.0, "holds"), (9.0, "does not hold")):
        levels = {"HarmoniCa": ours, "Diff-Pruning": 2.0, "PTQ": 3.0, "EfficientDM": 4.0}
        found = {"compression": groups(COMPRESSION, **levels)}
        assert judge(asked, found, {}).verdict == verdict


def test_caching_with_quantisation_is_judged_by_what_it_adds(groups):
    asked = claim("together with quantisation")
    for cached, kept in ((1.01, "2 of 2"), (9.0, "0 of 2")):
        levels = {"EfficientDM": 1.0, "EfficientDM + HarmoniCa": cached}
        found = judge(asked, {"quantisation": groups(QUANTISATION, **levels)}, {})
        assert f"rFID in {kept[0]}" in found.sentence
        assert "rFID over EfficientDM, W8A8, at most 2.00" in found.headings


def test_questions_about_rows_that_only_all_has_are_left_out_of_the_core(groups):
    for which in (COMPRESSION, QUANTISATION):
        of_core, of_all = (claims(groups(which, rows), which) for rows in ("core", "all"))
        assert {one.title for one in of_core} < {one.title for one in of_all}
        assert len(of_all) == len(which.questions)


def test_what_is_re_enacted_is_counted_by_its_committed_records():
    assert "of 5 (" in coverage({"table1"}) and "no record is committed" in coverage({"table1"})
    assert "no record is committed" not in coverage({name for _, name in REENACTED.values()})
