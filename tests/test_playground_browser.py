"""The playground's page in Debian's chromium: it plays, it is quiet, its network is Python's."""

import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

import nnc

pytestmark = pytest.mark.browser

RNG = np.random.default_rng(11)
X = RNG.normal(size=(90, 3))
Y = np.array(["a", "b", "c"])[X.argmax(axis=1)]


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    assert chromium, "install Debian's chromium"
    with sync_playwright() as playwright:
        options = ["--no-sandbox"]  # which root has to do without
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, tmp_path):
    """A function that opens a page; nothing on it may complain or ask for anything."""
    heard, contexts = [], []

    def visit(playground, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        tab = context.new_page()
        path = tmp_path / "page.html"
        playground.save(path)
        tab.on("console", lambda message: heard.append(message.text))
        tab.on("pageerror", lambda error: heard.append(str(error)))
        tab.on("request", lambda request: heard.append(request.url))
        tab.goto(path.as_uri())
        assert heard.pop(0) == path.as_uri()
        tab.wait_for_selector("#play:not([disabled])")
        return tab

    yield visit
    for context in contexts:
        context.close()
    assert not [text for text in heard if not text.startswith("data:")]


def step(tab, epochs):
    for _ in range(epochs):
        tab.click("#step")


def wait_for(tab, condition):
    """Wait; the page's policy forbids that it looks itself, as playwright would have it."""
    deadline = time.monotonic() + 20
    while not tab.evaluate(condition):
        assert time.monotonic() < deadline, condition
        tab.wait_for_timeout(20)


def params(tab):
    return np.array(tab.evaluate("[...network.params]"))


def run_code(tab, tmp_path, X=None, y=None):
    """The parameters of the network that the page's code trains, where there is no FMA."""
    np.savez(tmp_path / "data.npz", X=X, y=y)
    code = f"import numpy\ndata = numpy.load({str(tmp_path / 'data.npz')!r}, allow_pickle=True)\n"
    code += "X, y = data['X'], data['y']\n" + tab.inner_text("#code")
    code += "\nimport json; print(json.dumps(network.engine.params.tolist()))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"NNC_ISA": "baseline"}, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return np.array(json.loads(result.stdout))


def test_it_plays_pauses_steps_and_resets(visit):
    tab = visit(nnc.playground())
    before, loss = params(tab), float(tab.inner_text("#loss"))
    tab.click("#play")
    wait_for(tab, "network.epochs >= 5")
    tab.click("#play")
    epochs = int(tab.inner_text("#epoch"))
    assert float(tab.inner_text("#loss")) < loss
    step(tab, 1)
    assert tab.inner_text("#epoch") == str(epochs + 1)
    assert f"epochs={epochs + 1}," in tab.inner_text("#code")
    tab.click("#reset")
    assert tab.inner_text("#epoch") == "0"
    assert params(tab).tobytes() == before.tobytes()


def test_a_hundred_epochs_are_pythons_to_the_bit(visit, tmp_path):
    tab = visit(nnc.playground())
    tab.select_option("#speed", "as fast as it can")
    tab.evaluate("train(99)")
    step(tab, 1)
    assert "epochs=100, batch_size=32" in tab.inner_text("#code")
    assert params(tab).tobytes() == run_code(tab, tmp_path).tobytes()


def test_so_is_a_network_that_was_changed_on_the_way(visit, tmp_path):
    tab = visit(nnc.playground(X, Y))
    tab.click("#more")
    tab.click("[aria-label='Layer 3: one unit more']")
    tab.select_option("[aria-label='Activation of Layer 1']", "gelu")
    tab.fill("#seed", "7")
    tab.press("#seed", "Tab")
    step(tab, 3)
    tab.select_option("#optimizer", "SGD, Nesterov 0.9")
    tab.select_option("#rate", "0.1")
    step(tab, 2)
    tab.select_option("#batch", "all 90")
    step(tab, 2)
    code = tab.inner_text("#code")
    for line in ('nnc.Dense(4, "gelu")', 'nnc.Dense(5, "tanh")', 'nnc.Dense(3, "softmax")'):
        assert line in code
    assert "network.optimizer = nnc.SGD(0.1, momentum=0.9, nesterov=True)" in code
    assert params(tab).tobytes() == run_code(tab, tmp_path, X, Y).tobytes()


def test_numbers_and_a_divergence(visit, tmp_path):
    y = X[:, 0] * X[:, 1]
    tab = visit(nnc.playground(X, y))
    step(tab, 3)
    for layer in ("Layer 1", "Layer 2"):
        tab.select_option(f"[aria-label='Activation of {layer}']", "identity")
    tab.select_option("#optimizer", "SGD")
    tab.select_option("#rate", "3")
    tab.select_option("#batch", "1")
    tab.click("#play")
    wait_for(tab, "diverged")
    assert "no longer finite" in tab.inner_text("#status")
    assert tab.is_disabled("#play")
    assert np.isfinite(params(tab)).all()
    assert params(tab).tobytes() == run_code(tab, tmp_path, X, y).tobytes()
    tab.click("#reset")
    assert tab.inner_text("#status") == ""
    assert tab.is_enabled("#play")


def test_it_is_worked_by_keys_alone(visit):
    tab = visit(nnc.playground(X, Y))
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    assert tab.inner_text("#epoch") == "1"
    tab.focus("[aria-label='Layer 1: one unit more']")
    tab.keyboard.press("Space")
    assert tab.evaluate("settings.hidden[0].units") == 5
    assert (
        tab.evaluate("document.activeElement.getAttribute('aria-label')")
        == "Layer 1: one unit more"
    )
    tab.focus("[aria-label='Layer 2, unit 3']")
    assert tab.inner_text("#plane-title") == "Layer 2, unit 3"
    assert tab.inner_text("#unit-text").startswith("Layer 2, unit 3: bias 0.00; weights ")
    tab.focus("#up")
    tab.select_option("#up", "x3")
    assert tab.get_attribute("#plane", "aria-label").startswith("Regions of the classes over x1")


def test_the_code_is_copied(visit):
    tab = visit(nnc.playground(X, Y), permissions=["clipboard-read", "clipboard-write"])
    tab.click("#copy")
    wait_for(tab, "document.getElementById('status').textContent !== ''")
    assert tab.evaluate("navigator.clipboard.readText()") == tab.text_content("#code")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 1200), ("light", 390)])
