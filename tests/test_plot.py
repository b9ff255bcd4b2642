"""Plots: what their artists hold, against NumPy; how they look, against small pictures."""

import doctest
import importlib
import io
import itertools
import re

import numpy as np
import plot_pictures
import pytest
import sklearn.neural_network
from matplotlib import colors, image
from matplotlib import pyplot as plt
from PIL import Image
from support import least_difference

import nnc
from nnc import Dense, Network, _plot_base, plot, reference
from nnc.callbacks import LayerRecorder, WeightRecorder

MOONS = nnc.datasets.tutorial_moons()
X, Y = MOONS.X_train.T, MOONS.Y_train
NET = nnc.datasets.tutorial_architecture(2, 8, 1)
PARAMS = nnc.init_layers(NET, 3)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


# ------------------------------------------------------------------------------- how they look


def blocks(path, size=8):
    """Means over squares of pixels, so that the shapes of letters count for little."""
    pixels = image.imread(path)[..., :3]
    height, width = (n // size * size for n in pixels.shape[:2])
    squares = pixels[:height, :width].reshape(height // size, size, width // size, size, 3)
    return squares.mean(axis=(1, 3))


def difference(one, other):
    """Root mean square of the difference of two pictures in blocks."""
    return float(np.sqrt(np.square(one - other).mean()))


TOLERANCE = 0.03


@pytest.mark.parametrize("style", plot_pictures.STYLES)
@pytest.mark.parametrize("name", plot_pictures.PICTURES)
def test_pictures(name, style, tmp_path):
    path = tmp_path / "picture.png"
    plot_pictures.draw(name, style, path)
    assert (
        difference(blocks(path), blocks(plot_pictures.FOLDER / f"{name}_{style}.png")) < TOLERANCE
    )


def test_the_tolerance_tells_pictures_apart():
    paths = sorted(plot_pictures.FOLDER.glob("*.png"))
    assert len(paths) == len(plot_pictures.PICTURES) * len(plot_pictures.STYLES)
    means = [blocks(path) for path in paths]
    differences = [difference(a, b) for i, a in enumerate(means) for b in means[:i]]
    assert min(differences) > 2 * TOLERANCE


def linear(colour):
    channels = np.array(colors.to_rgb(colour))
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(colour, other):
    """Of two colours, as the Web Content Accessibility Guidelines define it."""
    luminances = [linear(c) @ [0.2126, 0.7152, 0.0722] for c in (colour, other)]
    return (max(luminances) + 0.05) / (min(luminances) + 0.05)


@pytest.mark.parametrize("colour", _plot_base.COLOURS)
def test_colours_can_be_seen_on_white_and_black(colour):
    assert contrast(colour, "white") >= 3
    assert contrast(colour, "black") >= 3


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(_plot_base.COLOURS, 2)))
def test_any_two_colours_differ_for_all_eyes(one, other):
    assert least_difference(linear(one), linear(other)) > 0.35


@pytest.mark.parametrize("style", plot_pictures.STYLES.values())
def test_lines_and_words_suit_the_style(style):
    with plt.style.context(style):
        ax = plt.subplots()[1]
        assert contrast(_plot_base.ink(ax), _plot_base.ground(ax)) >= 7
        ax.patch.set_alpha(0)
        assert _plot_base.ground(ax) == colors.to_rgb(plt.rcParams["figure.facecolor"])


# ------------------------------------------------------------------------------------ samples


def offsets(ax):
    """{label: points} of the scatters."""
    return {c.get_label(): c.get_offsets() for c in ax.collections if len(c.get_offsets()) > 1}


@pytest.mark.parametrize("labels", [Y, Y[0], Y.T, Y[0].astype(float), np.eye(2)[Y[0]]])
def test_data(labels):
    ax = plot.data(X, labels)
    found = offsets(ax)
    assert list(found) == ["class 0", "class 1"]
    np.testing.assert_array_equal(found["class 1"], X[Y[0] == 1])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(found)


