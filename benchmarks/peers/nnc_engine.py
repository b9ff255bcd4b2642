"""nnc: `nnc.train` and `nnc.NeuralNetwork` on the tutorial's work, the engine on the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
from workloads import Array, Problem

import nnc
from nnc import _core, datasets
from peers import Cannot, History, Job

VERSION = f"{nnc.__version__} ({nnc.cpu_info()['isa']})"


class Chapter1:
    """The class of the first chapter."""

    note = ""
    same_start = True

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.reset()

    def reset(self) -> None:
        """Start again from the seed."""
        self.network = nnc.NeuralNetwork(self.problem.X, self.problem.Y, seed=63)

    def run(self, epochs: int) -> History:
        """Train on."""
        return History(self.network.train(epochs))

    def predict(self, X: Array) -> Array:
        """Return the outputs."""
        self.network.input = X
        self.network.feedforward()
        return self.network.output


class Chapter2:
    """`nnc.train`, which draws the initial weights itself."""

    note = ""
    same_start = True

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.X, self.Y = problem.X.T.copy(), problem.Y.T.copy()
        self.architecture = datasets.tutorial_architecture(*problem.workload.sizes)

    def reset(self) -> None:
        """Keep nothing: every training starts from the seed."""

    def run(self, epochs: int) -> History:
        """Train from the start."""
        self.params, cost, accuracy = nnc.train(
            self.X, self.Y, self.architecture, epochs, self.problem.workload.learning_rate,
            dtype=self.problem.dtype, n_threads=self.problem.threads,
        )  # fmt: skip
        return History(list(cost), list(accuracy))

    def predict(self, X: Array) -> Array:
        """Return the outputs."""
        Y_hat, _ = nnc.full_forward_propagation(X.T, self.params, self.architecture)
        return Y_hat.T


class Network:
    """The engine, which the classes of nnc will share."""

    note = ""
    same_start = True

    def __init__(self, problem: Problem, engine: Any) -> None:
        self.problem, self.engine = problem, engine
        self.threads = problem.threads
        self.reset()

    def reset(self) -> None:
        """Return to the initial parameters."""
        workload = self.problem.workload
        loss = workload.loss or "categorical_cross_entropy"
        self.network = self.engine(workload.layers, loss, self.problem.dtype)
        self.network.params[:] = np.concatenate([p.ravel() for p in self.problem.params])

    def run(self, epochs: int) -> History:
        """Train on; a new optimiser starts where an earlier call ended."""
        workload = self.problem.workload
        cost, accuracy = self.network.fit(
            self.problem.X,
            self.problem.Y,
            epochs=epochs,
            batch_size=workload.batch or len(self.problem.X),
            optimizer=workload.optimizer,
            learning_rate=workload.learning_rate,
            seed=0 if workload.batch else None,
            n_threads=self.threads,
        )
        return History(cost.tolist(), accuracy.tolist() if workload.classifies else [])

    def predict(self, X: Array) -> Array:
        """Return the outputs."""
        outputs: Array = self.network.predict(X, n_threads=self.threads)
        return outputs


def make(problem: Problem) -> Job:
    """Choose what fits the workload."""
    workload = problem.workload
    if workload.data == "truth table":
        return Chapter1(problem)
    if workload.data == "moons" and not workload.batch:
        return Chapter2(problem)
    engine = getattr(_core, "Engine", None)
    if engine is None:
        raise Cannot("this build of nnc has no Engine")
    return Network(problem, engine)
