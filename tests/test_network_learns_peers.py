"""What networks reach on scikit-learn's data sets, cross-validated, beside its own networks.

Five folds, shuffled with seed 0; networks start from seed 0. Inputs are standardised by the
training part of each fold.
"""

import warnings

import numpy as np
import pytest
from sklearn import datasets, model_selection
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

import nnc
from nnc import Dense, Dropout, Network

pytestmark = pytest.mark.peers


def folds(load, stratified):
    """X and y to train on, X and y to test with, for each fold."""
    X, y = load(return_X_y=True)
    cls = model_selection.StratifiedKFold if stratified else model_selection.KFold
    for train, test in cls(5, shuffle=True, random_state=0).split(X, y):
        mean, deviation = X[train].mean(axis=0), X[train].std(axis=0)
        deviation[deviation == 0] = 1  # pixels that are always white
        yield *((X[rows] - mean) / deviation for rows in (train, test)), y[train], y[test]


def test_digits():
    found = []
    for X, X_test, y, y_test in folds(datasets.load_digits, stratified=True):
        network = Network(
            [Dense(128, "relu"), Dropout(0.3), Dense(10, "softmax")], 64, seed=0,
            loss="sparse_categorical_crossentropy", optimizer=nnc.Adam(0.002),
        )  # fmt: skip
        network.fit(X, y, epochs=40, verbose=0)
        found.append(network.evaluate(X_test, y_test)["accuracy"])
        assert found[-1] == np.mean(network.predict(X_test) == y_test)
    assert np.mean(found) >= 0.975


@pytest.mark.parametrize("optimizer", [nnc.Adam(0.003), nnc.LBFGS()])
def test_breast_cancer(optimizer):
    found = []
    for X, X_test, y, y_test in folds(datasets.load_breast_cancer, stratified=True):
        layers = [Dense(16, "tanh", l2=0.01), Dense(1, "sigmoid", l2=0.01)]
        network = Network(layers, 30, optimizer=optimizer, seed=0)
        full = {"batch_size": None} if optimizer.full_batch else {}
        network.fit(X, y, epochs=100, verbose=0, **full)
        found.append(network.evaluate(X_test, y_test)["accuracy"])
    assert np.mean(found) >= 0.97


def explained(y, predicted):
    """R squared."""
    return 1 - np.mean((y - predicted) ** 2) / np.var(y)


@pytest.fixture(scope="module")
def best_regressor():
    """The mean R squared of the best of scikit-learn's networks on diabetes."""
    means = []
    for solver in ("adam", "lbfgs"):
        for alpha in (1e-4, 1, 10):
            found = []
            for X, X_test, y, y_test in folds(datasets.load_diabetes, stratified=False):
                theirs = MLPRegressor(
                    hidden_layer_sizes=(10,), solver=solver, alpha=alpha, max_iter=400,
                    random_state=0,
                )  # fmt: skip
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ConvergenceWarning)
                    theirs.fit(X, (y - y.mean()) / y.std())
                predicted = theirs.predict(X_test) * y.std() + y.mean()
                found.append(explained(y_test, predicted))
            means.append(np.mean(found))
    return max(means)


@pytest.mark.parametrize(
    ("optimizer", "l2"),
    [(nnc.Adam(), 0.06), (nnc.LBFGS(), 0.1), (nnc.LevenbergMarquardt(), 0.06)],
)
def test_diabetes(optimizer, l2, best_regressor):
    found = []
    for X, X_test, y, y_test in folds(datasets.load_diabetes, stratified=False):
        units = 10 if isinstance(optimizer, nnc.LevenbergMarquardt) else 50
        hidden = "tanh" if units == 10 else "relu"
        layers = [Dense(units, hidden, l2=l2), Dense(1, l2=l2)]
        network = Network(layers, 10, optimizer=optimizer, seed=0)
        full = {"batch_size": None} if optimizer.full_batch else {}
        network.fit(X, (y - y.mean()) / y.std(), epochs=100, verbose=0, **full)
        found.append(explained(y_test, network.predict(X_test) * y.std() + y.mean()))
    assert np.mean(found) > best_regressor - 0.01