def test_data_of_other_kinds():
    names = np.array(["moon", "sun"])[Y[0]]
    assert list(offsets(plot.data(X, names))) == ["moon", "sun"]
    assert list(offsets(plot.data(X, Y, class_names=["a", "b"]))) == ["a", "b"]
    (points,) = plot.data(X, X[:, 0], features=(1, 0)).collections
    np.testing.assert_array_equal(points.get_offsets(), X[:, ::-1])
    np.testing.assert_array_equal(points.get_array(), X[:, 0])
    (points,) = plot.data(X).collections
    assert len(points.get_offsets()) == 900
    ax = plt.subplots()[1]
    assert plot.data(X, Y, ax=ax) is ax


def grid(ax):
    """Rows for all pixels of the image in axes."""
    (drawn,) = ax.images
    left, right, bottom, top = drawn.get_extent()
    n = drawn.get_array().shape[0]
    x, y = np.meshgrid(np.linspace(left, right, n), np.linspace(bottom, top, n))
    return np.stack([x.ravel(), y.ravel()], axis=1), drawn.get_array()


def test_the_boundary_is_where_the_model_says():
    ax = plot.decision_boundary((PARAMS, NET), X, Y, resolution=50)
    rows, colours = grid(ax)
    Y_hat, _ = reference.full_forward_propagation(rows.T, PARAMS, NET)
    p = Y_hat[0]
    strength = 0.06 + 0.44 * np.abs(2 * p - 1)
    winner = np.array([colors.to_rgb(c) for c in _plot_base.COLOURS[:2]])[(p > 0.5).astype(int)]
    expected = strength[:, None] * winner + (1 - strength[:, None])
    np.testing.assert_allclose(colours.reshape(-1, 3), expected, atol=1e-12)
    low, high = rows.min(axis=0), rows.max(axis=0)
    np.testing.assert_allclose(low, X.min(axis=0) - 0.08 * np.ptp(X, axis=0))
    np.testing.assert_allclose(high, X.max(axis=0) + 0.08 * np.ptp(X, axis=0))
    Y_hat, _ = reference.full_forward_propagation(X.T, PARAMS, NET)
    wrong = (Y_hat[0] > 0.5) != Y[0]
    np.testing.assert_array_equal(offsets(ax)["wrong"], X[wrong])
    assert "wrong" not in offsets(plot.decision_boundary((PARAMS, NET), X, Y, errors=False))


def test_lines_run_where_two_classes_are_equal():
    points, labels = plot_pictures.points()
    ax = plot.decision_boundary(plot_pictures.nearest(), points, labels)
    centres = plot_pictures.CENTRES
    lines = [
        path for c in ax.collections if hasattr(c, "levels") for path in c.get_paths()
        if len(path.vertices)
    ]  # fmt: skip
    assert len(lines) == 3
    for line in lines:
        distance = np.sort(np.linalg.norm(line.vertices[:, None] - centres, axis=2), axis=1)
        np.testing.assert_allclose(distance[:, 0], distance[:, 1], atol=0.02)


def test_the_model_is_asked_once_for_the_grid_and_once_for_the_samples():
    asked = []

    def says(rows):
        asked.append(rows)
        return rows[:, 0] > 0.5

    plot.decision_boundary(says, X, Y, resolution=30)
    assert [rows.shape for rows in asked] == [(900, 2), (900, 2)]
    asked.clear()
    plot.decision_boundary(says, X, resolution=30)
    assert len(asked) == 1


def test_other_features_stay_at_their_means():
    x, y = nnc.datasets.tutorial_truth_table()
    model = nnc.NeuralNetwork(x, y, seed=63)
    model.train(1500)
    ax = plot.decision_boundary(model, x, y, resolution=21)
    rows, colours = grid(ax)
    hidden = reference.sigmoid(np.column_stack([rows, np.ones(len(rows))]) @ model.weights1)
    output = reference.sigmoid(hidden @ model.weights2)
    blue = colours.reshape(-1, 3)[:, 2] > colours.reshape(-1, 3)[:, 0]
    np.testing.assert_array_equal(blue, output[:, 0] < 0.5)


class Says:
    """A model that only has predict."""

    def __init__(self, answers):
        self.predict = answers


