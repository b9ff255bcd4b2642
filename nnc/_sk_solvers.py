"""The solvers of the estimators: epochs of steps, and SciPy's L-BFGS-B with the engine's gradients.

Each call of the engine's fit does the batches of an epoch that have the same penalty: scikit-learn
divides alpha by the size of the batch, or by the sum of its weights.
"""

# scikit-learn and SciPy have no types:
# mypy: disable-error-code="import-untyped"
# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False, warn-return-any=False

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.optimize

from nnc import _core
from nnc._arguments import Array
from nnc._sk_engine import (
    Task,
    clipped_loss,
    constants,
    dense_rows,
    least_probability,
    loss_of_cost,
    loss_of_outputs,
    places,
    rows_at_a_time,
)
from nnc._sk_optimizers import LEAST_RATE, Optimizer


class Divergence(Exception):
    """The loss or the parameters are no longer finite.

    Not the engine's FloatingPointError, which callbacks of the caller may raise as well.
    """


@dataclass
class Training:
    """What the epochs of a fit have in common.

    Attributes
    ----------
    engine : nnc._core.Engine
        Holds the parameters and the optimizer's state.
    units : sequence of int
        Inputs, and the units of each layer.
    X : array or sparse matrix
        Samples as rows.
    Y : numpy.ndarray
        Labels (m, n_outputs), or classes (m,) of int64.
    weights : numpy.ndarray of float64, or None
        Of samples.
    decay : float
        The engine's weight decay, of all parameters.
    saturated : bool
        Whether the next epoch goes batch by batch, as scikit-learn may cut off the loss.
    """

    engine: _core.Engine
    task: Task
    units: Sequence[int]
    X: Any
    Y: Array
    weights: Array | None
    alpha: float
    batch_size: int
    n_threads: int
    decay: float = 0.0
    dropout_seed: int = 0
    saturated: bool = True  # most likely so at first
    extra: Array | None = field(init=False)
    n_samples: int = field(init=False)

    def __post_init__(self) -> None:
        """Compute what no epoch changes."""
        self.extra = constants(self.task, self.Y)
        self.n_samples = len(self.Y)
        starts, n_in, n_out = places(self.engine), self.units[:-1], self.units[1:]
        self._coefs = [(w, i * o) for (w, _), i, o in zip(starts, n_in, n_out, strict=True)]
        self._matrices = [self.engine.params[w : w + n] for w, n in self._coefs]
        self._intercepts = [(b, o) for (_, b), o in zip(starts, n_out, strict=True)]
        several = rows_at_a_time(self.units[0], self.batch_size)
        self._segments = list(self._cut(self.batch_size if self.weights is not None else several))
        self._batches = list(self._cut(self.batch_size))
        self.saturated = self.saturated and self.task.cuts_off and self.alpha > 0
        self._least = least_probability(self.task, self.engine.params.dtype)

    def _cut(self, step: int) -> Iterator[slice]:
        """Yield ranges of at most so many samples of an epoch, with one penalty each."""
        n = self.n_samples
        whole = n - n % self.batch_size
        for start in range(0, whole, step):
            yield slice(start, min(start + step, whole))
        if whole < n:
            yield slice(whole, n)

    def ranges(self, size: float) -> list[tuple[int, int, bool, float, float, float, float, int]]:
        """Return the engine's ranges for alpha on the coefficients, in batches of that size."""
        l2, decay = self.alpha * self.task.slope / size, self.decay
        if not l2 and not decay:
            return []
        ranges = [(start, n, False, 0.0, l2, decay, 0.0, 0) for start, n in self._coefs]
        if decay:
            ranges += [(start, n, False, 0.0, 0.0, decay, 0.0, 0) for start, n in self._intercepts]
        return sorted(ranges)

    def steps_on(self, rows: Any, size: int, options: dict[str, Any]) -> float:
        """Train on some rows in batches of a size, and return their loss with the penalty.

        Divergence where it is not finite.
        """
        X, Y = dense_rows(self.X, rows), self.Y[rows]
        weights = None if self.weights is None else self.weights[rows]
        weight = float(size if weights is None else weights.sum())
        outputs, before = self._new_outputs(len(Y)), self._squares()
        try:
            costs, _ = self.engine.fit(
                X, Y, 1, size, weights=weights, ranges=self.ranges(weight), outputs=outputs,
                n_threads=self.n_threads, dropout_seed=self.dropout_seed,
                loss_parameter=self.task.parameter, smoothing=self.task.smoothing, **options,
            )  # fmt: skip
        except FloatingPointError as error:
            raise Divergence(str(error)) from None
        if outputs is not None and not self.task.cuts_off:
            loss = self._loss_of(float(costs[0]), rows, weights)
            pure = loss_of_outputs(outputs, Y, weights)
            return pure + (loss - pure) / (self.task.factor * self.task.slope)
        return self._cut_off(float(costs[0]), outputs, rows, weights, before, size)

    def _new_outputs(self, n: int) -> Array | None:
        """Return memory for the outputs, where the loss is computed from them."""
        if not self.task.cuts_off and not (self.task.mixes and self.alpha):
            return None
        return np.empty((n, self.task.n_outputs), self.engine.params.dtype)

    def _squares(self) -> float:
        """Return the sum of the squares of the coefficients, of classifiers."""
        if not (self.task.cuts_off and self.alpha):
            return 0.0
        # without BLAS, whose threads stay awake for a while and would hinder the engine's
        return float(sum(np.einsum("i,i->", W, W) for W in self._matrices))

    def _cut_off(
        self,
        cost: float,
        outputs: Array | None,
        rows: Any,
        weights: Array | None,
        before: float,
        size: int,
    ) -> float:
        """Return scikit-learn's loss; before: the squares of the coefficients at the start."""
        loss = self._loss_of(cost, rows, weights)
        if outputs is None or not self.task.cuts_off:
            return loss
        if weights is None and loss * len(outputs) < -math.log(self._least):
            return loss  # that of no sample can be so high
        clipped = clipped_loss(outputs, self.Y[rows], weights, self._least)
        if clipped is None:
            return loss
        self.saturated = True
        weight = float(size if weights is None else weights.sum())
        # of several steps the squares between are not known
        squares = before if len(outputs) <= size else (before + self._squares()) / 2
        return clipped + self.alpha / 2 * squares / weight

    def _loss_of(self, cost: float, rows: Any, weights: Array | None) -> float:
        """Return scikit-learn's loss of some rows from the engine's."""
        return loss_of_cost(self.task, cost, self.extra, rows, weights)

    def epoch(self, optimizer: Optimizer, order: Array | None) -> float:
        """Train for an epoch, and return the mean loss of its batches, each before its step."""
        total = 0.0
        segments, self.saturated = self._batches if self.saturated else self._segments, False
        for segment in segments:
            n = segment.stop - segment.start
            size = min(self.batch_size, n)
            rows = segment if order is None else order[segment]
            if self.weights is not None and not self.weights[rows].any():
                continue  # nothing to learn from
            n_steps = -(-n // size)
            first = segment.start // self.batch_size
            options = optimizer.numbers(n_steps, self.task.slope, first_step=first)
            total += n * self.steps_on(rows, size, options)
            optimizer.steps += n_steps
        return total / self.n_samples

    @property
    def n_steps(self) -> int:
        """The steps of an epoch."""
        return len(self._batches)

    @property
    def is_one_call(self) -> bool:
        """Whether many epochs are one call of the engine, as long as their order is the same.

        Of a classifier with a penalty only where an epoch is a step: see `_cut_off`.
        """
        if self.task.cuts_off and self.alpha and self.batch_size < self.n_samples:
            return False
        return (
            len(self._segments) == 1
            and not (self.task.mixes and self.alpha)
            and (self.weights is None or bool(self.weights.any()))
        )

    def epochs(
        self,
        optimizer: Optimizer,
        n: int,
        end: Callable[[float], bool],
        begin: Callable[[], None],
    ) -> bool:
        """Train for n epochs, each of which `end` gets the loss of, and return whether it stopped.

        Before the first epoch the caller has begun, before others `begin` is called. Divergence
        as in `steps_on`.
        """
        size, everything, stopped = self.batch_size, slice(0, self.n_samples), False
        n_steps = self.n_samples // size
        weight = float(size if self.weights is None else self.weights.sum())

        raised: list[BaseException] = []
        outputs, before = self._new_outputs(self.n_samples), self._squares()

        def at_epoch(epoch: int, cost: float, _: float) -> bool:
            nonlocal stopped, before
            optimizer.steps += n_steps
            try:
                loss = self._cut_off(cost, outputs, everything, self.weights, before, size)
                before = self._squares()
                stopped = end(loss)
                if not stopped and epoch + 1 < n:
                    begin()
            except BaseException as error:
                raised.append(error)
            return stopped or bool(raised)

        try:
            self.engine.fit(
                dense_rows(self.X, everything), self.Y, n, size, weights=self.weights,
                ranges=self.ranges(weight), n_threads=self.n_threads, callback=at_epoch,
                outputs=outputs, dropout_seed=self.dropout_seed,
                loss_parameter=self.task.parameter, smoothing=self.task.smoothing,
                **optimizer.numbers(n_steps, self.task.slope, n),
            )  # fmt: skip
        except FloatingPointError as error:
            raise Divergence(str(error)) from None
        if raised:
            raise raised[0]
        return stopped


# ------------------------------------------------------------------------------------- lbfgs


def minimize(
    training: Training,
    max_fun: int,
    max_iter: int,
    tol: float,
    callback: Callable[[Array], None] | None = None,
) -> Any:
    """Run SciPy's L-BFGS-B, as scikit-learn does, and return its result.

    One step of momentum that starts from nothing remembers the gradient. callback gets the
    parameters after each iteration, and raises StopIteration to end.
    """
    engine, everything = training.engine, slice(0, training.n_samples)
    options = {"optimizer": "momentum", "momentum": 0.0, "learning_rate": LEAST_RATE}

    def loss_and_gradient(x: Array) -> tuple[float, Array]:
        engine.params[:] = x
        try:
            loss = training.steps_on(everything, training.n_samples, options)
        except Divergence:
            return np.inf, np.zeros_like(x)
        gradient = engine.optimizer_state("momentum") / training.task.slope
        return loss, gradient

    result = scipy.optimize.minimize(
        loss_and_gradient,
        engine.params.copy(),
        method="L-BFGS-B",
        jac=True,
        callback=callback,
        options={"maxfun": max_fun, "maxiter": max_iter, "gtol": tol},
    )
    engine.params[:] = result.x
    return result