def test_pictures_have_colours_and_nothing_overflows(visit, scheme, width):
    size = {"width": width, "height": 900}
    tab = visit(nnc.playground(X, Y), color_scheme=scheme, viewport=size)
    step(tab, 2)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    colours = """[...document.querySelectorAll("#plane, #curves, #edges, .unit canvas")].map(
        (canvas) => new Set(new Uint32Array(canvas.getContext("2d").getImageData(
            0, 0, canvas.width, canvas.height).data.buffer)).size)"""
    counts = tab.evaluate(colours)
    assert counts[0] > 3  # edges
    assert max(counts) > 50
    ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(", "))) > 384) == (scheme == "light")
    assert len(tab.screenshot()) > 10_000


def test_a_notebooks_frame_runs_it(browser, tmp_path):
    path = tmp_path / "notebook.html"
    path.write_text(nnc.playground(X, Y)._repr_html_(), encoding="utf-8")
    tab = browser.new_page()
    tab.goto(path.as_uri())
    frame = tab.frames[1]
    frame.wait_for_selector("#play:not([disabled])")
    frame.click("#step")
    assert frame.inner_text("#epoch") == "1"
    frame.click("#copy")
    wait_for(frame, "document.getElementById('status').textContent !== ''")
    assert frame.inner_text("#status") == "The code is copied."
    tab.close()
