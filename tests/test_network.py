"""nnc.Network: what it computes, against NumPy; its arguments; what it keeps."""

import copy
import pickle
import threading

import numpy as np
import pytest
from sample_networks import blobs, circles, numpy_forward

import nnc
from nnc import BatchNorm, Dense, Dropout, Flatten, LayerNorm, Network, Reshape

ACTIVATIONS = [name for name in nnc.layers.ACTIVATIONS if name not in nnc.layers.OUTPUT_ONLY]


def small(**options):
    options = {"seed": 1, "dtype": "float64"} | options
    return Network([Dense(6, "tanh"), Dense(1, "sigmoid")], 2, **options)


# ------------------------------------------------------------------------------- construction


def test_shapes_dtypes_and_names():
    network = Network(
        [
            Flatten(),
            Dense(5, "relu"),
            LayerNorm(),
            Dense(4, bias=False),
            BatchNorm(),
            Dense(3, "softmax"),
        ],
        input_shape=(2, 3),
        seed=0,
    )  # fmt: skip
    shapes = {name: array.shape for name, array in network.params.items()}
    assert shapes == {
        "W1": (5, 6), "b1": (5, 1), "gamma2": (5, 1), "beta2": (5, 1), "W3": (4, 5),
        "gamma4": (4, 1), "beta4": (4, 1), "mean4": (4, 1), "variance4": (4, 1),
        "W5": (3, 4), "b5": (3, 1),
    }  # fmt: skip
    assert network.dtype == np.float32
    assert network.n_params == sum(
        int(np.prod(s)) for n, s in shapes.items() if n not in ("mean4", "variance4")
    )
    assert (network.params["gamma2"] == 1).all()
    assert (network.params["variance4"] == 1).all()


def test_the_tutorials_network_starts_as_in_the_tutorial():
    architecture = nnc.datasets.tutorial_architecture(2, 25, 50, 1)
    network = Network.from_architecture(architecture, seed=2, dtype="float64")
    expected = nnc.init_layers(architecture, 2)
    assert network.params.keys() == expected.keys()
    for name, array in expected.items():
        assert (network.params[name] == array).all()


def test_the_tutorials_functions_take_its_parameters():
    X, y = circles(50)
    architecture = nnc.datasets.tutorial_architecture(2, 6, 1)
    network = Network.from_architecture(
        architecture, seed=3, dtype="float64", optimizer=nnc.SGD(0.1)
    )
    Y = y[None]
    Y_hat, memory = nnc.full_forward_propagation(X.T, network.params, architecture)
    np.testing.assert_allclose(network.predict_proba(X), Y_hat.T, rtol=1e-13)
    grads = nnc.full_backward_propagation(Y_hat, Y, memory, network.params, architecture)
    for name, array in network.backward(X, y).items():
        np.testing.assert_allclose(array, grads[name], rtol=1e-10, atol=1e-14)
    again = network.copy()
    nnc.update(network.params, grads, architecture, 0.1)
    again.step(X, y)
    for name, array in again.params.items():
        np.testing.assert_allclose(array, network.params[name], rtol=1e-12)


def test_from_sizes():
    network = Network.from_sizes(2, 25, 50, 1, output_activation="sigmoid")
    assert [layer.units for layer in network.layers] == [25, 50, 1]
    assert network.loss.kind == "binary_cross_entropy"


def test_the_dtype_follows_the_first_data_unless_it_is_given():
    X, y = circles(20)
    for dtype, given, expected in [("f8", None, "f8"), ("f4", None, "f4"), ("f8", "f4", "f4")]:
        network = Network([Dense(1, "sigmoid")], 2, dtype=given)
        network.fit(X.astype(dtype), y, epochs=1)
        assert network.dtype == np.dtype(expected)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (([Dense(1)],), {}, ValueError, "input_dim: expected the number of features"),
        (([Dense(1)], 2), {"input_shape": (2,)}, ValueError, "got both"),
        (([Dense(1)], 0), {}, ValueError, "input_dim: expected at least 1"),
        (([Dense(3)], 2), {"loss": "cross"}, ValueError, "loss: expected one of"),
        (([Dense(3)], 2), {"loss": "categorical_crossentropy"}, ValueError, "softmax"),
        (([Dense(3, "softmax")], 2), {"loss": "mse"}, ValueError, "elementwise"),
        (([Dense(1)], 2), {"optimizer": "adan"}, ValueError, "did you mean 'adam'"),
        (([Dense(1)], 2), {"dtype": "float16"}, ValueError, "dtype: expected float32 or float64"),
        (([Dense(1)], 2), {"seed": "x"}, TypeError, "seed: expected an integer"),
        (([Dense(1)], 2), {"input_scale": 0}, ValueError, "input_scale"),
        (([Dropout(0.5)], 2), {}, ValueError, "must be Dense"),
    ],
)
def test_what_the_constructor_refuses(arguments, options, error, message):
    with pytest.raises(error, match=message):
        Network(*arguments, **options)


