"""The notebooks: thin, small, executed from a clean state to the same bytes, and a failing cell is
one sentence.
"""

import json
import re

import nbformat
import pytest

from analysis import figures, index, notebook, notebooks, records
from analysis.tables import TABLES
from harmonica.errors import BadInput

ROOT = notebooks.FOLDER.parent
COMMITTED = [notebooks.FOLDER / f"{name}.ipynb" for name in notebooks.NAMES]


@pytest.fixture
def made(tmp_path):
    """-> a function that writes a notebook of one code cell, with what a run before may have left
    in it.
    """

    def make(source):
        cell = nbformat.v4.new_code_cell(
            source,
            id="only",
            execution_count=7,
            metadata={"execution": {"shell.execute_reply": "9"}},
            outputs=[nbformat.v4.new_output("stream", text="left over")],
        )
        path, language = tmp_path / "made.ipynb", {"name": "python", "version": "1"}
        nbformat.write(
            nbformat.v4.new_notebook(cells=[cell], metadata={"language_info": language}), path
        )
        return path

    return make


def test_cells_are_executed_anew_where_they_are_told_to_and_leave_no_times(made, tmp_path):
    path = made("import os, sys\nprint(os.getcwd(), sys.executable)")
    text = notebooks.executed(path, tmp_path)
    (cell,) = nbformat.reads(text, as_version=4).cells
    import sys

    assert (
        cell.outputs[0].text.split() == [str(tmp_path), sys.executable]
        and cell.execution_count == 1
    )
    assert "execution" not in cell.metadata and "language_info" not in text
    path.write_text(text)
    assert notebooks.executed(path, tmp_path) == text


def test_a_failing_cell_names_the_notebook_and_the_reason(made, tmp_path):
    with pytest.raises(BadInput, match="notebook: made.ipynb: ValueError: record 5 is missing"):
        notebooks.executed(made("raise ValueError('record 5 is missing')"), tmp_path)


@pytest.mark.parametrize("path", COMMITTED, ids=notebooks.NAMES)
def test_a_committed_notebook_is_thin_small_and_rendered(path):
    cells = nbformat.reads(path.read_text(), as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert path.stat().st_size < (
        1_000_000 if path.stem == "figures" else 150_000
    )  # one holds pictures
    assert all("torch" not in cell.source and len(cell.source.splitlines()) <= 3 for cell in code)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert all(cell.outputs for cell in code if not cell.source.startswith("from"))
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)
    assert "execution" not in json.dumps([cell.metadata for cell in cells])


@pytest.mark.parametrize("name", ("table1", "table2", "ablations"))
def test_a_notebook_explains_its_numbers_once_at_the_top(name):
    path = notebooks.FOLDER / f"{name}.ipynb"
    first, *others = _outputs(path)
    assert "Behind the numbers: 6 replicates. " in first and "95 % t interval" in first
    assert "A cell says who wins" in first
    assert not any("A cell says who wins" in text for text in others)
    assert not re.search(r"\d+ replicates", _sources(path))  # the records say how many


def test_the_number_of_replicates_is_that_of_the_records(measured, monkeypatch):
    (group,) = records.load(*measured(models=2))
    monkeypatch.setattr(notebook, "_there", lambda: [TABLES["table1"]])
    monkeypatch.setattr(notebook, "_groups", lambda definition: [group])
    assert notebook.about("table1").markdown.startswith("Behind the numbers: 2 replicates. ")


def test_the_index_links_the_notebook_of_each_ablation_that_has_one():
    cells = _sources(notebooks.FOLDER / "ablations.ipynb")
    assert tuple(re.findall(r'measured\("(\w+)"\)', cells)) == index.TOGETHER
    assert {*index.NOTEBOOKS.values()} == {*notebooks.NAMES} - {"figures"}


def test_every_picture_follows_the_sentence_of_its_kind_and_says_what_it_shows():
    path = notebooks.FOLDER / "figures.ipynb"
    explained, alts = set(), []
    for cell in nbformat.reads(path.read_text(), as_version=4).cells:
        explained |= {*re.findall(r'caption\("(\w+)"\)', cell.source)}
        for kind in re.findall(r'picture\("[\w-]+", "(\w+)"\)', cell.source):
            assert kind in explained
            alts.append(cell.outputs[0].metadata["image/png"]["alt"])
            assert alts[-1].endswith(figures.CAPTIONS[kind])
    assert len({*alts}) == len(alts) > 10


def test_every_picture_is_linked_in_both_formats():
    links = notebook.files().markdown
    drawn = [path.name for path in (ROOT / "results" / "figures").iterdir()]
    assert [name for name in drawn if f"(../results/figures/{name})" not in links] == []


def _outputs(path):
    cells = nbformat.reads(path.read_text(), as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    return [output.data["text/markdown"] for output in outputs]


def _sources(path):
    cells = nbformat.reads(path.read_text(), as_version=4).cells
    return "\n".join(cell.source for cell in cells)