def test_models_that_only_predict():
    names = np.array(["moon", "sun"])
    ax = plot.decision_boundary(Says(lambda rows: names[(rows[:, 1] < 0.3) * 1]), X, names[Y[0]])
    assert {"moon", "sun", "wrong"} <= set(offsets(ax))
    rows, colours = grid(ax)
    assert len(np.unique(colours.reshape(-1, 3), axis=0)) == 2
    ax = plot.decision_boundary(Says(lambda rows: names[np.zeros(len(rows), int)]), X)
    assert len(np.unique(grid(ax)[1].reshape(-1, 3), axis=0)) == 1
    ax = plot.decision_boundary(Says(lambda rows: rows[:, 0] * 2), X, X[:, 1], resolution=30)
    rows, values = grid(ax)
    np.testing.assert_allclose(values.ravel(), rows[:, 0] * 2)
    assert ax.images[0].get_clim() == (values.min(), values.max())


def test_estimators_and_data_frames():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"left": X[:, 0], "rest": 1.0, "up": X[:, 1]})
    model = nnc.MLPClassifier(hidden_layer_sizes=(8,), tol=0.1, random_state=0)
    model.fit(frame, np.array(["a", "b"])[Y[0]])
    ax = plot.decision_boundary(
        model, frame, np.array(["a", "b"])[Y[0]], features=(0, 2), resolution=20
    )
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("left", "up")
    rows, colours = grid(ax)
    full = pandas.DataFrame({"left": rows[:, 0], "rest": 1.0, "up": rows[:, 1]})
    orange = colours.reshape(-1, 3)[:, 0] > colours.reshape(-1, 3)[:, 2]
    np.testing.assert_array_equal(orange, model.predict(full) == "b")


# ------------------------------------------------------------------------------------- inside


def sizes(ax):
    return [text.get_text() for text in ax.texts if text.get_text().isdigit()]


def test_network_of_every_kind_of_model():
    x, y = nnc.datasets.tutorial_truth_table()
    estimator = nnc.MLPRegressor(hidden_layer_sizes=(5, 3), activation="tanh", max_iter=1, tol=9)
    theirs = sklearn.neural_network.MLPRegressor("poisson", (5,), max_iter=1)
    for one in (estimator, theirs):
        with pytest.warns(UserWarning, match="Maximum iterations"):
            one.fit(X, Y[0])
    for model, expected in [
        ((PARAMS, NET), ["2", "8", "1"]),
        (nnc.NeuralNetwork(x, y, seed=1), ["3", "4", "1"]),
        (reference.NeuralNetwork(x, y, seed=1), ["3", "4", "1"]),
        (estimator, ["2", "5", "3", "1"]),
        (theirs, ["2", "5", "1"]),
        (Network.from_sizes(4, 30, 2), ["4", "30", "2"]),
    ]:
        assert sizes(plot.network(model)) == expected


def test_models_give_what_they_compute_themselves():
    """The networks that stand for other models have their outputs."""
    x, y = nnc.datasets.tutorial_truth_table()
    model = nnc.NeuralNetwork(x, y, seed=1)
    model.feedforward()
    from nnc._plot_models import as_network

    np.testing.assert_allclose(as_network(model).predict_proba(x), model.output, atol=1e-14)
    estimator = nnc.MLPClassifier(hidden_layer_sizes=(6, 4), activation=["relu", "gelu"], tol=9)
    estimator.fit(X, Y[0])
    np.testing.assert_allclose(
        as_network(estimator).predict_proba(X)[:, 0], estimator.predict_proba(X)[:, 1], atol=1e-14
    )


def test_network_lines_are_the_weights():
    network = Network([Dense(2, bias=False)], 2, dtype="float64")
    network.set_weights([[[4, -2], [0, 1]]])
    (lines,) = [c for c in plot.network(network).collections if hasattr(c, "get_segments")]
    np.testing.assert_allclose(lines.get_linewidths(), [0.4, 1.0, 1.6, 2.8])
    starts_lower = [segment[0][1] > 0 for segment in lines.get_segments()]
    assert starts_lower == [False, True, True, False]  # W[1, 0], W[1, 1], W[0, 1], W[0, 0]
    assert np.ptp(lines.get_colors()[[0, 1, 3], :3], axis=0).max() == 0
    assert (lines.get_colors()[2] != lines.get_colors()[0]).any()


