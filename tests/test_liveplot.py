"""LivePlot: how often it draws, by a clock that only pretends; what it shows, in a real kernel."""

import io

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

import nnc
from nnc import Network, liveplot
from nnc.liveplot import Budget, LivePlot

MOONS = nnc.datasets.tutorial_moons()
X, Y = MOONS.X_train.T, MOONS.Y_train.T


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def simulate(cost, epoch, seconds):
    """Train for so many seconds of epochs of equal length; return when it drew, and for how long.

    cost(i) is how long picture i takes; number 0 is the one before training.
    """
    clock = Clock()
    budget = Budget(clock)
    with budget.spend():
        clock.now += cost(0)
    budget.start()
    began, drawn, spent = clock.now, [], 0.0
    while clock.now - began - spent < seconds:
        clock.now += epoch
        if budget.allows():
            drawn.append(clock.now - began)
            with budget.spend():
                clock.now += cost(len(drawn))
            spent += cost(len(drawn))
    return np.array(drawn), spent / (clock.now - began)


@pytest.mark.parametrize("epoch", [1e-3, 0.1, 3.0])
@pytest.mark.parametrize("cost", [1e-4, 0.02, 0.2, 2.0])
def test_it_draws_as_often_as_it_may_and_no_more(cost, epoch):
    drawn, share = simulate(lambda i: cost, epoch, 100)
    assert share <= 0.03
    if len(drawn) > 1:
        assert np.diff(drawn).min() >= 0.25
    expected = 100 / (1 - share) / max(0.25, cost / 0.03, epoch)
    assert 0.75 * expected - 1 <= len(drawn) <= expected + 1


def test_it_adapts_to_what_a_picture_costs():
    slow_at_first, share = simulate(lambda i: 0.3 if i < 5 else 0.01, 0.01, 200)
    assert share <= 0.03
    assert np.diff(slow_at_first)[:3].min() > 9
    assert np.diff(slow_at_first)[6:].max() < 1
    slower, share = simulate(lambda i: 0.01 * 1.2**i, 0.01, 1000)
    assert share <= 0.031  # the last one may be dearer than the one before
    assert np.diff(slower)[-1] > 5


def network():
    return Network.from_sizes(2, 8, 1, output_activation="sigmoid", seed=0)


def fit(live, **options):
    """Train for ten epochs."""
    trained = network()
    trained.fit(X, Y, epochs=10, callbacks=live, **options)
    return trained


def test_a_picture_before_and_after_and_between_as_the_budget_says(monkeypatch):
    class Twice(Budget):
        asked = 0

        def allows(self):
            self.asked += 1
            return self.asked in (3, 7)

    monkeypatch.setattr(liveplot, "Budget", Twice)
    pictures = []
    live = LivePlot(X, Y, show=pictures.append)
    trained = fit(live)
    # one that lays the panels out, one before training, two in between, one at the end
    assert live.pictures == len(pictures) == 5
    assert live._budget.asked == 10
    images = [np.asarray(Image.open(io.BytesIO(picture))) for picture in pictures]
    assert all(image.shape == (240, 960, 4) for image in images)
    assert (images[0] == images[1]).mean() > 0.9
    assert (images[1] != images[4]).any(axis=2)[:, :600].sum() > 500  # there are curves now
    loss, accuracy, boundary = live._axes
    assert loss.lines[0].get_ydata().tolist() == trained.history["loss"]
    assert accuracy.lines[0].get_ydata().tolist() == trained.history["accuracy"]
    assert boundary.images[0].get_array().shape == (60, 60, 3)


def test_it_changes_nothing():
    plain = network()
    plain.fit(X, Y, epochs=10)
    for own, other in zip(
        fit(LivePlot(X, Y, show=len)).get_weights(), plain.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(own, other)


def test_panels_follow_what_there_is():
    live = LivePlot(show=len)
    fit(live, validation_split=0.1)
    assert [line.get_label() for line in live._axes[0].lines][:2] == ["loss", "val_loss"]
    assert len(live._axes) == 2
    regression = Network.from_sizes(2, 4, 1, seed=0)
    live = LivePlot(X, X[:, 0] * X[:, 1], show=len)
    regression.fit(X, X[:, :1], epochs=2, callbacks=live)
    assert live._axes[1].images[0].get_array().shape == (60, 60)
    assert live.pictures >= 3
    assert len(live._figure.axes) == 3  # the last is the scale of colours


def test_curves_have_few_points_and_the_last_epoch():
    live = LivePlot(show=len)
    network().fit(X, Y, epochs=1, callbacks=live)
    live._epochs = list(range(12_345))
    live._logs = [{"loss": float(epoch)} for epoch in live._epochs]
    history = live._thinned()
    assert 250 <= len(history.epoch) <= 500
    assert history.epoch[-1] == 12_344
    assert history["loss"] == history.epoch
    assert len(set(np.diff(history.epoch))) == 1


def test_refusals():
    with pytest.raises(RuntimeError, match=r"LivePlot: expected a Jupyter notebook.*or show=f"):
        fit(LivePlot())
    with pytest.raises(ValueError, match="X: expected two features, got 3"):
        LivePlot(np.ones((4, 3)))
    with pytest.raises(ValueError, match="X: expected samples with y"):
        LivePlot(y=Y)
    with pytest.raises(TypeError, match="show: expected a function"):
        LivePlot(show="file")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_in_a_notebook_one_picture_changes(tmp_path):
    code = """
import nnc
moons = nnc.datasets.tutorial_moons()
X, y = moons.X_train.T, moons.Y_train.T
network = nnc.Network.from_sizes(2, 8, 1, output_activation="sigmoid", seed=0)
live = nnc.LivePlot(X, y)
network.fit(X, y, epochs=20, callbacks=live)
print(live.pictures)
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": tmp_path}}).execute()
    outputs = notebook.cells[0].outputs
    assert [output.output_type for output in outputs] == ["display_data", "stream"]
    assert "image/png" in outputs[0].data
    assert int(outputs[1].text) >= 3
