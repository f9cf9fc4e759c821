"""Run the notebooks of this folder from a clean state; save their outputs, without times."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from harmonica.errors import BadInput

from .document import write

FOLDER = Path(__file__).parent
NAMES = ("table1", "table2", "ablations", "figures", "cost")
TIMEOUT_S = 600
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def execute(results):
    """Execute the notebooks of this folder where `results` lie -> their paths. BadInput where a
    cell fails.
    """
    paths = [FOLDER / f"{name}.ipynb" for name in NAMES]
    return [write(path, executed(path, Path(results).resolve().parent)) for path in paths]


def executed(path, root):
    """The text of a notebook after its cells ran in the folder `root`. Only its sources are read:
    outputs of an earlier run make no difference.
    """
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata = {"kernelspec": KERNEL}
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT_S,
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(root)}},
    )
    # Without a folder of kernels, python3 is the interpreter that runs this.
    client.create_kernel_manager().kernel_spec_manager.kernel_dirs = []
    try:
        client.execute(cleanup_kc=True)
    except CellExecutionError as error:
        raise BadInput(f"notebook: {path.name}: {error.ename}: {error.evalue}") from None
    notebook.metadata.pop("language_info", None)  # the version of this machine's Python
    return nbformat.writes(notebook) + "\n"
