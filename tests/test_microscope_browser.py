"""The microscope's page in a browser: each stage is opened, and each number asked where it is from.

Needs Debian's chromium.
"""

import html
import json
import math
import re
import shutil
import subprocess

import numpy as np
import pytest

from nnc import SGD, BatchNorm, Dense, Dropout, LayerNorm, Network, microscope

pytestmark = pytest.mark.browser

# A reader's way through the page: what it sees, or what went wrong, is left in the page.
SCRIPT = """
<script>
  const seen = [];
  try {{
    {way}
  }} catch (error) {{
    seen.push(String(error.stack));
  }}
  document.body.dataset.seen = JSON.stringify(seen);
</script>
"""

# Opens all stages, and points at each number that is computed there.
TO_ALL_NUMBERS = """
    for (const button of document.querySelectorAll("#map button")) {
      button.click();
      const heading = document.getElementById("heading").textContent;
      for (const section of document.querySelectorAll("section")) {
        const result = section.querySelector("table");
        const told = [...result.querySelectorAll("td")].map((cell) => {
          cell.dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
          const marked = [...section.querySelectorAll("table")].slice(1).map(
            (table) => [...table.querySelectorAll(".marked")].map((cell) => cell.textContent));
          return [cell.textContent, document.getElementById("told").textContent, marked];
        });
        seen.push([heading, section.querySelector("h3").textContent, result.dataset.name, told]);
      }
    }
"""

# Walks through the first matrix by keys, then steps through the stages, and changes the colours.
BY_KEYS_AND_BUTTONS = """
    document.querySelector("td").focus();
    for (const key of ["ArrowRight", "ArrowDown", "End", "ArrowRight", "Home", "ArrowUp"]) {
      const press = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
      document.activeElement.dispatchEvent(press);
      const { row, column } = document.activeElement.dataset;
      const stops = document.querySelectorAll('td[tabindex="0"]');
      seen.push([Number(row), Number(column), stops.length]);
    }
    const heading = document.getElementById("heading");
    for (const id of ["next", "next", "back"]) {
      document.getElementById(id).click();
      seen.push(heading.textContent);
    }
    for (let i = 0; i < 2; i++) {
      document.getElementById("theme").click();
      seen.push(getComputedStyle(document.body).backgroundColor);
    }
"""


def read_in_browser(page, way, folder):
    """What the script that goes that way has seen."""
    path = folder / "page.html"
    path.write_text(page.html + SCRIPT.format(way=way))
    command = [
        shutil.which("chromium") or "chromium", "--headless", "--no-sandbox", "--disable-gpu",
        f"--user-data-dir={folder / 'profile'}", "--dump-dom", path.as_uri(),
    ]  # fmt: skip
    out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    (seen,) = re.findall(r'data-seen="(.*?)"', out)
    return json.loads(html.unescape(seen))


def number(text):
    return float(text.replace("−", "-"))


def arithmetic(text):
    """What a reader computes from an explanation such as "(0.5 · 2 + (−1) · 3) / 2"."""
    return eval(text.replace("·", "*").replace("−", "-"), {"__builtins__": {}})


NETWORKS = {
    "tutorial": ([Dense(4, "relu"), Dense(3, "tanh"), Dense(1, "sigmoid")], SGD(0.5)),
    "mixed": (
        [LayerNorm(), Dense(4, "gelu"), BatchNorm(), Dropout(0.4), Dense(2, bias=False)],
        "adam",
    ),
    "dropout first": ([Dropout(0.2), Dense(3, "softsign"), Dense(2, "softmax")], SGD(0.1, 0.9)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_explanations_compute_to_the_numbers(name, tmp_path):
    layers, optimizer = NETWORKS[name]
    net = Network(layers, 2, optimizer=optimizer, seed=3, dtype="float64")
    random = np.random.default_rng(1)
    y = random.normal(size=(5, 2)) if name == "mixed" else random.integers(0, 2, 5)
    page = microscope(net, random.normal(size=(5, 2)), y)
    seen = read_in_browser(page, TO_ALL_NUMBERS, tmp_path)
    assert not any(isinstance(entry, str) for entry in seen), seen
    # dropout has no parameters to update, and before the first layer none to go back to
    dropouts = [i for i, layer in enumerate(layers) if isinstance(layer, Dropout)]
    stages = 3 * len(layers) - len(dropouts) - dropouts.count(0)
    assert len({heading for heading, *_ in seen}) == stages
    computed = 0
    for heading, _, result, told in seen:
        for cell, explanation, marked in told:
            left, *middle, right = explanation.split(" = ")
            assert left.startswith(f"{result}["), heading
            assert math.isclose(number(cell), number(right), rel_tol=5.1e-3, abs_tol=1e-300)
            assert any(marked)
            (text,) = middle
            if not re.search(r"[a-zŶ]", text):
                scale = max(abs(number(n)) for n in re.findall(r"\d[\d.]*(?:e−?\d+)?", text))
                assert abs(arithmetic(text) - number(right)) <= 0.03 * max(scale, scale**2)
                computed += 1
    assert computed > 100


def test_keys_and_buttons(tmp_path):
    net = Network([Dense(3, "relu"), Dense(1, "sigmoid")], 2, seed=0)
    page = microscope(net, np.eye(2), [0, 1])
    seen = read_in_browser(page, BY_KEYS_AND_BUTTONS, tmp_path)
    # Z1 has 3 rows and 2 columns; one cell of each of the 6 matrices is in the order of Tab
    places = [(0, 1), (1, 1), (1, 1), (1, 1), (1, 0), (0, 0)]
    assert seen[:6] == [[row, column, 6] for row, column in places]
    assert seen[6:9] == [
        "Forward, layer 2: Dense, 3 to 1, sigmoid",
        "Backward, layer 2: Dense, 3 to 1, sigmoid",
        "Forward, layer 2: Dense, 3 to 1, sigmoid",
    ]
    assert seen[9:] == ["rgb(21, 25, 30)", "rgb(255, 255, 255)"]
