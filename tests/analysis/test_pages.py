"""Pages quote what records give: an altered number is found, put right, and fails `make paper`."""

import re
import shutil
from pathlib import Path

import pytest

from analysis import committed, findings, pages
from analysis.__main__ import main
from analysis.records import artefacts, load
from analysis.tables import COMMITTED, TABLE1
from harmonica.errors import BadInput

ROOT = Path(__file__).resolve().parents[2]
MADE = {"one": "| a |\n| --- |\n| 0.25 |", "two": "- " + "seven words " * 20 + "0.5"}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A checkout with two pages, filled."""
    monkeypatch.setattr(pages, "_made", lambda results: MADE)
    monkeypatch.setattr(pages, "PAGES", ("README.md", "other.md"))
    for page, name in zip(pages.PAGES, MADE):
        (tmp_path / page).write_text(f"# Title\n\n<!-- made: {name} -->\n<!-- end -->\n\nWords.\n")
    assert len(pages.fill(tmp_path)) == 2
    return tmp_path


def test_a_filled_page_stays_as_it_is(root):
    assert pages.stale(root) == {} and pages.fill(root) == []
    lines = (root / "other.md").read_text().splitlines()
    assert max(map(len, lines)) <= pages.WIDTH and lines[-1] == "Words."


def test_an_altered_number_is_found_and_put_right(root):
    page = root / "README.md"
    before = page.read_text()
    page.write_text(before.replace("0.25", "0.24"))
    assert pages.stale(root) == {page: before}
    assert pages.fill(root) == [page] and page.read_text() == before


@pytest.mark.parametrize("name", ["three", "two"])
def test_a_block_that_nothing_makes_and_one_that_stands_nowhere_are_refused(root, name):
    page = root / "README.md"
    page.write_text(page.read_text().replace("made: one", f"made: {name}"))
    with pytest.raises(BadInput, match="blocks of pages"):
        pages.stale(root)


def test_paper_fails_where_a_page_had_to_be_put_right(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(committed, "render", lambda results: ([], "rendered"))
    for changed, code in (([tmp_path / "README.md"], 2), ([], 0)):
        monkeypatch.setattr(pages, "fill", lambda root: changed)
        assert main(["paper"]) == code
    assert "README.md quoted numbers that the records do not give" in capsys.readouterr().err


def test_what_can_be_told_apart_follows_from_the_spread(measured):
    def said(*levels):
        spread = {"sdt": lambda model, noise: levels[model]}
        groups = {"table1": load(*measured(3, spread, scale="digits", folder=str(levels[0])))}
        assert set(groups) == {TABLE1.name}
        return findings.power(groups, None)

    assert "| 6 replicates |" in said(1.0, 1.1, 1.3) != said(1.5, 3.0, 9.0)


def test_every_block_is_made_of_records(measured, monkeypatch):
    needed = {name for _, *tables in pages.BLOCKS.values() for name in tables}
    rows = {t: t.rows(t.scale, t.committed, 1) if t.key in needed else [] for t in COMMITTED}
    root, _ = measured(named=[row for own in rows.values() for row in own])
    shutil.copytree(ROOT / "results" / "bench", root / "bench")
    monkeypatch.setattr(committed, "rows", rows.__getitem__)
    monkeypatch.setattr(committed, "artefacts", lambda table: artefacts(rows[table]))
    monkeypatch.setattr(committed, "check", lambda results: None)
    made = pages._made(root)
    assert set(made) == set(pages.BLOCKS) and all(made.values())
    assert pages.NOT_YET not in made.values()
    assert "| HarmoniCa | 50 | 1.5 | 0.15 |" in made["table 1, half reused"]
    assert made["headline"].startswith(
        "| settings of the digits (DiT and PixArt, T = 6 to 20) | HarmoniCa | Search (ours) |"
    )
    assert "half of all blocks skipped (8 settings) | 1 | 0.8 to 0.8 |" in made["headline"]
    said = r"has a smaller x_0 error \| (\d+) of (?:the )?(\d+)"
    ahead, compared = map(int, re.search(said, made["headline"]).groups())
    assert 0 < ahead <= compared
    everywhere = made["frontier, every setting"].splitlines()
    assert everywhere[0].startswith("| x_0 error at CUR 50 % | DiT-digits 16 tokens, T = 20 |")
    assert [line for line in everywhere if line.startswith("| HarmoniCa | 0.15 | 0.15 |")]
