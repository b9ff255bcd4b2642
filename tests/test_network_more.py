"""nnc.Network with losses in Python, and with L-BFGS and Levenberg-Marquardt."""

import numpy as np
import pytest
from sample_networks import blobs, circles

import nnc
from nnc import LBFGS, SGD, Dense, Dropout, LayerNorm, LevenbergMarquardt, Network


def half_squares(y_true, y_pred):
    error = y_pred - y_true
    return 0.5 * float((error**2).sum()) / len(error), error / len(error)


def regression(m=150, seed=0):
    random = np.random.default_rng(seed)
    X = random.normal(size=(m, 4))
    y = np.column_stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]]) + random.normal(0, 0.05, (m, 2))
    return X, y


def net(loss="mse", optimizer="adam", hidden=12, **options):
    layers = [Dense(hidden, "tanh"), Dense(2)]
    return Network(layers, 4, loss=loss, optimizer=optimizer, seed=1, dtype="f8", **options)


# ------------------------------------------------------------------------- losses in Python


@pytest.mark.parametrize("optimizer", [SGD(0.05), SGD(0.05, 0.9), "adam"])
@pytest.mark.parametrize("batch_size", [32, 7, None])
def test_a_loss_in_python_trains_as_the_engines_own(optimizer, batch_size):
    """Half a sum of squares over the batch's size is the mean squared error of two outputs."""
    X, y = regression()
    ours = net(half_squares, optimizer)
    theirs = net("mse", optimizer)
    first = ours.fit(X, y, epochs=5, batch_size=batch_size)
    second = theirs.fit(X, y, epochs=5, batch_size=batch_size)
    np.testing.assert_allclose(first["loss"], second["loss"], rtol=1e-12)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-14)
    assert "accuracy" not in first
    assert ours.evaluate(X, y)["loss"] == pytest.approx(theirs.evaluate(X, y)["loss"], rel=1e-12)


def test_a_loss_in_python_sees_each_row_once_an_epoch():
    X, y = regression(70)
    seen = []

    def loss(y_true, y_pred):
        assert y_true.shape == y_pred.shape
        seen.append(y_true.copy())
        return half_squares(y_true, y_pred)

    net(loss).fit(X, y, epochs=1, batch_size=32)
    assert [len(rows) for rows in seen] == [32, 32, 6]
    rows = np.concatenate(seen)
    assert (np.sort(rows, axis=0) == np.sort(y, axis=0)).all()
    assert (rows != y).any()  # they change places


@pytest.mark.parametrize("wide", [False, True])
def test_layers_and_threads_beside_a_loss_in_python(wide):
    X, y = regression(200)
    results = []
    for n_threads in (1, 2, 3):
        layers = [
            Dense(300 if wide else 9, "gelu"),
            Dropout(0.2),
            LayerNorm(),
            Dense(2, "softplus"),
        ]
        network = Network(layers, 4, loss=half_squares, seed=2)
        history = network.fit(X, y, epochs=2, batch_size=100, n_threads=n_threads)
        results.append((history["loss"], network.get_weights()))
    for losses, weights in results[1:]:
        assert losses == results[0][0]
        assert all((a == b).all() for a, b in zip(weights, results[0][1], strict=True))


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        (lambda y, p: 1.0, TypeError, r"return \(loss, gradient\)"),
        (lambda y, p: (1.0, p[:1]), ValueError, "gradient of the loss: expected shape"),
        (lambda y, p: (1.0, "x"), (TypeError, ValueError), "gradient of the loss"),
        (lambda y, p: (None, p), TypeError, "float"),
        (lambda y, p: 1 / 0, ZeroDivisionError, "division"),
    ],
)
def test_what_a_loss_in_python_may_do_wrong(loss, error, message):
    X, y = regression(40)
    network = net(loss)
    before = network.get_weights()
    with pytest.raises(error, match=message):
        network.fit(X, y, epochs=1)
    assert all((a == b).all() for a, b in zip(before, network.get_weights(), strict=True))
    network.loss = nnc.losses.resolve(half_squares)
    network.fit(X, y, epochs=1)


def test_a_loss_in_python_that_is_not_finite_diverges():
    X, y = regression(40)
    with pytest.raises(nnc.DivergenceError, match="diverged"):
        net(lambda y, p: (np.nan, p)).fit(X, y, epochs=1)
    with pytest.raises(ValueError, match="sample_weight"):
        net(half_squares).fit(X, y, sample_weight=np.ones(40))