def test_weights():
    drawn = plot.weights((PARAMS, NET), "W1").images[0]
    np.testing.assert_array_equal(drawn.get_array(), PARAMS["W1"])
    most = np.abs(PARAMS["W1"]).max()
    assert drawn.get_clim() == (-most, most)
    np.testing.assert_allclose(drawn.cmap(0.5)[:3], 1, atol=0.01)
    images = np.arange(1.0, 61.0).reshape(5, 12)
    mosaic = plot.weights({"W2": images}, "W2", image_shape=(3, 4)).images[0].get_array()
    assert mosaic.shape == (2 * 4 - 1, 3 * 5 - 1)
    for unit, row in enumerate(images):
        down, across = divmod(unit, 3)
        tile = mosaic[4 * down : 4 * down + 3, 5 * across : 5 * across + 4]
        np.testing.assert_array_equal(tile, row.reshape(3, 4))
    assert np.isnan(np.asarray(mosaic.filled(np.nan))).sum() == mosaic.size - 60


def test_activations():
    network = plot_pictures.make_network(Dense(12, "relu"), Dense(6, "tanh"))
    ax = plot.activations(network, X)
    _, memory = network.forward(X, trace=True)
    relu, tanh = memory["A1"], memory["A2"]
    texts = [text.get_text() for text in ax.texts]
    dead = (relu == 0).all(axis=1).sum()
    assert texts[0] == f"{(relu == 0).mean():.0%} zero, {dead} of 12 dead"
    assert texts[1] == f"{(np.abs(tanh) >= 0.98).mean():.0%} saturated"
    for row, A in enumerate((relu, tanh)):
        stairs = ax.patches[row].get_data()
        counts, _ = np.histogram(A[A != 0], stairs.edges)
        np.testing.assert_allclose(stairs.values - row, 0.8 * counts / counts.max())


def test_confusion():
    rng = np.random.default_rng(0)
    true, said = rng.integers(0, 4, (2, 300))
    ax = plot.confusion(true, said)
    counts = np.array([[((true == i) & (said == j)).sum() for j in range(4)] for i in range(4)])
    assert [int(text.get_text()) for text in ax.texts] == counts.ravel().tolist()
    parts = counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(ax.images[0].get_array(), parts)
    ax = plot.confusion(true, said, normalize=True, class_names=list("abcd"))
    assert ax.texts[5].get_text() == f"{parts[1, 1]:.2f}"


# ----------------------------------------------------------------------------------- trainings


def test_histories_of_every_kind():
    _, cost, accuracy = nnc.train(MOONS.X_train, MOONS.Y_train, NET, 20, 0.1)
    left, right = plot.history({"cost": cost, "accuracy": accuracy})
    assert left.lines[0].get_ydata().tolist() == cost
    assert right.lines[0].get_ydata().tolist() == accuracy
    (ax,) = plot.history(cost)
    assert ax.lines[0].get_ydata().tolist() == cost
    network = Network.from_sizes(2, 4, 1, seed=0)
    network.fit(X, Y.T, epochs=3)
    assert plot.history(network)[0].lines[0].get_ydata().tolist() == network.history["loss"]
    model = nnc.MLPClassifier(hidden_layer_sizes=(4,), tol=0.1, early_stopping=True).fit(X, Y[0])
    loss, score = plot.history(model)
    assert loss.lines[0].get_ydata().tolist() == model.loss_curve_
    assert score.lines[0].get_ydata().tolist() == model.validation_scores_


