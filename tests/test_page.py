"""Self-contained pages: what is put into a template, and what cannot get out of it."""

import json
import math
from html.parser import HTMLParser

import numpy as np
import pytest

from nnc import _page

TEMPLATE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title></title>
<link rel="stylesheet" href="look.css">
<script type="application/json" id="data"></script>
<script src="look.js"></script>
"""
FILES = {"look.html": TEMPLATE, "look.css": "p { color: red }\n", "look.js": "start();\n"}


class Elements(HTMLParser):
    """The text of each script, style and title, as a browser's parser finds them."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.found.append([tag, dict(attributes), ""])

    def handle_data(self, data):
        if self.found:
            self.found[-1][2] += data


@pytest.fixture
def render(monkeypatch):
    monkeypatch.setattr(_page, "_read", FILES.__getitem__)
    return lambda data, **options: _page.render("look", data, **{"title": "A look"} | options)


def test_style_script_data_and_title_are_put_in(render):
    found = Elements(render({"a": [1, None, "x"]}).html).found
    assert [tag for tag, _, _ in found] == [
        "html", "meta", "meta", "title", "style", "script", "script",
    ]  # fmt: skip
    assert found[2][1] == {
        "http-equiv": "Content-Security-Policy",
        "content": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'",
    }
    assert [text.strip() for _, _, text in found[3:]] == [
        "A look", "p { color: red }", '{"a":[1,null,"x"]}', "start();",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["</script><script>alert(1)</script>", "<!--<script>", "]]>", "<title></title>", "\u2028&"],
)
def test_no_data_ends_its_script(render, text):
    page = render({text: text}, title=text)
    found = Elements(page.html).found
    assert [tag for tag, _, _ in found][3:] == ["title", "style", "script", "script"]
    assert json.loads(found[5][2]) == {text: text}
    assert found[3][2].removesuffix("\n") == text


def test_what_json_lacks_is_refused(render):
    with pytest.raises(ValueError, match="JSON compliant"):
        render({"a": math.nan})


def test_a_notebook_shows_it_in_a_frame_that_may_only_run_scripts(render):
    page = render({}, title='"quoted" & <b>', height=333)
    ((tag, attributes, _),) = Elements(page._repr_html_()).found
    assert tag == "iframe"
    assert attributes["srcdoc"] == page.html
    assert attributes["sandbox"] == "allow-scripts"
    assert attributes["title"] == '"quoted" & <b>'
    assert attributes["height"] == "333"


def test_it_is_saved_as_utf_8(render, tmp_path):
    page = render({}, title="σ(Z)")
    page.save(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_bytes() == page.html.encode()
    assert repr(page) == f"<Page 'σ(Z)', {len(page.html.encode()):,} bytes>"
    with pytest.raises(FileNotFoundError):
        page.save(tmp_path / "missing" / "page.html")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_numbers_read_back_as_they_were(dtype):
    array = (np.random.default_rng(0).normal(size=(3, 4)) * 1e3).astype(dtype)
    text = json.dumps(_page.numbers(array))
    np.testing.assert_array_equal(np.array(json.loads(text)).astype(dtype), array)
    assert json.dumps(_page.numbers(np.array([np.float32(0.1)]))) == "[0.1]"


def test_numbers_that_json_lacks_are_strings():
    assert _page.numbers(np.array([math.nan, math.inf, -math.inf, -0.0])) == [
        "NaN", "Infinity", "-Infinity", 0,
    ]  # fmt: skip
