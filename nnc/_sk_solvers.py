"""The solvers of the estimators: scikit-learn's steps, with the engine's gradients.

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
    rows_at_a_time,
    views,
)

# So many steps the engine's adam is told it has done: its own corrections of the means are 1 then,
# and the rates hold scikit-learn's, which has epsilon where the correction is outside.
LATE = 1 << 62

# So many of adam's rates are computed at a time.
RATES = 1024

LEAST_RATE = np.finfo(np.float64).tiny


class Divergence(Exception):
    """The loss or the parameters are no longer finite.

    Not the engine's FloatingPointError, which callbacks of the caller may raise as well.
    """


@dataclass
class Optimizer:
    """scikit-learn's sgd or adam, as it was when the training began, and its state.

    Attributes
    ----------
    learning_rate : float
        That of the next epoch, of sgd.
    steps : int
        So many have been done.
    state : numpy.ndarray or None
        What the engine remembers, a multiple of the parameters; None for zeros.
    state_rate : float
        Of sgd: velocities are -state_rate times the engine's.
    """

    solver: str
    learning_rate_init: float
    schedule: str
    power_t: float
    momentum: float
    nesterov: bool
    beta_1: float
    beta_2: float
    epsilon: float
    clip_value: float = 0.0
    clip_norm: float = 0.0
    learning_rate: float = field(init=False)
    steps: int = 0
    state: Array | None = None
    state_rate: float = field(init=False)
    _rates: Array | None = field(init=False, default=None)  # of adam, from step _rates_start on
    _rates_start: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        """Begin with the initial rate."""
        self.learning_rate = self.state_rate = float(self.learning_rate_init)

    @property
    def engine_name(self) -> str:
        """What the engine calls it."""
        if self.solver == "adam":
            return "adam"
        if not self.momentum:
            return "sgd"
        return "nesterov" if self.nesterov else "momentum"

    @property
    def keeps_its_rate(self) -> bool:
        """Whether nothing that happens changes the rate."""
        return self.solver == "adam" or self.schedule == "constant"

    def install(self, engine: _core.Engine) -> None:
        """Let an engine go on with this state, at this rate."""
        name = self.engine_name
        state = self.state
        if state is None:
            state = np.zeros_like(engine.optimizer_state(name))
        if name in ("momentum", "nesterov"):
            state = state * (self.state_rate / self.learning_rate)
            self.state_rate = self.learning_rate
        self.state = state
        engine.resume(name, state, LATE + self.steps, None)

    def take_out(self, engine: _core.Engine) -> None:
        """Keep the state of an engine."""
        self.state = engine.optimizer_state(self.engine_name)
        self._rates = None  # may be large, and is computed again

    def numbers(self, n_steps: int, slope: float, epochs: int = 1) -> dict[str, Any]:
        """Return the engine's numbers for epochs of so many steps.

        slope: the engine's gradients are so many times scikit-learn's.
        """
        options: dict[str, Any] = {
            "optimizer": self.engine_name,
            "clip_value": self.clip_value * slope,
            "clip_norm": self.clip_norm * slope,
        }
        if self.solver == "sgd":
            # a momentum of 1 is legal in scikit-learn only
            options["momentum"] = min(self.momentum, float(np.nextafter(1, 0)))
            options["learning_rate"] = max(self.learning_rate / slope, LEAST_RATE)
            return options
        options["rates"] = self._adam_rates(epochs * n_steps).reshape(epochs, n_steps)
        options |= {
            "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon * slope,
        }  # fmt: skip
        return options

    def _adam_rates(self, n_steps: int) -> Array:
        """Return the rates of the next steps."""
        first = self.steps - self._rates_start
        if self._rates is None or first + n_steps > len(self._rates):
            first, self._rates_start = 0, self.steps
            t = self.steps + np.arange(1, max(n_steps, RATES) + 1, dtype=np.float64)
            corrections = np.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
            self._rates = self.learning_rate_init * corrections
        return self._rates[first : first + n_steps]

    def end_epoch(self, samples: int, engine: _core.Engine) -> None:
        """Change the rate of sgd as invscaling does; samples: all that have been seen."""
        if self.solver == "sgd" and self.schedule == "invscaling":
            self._set_rate(float(self.learning_rate_init) / (samples + 1) ** self.power_t, engine)

    def divides(self, message: str, verbose: Any, engine: _core.Engine) -> bool:
        """Say what happens where nothing improves; lower the rate, or return False to stop."""
        if self.solver != "sgd" or self.schedule != "adaptive":
            _say(verbose, message + " Stopping.")
            return False
        if self.learning_rate <= 1e-6:
            _say(verbose, message + " Learning rate too small. Stopping.")
            return False
        self._set_rate(self.learning_rate / 5, engine)
        _say(verbose, message + f" Setting learning rate to {self.learning_rate:f}")
        return True

    def _set_rate(self, rate: float, engine: _core.Engine) -> None:
        """Change the rate, and with it what the engine remembers: velocities stay."""
        self.learning_rate = max(rate, LEAST_RATE)
        if self.engine_name != "sgd":
            self.take_out(engine)
            self.install(engine)


def _say(verbose: Any, message: str) -> None:
    if verbose:
        print(message)


# ------------------------------------------------------------------------------------ epochs


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
    dropout_seed: int = 0
    extra: Array | None = field(init=False)
    n_samples: int = field(init=False)

    def __post_init__(self) -> None:
        """Compute what no epoch changes."""
        self.extra = constants(self.task, self.Y)
        self.n_samples = len(self.Y)
        self._places = [
            (place, W.size) for place, W, _ in views(self.engine.params, self.units, self.engine)
        ]
        several = rows_at_a_time(self.units[0], self.batch_size)
        self._segments = list(self._cut(self.batch_size if self.weights is not None else several))
        self._batches = list(self._cut(self.batch_size))
        # a loss that scikit-learn cuts off is computed batch by batch; it is most likely at first
        self._saturated = self.task.has_classes and self.alpha > 0
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
        l2 = self.alpha * self.task.slope / size
        return [(start, n, False, 0.0, l2, 0.0, 0.0, 0) for start, n in self._places] if l2 else []

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
                n_threads=self.n_threads, dropout_seed=self.dropout_seed, **options,
            )  # fmt: skip
        except FloatingPointError as error:
            raise Divergence(str(error)) from None
        if outputs is not None and not self.task.has_classes:
            loss = self._loss_of(float(costs[0]), rows, weights)
            pure = loss_of_outputs(outputs, Y, weights)
            return pure + (loss - pure) / (self.task.factor * self.task.slope)
        return self._cut_off(float(costs[0]), outputs, rows, weights, before, size)

    def _new_outputs(self, n: int) -> Array | None:
        """Return memory for the outputs, where the loss is computed from them."""
        if not self.task.has_classes and not (self.task.mixes and self.alpha):
            return None
        return np.empty((n, self.task.n_outputs), self.engine.params.dtype)

    def _squares(self) -> float:
        """Return the sum of the squares of the coefficients, of classifiers."""
        if not (self.task.has_classes and self.alpha):
            return 0.0
        block = self.engine.params
        return sum(float(np.vdot(block[i : i + n], block[i : i + n])) for i, n in self._places)

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
        if outputs is None or not self.task.has_classes:
            return loss
        if weights is None and loss * len(outputs) < -math.log(self._least):
            return loss  # that of no sample can be so high
        clipped = clipped_loss(outputs, self.Y[rows], weights, self._least)
        if clipped is None:
            return loss
        self._saturated = True
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
        segments, self._saturated = self._batches if self._saturated else self._segments, False
        for segment in segments:
            n = segment.stop - segment.start
            size = min(self.batch_size, n)
            rows = segment if order is None else order[segment]
            if self.weights is not None and not self.weights[rows].any():
                continue  # nothing to learn from
            n_steps = -(-n // size)
            options = optimizer.numbers(n_steps, self.task.slope)
            total += n * self.steps_on(rows, size, options)
            optimizer.steps += n_steps
        return total / self.n_samples

    @property
    def is_one_call(self) -> bool:
        """Whether many epochs are one call of the engine, as long as their order is the same.

        Of a classifier with a penalty only where an epoch is a step: see `_cut_off`.
        """
        if self.task.has_classes and self.alpha and self.batch_size < self.n_samples:
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
