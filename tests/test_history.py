"""What a training recorded: the mapping, the best epoch, and how it is shown."""

import importlib
import math
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from nnc.history import History, sparkline


@pytest.fixture
def history():
    result = History({"epochs": 4, "batch_size": 8})
    for epoch, (loss, val_loss, accuracy) in enumerate([(3, 4, 0.5), (2, 1, 0.9), (1, 2, 0.7)]):
        logs = {"loss": loss, "val_loss": np.float32(val_loss), "accuracy": accuracy, "lr": 0.1}
        result.append(epoch, logs)
    return result


def test_it_is_a_mapping_of_lists(history):
    assert dict(history) == {
        "loss": [3, 2, 1], "val_loss": [4, 1, 2], "accuracy": [0.5, 0.9, 0.7], "lr": [0.1] * 3
    }  # fmt: skip
    assert all(type(value) is float for value in history["val_loss"])
    assert history.epoch == [0, 1, 2]
    assert history.params == {"epochs": 4, "batch_size": 8}
    assert history.stopped_by == ""
    assert history.history["loss"] is history["loss"]
    assert "loss" in history
    assert "los" not in history
    assert history.get("los") is None
    assert len(history) == 4
    with pytest.raises(KeyError, match="did you mean 'accuracy'"):
        history["acuracy"]


def test_keys_may_come_and_stay_away(history):
    history.append(5, {"loss": 0.5, "f1": 0.25})
    assert history.epoch == [0, 1, 2, 5]
    np.testing.assert_array_equal(history["val_loss"], [4, 1, 2, math.nan])
    np.testing.assert_array_equal(history["f1"], [math.nan] * 3 + [0.25])


def test_the_best_epoch(history):
    assert (history.monitor, history.best_epoch, history.best_score) == ("val_loss", 1, 1.0)
    history.append(3, {"loss": 0, "val_loss": 1})
    history.append(4, {"loss": 0, "val_loss": math.nan})
    assert history.best_epoch == 1  # the first of equal ones
    history.set_best(2, "accuracy")
    assert (history.monitor, history.best_epoch, history.best_score) == ("accuracy", 2, 0.7)
    with pytest.raises(ValueError, match="epoch: expected one of the 5 epochs, got 9"):
        history.set_best(9)


def test_the_best_epoch_knows_directions():
    for keys, expected in [
        ({"monitor": "accuracy"}, 1),
        ({"monitor": "mae"}, 0),
        ({"monitor": "mine"}, 0),
        ({"monitor": "mine", "larger_is_better": True}, 1),
        ({}, 0),
    ]:
        history = History(**keys)
        for epoch, value in enumerate([0.25, 0.75, 0.5]):
            history.append(epoch, dict.fromkeys(["loss", "accuracy", "mae", "mine"], value))
        assert history.best_epoch == expected


def test_an_empty_one():
    history = History()
    assert (history.best_epoch, history.best_score, len(history)) == (None, None, 0)
    assert repr(history) == "History(no epochs)"
    ElementTree.fromstring(history._repr_html_())
    with pytest.raises(ValueError, match="at least one epoch"):
        history.plot()
    only_nan = History()
    only_nan.append(0, {"loss": math.nan})
    assert (only_nan.best_epoch, only_nan.best_score) == (None, None)
    assert repr(only_nan) == "History(1 epoch; last loss=nan)"


def test_repr(history):
    assert repr(history) == (
        "History(3 epochs; best val_loss=1 at epoch 1; last loss=1, val_loss=2, accuracy=0.7)"
    )


def test_html(history):
    history.stopped_by = "EarlyStopping: <b>"
    history.append(3, {"<script>&": 1})
    text = history._repr_html_()
    table = ElementTree.fromstring(text)  # well-formed, and nothing unescaped
    rows = {row[0].text: [cell.text for cell in row[1:4]] for row in table.find("tbody")}
    assert rows["val_loss"] == ["4", "1 (1)", "nan"]
    assert rows["accuracy"] == ["0.5", "0.9 (1)", "nan"]
    assert rows["lr"] == ["0.1", None, "nan"]
    assert "<script>&" in rows
    assert "stopped by EarlyStopping: <b>" in table.find("caption").text
    assert not re.search("<script|<b>", text)


