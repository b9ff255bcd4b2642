"""The playground's page: what it is told, that it is sealed, and that its engine is ours."""

import base64
import gzip
import hashlib
import html
import json
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from support import kernels
from wasm_network import WASM, WasmNetwork, load

import nnc
from nnc.datasets import tutorial_moons

RNG = np.random.default_rng(7)
X = RNG.normal(3, 5, (60, 2))
Y = (X[:, 0] > X[:, 1]).astype(int)


class Scripts(HTMLParser):
    """The texts of a page's script elements, by id; and every address that it names."""

    def __init__(self, text):
        super().__init__()
        self.found, self.addresses, self.inside = {}, [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.addresses += [attributes[k] for k in ("src", "href") if k in attributes]
        if tag == "script":
            self.inside = attributes.get("id", f"script {len(self.found)}")
            assert self.inside not in self.found
            self.found[self.inside] = ""

    def handle_endtag(self, tag):
        if tag == "script":
            self.inside = None

    def handle_data(self, data):
        if self.inside is not None:
            self.found[self.inside] += data


def told(page):
    return json.loads(Scripts(page.html).found["data"])


def numbers(text):
    return np.frombuffer(base64.b64decode(text), "<f8")


@pytest.fixture
def baseline():
    """The kernels without FMA, which WebAssembly has none of."""
    with kernels("baseline"):
        yield


# ------------------------------------------------------------------------------ the data


def run_code(data, X=None, y=None):
    names = {"X": X, "y": y}
    exec(data["code"], names)
    return names["X"], names["y"]


def test_moons_are_the_default():
    data = told(nnc.playground())
    moons = tutorial_moons()
    x = numbers(data["training"]["x"]).reshape(2, 900)
    expected = moons.X_train - moons.X_train.mean(axis=1, keepdims=True)
    expected /= moons.X_train.std(axis=1, keepdims=True)
    np.testing.assert_allclose(x, expected, rtol=0, atol=1e-14)
    assert np.array_equal(numbers(data["training"]["y"]), moons.Y_train[0])
    assert np.array_equal(numbers(data["validation"]["y"]), moons.Y_test[0])
    restored = numbers(data["validation"]["x"]).reshape(2, 100).T * data["scale"] + data["mean"]
    np.testing.assert_allclose(restored.T, moons.X_test, rtol=0, atol=1e-14)
    assert data["classes"] == ["0", "1"]
    assert data["output"] == {
        "units": 1, "activation": "sigmoid", "loss": "binary_cross_entropy"
    }  # fmt: skip


CASES = {
    "moons": ((), {}),
    "strings": ((X.astype("f"), np.array(["no", "yes"])[Y]), {}),
    "columns": ((np.asfortranarray(X), Y[:, np.newaxis]), {}),
    "booleans": ((X, Y == 1), {}),
    "integers": ((X.astype("i2"), np.arange(60) % 8 - 3), {}),
    "numbers": ((X, X.sum(axis=1)), {}),
    "whole numbers": ((X, Y), {"task": "regression"}),
    "floats": ((pd.DataFrame(X, columns=["a", "b"]), pd.Series(1.0 * Y)), {}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_code_makes_the_bits_of_the_page(name):
    arguments, options = CASES[name]
    data = told(nnc.playground(*arguments, **options))
    rows, y = run_code(data, *arguments)
    assert numbers(data["training"]["x"]).tobytes() == rows.T.tobytes()
    assert np.array_equal(numbers(data["training"]["y"]), y)


def test_classes_numbers_and_names():
    data = told(nnc.playground(X, np.array(["b", "a", "c"])[np.arange(60) % 3]))
    assert data["classes"] == ["a", "b", "c"]
    assert data["output"]["activation"] == "softmax"
    assert data["output"]["units"] == 3
    assert data["target"] is None
    data = told(nnc.playground(X, X @ [1, 2.5], feature_names=["left", "r" * 99]))
    assert data["classes"] is None
    np.testing.assert_allclose(data["target"], [np.mean(X @ [1, 2.5]), np.std(X @ [1, 2.5])])
    assert data["output"]["loss"] == "mean_squared_error"
    assert data["features"] == ["left", "r" * 39 + "…"]
    assert told(nnc.playground(pd.DataFrame(X, columns=["a", "b"]), Y))["features"] == ["a", "b"]
    assert told(nnc.playground(X, Y))["features"] == ["x1", "x2"]


def test_the_plane_is_that_of_the_features_that_y_tells_most_about():
    five = RNG.normal(size=(300, 5))
    classes = np.where(five[:, 3] + 0.8 * five[:, 1] > 0, "up", "down")
    assert told(nnc.playground(five, classes))["axes"] == [1, 3]
    assert told(nnc.playground(five, five[:, 0] - 2 * five[:, 4] + 0.5))["axes"] == [0, 4]
    rings = np.hypot(five[:, 2], five[:, 4]) > 1
    assert told(nnc.playground(five, rings))["axes"] == [2, 4]
    assert told(nnc.playground(five, five[:, 3] ** 2 - five[:, 2]))["axes"] == [2, 3]


WIDE, MANY = np.ones((3, 65)), np.zeros((125_001, 2))
BAD = X.copy()
BAD[5, 1] = np.nan
MIXED = np.array([*range(59), "a"], dtype=object)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((X,), {}, ValueError, "y: X and y belong together"),
        ((None, Y), {}, ValueError, "X: X and y belong together"),
        ((), {"X_val": X, "y_val": Y}, ValueError, "X: X and y belong together"),
        ((X, Y), {"X_val": X}, ValueError, "y_val: X_val and y_val belong together"),
        ((X, Y), {"X_val": WIDE, "y_val": Y[:3]}, ValueError, "X_val: expected two samples or"),
        ((X, Y), {"X_val": np.ones((3, 3)), "y_val": Y[:3]}, ValueError, "expected 2 columns"),
        ((X, Y), {"X_val": X[:2], "y_val": [0, 7]}, ValueError, "classes that y has, got 7"),
        ((X, Y), {"task": "regress"}, ValueError, "task: .* did you mean 'regression'"),
        ((X, Y), {"feature_names": ["a"]}, ValueError, "feature_names: expected 2 of them, got 1"),
        ((X, Y), {"feature_names": "ab"}, TypeError, "feature_names: expected a list of str"),
        ((X.T, Y), {}, ValueError, r"a label for each of the 2 samples, shape \(2,\), got \(60,\)"),
        ((X[:, :1], Y), {}, ValueError, r"2 to 64 features: shape .* got \(60, 1\)"),
        ((WIDE, Y[:3]), {}, ValueError, r"2 to 64 features: shape .* got \(3, 65\)"),
        ((X[0], Y), {}, ValueError, r"got \(2,\)"),
        ((MANY, np.zeros(125_001)), {}, ValueError, "at most 250,000 numbers, got 250,002"),
        ((BAD, Y), {}, ValueError, r"X: expected finite numbers, got nan at \[5, 1\]"),
        ((X, BAD[:, 1]), {}, ValueError, r"y: expected finite numbers, got nan at \[5\]"),
        ((X * [1, 0], Y), {}, ValueError, "X: .* one and the same in column 1: leave"),
        ((X * 1e300, Y), {}, ValueError, "X: has too large numbers"),
        ((X / 1e3, Y), {"X_val": X * 1e306, "y_val": Y}, ValueError, "X_val: has too large"),
        ((X * [1, 0] + 0.1, Y), {}, ValueError, "X: .* one and the same in column 1: leave"),
        ((X.astype(str), Y), {}, TypeError, "X: expected numbers, got dtype <U"),
        ((X, Y * 0), {}, ValueError, "y: expected 2 to 8 classes, got 1"),
        ((X, np.arange(60)), {}, ValueError, "got 60; pass task=\"regression\""),
        ((X, MIXED), {}, TypeError, "y: expected labels of one kind"),
        ((X, Y.astype(str)), {"task": "regression"}, TypeError, "y: expected numbers"),
        ((X, Y * 0), {"task": "regression"}, ValueError, "y: .* got one and the same$"),
    ],
)  # fmt: skip
def test_bad_data_is_refused(arguments, options, error, message):
    with pytest.raises(error, match=message):
        nnc.playground(*arguments, **options)


# ------------------------------------------------------------------------------ the page


def test_no_label_or_name_leaves_its_place():
    nasty = ["</script><script>alert(1)</script>", "<!--", "&lt;\u2028'\"\\"]
    names = ['</SCRIPT foo="', "<title></title>"]
    page = nnc.playground(X, np.array(nasty)[np.arange(60) % 3], feature_names=names)
    scripts = Scripts(page.html)
    assert list(scripts.found) == ["data", *(f"script {i}" for i in range(1, 8))]
    assert told(page)["features"] == names
    assert told(page)["classes"] == sorted(nasty)
    shipped = base64.b64decode(told(page)["core"])
    assert gzip.decompress(shipped) == WASM.read_bytes()


def test_the_page_names_no_address_and_forbids_all():
    page = nnc.playground()
    assert Scripts(page.html).addresses == ["data:,"]
    assert "default-src 'none'" in page.html
    assert "://" not in page.html


def test_it_is_a_file_and_a_sealed_frame(tmp_path):
    page = nnc.playground(X, Y)
    page.save(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text("utf-8") == page.html
    frame = HTMLParser()
    seen = []
    frame.handle_starttag = lambda tag, attributes: seen.append((tag, dict(attributes)))
    frame.feed(page._repr_html_())
    ((tag, attributes),) = seen
    assert tag == "iframe"
    assert attributes["sandbox"] == "allow-scripts"
    assert attributes["srcdoc"] == page.html
    assert html.escape(page.html) in page._repr_html_()
    assert repr(page).startswith("<Page 'nnc playground: 60 samples, 2 features, 2 classes', ")


# ---------------------------------------------------------------------------- the engine


def test_the_shipped_engine_has_its_hash_and_imports_nothing():
    recorded, name = WASM.with_name("core.wasm.sha256").read_text().split()
    assert name == WASM.name
    assert hashlib.sha256(WASM.read_bytes()).hexdigest() == recorded
    assert load()[1].imports == []


def one_hot(y, n_out):
    return np.eye(n_out)[y] if n_out > 1 else np.asarray(y, float).reshape(-1, 1)


TRAININGS = {
    "moons": ([(4, "tanh"), (4, "tanh"), (1, "sigmoid")], [(nnc.Adam(0.03), 32, 100)]),
    "three classes": ([(8, "relu"), (3, "softmax")], [(nnc.SGD(0.1, momentum=0.9), 10, 100)]),
    "numbers": ([(5, "gelu"), (5, "mish"), (1, "identity")], [(nnc.RMSprop(0.01), 900, 50)]),
    "no hidden layer": ([(1, "sigmoid")], [(nnc.Lion(0.01), 64, 50)]),
    "changes": (
        [(4, "elu"), (1, "sigmoid")],
        [
            (nnc.Adam(0.1), 32, 20), (nnc.Adam(0.01), 8, 20), (nnc.SGD(0.1), 900, 20),
            (nnc.NAdam(0.01), 1, 2), (nnc.Adagrad(0.1), 16, 9),
            (nnc.SGD(0.1, momentum=0.9, nesterov=True), 32, 9),
        ],
    ),
}  # fmt: skip


STALE = "if csrc has changed, run make -C csrc wasm and commit what it writes"


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_in_webassembly_is_that_of_python_to_the_bit(name, baseline):
    layers, stages = TRAININGS[name]
    moons = tutorial_moons()
    X, n_out = moons.X_train.T.copy(), layers[-1][0]
    labels = np.arange(900) % 3 if n_out > 1 else moons.Y_train[0]
    y = X[:, 0] * X[:, 1] if layers[-1][1] == "identity" else labels
    network = nnc.Network(
        [nnc.Dense(units, activation) for units, activation in layers], 2,
        optimizer=stages[0][0], dtype="float64", seed=np.random.RandomState(5),
    )  # fmt: skip
    Y = one_hot(y, n_out)
    wasm = WasmNetwork(2, layers, network.loss.engine_name, 5)
    assert wasm.params.tobytes() == network.engine.params.tobytes()
    for optimizer, batch, epochs in stages:
        network.optimizer = optimizer
        history = network.fit(X, y, epochs=epochs, batch_size=batch, verbose=0)
        assert wasm.train(X, Y, optimizer, batch, epochs)
        assert wasm.params.tobytes() == network.engine.params.tobytes(), STALE
        assert wasm.get(wasm.results, 2)[0] == history["loss"][-1]
    assert wasm.epochs == network.epochs_trained
    assert wasm.evaluate(X, Y)[0] == network.evaluate(X, y)["loss"]
    assert wasm.predict(X, n_out).tobytes() == network.predict_proba(X).tobytes()
    units = sum(units for units, _ in layers[:-1])
    if units:
        hidden = [network.hidden_activations(X, layer=i) for i in range(len(layers) - 1)]
        np.testing.assert_allclose(wasm.trace(X, units), np.hstack(hidden).T, rtol=0, atol=1e-14)


def test_a_training_that_diverges_goes_back_to_the_last_good_epoch(baseline):
    rows = X / X.std(axis=0)
    y = rows[:, 0] ** 2
    layers = [(4, "identity"), (1, "identity")]
    network = nnc.Network(
        [nnc.Dense(units, name) for units, name in layers], 2,
        optimizer=nnc.SGD(3.0), dtype="float64", seed=np.random.RandomState(0),
    )  # fmt: skip
    wasm = WasmNetwork(2, layers, "mean_squared_error", 0)
    with pytest.raises(nnc.DivergenceError):
        network.fit(rows, y, epochs=100, batch_size=60, verbose=0)
    assert not wasm.train(rows, one_hot(y, 1), nnc.SGD(3.0), 60, 100)
    assert wasm.epochs == network.epochs_trained > 0
    assert wasm.params.tobytes() == network.engine.params.tobytes()


def test_what_the_engine_does_not_know_it_refuses():
    wasm = WasmNetwork(2, [(1, "sigmoid")], "binary_cross_entropy", 0)
    assert wasm.find("optimizer", "sgdd") == -1
    assert wasm.find("activation", "log_softmax") > wasm.find("activation", "tanh") >= 0
    one = wasm.put([1.0] * 10)
    loss = wasm.find("loss", "binary_cross_entropy")
    assert wasm.call("network_new", 9, one, one, loss, 0, 0) == 0
    assert wasm.call("network_new", 0, one, one, loss, 0, 0) == 0
    assert wasm.call("network_new", 1, wasm.put([0, 0]), one, loss, 0, 0) == 0
