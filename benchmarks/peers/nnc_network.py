"""nnc through `nnc.Network`: what the class adds to the engine's time, in the same run."""

from __future__ import annotations

import numpy as np
from workloads import Array, Problem

import nnc
from peers import History, Job
from peers.nnc_engine import VERSION

__all__ = ["VERSION", "make"]

OPTIMIZERS = {"sgd": nnc.SGD, "adam": nnc.Adam}


class Network:
    """`Network.fit`, and `predict_proba` or `predict_one`."""

    note = ""
    same_start = True

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.reset()

    def reset(self) -> None:
        """Return to the initial parameters."""
        problem, workload = self.problem, self.problem.workload
        layers = [nnc.Dense(n, name, bias=bias) for _, n, name, bias in workload.layers]
        self.network = nnc.Network(
            layers,
            workload.sizes[0],
            loss=workload.loss or None,
            optimizer=OPTIMIZERS[workload.optimizer](workload.learning_rate or 0.1),
            dtype=problem.dtype,
            seed=0,
        )
        names = list(self.network.params.values())
        for array, value in zip(names, problem.params, strict=True):
            array[...] = value.reshape(array.shape)

    def run(self, epochs: int) -> History:
        """Train on."""
        workload = self.problem.workload
        history = self.network.fit(
            self.problem.X,
            self.problem.Y,
            epochs=epochs,
            batch_size=workload.batch or None,
            shuffle=bool(workload.batch),
            n_threads=self.problem.threads,
            verbose=0,
        )
        return History(history["loss"], history["accuracy"] if workload.classifies else [])

    def predict(self, X: Array) -> Array:
        """Return the outputs."""
        if self.problem.workload.name == "W6":
            return self.network.predict_one(np.ravel(X))[None]
        return self.network.predict_proba(X, n_threads=self.problem.threads)


def make(problem: Problem) -> Job:
    """Build the network."""
    return Network(problem)