def test_html_stays_small():
    history = History()
    for epoch in range(20_000):
        history.append(epoch, {"loss": 1 / (1 + epoch), "accuracy": epoch})
    assert len(history._repr_html_()) < 6_000


def path_of(svg):
    path = ElementTree.fromstring(svg)[0]
    assert path.get("stroke") == "currentColor"  # of a light page or a dark one
    points = [part.split() for part in re.split("[ML]", path.get("d")) if part]
    return path.get("d"), np.array(points, float)


def test_sparkline():
    d, points = path_of(sparkline([0, 1, 0.5], 120, 24))
    assert re.sub("[^ML]", "", d) == "MLL"
    np.testing.assert_allclose(points, [[1, 22], [60, 2], [119, 12]])
    d, points = path_of(sparkline([0, math.nan, 1, math.inf, 1]))
    assert re.sub("[^ML]", "", d) == "MMM"
    assert len(path_of(sparkline([3, 3]))[1]) == 2
    assert sparkline([]) == sparkline([math.nan]) == ""
    _, points = path_of(sparkline([-1.7e308, 1.7e308]))
    np.testing.assert_allclose(points[:, 1], [22, 2])
    _, points = path_of(sparkline(list(range(100_000))))
    assert len(points) <= 121
    assert points[-1].tolist() == [119, 2]


@pytest.fixture
def pyplot():
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def curves(axes):
    return {line.get_label(): line for line in axes.lines}


def test_plot(history, pyplot):
    loss, metric = history.plot()
    assert set(curves(loss)) == {"loss", "val_loss", "best epoch: 1"}
    assert set(curves(metric)) == {"accuracy", "best epoch: 1"}
    assert curves(loss)["val_loss"].get_ydata().tolist() == [4, 1, 2]
    assert curves(loss)["val_loss"].get_xdata().tolist() == [0, 1, 2]
    assert curves(loss)["val_loss"].get_linestyle() == "--"
    assert curves(loss)["loss"].get_linestyle() == "-"
    assert curves(loss)["loss"].get_color() == curves(loss)["val_loss"].get_color()
    assert (loss.get_ylabel(), metric.get_ylabel()) == ("loss", "accuracy")
    loss.figure.canvas.draw()


def test_plot_into_given_axes(history, pyplot):
    _, ax = pyplot.subplots()
    assert history.plot(ax) == (ax,)
    assert set(curves(ax)) == {"loss", "val_loss", "best epoch: 1"}
    _, both = pyplot.subplots(2)
    assert history.plot(both) == tuple(both)
    only_loss = History()
    only_loss.append(0, {"loss": 1})
    assert len(only_loss.plot()) == 1
    assert len(only_loss.plot(list(both))) == 1
    for bad in (3, [], "ax"):
        with pytest.raises(TypeError, match="ax: expected matplotlib axes"):
            history.plot(bad)


@pytest.mark.parametrize(
    ("module", "call", "needed_by"),
    [("pandas", "to_frame", "History.to_frame"), ("matplotlib", "plot", "nnc.plot.history")],
)
def test_missing_libraries_say_how_to_get_them(history, monkeypatch, module, call, needed_by):
    original = importlib.import_module

    def import_module(name):
        if name.partition(".")[0] == module:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
        return original(name)

    monkeypatch.setattr(importlib, "import_module", import_module)
    with pytest.raises(ImportError, match=rf"{needed_by} needs {module}.*pip install {module}"):
        getattr(history, call)()


def test_to_frame(history):
    history.append(7, {"loss": 0})
    frame = history.to_frame()
    assert list(frame) == list(history)
    assert frame.index.tolist() == [0, 1, 2, 7]
    assert frame.index.name == "epoch"
    np.testing.assert_array_equal(frame["val_loss"], history["val_loss"])
    assert (frame.dtypes == np.float64).all()