# ------------------------------------------------------------------- second-order methods


@pytest.mark.parametrize("optimizer", [LBFGS(), LevenbergMarquardt()], ids=lambda o: o.kind)
def test_second_order_methods_come_far_in_few_iterations(optimizer):
    X, y = regression()
    network = net(optimizer=optimizer)
    history = network.fit(X, y, epochs=60)
    sgd = net(optimizer=SGD(0.1)).fit(X, y, epochs=200)
    assert history["loss"][-1] < 0.3 * sgd["loss"][-1]
    assert (np.diff(history["loss"]) <= 1e-12).all()
    assert network.evaluate(X, y)["loss"] == pytest.approx(history["loss"][-1], rel=1e-9)
    assert network.epochs_trained == len(history["loss"]) <= 60


def test_least_squares_and_ridge_are_solved():
    X, y = regression()
    A = np.column_stack([X, np.ones(len(X))])
    for optimizer in (LBFGS(gradient_tolerance=1e-9, decrease_tolerance=0), LevenbergMarquardt()):
        network = Network([Dense(2)], 4, optimizer=optimizer, seed=0, dtype="f8")
        network.fit(X, y, epochs=200)
        expected = np.linalg.lstsq(A, y, rcond=None)[0]
        np.testing.assert_allclose(network.params["W1"].T, expected[:4], atol=1e-5)
    ridge = Network([Dense(2, l2=0.3)], 4, optimizer="lbfgs", seed=0, dtype="f8")
    ridge.fit(X, y, epochs=200)
    penalty = np.diag([0.3, 0.3, 0.3, 0.3, 0.0]) * y.size / 2
    expected = np.linalg.solve(A.T @ A + penalty, A.T @ y)
    np.testing.assert_allclose(ridge.params["W1"].T, expected[:4], atol=1e-4)


def test_lbfgs_classifies_with_weights_smoothing_and_validation():
    X, y = blobs(150, features=4)
    loss = nnc.losses.SparseCategoricalCrossEntropy(label_smoothing=0.1)
    network = Network(
        [Dense(8, "silu"), Dense(3, "softmax")], 4, loss=loss, optimizer="lbfgs", seed=1
    )
    stops = []

    def stop(epoch, logs):
        stops.append(logs)
        return epoch == 19

    history = network.fit(
        X[:100], y[:100], epochs=50, X_val=X[100:], y_val=y[100:], metrics="f1",
        sample_weight=np.linspace(0.5, 1.5, 100), callbacks=stop,
    )  # fmt: skip
    assert len(stops) == len(history["loss"]) <= 20
    assert set(history) == {"loss", "accuracy", "f1", "val_loss", "val_accuracy", "val_f1"}
    assert history["val_accuracy"][-1] > 0.9


def test_frozen_layers_stay_under_lbfgs():
    X, y = regression()
    network = net(optimizer="lbfgs")
    network.freeze(0)
    before = network.copy().params
    network.fit(X, y, epochs=5)
    assert (network.params["W1"] == before["W1"]).all()
    assert (network.params["W2"] != before["W2"]).any()


@pytest.mark.parametrize(
    ("layers", "options", "fit", "message"),
    [
        ([Dense(2, l1=0.1)], {}, {}, "knows no l1"),
        ([Dense(2, max_norm=1)], {}, {}, "knows no max_norm"),
        ([Dropout(0.1), Dense(2)], {}, {}, "dense layers and layer norm"),
        ([Dense(2)], {"loss": half_squares}, {}, "no losses in Python"),
        ([Dense(2)], {}, {"batch_size": 10}, "pass batch_size=None"),
        ([Dense(2)], {"optimizer": "lm", "loss": "mae"}, {}, "sums of squares"),
    ],
)
def test_what_second_order_methods_refuse(layers, options, fit, message):
    X, y = regression()
    network = Network(layers, 4, **{"optimizer": "lbfgs"} | options)
    with pytest.raises(ValueError, match=message):
        network.fit(X, y, **fit)


def test_levenberg_marquardt_fits_circles_exactly():
    X, y = circles(80)
    network = Network(
        [Dense(8, "tanh"), Dense(1, "sigmoid")], 2, loss="mse", optimizer="lm", seed=3, dtype="f8"
    )
    history = network.fit(X, y, epochs=200)
    assert history["loss"][-1] < 1e-4
