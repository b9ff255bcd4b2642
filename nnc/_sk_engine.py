"""The estimators' networks in the engine: coefs_ and intercepts_ go in, and come out.

scikit-learn's losses differ from the engine's by constant factors; `Task` knows them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnc import _core
from nnc._arguments import Array
from nnc.losses import Loss

# The engine's names, where scikit-learn has others.
ACTIVATIONS = {"logistic": "sigmoid", "exp": "exponential"}

# Elements of X that are gathered, or made dense, at a time.
GATHERED = 1 << 18


@dataclass(frozen=True)
class Task:
    """What is minimized: the engine's loss, and how scikit-learn's follows from it.

    Attributes
    ----------
    loss : str
        The engine's name of the loss.
    n_outputs : int
        The units of the output layer.
    slope : float
        The engine's gradient is so many times that of scikit-learn.
    factor : float
        scikit-learn's loss is so many times the engine's.
    cuts_off : bool
        Whether scikit-learn computes it from probabilities, which it cuts off.
    deviance : bool
        Whether it is half the Poisson deviance, which is 0 where all is right.
    parameter, smoothing : float
        As of `nnc.losses.Loss`.
    """

    loss: str
    n_outputs: int
    slope: float = 1.0
    factor: float = 1.0
    cuts_off: bool = False
    deviance: bool = False
    parameter: float = 0.0
    smoothing: float = 0.0

    @property
    def mixes(self) -> bool:
        """Whether the engine's cost weighs loss and penalty in another way than scikit-learn."""
        return self.factor * self.slope != 1


def task_of(loss: str | Loss, out_activation: str, n_outputs: int) -> Task:
    """Return the task of one of scikit-learn's losses with an output activation, or of nnc's."""
    if isinstance(loss, Loss):
        return Task(loss.engine_name, n_outputs, parameter=loss.parameter, smoothing=loss.smoothing)
    if loss == "squared_error":  # its gradient is not that of a mean over outputs, but its value is
        return Task("mean_squared_error", n_outputs, slope=2 / n_outputs, factor=0.5)
    if loss == "poisson":
        return Task("poisson", n_outputs, slope=1 / n_outputs, factor=n_outputs, deviance=True)
    if out_activation == "softmax":
        return Task("categorical_cross_entropy", n_outputs, cuts_off=True)
    return Task("binary_cross_entropy", n_outputs, cuts_off=True)


def loss_of_outputs(outputs: Array, Y: Array, weights: Array | None) -> float:
    """Return half the mean squared error."""
    squares = np.square(outputs - Y, dtype=np.float64)
    return 0.5 * float(np.average(squares, weights=weights, axis=0).mean())


def least_probability(task: Task, dtype: Any) -> float:
    """Return the probability above which scikit-learn's cross-entropy is the engine's.

    That is where it does not cut off, and where 1 - p is precise.
    """
    eps = float(np.finfo(dtype).eps)
    precise = task.loss == "categorical_cross_entropy" or np.dtype(dtype) == np.float32
    return eps if precise else math.sqrt(eps)


def clipped_loss(outputs: Array, Y: Array, weights: Array | None, least: float) -> float | None:
    """Return scikit-learn's cross-entropy where a probability is below the least, else None.

    It is computed from probabilities, which it cuts off; the engine's is computed from logits.
    """
    eps = np.finfo(outputs.dtype).eps
    if outputs.min() >= least and (Y.ndim == 1 or outputs.max() <= 1 - least):
        return None  # in most epochs, and quicker than looking at the right ones alone
    if Y.ndim == 1:
        right = outputs[np.arange(len(Y)), Y].reshape(-1, 1)
    else:
        right = np.where(Y > 0, outputs, 1 - outputs)
    if right.min(initial=1.0) >= least:
        return None
    losses = -np.log(np.clip(right, eps, 1 - eps), dtype=np.float64).sum(axis=1)
    return float(np.average(losses, weights=weights))


def constants(task: Task, Y: Array) -> Array | None:
    """Return what the loss of each sample has beside the engine's: y log y - y, of a deviance."""
    if not task.deviance:
        return None
    numbers = Y.astype(np.float64)
    logs = np.log(numbers, out=np.zeros_like(numbers), where=numbers > 0)
    result: Array = (numbers * logs - numbers).sum(axis=1)
    return result


def loss_of_cost(
    task: Task, cost: float, extra: Array | None, rows: Any, weights: Array | None
) -> float:
    """Return scikit-learn's loss of some rows from the engine's; extra: their `constants`."""
    loss = cost * task.factor
    if extra is not None:
        loss += float(np.average(extra[rows], weights=weights))
    return loss


