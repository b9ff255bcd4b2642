"""_core.minimize: known solutions, SciPy's minimizer, endings, bad input, interruption, bits."""

import itertools
import os
import signal
import threading
from typing import Any

import numpy as np
import pytest
from conftest import ISAS_WITH_FMA
from support import kernels

from nnc import _core

METHODS = ["lbfgs", "levenberg_marquardt"]
LINEAR = [(6, 2, "identity", True)]
DEEP = [(4, 7, "sigmoid", True), (7, 2, "identity", True)]


def problem(layers, m, dtype=np.float64, seed=0, classes=False):
    """A block of parameters, X and Y."""
    random = np.random.default_rng(seed)
    n_in, n_out = layers[0][0], layers[-1][1]
    X = random.normal(size=(n_in, m))
    Y = np.tanh(X[:n_out] + 0.3 * random.normal(size=(n_out, m)))
    if classes:
        Y = (Y > 0) * 1.0
    n_params = _core.layout(layers)[1]
    return [a.astype(dtype) for a in (random.normal(size=n_params) / np.sqrt(n_in), X, Y)]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("l2", [0.0, 0.25])
def test_a_linear_network_solves_least_squares(method, l2):
    params, X, Y = problem(LINEAR, 200)
    result = _core.minimize(params, X, Y, LINEAR, "sum_of_squares", method,
                            gradient_tolerance=1e-8, decrease_tolerance=0.0,
                            ranges=[(0, 12, False, l2)])  # fmt: skip
    assert (result["status"], result["ending"]) == ("ok", "gradient")
    rows = np.vstack([X, np.ones(200)]).T
    penalty = np.sqrt(l2 / 2) * np.eye(6, 7)
    expected = np.linalg.lstsq(
        np.vstack([rows, penalty]), np.vstack([Y.T, np.zeros((6, 2))]), rcond=None
    )[0]
    np.testing.assert_allclose(params[:12].reshape(2, 6), expected[:6].T, rtol=0, atol=1e-9)
    np.testing.assert_allclose(params[12:], expected[6], rtol=0, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_the_result_describes_the_descent(method):
    params, X, Y = problem(DEEP, 100)
    seen = []
    result = _core.minimize(params, X, Y, DEEP, "mean_squared_error", method, max_iter=12,
                            gradient_tolerance=0.0, decrease_tolerance=0.0,
                            at_iteration=lambda *arguments: seen.append(arguments))  # fmt: skip
    assert result["ending"] == "iterations"
    assert result["iterations"] == 12 == len(seen)
    assert result["evaluations"] > 12
    assert result["history"].shape == (13,)
    assert (np.diff(result["history"]) < 0).all()
    assert [entry[0] for entry in seen] == list(range(12))
    assert [entry[1] for entry in seen] == list(result["history"][1:])
    assert result["cost"] == result["history"][-1]
    assert (seen[-1][3] == params).all()
    W1, b1 = params[:28].reshape(7, 4), params[28:35, None]
    W2, b2 = params[35:49].reshape(2, 7), params[49:, None]
    A = 1 / (1 + np.exp(-(W1 @ X + b1)))
    assert result["cost"] == pytest.approx(np.mean((W2 @ A + b2 - Y) ** 2), rel=1e-13)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("loss", ["sum_of_squares", "mean_squared_error"])
def test_a_weight_stands_for_so_many_samples(method, loss):
    params, X, Y = problem(DEEP, 90)
    weights = np.arange(90) % 4.0
    found = []
    for data in (
        (X, Y, weights),
        (*(np.repeat(a, np.arange(90) % 4, axis=1) for a in (X, Y)), None),
    ):
        trained = params.copy()
        result = _core.minimize(trained, *data[:2], DEEP, loss, method, max_iter=5,
                                gradient_tolerance=0.0, decrease_tolerance=0.0, weights=data[2],
                                ranges=[(0, 28, False, 0.1)])  # fmt: skip
        found.append((trained, result["history"]))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_weights_of_1_change_no_bit(method):
    params, X, Y = problem(DEEP, 90)
    found = []
    for weights in (None, np.ones(90)):
        trained = params.copy()
        _core.minimize(trained, X, Y, DEEP, "mean_squared_error", method, 5, weights=weights)
        found.append(trained.tobytes())
    assert found[0] == found[1]


def test_frozen_parameters_stay():
    for method in METHODS:
        params, X, Y = problem(DEEP, 100)
        before = params.copy()
        ranges = [(0, 28, True, 0.1), (35, 14, False, 0.1)]
        _core.minimize(params, X, Y, DEEP, "sum_of_squares", method, 5, ranges=ranges)
        assert (params[:28] == before[:28]).all()
        assert (params[28:] != before[28:]).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_isas_and_layouts_change_no_bit(method, dtype):
    width = 30 if method == "lbfgs" else 8
    layers = [(20, width, "sigmoid", True), (width, 1, "identity", False)]
    results = set()
    for isa, n_threads in itertools.product(ISAS_WITH_FMA, (1, 2, 5)):
        params, X, Y = problem(layers, 2500 if method == "lbfgs" else 200, dtype)
        if n_threads == 2:
            X, Y = np.asfortranarray(X), np.repeat(Y, 2, axis=1)[:, ::2]
        with kernels(isa):
            result = _core.minimize(params, X, Y, layers, "mean_squared_error", method, 6,
                                    n_threads=n_threads)  # fmt: skip
        results.add(params.tobytes() + result["history"].tobytes())
    assert len(results) == 1


def test_a_callback_stops_it_and_its_exception_propagates():
    params, X, Y = problem(DEEP, 100)
    seen = []

    def stop(iteration, cost, nan, at):
        seen.append(at)
        return iteration == 2

    result = _core.minimize(params, X, Y, DEEP, "sum_of_squares", at_iteration=stop)
    assert (result["status"], result["ending"]) == ("stopped", "broken_off")
    assert result["iterations"] == 3
    assert (seen[-1] == params).all()
    with pytest.raises(ZeroDivisionError):
        _core.minimize(params, X, Y, DEEP, "sum_of_squares", at_iteration=lambda *_: 1 / 0)
    assert np.isfinite(params).all()


@pytest.mark.parametrize("method", METHODS)
def test_ctrl_c_leaves_an_iterate(method):
    width = 40 if method == "lbfgs" else 8
    layers = [(30, width, "sigmoid", True), (width, 2, "identity", True)]
    params, X, Y = problem(layers, 5000)
    again = params.copy()
    options: dict[str, Any] = {
        "max_iter": 10**6,
        "gradient_tolerance": 0.0,
        "decrease_tolerance": 0.0,
    }
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        _core.minimize(params, X, Y, layers, "sum_of_squares", method, n_threads=2, **options)
    timer.join()
    if (params != again).any():  # the same descent comes by that point
        options["at_iteration"] = lambda *seen: bool((seen[3] == params).all())
        result = _core.minimize(again, X, Y, layers, "sum_of_squares", method, **options)
        assert result["status"] == "stopped"


def test_data_that_are_not_finite_diverge_at_once():
    for method in METHODS:
        params, X, Y = problem(DEEP, 100)
        before = params.copy()
        X[1, 50] = np.nan
        result = _core.minimize(params, X, Y, DEEP, "sum_of_squares", method)
        assert (result["status"], result["iterations"]) == ("diverged", 0)
        assert (params == before).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "newton"}, "Non-supported method 'newton' in method: known are lbfgs"),
        ({"loss": "nothing"}, "Non-supported loss 'nothing' in loss: known are"),
        ({"loss": "binary_cross_entropy", "method": "levenberg_marquardt"}, "sums of squares"),
        ({"max_iter": -1}, "max_iter: expected an integer >= 0"),
        ({"max_evaluations": 0}, "max_evaluations: expected an integer >= 1"),
        ({"gradient_tolerance": float("nan")}, "gradient_tolerance: expected a number >= 0"),
        ({"decrease_tolerance": -1.0}, "decrease_tolerance: expected a number >= 0"),
        ({"history": 0}, "history: expected an integer >= 1"),
        ({"damping": 0.0}, "damping: expected a number > 0"),
        ({"damping_factor": 1.0}, "damping_factor: expected a number > 1"),
        ({"damping_most": float("inf")}, "damping_most: expected a finite number >= damping"),
        ({"n_threads": 0}, "n_threads: expected an integer >= 1"),
        ({"every": 0}, "every: expected an integer >= 1"),
        ({"X": np.zeros((4, 0)), "Y": np.zeros((2, 0))}, "X: expected at least one sample"),
        ({"ranges": [(0, 52, False, 0.0)]}, r"ranges: expected parts of 51 .* got \[0, 0 \+ 52\)"),
        ({"ranges": [(0, 9, False, 0.0), (8, 1, True, 0.0)]}, "without overlap"),
        ({"ranges": [(0, 9, False, -1.0)]}, "l2 must be a finite number >= 0"),
        ({"params": np.zeros(50)}, "params: expected 51 elements, got 50"),
    ],
)
def test_bad_arguments_are_named(options, message):
    params, X, Y = problem(DEEP, 10)
    before = params.copy()
    arguments = {"params": params, "X": X, "Y": Y, "layers": DEEP, "loss": "sum_of_squares"}
    with pytest.raises(ValueError, match=message):
        _core.minimize(**{**arguments, **options})
    assert (params == before).all()


def test_ranges_are_tuples():
    params, X, Y = problem(DEEP, 10)
    for ranges in (5, [5], [(1, 2)], [("a", 1, True, 0.0)]):
        with pytest.raises(TypeError):
            _core.minimize(params, X, Y, DEEP, "sum_of_squares", ranges=ranges)


def test_marquardt_has_a_limit():
    layers = [(63, 64, "sigmoid", True), (64, 1, "identity", True)]
    params, X, Y = problem(layers, 10)
    with pytest.raises(ValueError, match="at most 4096 parameters: lbfgs takes larger ones"):
        _core.minimize(params, X, Y, layers, "sum_of_squares", "levenberg_marquardt")