# ------------------------------------------------------------------------------------ passes


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predictions_are_numpys(activation, dtype):
    X, _ = blobs(70, features=5)
    layers = [Dense(7, activation), LayerNorm(), Dense(4, activation), Dense(3)]
    network = Network(layers, 5, seed=4, dtype=dtype)
    expected = numpy_forward(network, X)
    tolerance = {"float32": 2e-5, "float64": 1e-12}[dtype]
    for outputs in (
        network.predict_proba(X),
        network.forward(X),
        np.array([network.predict_one(x) for x in X]),
    ):
        np.testing.assert_allclose(outputs, expected, rtol=tolerance, atol=tolerance)


def test_predict_gives_classes_where_there_are_some():
    X, _ = blobs(60, features=2, classes=3)
    softmax = Network([Dense(3, "softmax")], 2, seed=0)
    assert (softmax.predict(X) == softmax.predict_proba(X).argmax(axis=1)).all()
    sigmoid = small()
    assert (sigmoid.predict(X) == (sigmoid.predict_proba(X)[:, 0] > 0.5)).all()
    assert sigmoid.predict(X).dtype == np.int64
    several = Network([Dense(2, "sigmoid")], 2, seed=0)
    assert several.predict(X).shape == (60, 2)
    line = Network([Dense(1)], 2, seed=0)
    assert (line.predict(X) == line.predict_proba(X)[:, 0]).all()
    logs = Network([Dense(3, "log_softmax")], 2, seed=0)
    np.testing.assert_allclose(np.exp(logs.predict_proba(X)).sum(axis=1), 1, rtol=1e-5)


def test_a_trace_shows_every_layer():
    X, _ = circles(10)
    network = Network([Dense(4, "gelu"), Dropout(0.5), Dense(1, "sigmoid")], 2, seed=0, dtype="f8")
    outputs, memory = network.forward(X, trace=True)
    assert list(memory) == ["A0", "Z1", "A1", "Z2", "A2", "Z3", "A3"]
    assert (memory["A0"] == X.T).all()
    assert (memory["A2"] == memory["A1"]).all()
    assert (memory["A3"].T == outputs).all()
    np.testing.assert_allclose(network.hidden_activations(X, 0), memory["A1"].T, rtol=1e-14)
    np.testing.assert_allclose(network.hidden_activations(X, -1), outputs, rtol=1e-14)
    with pytest.raises(ValueError, match="layer: expected -3 to 2, got 3"):
        network.hidden_activations(X, 3)


@pytest.mark.parametrize("output", [Dense(3, "softmax"), Dense(3, "log_softmax"), Dense(3, "mish")])
def test_input_gradients_against_differences(output):
    X, _ = blobs(6, features=4)
    layers = [BatchNorm(), Dense(5, "silu"), LayerNorm(), output]
    network = Network(layers, 4, seed=2, dtype="float64", input_scale=0.5)
    network.params["mean1"][:] = 0.3
    gradient = network.input_gradients(X, output=1)
    step = 1e-6
    for i in range(4):
        move = np.zeros(4)
        move[i] = step
        ends = [network.predict_proba(X + sign * move)[:, 1] for sign in (1, -1)]
        np.testing.assert_allclose(gradient[:, i], (ends[0] - ends[1]) / (2 * step), atol=1e-8)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradcheck(activation):
    X, y = blobs(12, features=4, classes=3)
    layers = [Dense(5, activation), LayerNorm(), Dense(4, activation), Dense(3, "softmax")]
    network = Network(layers, 4, seed=3, dtype="float64")
    assert network.gradcheck(X, y) < 1e-7


def test_gradcheck_refuses_what_trains_unlike():
    X, y = circles(8)
    with pytest.raises(ValueError, match="dropout or batch norm"):
        Network([Dropout(0.1), Dense(1, "sigmoid")], 2).gradcheck(X, y)


# ----------------------------------------------------------------------------------- weights


def test_weights_are_copied_in_and_out():
    network = small()
    weights = network.get_weights()
    weights[0][:] = 0
    assert (network.params["W1"] != 0).any()
    network.set_weights(weights)
    assert (network.params["W1"] == 0).all()
    network.set_weights({name: array + 1 for name, array in network.params.items()})
    assert (network.params["W1"] == 1).all()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([], "expected 4 arrays"),
        ({"W1": 0}, "expected W1, b1, W2, b2, got W1"),
        (
            [np.zeros((6, 3)), np.zeros((6, 1)), np.zeros((1, 6)), np.zeros((1, 1))],
            r"weights\[W1\]",
        ),
        (["a", "b", "c", "d"], "expected real numbers"),
    ],
)
def test_what_set_weights_refuses(weights, message):
    network = small()
    before = network.get_weights()
    with pytest.raises((ValueError, TypeError), match=message):
        network.set_weights(weights)
    assert all((a == b).all() for a, b in zip(before, network.get_weights(), strict=True))