def test_gradients_are_those_of_the_network():
    network = Network.from_sizes(2, 8, 6, 1, output_activation="sigmoid", seed=0, dtype="float64")
    recorder = LayerRecorder(X[:100], Y.T[:100], every=2)
    network.fit(X, Y.T, epochs=5, callbacks=recorder)
    assert recorder.epoch == [1, 3]
    again = Network.from_sizes(2, 8, 6, 1, output_activation="sigmoid", seed=0, dtype="float64")
    again.fit(X, Y.T, epochs=4)
    net = nnc.datasets.tutorial_architecture(2, 8, 6, 1)
    Y_hat, memory = reference.full_forward_propagation(X[:100].T, again.params, net)
    grads = reference.full_backward_propagation(Y_hat, Y[:, :100], memory, again.params, net)
    for name, entries in recorder.gradients.items():
        expected = np.sqrt(np.square(grads[f"d{name}"]).mean())
        np.testing.assert_allclose(entries[1], expected, rtol=1e-10)
    for i, (name, entries) in enumerate(recorder.dead.items(), 1):
        assert name == f"W{i}"
        assert entries[1] == (memory[f"Z{i}"] <= 0).all(axis=1).mean()
    rms, dead = plot.gradients(recorder)
    assert [line.get_label() for line in rms.lines] == ["W1", "W2", "W3"]
    assert rms.get_yscale() == "log"
    assert dead.lines[1].get_ydata().tolist() == recorder.dead["W2"]


def test_recorders_change_nothing_and_go_on_after_a_checkpoint(tmp_path):
    def train(callbacks, epochs=6, **options):
        network = Network.from_sizes(2, 8, 1, output_activation="sigmoid", seed=0)
        network.fit(X, Y.T, epochs=epochs, callbacks=callbacks, **options)
        return network.get_weights()

    def recorders():
        return [LayerRecorder(X[:50], Y.T[:50]), WeightRecorder(at_most=4)]

    class Interrupt:
        at = None

        def on_epoch_end(self, epoch, logs):
            if epoch == self.at:
                raise KeyboardInterrupt

    whole, path = recorders(), tmp_path / "run.nnc"
    expected = train(whole)
    for own, plain in zip(expected, train(None), strict=True):
        np.testing.assert_array_equal(own, plain)
    interrupt = Interrupt()
    interrupt.at = 3
    with pytest.raises(KeyboardInterrupt):
        train([*recorders(), interrupt], checkpoint=path, checkpoint_every=1)
    parts = recorders()
    train([*parts, Interrupt()], checkpoint=path, checkpoint_every=1)
    for one, other in zip(whole, parts, strict=True):
        for a, b in zip(one.get_arrays(), other.get_arrays(), strict=True):
            np.testing.assert_array_equal(a, b)
    assert parts[1].trained == whole[1].trained == [0, 2, 4, 6]


