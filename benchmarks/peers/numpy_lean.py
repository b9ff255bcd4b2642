"""NumPy as somebody writes it who wants it fast: rows are samples, buffers are reused."""

from __future__ import annotations

import numpy as np
from workloads import Array, Problem

from peers import History, Job

VERSION = np.__version__
ROWS_AT_ONCE = 1024  # of a long inference: the activations stay in the cache


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + e^-z), in place."""
    np.negative(z, out=z)
    np.exp(z, out=z)
    z += 1
    return np.reciprocal(z, out=z)


def softmax(z: Array) -> Array:
    """Return e^z / sum e^z by rows, in place."""
    z -= z.max(axis=-1, keepdims=True)
    np.exp(z, out=z)
    z /= z.sum(axis=-1, keepdims=True)
    return z


class Network:
    """Weights W (n_out, n_in) and biases, and one set of buffers per batch size."""

    note = ""
    same_start = True

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.workload = problem.workload
        self.buffers: dict[int, list[Array]] = {}
        self.reset()

    def reset(self) -> None:
        """Return to the initial parameters."""
        self.random = np.random.default_rng(0)
        self.W = [W.copy() for W, _ in self.problem.pairs]
        self.b = [None if b is None else b.copy() for _, b in self.problem.pairs]
        params = [p for pair in zip(self.W, self.b, strict=True) for p in pair if p is not None]
        self.moments = [(p, np.zeros_like(p), np.zeros_like(p)) for p in params]
        self.steps = 0

    def forward(self, X: Array) -> list[Array]:
        """Return the activations of all layers, those of the last as logits."""
        if len(X) not in self.buffers:
            self.buffers[len(X)] = [np.empty((len(X), len(W)), X.dtype) for W in self.W]
        A = X
        outputs = self.buffers[len(X)]
        for i, (W, b, Z) in enumerate(zip(self.W, self.b, outputs, strict=True)):
            np.dot(A, W.T, out=Z)
            if b is not None:
                Z += b
            A = Z
            if i < len(self.W) - 1:
                A = np.maximum(Z, 0, out=Z) if self.workload.hidden == "relu" else sigmoid(Z)
        return outputs

    def output(self, Z: Array) -> Array:
        """Apply the last activation, in place."""
        kinds = {"sigmoid": sigmoid, "softmax": softmax}
        return kinds[self.workload.output](Z) if self.workload.output in kinds else Z

    def loss(self, Z: Array, Y: Array) -> tuple[float, float, Array]:
        """Return the batch's cost, its hits and the gradient by the logits, which it overwrites."""
        if self.workload.loss == "binary_cross_entropy":
            cost = float((np.logaddexp(0, Z) - Y * Z).sum()) / len(Y)
            hits = int(np.count_nonzero((Z > 0) == (Y > 0.5)))
            sigmoid(Z)
            Z -= Y
            Z /= len(Y)
        elif self.workload.loss == "categorical_cross_entropy":
            labels = Y.argmax(axis=1)
            rows = np.arange(len(Y))
            hits = int(np.count_nonzero(Z.argmax(axis=1) == labels))
            softmax(Z)
            cost = -float(np.log(Z[rows, labels]).sum()) / len(Y)
            Z -= Y
            Z /= len(Y)
        elif self.workload.loss == "sum_of_squares":
            P = sigmoid(Z)
            error = P - Y
            cost, hits = float(np.vdot(error, error)), 0
            Z = 2 * error * P * (1 - P)
        else:
            Z -= Y
            cost, hits = float(np.vdot(Z, Z)) / Z.size, 0
            Z *= 2 / Z.size
        return cost, hits, Z

    def step(self, X: Array, Y: Array) -> tuple[float, float]:
        """Take one step; return the cost and the hits before it."""
        outputs = self.forward(X)
        cost, hits, dZ = self.loss(outputs[-1], Y)
        gradients: list[Array] = []
        for i in range(len(self.W) - 1, -1, -1):
            A = outputs[i - 1] if i else X
            pair = [dZ.T @ A] if self.b[i] is None else [dZ.T @ A, dZ.sum(axis=0)]
            gradients = pair + gradients
            if i:
                dA = dZ @ self.W[i]
                dA *= (A > 0) if self.workload.hidden == "relu" else A * (1 - A)
                dZ = dA
        self.update(gradients)
        return cost, hits

    def update(self, gradients: list[Array]) -> None:
        """Step down."""
        rate = self.workload.learning_rate
        self.steps += 1
        for (p, mean, square), g in zip(self.moments, gradients, strict=True):
            if self.workload.optimizer == "sgd":
                g *= rate
                p -= g
                continue
            mean += 0.1 * (g - mean)
            square += 0.001 * (g * g - square)
            scale = rate * (1 - 0.999**self.steps) ** 0.5 / (1 - 0.9**self.steps)
            p -= scale * mean / (np.sqrt(square) + 1e-8)

    def run(self, epochs: int) -> History:
        """Train on."""
        X, Y, batch = self.problem.X, self.problem.Y, self.workload.batch
        history = History()
        for _ in range(epochs):
            cost = hits = 0.0
            if not batch:
                cost, hits = self.step(X, Y)
                cost *= len(X)
            else:
                order = self.random.permutation(len(X))
                for start in range(0, len(X), batch):
                    chosen = order[start : start + batch]
                    batch_cost, batch_hits = self.step(X[chosen], Y[chosen])
                    cost += batch_cost * len(chosen)
                    hits += batch_hits
            history.cost.append(cost / len(X))
            if self.workload.classifies:
                history.accuracy.append(hits / len(X))
        return history

    def predict(self, X: Array) -> Array:
        """Return the outputs."""
        if X.ndim == 1:
            for W, b in zip(self.W[:-1], self.b[:-1], strict=True):
                X = np.maximum(W @ X + b, 0)
            return self.output(self.W[-1] @ X + self.b[-1])
        parts = [
            self.output(self.forward(X[start : start + ROWS_AT_ONCE])[-1]).copy()
            for start in range(0, len(X), ROWS_AT_ONCE)
        ]
        return np.concatenate(parts)


def make(problem: Problem) -> Job:
    """Build the network."""
    return Network(problem)
