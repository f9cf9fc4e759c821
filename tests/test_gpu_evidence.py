"""The script that runs on a GPU machine, rehearsed at toy sizes on whatever is here."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tools/ is not part of the package

from harmonica.cli import command  # noqa: E402
from tools.gpu_evidence import __main__ as evidence  # noqa: E402
from tools.gpu_evidence import wheels  # noqa: E402
from tools.gpu_evidence.parts import PARTS, Sizes, run  # noqa: E402
from tools.gpu_evidence.report import write  # noqa: E402


@pytest.mark.parametrize("part", PARTS)
def test_every_item_of_every_part_runs(part, tmp_path, capsys):
    run(part, Sizes(tiny=True, repeats=2), tmp_path, 3600)
    items = json.loads((tmp_path / f"{part}.json").read_text())["items"]
    assert items and all(item.get("rows") for item in items.values()), items
    rows = [row for item in items.values() for row in item["rows"]]
    assert all(row.get("right", True) for row in rows)
    path = write(tmp_path, [part])
    assert sorted(tmp_path.iterdir()) == sorted([path, path.with_suffix(".md")])
    assert all(f"**{name}**" in path.with_suffix(".md").read_text() for name in items)
    assert PARTS[part].__doc__.splitlines()[0] in path.with_suffix(".md").read_text()


def test_what_fails_or_has_no_time_is_written_down_and_the_rest_goes_on(tmp_path, monkeypatch):
    def items(sizes):
        yield "broken", lambda: 1 / 0
        yield "whole", lambda: [{"figure": 1.0}]

    monkeypatch.setattr(PARTS["d"], "items", items)
    run("d", Sizes(tiny=True), tmp_path, 3600)
    items_ = json.loads((tmp_path / "d.json").read_text())["items"]
    assert "ZeroDivisionError" in items_["broken"]["failed"]
    assert items_["whole"]["rows"] == [{"figure": 1.0}]
    run("d", Sizes(tiny=True), tmp_path, -1)
    items_ = json.loads((tmp_path / "d.json").read_text())["items"]
    assert all("no time" in item["left_out"] for item in items_.values())
    markdown = write(tmp_path, ["d"]).with_suffix(".md").read_text()
    assert "left out: no time" in markdown


def test_mistakes_are_met_with_one_sentence(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        wheels.install(["--wheels", str(tmp_path)])
    assert "holds none; put those of diffusers" in capsys.readouterr().err
    assert command.run(evidence.main, ["--parts", "z"]) == 2
    assert "invalid choice: 'z'" in capsys.readouterr().err
