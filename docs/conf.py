"""The documentation site, by Sphinx; docs/design.md says how to build it."""

import shutil
from pathlib import Path
from typing import Any

import nnc
from nnc.datasets import tutorial_architecture, tutorial_moons

HERE = Path(__file__).parent

project = "nnc"
version = release = nnc.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "numpydoc"]
root_doc = "index"
templates_path: list[str] = []
exclude_patterns = ["make_figure.py"]

html_theme = "furo"
html_title = "nnc"
html_copy_source = False
html_show_copyright = False

highlight_language = "none"  # of blocks that name none
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # notebooks hold their results, and tests/test_notebooks.py runs them

default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings say more: shapes
numpydoc_show_class_members = False

# Notebooks lie beside this folder, and Sphinx looks for pages below it.
shutil.copytree(HERE.parent / "notebooks", HERE / "notebooks", dirs_exist_ok=True)


def _escape(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Say that a quoted prefix such as 'val_' is no reference."""
    lines[:] = [line.replace("_'", "\\_'") for line in lines]


def _save_step(app: Any, exception: Exception | None) -> None:
    """Save the page that tutorial.md shows in a frame."""
    if exception or app.builder.format != "html":
        return
    moons, architecture = tutorial_moons(), tutorial_architecture(2, 4, 3, 1)
    params, _, _ = nnc.train(moons.X_train, moons.Y_train, architecture, 2000, 0.3, seed=0)
    X, y = moons.X_train.T[:6], moons.Y_train.T[:6]
    page = nnc.microscope((params, architecture), X, y, learning_rate=0.3)
    page.save(Path(app.outdir) / "step.html")


def setup(app: Any) -> None:
    """Connect to Sphinx."""
    app.connect("autodoc-process-docstring", _escape)
    app.connect("build-finished", _save_step)