# --------------------------------------------------------------------------------- networks


def new_engine(
    units: Sequence[int],
    activations: Sequence[str],
    dtype: Any,
    dropout: Sequence[float] = (),
    loss: str | None = None,
) -> _core.Engine:
    """Return an engine of dense layers; dropout follows the hidden ones where it is not 0.

    loss: None for one that is only to predict.
    """
    if loss is None:
        softmax = activations[-1] == "softmax"
        loss = "categorical_cross_entropy" if softmax else "sum_of_squares"
    layers: list[tuple[int, int, str, bool, str, float, float, float]] = []
    for i, activation in enumerate(activations):
        name = ACTIVATIONS.get(activation, activation)
        layers.append((units[i], units[i + 1], name, True, "dense", 0.0, 1e-3, 0.0))
        rate = dropout[i] if i < len(dropout) else 0.0
        if rate:
            n = units[i + 1]
            layers.append((n, n, "identity", False, "dropout", rate, 1e-3, 0.0))
    return _core.Engine(layers, loss, np.dtype(dtype).name)


def places(engine: _core.Engine) -> list[tuple[int, int]]:
    """Return where W and b of each dense layer begin in the block of the parameters."""
    return [(w, b) for w, b, _ in engine.layout()[0] if w != b]


def views(block: Array, units: Sequence[int], engine: _core.Engine) -> list[tuple[Array, Array]]:
    """Return W and b of each dense layer as views of a block like the parameters.

    W lies as scikit-learn shows it, (n_in, n_out).
    """
    return [
        (block[w : w + n_in * n_out].reshape(n_out, n_in).T, block[b : b + n_out])
        for (w, b), n_in, n_out in zip(places(engine), units[:-1], units[1:], strict=True)
    ]


def load(engine: _core.Engine, coefs: Sequence[Array], intercepts: Sequence[Array]) -> None:
    """Copy parameters into an engine."""
    units = [len(coefs[0]), *(len(b) for b in intercepts)]
    layers = views(engine.params, units, engine)
    for (W, b), coef, intercept in zip(layers, coefs, intercepts, strict=True):
        W[...] = coef
        b[...] = intercept


def take_out(block: Array, units: Sequence[int], engine: _core.Engine) -> tuple[Any, Any]:
    """Return copies of a block of parameters, as coefs_ and intercepts_."""
    layers = views(block, units, engine)
    return [np.array(W, order="C") for W, _ in layers], [b.copy() for _, b in layers]


# ------------------------------------------------------------------------------------- data


def rows_at_a_time(n_features: int, batch_size: int = 1) -> int:
    """Return how many rows to gather: whole batches, at least one."""
    return max(1, GATHERED // max(1, n_features) // batch_size) * batch_size


def dense_rows(X: Any, rows: Any) -> Array:
    """Return some rows of X, an array or a sparse matrix, as an array."""
    result: Array
    if isinstance(X, np.ndarray):
        # quicker than X[rows]; the rows are there
        return X[rows] if isinstance(rows, slice) else X.take(rows, axis=0, mode="clip")
    result = X[rows].toarray()
    return result


def predict(engine: _core.Engine, X: Any, n_threads: int) -> Array:
    """Return the outputs for rows of X; sparse ones become dense some at a time."""
    if not hasattr(X, "toarray"):
        return engine.predict(X, n_threads)
    step = rows_at_a_time(X.shape[1])
    parts = [
        engine.predict(dense_rows(X, slice(i, i + step)), n_threads)
        for i in range(0, X.shape[0], step)
    ]
    return np.concatenate(parts)


def evaluate(
    engine: _core.Engine, task: Task, X: Any, Y: Array, weights: Array | None, n_threads: int
) -> tuple[float, Array]:
    """Return scikit-learn's loss of some data, without the penalty, and the outputs for them."""
    total = whole = 0.0
    extra = constants(task, Y)
    n = X.shape[0]
    outputs = np.empty((n, task.n_outputs), engine.params.dtype)
    step = rows_at_a_time(X.shape[1]) if hasattr(X, "toarray") else n
    for i in range(0, n, step):
        rows = slice(i, i + step)
        part = None if weights is None else weights[rows]
        size = float(len(Y[rows]) if part is None else part.sum())
        cost, _ = engine.evaluate(
            dense_rows(X, rows), Y[rows], weights=part, outputs=outputs[rows], n_threads=n_threads,
            loss_parameter=task.parameter,
        )  # fmt: skip
        if size == 0:
            continue
        total += loss_of_cost(task, cost, extra, rows, part) * size
        whole += size
    return total / whole if whole else math.nan, outputs