@pytest.mark.parametrize("epochs", [0, 1, 7, 63, 64, 1000])
@pytest.mark.parametrize("at_most", [2, 5, 16])
def test_kept_parameters_are_evenly_spaced_copies(epochs, at_most):
    recorder = WeightRecorder(at_most)
    params = {"W1": np.zeros((1, 1))}
    recorder.keep(-1, params)
    for epoch in range(epochs):
        params["W1"][...] = epoch + 1
        recorder.keep(epoch, params)
    assert len(recorder.trained) <= at_most
    assert len(recorder.trained) >= min(epochs + 1, at_most // 2)
    assert [kept["W1"].item() for kept in recorder.params] == recorder.trained
    assert len(set(np.diff(recorder.trained))) <= 1
    assert recorder.trained[0] == 0


def test_animation(tmp_path):
    network = Network.from_sizes(2, 8, 1, output_activation="sigmoid", seed=0)
    recorder = WeightRecorder(at_most=3)
    network.fit(X, Y.T, epochs=4, callbacks=recorder)
    weights = network.get_weights()
    animation = plot.animate(network, recorder, X, Y, resolution=20, seconds=0.5)
    assert animation.labels == ["epoch 0", "epoch 2", "epoch 4"]
    for before, after in zip(weights, network.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    pictures = [np.asarray(Image.open(io.BytesIO(frame))) for frame in animation.frames]
    assert pictures[0].shape == (420, 600, 4)
    assert (pictures[0] != pictures[2]).any()
    animation.save(tmp_path / "moons.html")
    page = (tmp_path / "moons.html").read_text()
    assert not re.search(r"(src|href)=.?https?:|url\(|import", page)
    assert page.count("iVBORw0KGgo") == 3  # how PNG files begin in base64
    animation.save(tmp_path / "moons.gif")
    with Image.open(tmp_path / "moons.gif") as gif:
        assert (gif.n_frames, gif.size) == (3, (600, 420))
        assert gif.info["duration"] == 500
    assert animation._repr_html_().startswith("<iframe")
    with pytest.raises(ValueError, match=r"path: expected a name that ends in \.html or \.gif"):
        animation.save("moons.mp4")
    tutorial = WeightRecorder()
    params, _, _ = nnc.train(MOONS.X_train, MOONS.Y_train, NET, 2, 0.1, callback=tutorial.keep)
    assert plot.animate((params, NET), tutorial, X, Y, resolution=9).labels == [
        "epoch 1", "epoch 2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "function", [*(getattr(plot, name) for name in plot.__all__), LayerRecorder, WeightRecorder]
)
def test_examples(function):
    finder = doctest.DocTestFinder(recurse=False)
    for example in finder.find(function, function.__name__, globs={"nnc": nnc}):
        assert example.examples or function is plot.Animation
        assert doctest.DocTestRunner().run(example).failed == 0


# ------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot.data(X[:, 0]), r"X: expected shape \(m, n\)"),
        (lambda: plot.data(X.T, Y), "y: expected 2 labels, one for each sample.*pass X.T"),
        (lambda: plot.data(X, Y, features=(0, 2)), "features: expected columns of X, 0 to 1"),
        (lambda: plot.data(X, Y, features=(0,)), "features: expected two columns"),
        (lambda: plot.data([[np.nan, 0]]), "X: expected finite"),
        (lambda: plot.data(X, Y, class_names=["a"]), "class_names: expected a name for each of 2"),
        (lambda: plot.data(X, ax=3), "ax: expected matplotlib axes, got 3"),
        (lambda: plot.decision_boundary((PARAMS, NET), X, Y + 1), "y: expected classes.*got 2"),
        (lambda: plot.decision_boundary(3, X), "model: expected a Network"),
        (lambda: plot.decision_boundary(Network.from_sizes(2, 3), X), "expected one output"),
        (
            lambda: plot.decision_boundary(
                Network.from_sizes(2, 3, output_activation="sigmoid"), X
            ),
            "model: expected one class for a sample, got 3 sigmoid outputs",
        ),
        (lambda: plot.decision_boundary(lambda rows: np.ones((2, 2, 2)), X), "model: expected"),
        (lambda: plot.decision_boundary((PARAMS, NET), X, resolution=1), "resolution"),
        (lambda: plot.weights(PARAMS, "W3"), "name: expected one of"),
        (lambda: plot.weights(PARAMS, image_shape=(2, 2)), "image_shape: expected height and"),
        (lambda: plot.confusion([0, 1], [0.5, 1]), "y_pred: expected classes"),
        (lambda: plot.history("loss"), "history: expected a History"),
        (lambda: plot.history([]), "at least one epoch"),
        (lambda: plot.history({"loss": [1], "accuracy": [1, 2]}), "lists of one length"),
        (lambda: plot.gradients(3), "recorder: expected an nnc.callbacks.LayerRecorder"),
        (lambda: plot.gradients(LayerRecorder(X, Y)), "recorder: expected at least one epoch"),
        (lambda: plot.animate((PARAMS, NET), 3, X, Y), "recorder: expected an nnc"),
        (lambda: plot.animate((PARAMS, NET), WeightRecorder(), X, Y), "at least one set"),
    ],
)
def test_refusals(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_without_matplotlib_it_says_how_to_get_it(monkeypatch):
    original = importlib.import_module

    def import_module(name):
        if name.partition(".")[0] == "matplotlib":
            raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")
        return original(name)

    monkeypatch.setattr(importlib, "import_module", import_module)
    for call in (
        lambda: plot.data(X),
        lambda: plot.decision_boundary((PARAMS, NET), X),
        lambda: plot.network((PARAMS, NET)),
        lambda: plot.history([1.0]),
    ):
        with pytest.raises(ImportError, match=r"nnc\.plot\.\w+ needs matplotlib.*pip install"):
            call()
