"""Losses that are functions in Python, against the engine's own and plain loops."""

import math

import numpy as np
import pytest
from sample_networks import circles

import nnc
from nnc import BatchNorm, Dense, Dropout, Network

X, y = circles(50)
Y = np.column_stack([np.sin(X[:, 0]), X[:, 1] ** 2])


def squares(y_true, y_pred):
    assert y_true.shape == y_pred.shape
    return np.mean((y_pred - y_true) ** 2), 2 * (y_pred - y_true) / y_pred.size


def cross_entropy(y_true, y_pred):
    m = len(y_true)
    loss = -np.where(y_true == 1, np.log(y_pred), np.log(1 - y_pred)).sum() / m
    return loss, (y_pred - y_true) / (y_pred * (1 - y_pred)) / m


LAYERS = {
    "plain": [Dense(7, "tanh"), Dense(2)],
    "penalties": [Dense(7, "tanh", l1=0.01), Dense(2, l2=0.1, max_norm=1.0)],
    "norms": [BatchNorm(), Dense(7, "tanh"), Dropout(0.3), Dense(2)],
}


@pytest.mark.parametrize("optimizer", [nnc.SGD(0.2), nnc.Adam(0.01, epsilon=1e-3)])
@pytest.mark.parametrize("batch_size", [8, None])
@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_function_trains_as_the_engines_own_loss(layers, batch_size, optimizer, dtype):
    own, custom = (
        Network(LAYERS[layers], 2, seed=1, dtype=dtype, optimizer=optimizer, loss=loss)
        for loss in ("mse", squares)
    )
    options = {"epochs": 4, "batch_size": batch_size, "X_val": X, "y_val": Y}
    first, second = own.fit(X, Y, **options), custom.fit(X, Y, **options)
    assert list(first) == list(second)
    units = {"float32": 1e-4, "float64": 1e-11}[dtype]
    for key in first:
        np.testing.assert_allclose(second[key], first[key], rtol=units)
    for name, array in own.params.items():
        np.testing.assert_allclose(custom.params[name], array, rtol=0, atol=units)
    assert custom.epochs_trained == 4


def scaled(factor):
    return lambda a, b: tuple(factor * part for part in squares(a, b))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_of_any_size(dtype):
    """Those that are tiny beside the outputs are as exact as others."""
    for factor in (1e-12, 1.0, 1e12):
        own, custom = (
            Network(LAYERS["plain"], 2, seed=1, dtype=dtype, loss=loss)
            for loss in ("mse", scaled(factor))
        )
        expected = own.backward(X, Y)
        for name, array in custom.backward(X, Y).items():
            scale = np.abs(expected[name]).max()
            epsilon = np.finfo(dtype).eps
            np.testing.assert_allclose(
                array / factor, expected[name], rtol=0, atol=40 * epsilon * scale
            )


def test_steps_batches_evaluation_and_differences():
    network = Network([Dense(5, "tanh"), Dense(1, "sigmoid")], 2, seed=1, dtype="f8",
                      loss=cross_entropy)  # fmt: skip
    own = Network([Dense(5, "tanh"), Dense(1, "sigmoid")], 2, seed=1, dtype="f8")
    assert network.gradcheck(X, y) < 1e-7
    batches = [(X[i::3], y[i::3]) for i in range(3)]
    for each in (network, own):
        each.fit(batches, epochs=2)
        each.partial_fit(X, y)
    assert network.step(X, y) == pytest.approx(own.step(X, y), rel=1e-9)
    found, expected = network.evaluate(X, y, metrics="mae"), own.evaluate(X, y, metrics="mae")
    for key in ("loss", "mae"):
        assert found[key] == pytest.approx(expected[key], rel=1e-9)


def test_it_may_not_change_what_it_gets():
    def rude(y_true, y_pred):
        result = squares(y_true, y_pred)
        y_true[:], y_pred[:] = np.nan, np.nan
        return result

    labels = Y.copy()
    network = Network(LAYERS["plain"], 2, seed=1, dtype="f8", loss=rude)
    network.fit(X, labels, epochs=2)
    assert (labels == Y).all()


@pytest.mark.parametrize(
    ("function", "options", "error", "message"),
    [
        (lambda a, b: 1.0, {}, TypeError, "loss: expected the function to return .loss, gradient"),
        (lambda a, b: (1.0, b[:, :1]), {}, ValueError, "gradient of the loss: expected shape"),
        (
            squares,
            {"sample_weight": np.ones(50)},
            ValueError,
            "loss in Python weighs samples itself",
        ),
        (squares, {"class_weight": "balanced"}, ValueError, "has no classes to weigh"),
        (lambda a, b: (math.nan, b), {}, FloatingPointError, "training diverged"),
        (lambda a, b: (1.0, b * np.inf), {}, nnc.DivergenceError, "training diverged"),
    ],
)
def test_what_goes_wrong(function, options, error, message):
    network = Network(LAYERS["plain"], 2, seed=1, loss=function)
    before = network.get_weights()
    with pytest.raises(error, match=message):
        network.fit(X, Y, **options)
    for a, b in zip(before, network.get_weights(), strict=True):
        assert (a == b).all()
