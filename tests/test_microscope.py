"""One training step opened: the numbers of the page against plain NumPy, and what it says."""

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
from sample_networks import FUNCTIONS
from test_network_gradients import PAIRS, STACKS, labels_for, loss_of, losses_of, masks_of, smooth

import nnc
from nnc import SGD, Adam, Dense, Dropout, Network, layers, microscope, optimizers, reference
from nnc.datasets import tutorial_moons

PAGES = Path(nnc.__file__).parent / "pages"
DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)


def data_of(page):
    (text,) = DATA.findall(page.html)
    return json.loads(text)


def matrices_of(page, dtype=np.float64):
    """The matrices that the page holds."""
    found = {}
    for name, entry in data_of(page)["matrices"].items():
        found[name] = np.array(entry["values"], dtype)
        assert list(found[name].shape) == entry["shape"]
        assert float(np.abs(found[name]).max()) == dtype(entry["largest"])
    return found


def agree(ours, expected, tolerance=1e-12):
    scale = max(np.abs(expected).max(), 1e-300)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance * scale)


# ----------------------------------------------------------------- against the tutorial's NumPy


@pytest.mark.parametrize("hidden", ["relu", "sigmoid"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
@pytest.mark.parametrize("n_out", [1, 3])
def test_every_matrix_of_the_tutorials_step(hidden, dtype, tolerance, n_out):
    sizes = [(2, 4, hidden), (4, 3, hidden), (3, n_out, "sigmoid")]
    architecture = [{"input_dim": i, "output_dim": o, "activation": f} for i, o, f in sizes]
    params = {k: v * 8 for k, v in reference.init_layers(architecture, 2, dtype=dtype).items()}
    X = tutorial_moons().X_train[:, :7].astype(dtype)
    Y = np.random.default_rng(0).integers(0, 2, (n_out, 7)).astype(dtype)
    page = microscope((params, architecture), X.T, Y.T, learning_rate=0.5)
    ours = matrices_of(page, dtype)

    Y_hat, memory = reference.full_forward_propagation(X, params, architecture)
    grads = reference.full_backward_propagation(Y_hat, Y, memory, params, architecture)
    expected = memory | grads | {"A3": Y_hat, "Y": Y, "dZ3": Y_hat - Y}
    for i in (2, 1):
        backward = reference.ACTIVATIONS[hidden][1]
        expected[f"dA{i}"] = params[f"W{i + 1}"].T @ expected[f"dZ{i + 1}"]
        expected[f"dZ{i}"] = backward(expected[f"dA{i}"], memory[f"Z{i}"])
        expected[f"g′(Z{i})"] = backward(np.ones_like(memory[f"Z{i}"]), memory[f"Z{i}"])
    after = reference.update({k: v.copy() for k, v in params.items()}, grads, architecture, 0.5)
    expected |= params | {f"{name} after": array for name, array in after.items()}
    assert ours.keys() == expected.keys()
    for name, array in expected.items():
        agree(ours[name], array, tolerance)


def test_the_tutorials_learning_rate_is_the_default():
    architecture = nnc.datasets.tutorial_architecture(2, 3, 1)
    params = nnc.init_layers(architecture, 2)
    page = microscope((params, architecture), [[0.5, 1]], [1.0])
    assert [layer["rate"] for layer in data_of(page)["layers"]] == [0.01, 0.01]
    with pytest.raises(ValueError, match="learning_rate: expected a finite positive number"):
        microscope((params, architecture), [[0.5, 1]], [1.0], learning_rate=0)


# ----------------------------------------------------------- the equations, for all kinds of layers


def check_equations(net, found, m):
    """What the page shows holds together as its formulas say."""
    for i, spec in enumerate(net.specs, 1):
        before, key = found[f"A{i - 1}"], spec.key
        if spec.kind == "dense":
            bias = found[f"b{key}"] if spec.has_bias else 0
            agree(found[f"Z{i}"], found[f"W{key}"] @ before + bias)
            agree(found[f"A{i}"], FUNCTIONS[spec.activation](found[f"Z{i}"].T).T)
            agree(found[f"dW{key}"], found[f"dZ{i}"] @ before.T / m)
            if spec.has_bias:
                agree(found[f"db{key}"], found[f"dZ{i}"].sum(axis=1, keepdims=True) / m)
            back = found[f"W{key}"].T @ found[f"dZ{i}"]
            if i < len(net.specs):
                agree(found[f"dZ{i}"], found[f"dA{i}"] * found[f"g′(Z{i})"])
        elif spec.kind == "dropout":
            agree(found[f"A{i}"], before * found[f"M{i}"])
            back = found[f"dA{i}"] * found[f"M{i}"]
        else:
            axis = 0 if spec.kind == "layer_norm" else 1
            centred = before - before.mean(axis=axis, keepdims=True)
            root = np.sqrt((centred**2).mean(axis=axis, keepdims=True) + spec.epsilon)
            hat = found[f"Â{i}"]
            agree(hat, centred / root)
            agree(found[f"A{i}"], found[f"gamma{key}"] * hat + found[f"beta{key}"])
            agree(found[f"dgamma{key}"], (found[f"dA{i}"] * hat).mean(axis=1, keepdims=True))
            agree(found[f"dbeta{key}"], found[f"dA{i}"].mean(axis=1, keepdims=True))
            D = found[f"gamma{key}"] * found[f"dA{i}"]
            means = D.mean(axis=axis, keepdims=True), (D * hat).mean(axis=axis, keepdims=True)
            back = (D - means[0] - hat * means[1]) / root
        if i > 1:
            agree(found[f"dA{i - 1}"], back, 1e-11)


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("steps", [0, 3])
def test_the_equations_of_all_layers(stack, steps):
    """In a network that has been trained, too: dropout is then that of the step which comes."""
    random = np.random.default_rng(steps)
    net = Network(STACKS[stack](5, "gelu", "softmax"), 4, optimizer=SGD(0.2), seed=1)
    X, y = random.normal(size=(9, 4)), random.integers(0, 3, 9)
    if steps:
        net.fit(X, y, epochs=steps, batch_size=None, verbose=0)
    found = matrices_of(microscope(net, X, y))
    check_equations(net, found, 9)
    agree(found[f"dZ{len(net.specs)}"], found[f"A{len(net.specs)}"] - np.eye(3)[y].T)
    if not steps:
        for place, mask in masks_of(net, 9).items():
            np.testing.assert_array_equal(found[f"M{place + 1}"], mask.T)
    for name in [name for spec in net.specs for name in spec.parameters]:
        agree(found[f"{name} after"], found[name] - 0.2 * found[f"d{name}"])
    net.step(X, y)
    for name, array in net.params.items():
        np.testing.assert_array_equal(found[f"{name} after"], array)


@pytest.mark.parametrize(("kind", "output"), PAIRS)
def test_the_gradient_at_the_output_for_every_loss(kind, output):
    """Central differences of the losses' formulas by each element of the last Z."""
    random = np.random.default_rng(3)
    loss, h = losses_of(kind, smoothed=True), 1e-6
    y, rows = labels_for(loss, 6, random)
    net = Network([Dense(3, output)], 4, loss=loss, dtype="float64", seed=5)
    found = matrices_of(microscope(net, random.normal(size=(6, 4)), y))
    moves = np.eye(18).reshape(18, 6, 3) * h
    labels = smooth(loss, rows)
    upper, lower = (
        loss_of(
            loss, FUNCTIONS[output.removeprefix("log_")](found["Z1"].T + move), labels, np.ones(6)
        )
        for move in (moves, -moves)
    )
    divisor = 1 if kind == "sum_of_squares" else 6
    assert data_of(microscope(net, np.ones((6, 4)), y))["divisor"] == divisor
    expected = ((upper - lower) / (2 * h) * divisor).reshape(6, 3).T
    agree(found["dZ1"], expected, 1e-7)


def test_a_loss_in_python():
    def loss(y_true, y_pred):
        error = y_pred - y_true
        return float((error**4).mean()), 4 * error**3 / error.size

    net = Network([Dense(3, "tanh"), Dense(2, "tanh")], 2, loss=loss, seed=0)
    random = np.random.default_rng(0)
    X, y = random.normal(size=(5, 2)), random.normal(size=(5, 2))
    found = matrices_of(microscope(net, X, y))
    A, Y = found["A2"], found["Y"]
    np.testing.assert_array_equal(Y, y.T)
    agree(found["dZ2"], 4 * (A - Y) ** 3 / 2 * (1 - A**2))
    check_equations(net, found, 5)


@pytest.mark.parametrize("name", optimizers.KINDS)
def test_the_parameters_after_the_step_of_every_optimizer(name):
    net = Network([Dense(3, "tanh"), Dense(1)], 2, optimizer=name, loss="mean_squared_error")
    random = np.random.default_rng(0)
    X, y = random.normal(size=(8, 2)), random.normal(size=8)
    net.step(X, y)
    page = microscope(net, X, y)
    losses = [net.evaluate(X, y)["loss"]]
    net.step(X, y)
    losses.append(net.evaluate(X, y)["loss"])
    found = matrices_of(page)
    for key, array in net.params.items():
        np.testing.assert_array_equal(found[f"{key} after"], array)
    assert data_of(page)["loss"] == {
        "kind": "mean_squared_error", "smoothing": 0, "values": losses,
    }  # fmt: skip


def test_a_loss_that_overflows():
    net = Network([Dense(1)], 1, optimizer=SGD(1e20), dtype="float32")
    assert data_of(microscope(net, [[1e8]], [0.0]))["loss"]["values"][1] == "Infinity"


def test_where_the_update_is_the_gradient_alone():
    def said(key, optimizer, **options):
        net = Network([Dense(2, **options), Dense(1)], 2, optimizer=optimizer)
        return [layer[key] for layer in data_of(microscope(net, [[0.0, 1]], [1.0]))["layers"]]

    def rates(optimizer, **options):
        return said("rate", optimizer, **options)

    assert rates(SGD(0.3)) == [0.3, 0.3]
    assert rates(SGD(0.3), l2=0.1) == rates(SGD(0.3), max_norm=1) == [None, 0.3]
    assert said("penalties", "adam", l2=0.1, max_norm=1) == [["l2=0.1", "max_norm=1"], []]
    for optimizer in (
        Adam(0.3), SGD(0.3, 0.9), SGD(0.3, clip_norm=1), SGD(0.3, weight_decay=0.1),
        SGD(nnc.schedules.Cosine(0.3)), optimizers.LBFGS(),
    ):  # fmt: skip
        assert rates(optimizer) == [None, None]


# --------------------------------------------------------------------------- what stays as it is


def test_the_network_stays_as_it_is():
    X, y = np.ones((3, 2)), np.ones(3)
    fresh = Network([Dropout(0.5), Dense(3, "relu"), Dense(1)], 2, seed=4, dtype="float64")
    first = matrices_of(microscope(fresh, X, y))
    assert fresh._engine is None
    net = Network([Dropout(0.5), Dense(3, "relu"), Dense(1)], 2, seed=4)
    net.fit(X, y, epochs=2, verbose=0)
    state = nnc.files.to_bytes(*nnc._state.pack(net), "network")
    microscope(net, X, y)
    assert nnc.files.to_bytes(*nnc._state.pack(net), "network") == state
    with pytest.raises(RuntimeError, match="call backward"):
        _ = net.grads
    for name, array in fresh.params.items():  # drawn as the page drew them
        np.testing.assert_array_equal(array, first[name])


def test_a_callback_may_look_on():
    net, pages = Network([Dense(1)], 2, seed=0, optimizer=SGD(0.1)), []
    X, y = np.eye(2), np.ones(2)
    net.fit(
        X, y, epochs=3, verbose=0, callbacks=lambda e, logs: pages.append(microscope(net, X, y))
    )
    found = [matrices_of(page) for page in pages]
    for before, after in itertools.pairwise(found):
        np.testing.assert_array_equal(before["W1 after"], after["W1"])


# --------------------------------------------------------------------------------------- the page


def test_large_matrices_are_cut():
    net = Network([Dense(70, "relu"), Dense(1, "sigmoid")], 90, seed=0, dtype="float64")
    X, y = np.random.default_rng(0).normal(size=(100, 90)), np.arange(100) % 2
    entries = data_of(microscope(net, X, y))["matrices"]
    assert entries["W1"]["shape"] == [70, 90]
    W1 = net.params["W1"]
    np.testing.assert_array_equal(np.array(entries["W1"]["values"]), W1[:64, :64])
    assert entries["W1"]["largest"] == np.abs(W1).max()
    entries = data_of(microscope(net, X, y, limit=3))["matrices"]
    assert all(len(entry["values"]) <= 3 for entry in entries.values())
    assert {len(row) for entry in entries.values() for row in entry["values"]} == {1, 3}


def test_arguments():
    net, X, y = Network([Dense(1)], 2), np.ones((3, 2)), np.ones(3)
    for arguments, error, message in [
        (([1], X, y), TypeError, r"net: expected a Network or \(params_values, .* got list"),
        ((({}, []), X, y), ValueError, "nn_architecture: expected at least one layer"),
        ((net, np.ones((0, 2)), []), ValueError, "X: expected 1 to 1024 samples .* got 0"),
        ((net, np.ones((1025, 2)), np.ones(1025)), ValueError, r"got 1025: .* X\[:32\]"),
        ((net, np.ones((3, 4)), y), ValueError, "X: expected shape"),
        ((net, X, np.ones(4)), ValueError, "y: expected a label for each of the 3 rows"),
    ]:
        with pytest.raises(error, match=message):
            microscope(*arguments)
    with pytest.raises(ValueError, match="learning_rate: leave it out beside a Network"):
        microscope(net, X, y, learning_rate=0.1)
    for limit, error in ((0, ValueError), (True, TypeError), (2.5, TypeError)):
        with pytest.raises(error, match="limit: expected"):
            microscope(net, X, y, limit=limit)
    with pytest.raises(nnc.DivergenceError):
        microscope(Network([Dense(1)], 1, optimizer=SGD(1e300)), [[1e30]], [0.0])


def test_names_of_layers_are_text():
    name = "</script><script>alert(1)</script>"
    net = Network([Dense(2, name=name), Dense(1)], 2)
    page = microscope(net, [[0, 1]], [1.0])
    assert name not in page.html
    assert data_of(page)["layers"][0]["text"] == f"{name} (Dense, 2 to 2, identity)"


def test_input_scale_and_images():
    pixels = np.arange(8, dtype=np.uint8).reshape(2, 2, 2) * 30
    net = Network(
        [nnc.Flatten(), Dense(1)], input_shape=(2, 2), input_scale=1 / 255, dtype="float64"
    )
    found = matrices_of(microscope(net, pixels, [0.0, 1]))
    agree(found["A0"], pixels.reshape(2, 4).T / 255)
    check_equations(net, found, 2)


def test_the_page_knows_every_activation_and_optimizer():
    script = (PAGES / "microscope.js").read_text()

    def keys(table):
        (body,) = re.findall(rf"const {table} = {{(.*?)^}};", script, re.DOTALL | re.MULTILINE)
        return re.findall(r"^  (\w+):", body, re.MULTILINE)

    assert set(keys("ACTIVATIONS")) == set(layers.ACTIVATIONS)
    variants = [SGD(momentum=0.5), SGD(momentum=0.5, nesterov=True), Adam(amsgrad=True)]
    known = [cls() for cls in optimizers.KINDS.values()] + variants
    assert set(keys("RULES")) == {optimizer.engine_name for optimizer in known}
    assert set(keys("KINDS")) == {"dense", "dropout", "layer_norm", "batch_norm"}
