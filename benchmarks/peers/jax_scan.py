"""JAX: all epochs in one compiled call, by `lax.scan` over epochs and batches."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
from jax import lax
from workloads import Problem, Workload

from peers import Cannot, History, Job
from peers.jax_jit import VERSION, Network, step

__all__ = ["VERSION", "make"]


@partial(jax.jit, static_argnames=("workload", "epochs"))
def train(
    params: Any, state: Any, key: Any, X: Any, Y: Any, workload: Workload, epochs: int
) -> Any:
    """Return parameters, state, and the mean cost and accuracy of every epoch."""
    m = len(X)
    batch = workload.batch or m
    whole = m // batch * batch

    def one_step(carry: Any, xy: Any) -> Any:
        (params, state), (x, y) = carry, xy
        params, state, cost, hits = step(params, state, x, y, workload)
        return (params, state), (cost * len(x), hits)

    def one_epoch(carry: Any, key: Any) -> Any:
        if not workload.batch:
            carry, (cost, hits) = one_step(carry, (X, Y))
            return carry, (cost / m, hits / m)
        order = jax.random.permutation(key, m)
        x, y = X[order], Y[order]
        batches = [a[:whole].reshape(-1, batch, a.shape[1]) for a in (x, y)]
        carry, (costs, hits) = lax.scan(one_step, carry, tuple(batches))
        cost, hit = costs.sum(), hits.sum()
        if whole < m:
            carry, (last_cost, last_hits) = one_step(carry, (x[whole:], y[whole:]))
            cost, hit = cost + last_cost, hit + last_hits
        return carry, (cost / m, hit / m)

    return lax.scan(one_epoch, (params, state), jax.random.split(key, epochs))


class Scanned(Network):
    """One call trains; another number of epochs is another compilation."""

    def reset(self) -> None:
        """Return to the initial parameters."""
        super().reset()
        self.key = jax.random.key(0)

    def run(self, epochs: int) -> History:
        """Train on."""
        self.key, key = jax.random.split(self.key)
        (self.params, self.state), (cost, accuracy) = train(
            self.params, self.state, key, self.X, self.Y, self.workload, epochs
        )
        return self.history(cost, accuracy)


def make(problem: Problem) -> Job:
    """Build the network."""
    if not problem.workload.trains:
        raise Cannot("an inference has nothing to scan over: see jax-jit")
    return Scanned(problem)
