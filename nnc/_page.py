"""Self-contained HTML pages: a template with its style, its script and its data in one file.

A page loads nothing, and its Content-Security-Policy makes sure of that. The templates are in
`nnc/pages`: ordinary pages, whose stylesheets and scripts lie beside them.
"""

from __future__ import annotations

import html
import json
import math
import os
import re
from importlib import resources
from pathlib import Path
from typing import Any

from nnc._arguments import Array

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"

_DATA = '<script type="application/json" id="data"></script>'
_STYLE = re.compile(r'<link rel="stylesheet" href="([\w./]+)">')
_SCRIPT = re.compile(r'<script src="([\w./]+)"></script>')
_TITLE = "<title></title>"


class Page:
    """An HTML page that needs nothing but itself.

    A notebook shows it as the value of a cell, in a frame that can reach neither the notebook nor
    the network.

    Parameters
    ----------
    text : str
        The whole page.
    title : str
        What the frame in a notebook is called.
    height : int
        The height of that frame, in pixels.

    Attributes
    ----------
    html : str
        The whole page.
    """

    def __init__(self, text: str, title: str, height: int) -> None:
        self.html = text
        self._title = title
        self._height = height

    def __repr__(self) -> str:
        """Return the title and the size."""
        return f"<Page {self._title!r}, {len(self.html.encode()):,} bytes>"

    def _repr_html_(self) -> str:
        """Return a frame with the page, which may run its script and nothing else."""
        return (
            f'<iframe title="{html.escape(self._title)}" sandbox="allow-scripts" '
            'allow="clipboard-write" '
            f'width="100%" height="{self._height}" style="border:0" '
            f'srcdoc="{html.escape(self.html)}"></iframe>'
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file, which any browser opens.

        Parameters
        ----------
        path : str or path-like
            The file; one that exists is overwritten.

        Raises
        ------
        OSError
            Where the file can't be written.
        """
        Path(path).write_text(self.html, encoding="utf-8")


def render(name: str, data: Any, *, title: str, height: int = 640, policy: str = POLICY) -> Page:
    """Return the page of the template ``pages/<name>.html``, with data for its script.

    The template's ``<link rel="stylesheet" href="…">`` and ``<script src="…"></script>`` become
    the contents of those files, its empty ``<title>`` the title, and its empty ``<script
    type="application/json" id="data">`` the data, in which nothing can end the script.

    Parameters
    ----------
    name : str
        The template.
    data : dict
        JSON values: dicts, lists, strings, finite numbers, booleans, None. For arrays there is
        `numbers`.
    title : str
        The title of the page.
    height : int
        The height in a notebook, in pixels.
    policy : str
        The page's Content-Security-Policy.

    Returns
    -------
    Page
        The page.
    """
    text = _read(f"{name}.html")
    text = _STYLE.sub(lambda match: f"<style>\n{_read(match[1])}</style>", text)
    text = _SCRIPT.sub(lambda match: f"<script>\n{_read(match[1])}</script>", text)
    values = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    text = text.replace(_TITLE, f"{head}\n<title>{html.escape(title)}</title>", 1)
    text = text.replace(_DATA, _DATA.replace("><", f">{values}<"), 1)
    return Page(text, title, height)


def numbers(array: Array) -> list[Any]:
    """Return an array as nested lists of decimals, the shortest that read back as its numbers.

    What JSON has no number for are "NaN", "Infinity" and "-Infinity": JavaScript's ``Number``
    takes them as they are, and so does Python's ``float``.
    """
    if array.ndim > 1:
        return [numbers(row) for row in array]
    return [_number(float(str(value))) for value in array]


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def read_bytes(name: str) -> bytes:
    """Return a file of nnc/pages."""
    return resources.files("nnc").joinpath("pages", name).read_bytes()


def _read(name: str) -> str:
    return read_bytes(name).decode("utf-8")
