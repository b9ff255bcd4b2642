"""scikit-learn's MLPClassifier and MLPRegressor, trained by `fit`."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from workloads import Array, Problem

from peers import Cannot, History, Job

VERSION = sklearn.__version__
warnings.simplefilter("ignore", ConvergenceWarning)


class Estimator:
    """`fit` starts anew from weights of its own and keeps the cost of each epoch."""

    note = "keeps no accuracy, draws other initial weights"
    same_start = False

    def __init__(self, problem: Problem) -> None:
        self.problem, workload = problem, problem.workload
        self.regression = workload.loss == "mean_squared_error"
        # Its squared error is half the sum over outputs, where the workload's is the mean.
        rate = workload.learning_rate * (2 / problem.Y.shape[1] if self.regression else 1)
        self.options: dict[str, Any] = {
            "hidden_layer_sizes": workload.sizes[1:-1],
            "solver": workload.optimizer,
            "alpha": 0,
            "momentum": 0,
            "nesterovs_momentum": False,
            "batch_size": workload.batch or len(problem.X),
            "shuffle": bool(workload.batch),
            "learning_rate_init": rate or 0.001,
            "tol": 0,
            "random_state": 0,
        }
        self.target = problem.Y if self.regression else problem.labels
        if not workload.trains:
            self.note = ""
            self._fit(problem.X[:1000], self.target[:1000], 1)
            self.model.coefs_ = [np.ascontiguousarray(W.T) for W in problem.params[::2]]
            self.model.intercepts_ = [b.copy() for b in problem.params[1::2]]

    def _fit(self, X: Array, target: Array, epochs: int) -> None:
        kind = MLPRegressor if self.regression else MLPClassifier
        self.model = kind(max_iter=epochs, n_iter_no_change=epochs, **self.options).fit(X, target)

    def reset(self) -> None:
        """Keep nothing: `fit` starts anew."""

    def run(self, epochs: int) -> History:
        """Train from the start."""
        self._fit(self.problem.X, self.target, epochs)
        return History(self.model.loss_curve_)

    def predict(self, X: Array) -> Array:
        """Return the outputs; of two classes the second."""
        outputs: Array
        if self.regression:
            return self.model.predict(X)
        outputs = self.model.predict_proba(np.atleast_2d(X))
        if self.problem.Y.shape[1] == 1:
            outputs = outputs[:, 1:]
        return outputs if X.ndim == 2 else outputs[0]


def make(problem: Problem) -> Job:
    """Build the estimator."""
    if problem.workload.loss == "sum_of_squares":
        raise Cannot("no network without biases, no squared error after a sigmoid")
    return Estimator(problem)
