"""The notebook that compares with Keras lets it take part where it is installed."""

import nbformat
import pytest
from nbclient import NotebookClient
from test_notebooks import NOTEBOOKS

pytestmark = pytest.mark.peers


def test_keras_takes_part(tmp_path):
    (path,) = [path for path in NOTEBOOKS if path.stem == "03_numpy_keras_nnc"]
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    outputs = {cell.id: cell.get("outputs", []) for cell in notebook.cells}
    table = "".join(output.get("text", "") for output in outputs["times-table"])
    (accuracy,) = [line.split()[-1] for line in table.splitlines() if line.startswith("Keras")]
    assert float(accuracy) > 0.95
