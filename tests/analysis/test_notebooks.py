"""The notebooks: thin, small, executed from a clean state to the same bytes, and a failing cell is
one sentence.
"""

import json

import nbformat
import pytest

from analysis import notebooks
from harmonica.errors import BadInput

COMMITTED = [notebooks.FOLDER / f"{name}.ipynb" for name in notebooks.NAMES]


@pytest.fixture
def notebook(tmp_path):
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


def test_cells_are_executed_anew_where_they_are_told_to_and_leave_no_times(notebook, tmp_path):
    path = notebook("import os, sys\nprint(os.getcwd(), sys.executable)")
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


def test_a_failing_cell_names_the_notebook_and_the_reason(notebook, tmp_path):
    with pytest.raises(BadInput, match="notebook: made.ipynb: ValueError: record 5 is missing"):
        notebooks.executed(notebook("raise ValueError('record 5 is missing')"), tmp_path)


@pytest.mark.parametrize("path", COMMITTED, ids=notebooks.NAMES)
def test_a_committed_notebook_is_thin_small_and_rendered(path):
    notebook = nbformat.reads(path.read_text(), as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert path.stat().st_size < (
        1_000_000 if path.stem == "figures" else 150_000
    )  # one holds pictures
    assert all("torch" not in cell.source and len(cell.source.splitlines()) <= 3 for cell in code)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert all(cell.outputs for cell in code if not cell.source.startswith("from"))
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)
    assert "execution" not in json.dumps([cell.metadata for cell in notebook.cells])
