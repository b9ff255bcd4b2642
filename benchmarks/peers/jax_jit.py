"""JAX: one compiled step, and a Python loop around it."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from workloads import Array, Problem, Workload

from peers import History, Job

VERSION = jax.__version__


def logits(params: Any, X: Any, hidden: str) -> Any:
    """Run all layers; params is a list of (W, b) with W (n_out, n_in)."""
    activation = jax.nn.relu if hidden == "relu" else jax.nn.sigmoid
    for i, (W, b) in enumerate(params):
        X = X @ W.T if b is None else X @ W.T + b
        if i < len(params) - 1:
            X = activation(X)
    return X


def loss(params: Any, X: Any, Y: Any, workload: Workload) -> tuple[Any, Any]:
    """Return the cost of a batch, and its hits."""
    Z = logits(params, X, workload.hidden)
    hits = jnp.zeros(())
    if workload.loss == "binary_cross_entropy":
        hits = ((Z > 0) == (Y > 0.5)).sum()
        return (jnp.logaddexp(0, Z) - Y * Z).sum() / len(Y), hits
    if workload.loss == "categorical_cross_entropy":
        hits = (Z.argmax(1) == Y.argmax(1)).sum()
        return -(Y * jax.nn.log_softmax(Z)).sum() / len(Y), hits
    if workload.loss == "sum_of_squares":
        return ((jax.nn.sigmoid(Z) - Y) ** 2).sum(), hits
    return ((Z - Y) ** 2).mean(), hits


def update(params: Any, state: Any, gradients: Any, workload: Workload) -> tuple[Any, Any]:
    """Take one step of SGD or Adam; state is (steps, means, squares)."""
    rate = workload.learning_rate
    if workload.optimizer == "sgd":
        return jax.tree.map(lambda p, g: p - rate * g, params, gradients), state
    steps, means, squares = state
    steps = steps + 1
    means = jax.tree.map(lambda a, g: a + 0.1 * (g - a), means, gradients)
    squares = jax.tree.map(lambda a, g: a + 0.001 * (g * g - a), squares, gradients)
    scale = rate * jnp.sqrt(1 - 0.999**steps) / (1 - 0.9**steps)
    params = jax.tree.map(
        lambda p, a, s: p - scale * a / (jnp.sqrt(s) + 1e-8), params, means, squares
    )
    return params, (steps, means, squares)


def step(params: Any, state: Any, X: Any, Y: Any, workload: Workload) -> Any:
    """Take one step; return cost and hits before it."""
    (cost, hits), gradients = jax.value_and_grad(loss, has_aux=True)(params, X, Y, workload)
    params, state = update(params, state, gradients, workload)
    return params, state, cost, hits


@partial(jax.jit, static_argnames="workload")
def whole_step(params: Any, state: Any, X: Any, Y: Any, workload: Workload) -> Any:
    """Take one step on all rows."""
    return step(params, state, X, Y, workload)


@partial(jax.jit, static_argnames="workload")
def batch_step(params: Any, state: Any, X: Any, Y: Any, chosen: Any, workload: Workload) -> Any:
    """Take one step on some rows."""
    return step(params, state, X[chosen], Y[chosen], workload)


@partial(jax.jit, static_argnames=("hidden", "output"))
def outputs(params: Any, X: Any, hidden: str, output: str) -> Any:
    """Run all layers, the last activation included."""
    Z = logits(params, X, hidden)
    return {"sigmoid": jax.nn.sigmoid, "softmax": jax.nn.softmax, "identity": lambda Z: Z}[output](
        Z
    )


class Network:
    """Parameters and optimiser state as trees; histories are fetched at the end."""

    note = ""
    same_start = True

    def __init__(self, problem: Problem) -> None:
        jax.config.update("jax_enable_x64", problem.dtype == "float64")
        self.problem, self.workload = problem, problem.workload
        self.X, self.Y = jnp.asarray(problem.X), jnp.asarray(problem.Y)
        self.reset()

    def reset(self) -> None:
        """Return to the initial parameters."""
        self.params: Any = [
            (jnp.asarray(W), None if b is None else jnp.asarray(b)) for W, b in self.problem.pairs
        ]
        zeros = jax.tree.map(jnp.zeros_like, self.params)
        self.state: Any = (jnp.zeros((), self.X.dtype), zeros, zeros)
        self.random = np.random.default_rng(0)

    def run(self, epochs: int) -> History:
        """Train on."""
        params, state, workload = self.params, self.state, self.workload
        m, batch = len(self.X), workload.batch
        costs, all_hits = [], []
        for _ in range(epochs):
            if not batch:
                params, state, cost, hits = whole_step(params, state, self.X, self.Y, workload)
                cost *= m
            else:
                order = self.random.permutation(m)
                cost = hits = 0
                for start in range(0, m, batch):
                    chosen = order[start : start + batch]
                    params, state, batch_cost, batch_hits = batch_step(
                        params, state, self.X, self.Y, chosen, workload
                    )
                    cost += batch_cost * len(chosen)
                    hits += batch_hits
            costs.append(cost)
            all_hits.append(hits)
        self.params, self.state = params, state
        return self.history(jnp.stack(costs) / m, jnp.stack(all_hits) / m)

    def history(self, cost: Any, accuracy: Any) -> History:
        """Fetch the recorded arrays."""
        kept = np.asarray(accuracy).tolist() if self.workload.classifies else []
        return History(np.asarray(cost).tolist(), kept)

    def predict(self, X: Array) -> Array:
        """Return the outputs."""
        return np.asarray(outputs(self.params, X, self.workload.hidden, self.workload.output))


def make(problem: Problem) -> Job:
    """Build the network."""
    return Network(problem)
