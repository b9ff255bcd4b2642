"""The tutorial in plain NumPy, as it stands in `nnc.reference`."""

from __future__ import annotations

from typing import Any

import numpy as np
from workloads import Array, Problem

from nnc import datasets, reference
from peers import Cannot, History, Job

VERSION = np.__version__


class Chapter1:
    """The class of the first chapter."""

    note = ""
    same_start = True

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.reset()

    def reset(self) -> None:
        """Start again from the seed."""
        self.network = reference.NeuralNetwork(self.problem.X, self.problem.Y, seed=63)

    def run(self, epochs: int) -> History:
        """Train on."""
        return History(self.network.train(epochs))

    def predict(self, X: Array) -> Array:
        """Return the outputs."""
        self.network.input = X
        self.network.feedforward()
        return self.network.output


class Chapter2:
    """The functions of the second chapter; `reference.train` itself where all rows are a step."""

    note = ""
    same_start = True

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.X, self.Y = problem.X.T.copy(), problem.Y.T.copy()
        self.architecture = datasets.tutorial_architecture(*problem.workload.sizes)
        self.reset()

    def reset(self) -> None:
        """Start again from the seed."""
        self.params = reference.init_layers(self.architecture, 2, dtype=self.problem.dtype)
        self.random = np.random.default_rng(0)

    def run(self, epochs: int) -> History:
        """Train: from the start for full batches, on otherwise."""
        workload = self.problem.workload
        if not workload.batch:
            self.params, costs, accuracies = reference.train(
                self.X, self.Y, self.architecture, epochs, workload.learning_rate,
                seed=2, dtype=self.problem.dtype,
            )  # fmt: skip
            return History(costs, accuracies)
        history = History()
        for _ in range(epochs):
            cost, accuracy = self._epoch(workload.batch, workload.learning_rate)
            history.cost.append(cost)
            history.accuracy.append(accuracy)
        return history

    def _epoch(self, batch: int, learning_rate: float) -> tuple[float, float]:
        m = self.X.shape[1]
        order = self.random.permutation(m)
        cost = hits = 0.0
        for start in range(0, m, batch):
            chosen = order[start : start + batch]
            X, Y = self.X[:, chosen], self.Y[:, chosen]
            Y_hat, memory = reference.full_forward_propagation(X, self.params, self.architecture)
            logits = memory[f"Z{len(self.architecture)}"]
            cost += reference.get_cost_from_logits(logits, Y) * len(chosen)
            hits += reference.get_accuracy_value(Y_hat, Y) * len(chosen)
            grads = reference.full_backward_propagation(
                Y_hat, Y, memory, self.params, self.architecture
            )
            reference.update(self.params, grads, self.architecture, learning_rate)
        return cost / m, hits / m

    def predict(self, X: Array) -> Array:
        """Return the outputs."""
        Y_hat, _ = reference.full_forward_propagation(X.T, self.params, self.architecture)
        return Y_hat.T


def make(problem: Problem) -> Job:
    """Choose the chapter."""
    kind: Any = {"truth table": Chapter1, "moons": Chapter2}.get(problem.workload.data)
    if kind is None:
        raise Cannot("the tutorial knows neither softmax nor this loss")
    job: Job = kind(problem)
    return job
