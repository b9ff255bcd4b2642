"""The Python in the documentation runs, and its reference has every public name."""

import re
from pathlib import Path

import pytest

import nnc

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [path for path in sorted(DOCS.rglob("*.md")) if "```python" in path.read_text()]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_code_blocks_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        exec(compile(block, page.name, "exec"), names)


def test_the_reference_has_every_public_name():
    reference = "".join(path.read_text() for path in DOCS.glob("api/*.md"))
    named = set(re.findall(r"^\.\. auto\w+:: (?:[\w.]+\.)?(\w+)$", reference, re.MULTILINE))
    parts = {"initializers", "layers", "losses", "optimizers"}  # whose contents are named
    assert {*nnc.__all__, "MLPClassifier", "MLPRegressor"} - parts <= named
    for name in parts:
        assert {cls.__name__ for cls in getattr(nnc, name).KINDS.values()} <= named, name