def test_frozen_layers_stay():
    X, y = circles(60)
    layers = [
        Dense(6, "tanh", name="first"),
        Dense(4, "tanh", trainable=False),
        Dense(1, "sigmoid"),
    ]
    network = Network(layers, 2, seed=1, dtype="float64", optimizer=nnc.Adam(weight_decay=0.1))
    network.freeze("first")
    before = network.copy().params
    network.fit(X, y, epochs=2)
    for name in ("W1", "b1", "W2", "b2"):
        assert (network.params[name] == before[name]).all()
    assert (network.params["W3"] != before["W3"]).any()
    network.unfreeze(0)
    network.fit(X, y, epochs=1)
    assert (network.params["W1"] != before["W1"]).any()
    assert (network.params["W2"] == before["W2"]).all()
    with pytest.raises(ValueError, match="no layer is called 'frist'"):
        network.freeze("frist")


# -------------------------------------------------------------------------------- copies, files


NETWORKS = {
    "dense": lambda: small(optimizer=nnc.Adam(ema_decay=0.9)),
    "float32": lambda: small(dtype="float32", optimizer="nadam"),
    "norms": lambda: Network(
        [BatchNorm(), Dense(5, "gelu", l2=0.01), Dropout(0.3), LayerNorm(), Dense(2, "softmax")],
        2, seed=5, loss="categorical_crossentropy", optimizer=nnc.SGD(0.05, 0.9),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("how", ["copy", "deepcopy", "pickle", "file"])
def test_a_copy_goes_on_with_the_same_bits(name, how, tmp_path):
    X, y = circles(100)
    network = NETWORKS[name]()
    network.fit(X, y, epochs=3)
    path = tmp_path / "network.nnc"
    network.save(path)
    other = {
        "copy": network.copy,
        "deepcopy": lambda: copy.deepcopy(network),
        "pickle": lambda: pickle.loads(pickle.dumps(network)),
        "file": lambda: Network.load(path),
    }[how]()
    assert (other.predict_proba(X) == network.predict_proba(X)).all()
    assert other.layers == network.layers
    assert (other.loss, other.optimizer) == (network.loss, network.optimizer)
    first, second = network.fit(X, y, epochs=3), other.fit(X, y, epochs=3)
    assert first["loss"] == second["loss"]
    for a, b in zip(network.get_weights(), other.get_weights(), strict=True):
        assert (a == b).all()


def test_two_fits_are_one():
    X, y = circles(100)
    once, twice = NETWORKS["norms"](), NETWORKS["norms"]()
    history = once.fit(X, y, epochs=6)
    losses = twice.fit(X, y, epochs=2)["loss"] + twice.fit(X, y, epochs=4)["loss"]
    assert losses == history["loss"]
    assert once.epochs_trained == twice.epochs_trained == 6


def test_functions_are_no_data(tmp_path):
    network = small(optimizer=nnc.SGD(lambda epoch: 0.1))
    with pytest.raises(TypeError, match="not data"):
        network.save(tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_a_file_that_describes_no_network(tmp_path):
    path = tmp_path / "bad.nnc"
    nnc.files.write(path, {"W1": np.zeros(3)}, {"layers": []}, "network")
    with pytest.raises(nnc.files.FormatError, match="describes no network"):
        Network.load(path)


# -------------------------------------------------------------------------------------- looks


def test_summary_repr_and_drawing():
    network = NETWORKS["norms"]()
    text = network.summary()
    assert "Dense" in text
    assert str(network.n_params) in text.replace(",", "")
    assert "2-5-2" in repr(network)
    assert network._repr_html_().startswith("<svg")


def test_one_network_belongs_to_one_thread_at_a_time():
    X, y = circles(50)
    network, errors = small(), []

    def work():
        for call in (lambda: network.fit(X, y, epochs=1), lambda: network.predict(X)):
            try:
                call()
            except RuntimeError as error:
                errors.append(str(error))

    def meanwhile(epoch, logs):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    network.fit(X, y, epochs=1, callbacks=meanwhile)
    assert len(errors) == 2
    assert all("another thread" in error for error in errors)


def test_reshape_and_flatten_only_change_shapes():
    X, _ = blobs(8, features=12)
    layers = [Reshape((3, 4)), Flatten(), Dense(2)]
    network = Network(layers, input_shape=(12,), seed=0)
    plain = Network([Dense(2)], 12, seed=0)
    assert (network.predict(X) == plain.predict(X)).all()


@pytest.mark.parametrize("layer", [Dropout(0.5), BatchNorm(), LayerNorm()])
def test_evaluate_is_the_loss_of_the_predictions(layer):
    X, y = circles(300)
    network = Network([Dense(7, "tanh"), layer, Dense(1, "sigmoid")], 2, seed=3)
    network.fit(X, y, epochs=2)
    p = network.predict_proba(X)[:, 0]
    found = network.evaluate(X, y)
    assert np.isclose(found["loss"], -np.log(np.where(y, p, 1 - p)).mean(), rtol=1e-10)
    assert found["accuracy"] == ((p > 0.5) == y).mean()
