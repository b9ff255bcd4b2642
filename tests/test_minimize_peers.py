"""_core.minimize against SciPy's minimizers."""

import numpy as np
import pytest
from scipy import optimize
from test_minimize import DEEP, LINEAR, problem

from nnc import _core

pytestmark = pytest.mark.peers


def logistic(params, X, Y, l2):
    """Cost and gradient of one layer of sigmoids with mean cross-entropy."""
    W, b = params[:12].reshape(2, 6), params[12:, None]
    Z = W @ X + b
    cost = np.sum(np.logaddexp(0, Z) - Y * Z) / X.shape[1] + l2 / 2 * params @ params
    dZ = (1 / (1 + np.exp(-Z)) - Y) / X.shape[1]
    return cost, np.concatenate([(dZ @ X.T).ravel(), dZ.sum(axis=1)]) + l2 * params


def test_logistic_regression_ends_where_scipy_ends():
    layers = [(6, 2, "sigmoid", True)]
    params, X, Y = problem(layers, 300, classes=True)
    theirs = optimize.minimize(logistic, params, (X, Y, 0.01), "L-BFGS-B", jac=True,
                               options={"ftol": 0, "gtol": 1e-10})  # fmt: skip
    ours = _core.minimize(params, X, Y, layers, "binary_cross_entropy", gradient_tolerance=1e-10,
                          decrease_tolerance=0.0, ranges=[(0, 14, False, 0.01)])  # fmt: skip
    assert ours["ending"] == "gradient"
    assert ours["cost"] == pytest.approx(theirs.fun, rel=1e-13)
    np.testing.assert_allclose(params, theirs.x, rtol=0, atol=1e-7)
    np.testing.assert_allclose(params, optimize.minimize(
        logistic, theirs.x, (X, Y, 0.01), "BFGS", jac=True, options={"gtol": 1e-11}
    ).x, rtol=0, atol=1e-8)  # fmt: skip
    assert ours["evaluations"] <= 1.5 * theirs.nfev + 5


def residuals(params, X, Y, l2):
    """Their squares sum up to the cost."""
    W1, b1 = params[:28].reshape(7, 4), params[28:35, None]
    W2, b2 = params[35:49].reshape(2, 7), params[49:, None]
    E = W2 @ (1 / (1 + np.exp(-(W1 @ X + b1)))) + b2 - Y
    return np.concatenate([E.ravel(), np.sqrt(l2 / 2) * params])


def test_marquardt_ends_at_a_minimum_of_scipys():
    """SciPy, started where ours ended, finds nothing lower nearby."""
    params, X, Y = problem(DEEP, 150)
    start = params.copy()
    ours = _core.minimize(params, X, Y, DEEP, "sum_of_squares", "levenberg_marquardt", 500,
                          gradient_tolerance=1e-7, decrease_tolerance=0.0,
                          ranges=[(0, 51, False, 0.2)])  # fmt: skip
    assert ours["ending"] in ("gradient", "no_step")
    theirs = optimize.least_squares(residuals, params, args=(X, Y, 0.2), method="lm", xtol=1e-12)
    assert ours["cost"] == pytest.approx(2 * theirs.cost, rel=1e-10)
    afresh = optimize.least_squares(residuals, start, args=(X, Y, 0.2), method="lm")
    assert ours["cost"] < 1.1 * 2 * afresh.cost


def test_linear_networks_need_as_few_evaluations_as_scipy():
    params, X, Y = problem(LINEAR, 300)

    def squares(params):
        E = params[:12].reshape(2, 6) @ X + params[12:, None] - Y
        return np.mean(E**2), np.concatenate([(E @ X.T).ravel(), E.sum(axis=1)]) * 2 / E.size

    theirs = optimize.minimize(squares, params, method="L-BFGS-B", jac=True,
                               options={"ftol": 0, "gtol": 1e-8})  # fmt: skip
    ours = _core.minimize(params, X, Y, LINEAR, "mean_squared_error", gradient_tolerance=1e-8,
                          decrease_tolerance=0.0)  # fmt: skip
    assert ours["ending"] == "gradient"
    assert ours["cost"] == pytest.approx(theirs.fun, rel=1e-13)
    assert ours["evaluations"] <= 1.5 * theirs.nfev + 5
