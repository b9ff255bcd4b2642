"""The notebooks: executed from top to bottom, no cell failing; the committed ones show plots."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert [path.name for path in NOTEBOOKS] == [
        "01_from_scratch.ipynb",
        "02_plain_numpy_to_c.ipynb",
        "03_numpy_keras_nnc.ipynb",
        "04_activations_and_learning_rates.ipynb",
        "05_tabular.ipynb",
        "06_digits.ipynb",
        "07_inside_the_engine.ipynb",
        "08_reproducibility.ipynb",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_cell_runs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}})
    client.execute()
    errors = [
        output.get("text", output)
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "error" or output.get("name") == "stderr"
    ]
    assert not errors


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_committed_outputs_show_plots_and_no_errors(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3
    assert not any(output.output_type == "error" for output in outputs)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_section_has_a_chinese_heading(path):
    notebook = nbformat.read(path, as_version=4)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    sections = text.split("\n## ")[1:]
    assert len(sections) >= 4
    for section in sections:
        opening = "".join(section.splitlines()[:4])
        assert any("一" <= character <= "鿿" for character in opening), opening


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_end_are_exercises_with_solutions(path):
    notebook = nbformat.read(path, as_version=4)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    last = text.split("\n## ")[-1]
    assert "Exercises" in last.splitlines()[0]
    assert 2 <= last.count("**Exercise") <= 3
    assert last.count("*Solution.*") == last.count("**Exercise")
