"""Numba: the whole training in one compiled function; its `np.dot` is SciPy's BLAS."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import scipy  # noqa: F401  (np.dot needs it)
from workloads import Array, Problem

from peers import History, Job

VERSION = numba.__version__
LOSSES = {
    "binary_cross_entropy": 0,
    "categorical_cross_entropy": 1,
    "sum_of_squares": 2,
    "mean_squared_error": 3,
    "": 1,
}


@numba.njit(fastmath=True)
def forward(X: Any, Ws: Any, bs: Any, relu: bool) -> Any:
    """Return the activations, those of the last layer as logits."""
    outputs = [X]
    for i in range(len(Ws)):
        Z = np.dot(outputs[i], Ws[i].T)
        b = bs[i]
        for r in range(Z.shape[0]):
            for c in range(Z.shape[1]):
                z = Z[r, c] + b[c]
                if i < len(Ws) - 1:
                    z = max(z, 0) if relu else 1 / (1 + np.exp(-z))
                Z[r, c] = z
        outputs.append(Z)
    return outputs


@numba.njit(fastmath=True)
def softmax(Z: Any) -> None:
    """Replace rows of logits by probabilities."""
    for r in range(Z.shape[0]):
        top = Z[r].max()
        total = Z.dtype.type(0)
        for c in range(Z.shape[1]):
            Z[r, c] = np.exp(Z[r, c] - top)
            total += Z[r, c]
        for c in range(Z.shape[1]):
            Z[r, c] /= total


@numba.njit(fastmath=True)
def loss(Z: Any, Y: Any, kind: int) -> tuple[float, float]:
    """Return the summed cost and the hits; Z becomes the gradient by the logits."""
    m, n = Z.shape
    cost = hits = 0.0
    if kind == 1:
        for r in range(m):
            hits += Z[r].argmax() == Y[r].argmax()
        softmax(Z)
        for r in range(m):
            for c in range(n):
                if Y[r, c] > 0:
                    cost -= np.log(Z[r, c])
                Z[r, c] = (Z[r, c] - Y[r, c]) / m
        return cost, hits
    for r in range(m):
        for c in range(n):
            z, y = Z[r, c], Y[r, c]
            if kind == 0:
                e = np.exp(-abs(z))
                cost += np.log1p(e) + max(z, 0) - y * z
                hits += (z > 0) == (y > 0.5)
                Z[r, c] = ((1 if z > 0 else e) / (1 + e) - y) / m
            elif kind == 2:
                p = 1 / (1 + np.exp(-z))
                cost += (p - y) * (p - y) * m
                Z[r, c] = 2 * (p - y) * p * (1 - p)
            else:
                cost += (z - y) * (z - y) / n
                Z[r, c] = 2 * (z - y) / (m * n)
    return cost, hits


@numba.njit(fastmath=True)
def descend(p: Any, g: Any, mean: Any, square: Any, rate: float, step: int, adam: bool) -> None:
    """Take one step of SGD or Adam on one flat array."""
    scale = p.dtype.type(rate)
    if adam:
        scale = p.dtype.type(rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step))
    for i in range(p.size):
        if adam:
            mean[i] += p.dtype.type(0.1) * (g[i] - mean[i])
            square[i] += p.dtype.type(0.001) * (g[i] * g[i] - square[i])
            p[i] -= scale * mean[i] / (np.sqrt(square[i]) + p.dtype.type(1e-8))
        else:
            p[i] -= scale * g[i]


@numba.njit(fastmath=True)
def train(
    X: Any, Y: Any, Ws: Any, bs: Any, moments: Any, step: int, epochs: int, batch: int,
    kind: int, relu: bool, bias: bool, adam: bool, rate: float,
) -> Any:  # fmt: skip
    """Train, and return the sums of cost and hits of each epoch."""
    m = len(X)
    history = np.zeros((2, epochs))
    for epoch in range(epochs):
        order = np.random.permutation(m)
        for start in range(0, m, batch):
            if batch == m:
                x, y = X, Y
            else:
                chosen = order[start : start + batch]
                x, y = X[chosen], Y[chosen]
            outputs = forward(x, Ws, bs, relu)
            dZ = outputs[len(Ws)]
            cost, hits = loss(dZ, y, kind)
            history[0, epoch] += cost
            history[1, epoch] += hits
            step += 1
            for i in range(len(Ws) - 1, -1, -1):
                A = outputs[i]
                dW = np.dot(dZ.T, A)
                db = dZ.sum(axis=0)
                if i > 0:
                    dA = np.dot(dZ, Ws[i])
                    for r in range(dA.shape[0]):
                        for c in range(dA.shape[1]):
                            a = A[r, c]
                            dA[r, c] *= (1 if a > 0 else 0) if relu else a * (1 - a)
                    dZ = dA
                means, squares, b_means, b_squares = moments[i]
                W = Ws[i]
                descend(W.ravel(), dW.ravel(), means, squares, rate, step, adam)
                if bias:
                    descend(bs[i], db, b_means, b_squares, rate, step, adam)
    return history


class Network:
    """Arrays for the functions above."""

    note = ""
    same_start = True

    def __init__(self, problem: Problem) -> None:
        numba.set_num_threads(problem.threads)
        self.problem = problem
        self.reset()

    def reset(self) -> None:
        """Return to the initial parameters."""
        pairs = self.problem.pairs
        dtype = self.problem.dtype
        self.Ws = tuple(W.copy() for W, _ in pairs)
        self.bs = tuple(np.zeros(len(W), dtype) if b is None else b.copy() for W, b in pairs)
        self.moments = [
            (*np.zeros((2, W.size), dtype), *np.zeros((2, b.size), dtype))
            for W, b in zip(self.Ws, self.bs, strict=True)
        ]
        self.steps = 0

    def run(self, epochs: int) -> History:
        """Train on."""
        problem, workload = self.problem, self.problem.workload
        history = train(
            problem.X, problem.Y, self.Ws, self.bs, numba.typed.List(self.moments), self.steps,
            epochs, workload.batch or len(problem.X), LOSSES[workload.loss],
            workload.hidden == "relu", workload.bias, workload.optimizer == "adam",
            workload.learning_rate,
        )  # fmt: skip
        self.steps += epochs * problem.steps
        cost, accuracy = (history / len(problem.X)).tolist()
        return History(cost, accuracy if workload.classifies else [])

    def predict(self, X: Array) -> Array:
        """Return the outputs."""
        workload = self.problem.workload
        Z = forward(np.atleast_2d(X), self.Ws, self.bs, workload.hidden == "relu")[-1]
        if workload.output == "softmax":
            softmax(Z)
        elif workload.output == "sigmoid":
            Z = 1 / (1 + np.exp(-Z))
        outputs: Array = Z if X.ndim == 2 else Z[0]
        return outputs


def make(problem: Problem) -> Job:
    """Build the network."""
    return Network(problem)
