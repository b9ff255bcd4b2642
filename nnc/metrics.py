"""How good predictions are: functions of (y_true, y_pred), as scikit-learn defines them.

Samples lie in rows. What y_pred looks like says what kind of task it is:

======================  ==================================================================
y_pred                  y_true, and the predicted class
======================  ==================================================================
``(m,)`` or ``(m, 1)``  binary: 0 or 1; the class is 1 where y_pred > 1/2
``(m, K)``              multi-class: ``(m,)`` indices of classes or ``(m, K)`` one-hot;
                        the class is the first largest y_pred
``(m, K)``              multi-label: ``(m, K)`` of 0 and 1, not exactly one 1 in each row
                        (or ``multi_label=True``); a label is there where y_pred > 1/2
======================  ==================================================================

Multi-class and multi-label precision, recall, F1 and AUC are macro averages: plain means over the
classes that occur (in y_true or among the predicted), or over the labels. A ratio without a
denominator is 0, as with scikit-learn's ``zero_division=0``. Predictions with a NaN score NaN.
"""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nnc._arguments import Array, read_index
from nnc._optional import unknown_name

__all__ = [
    "METRICS",
    "Metric",
    "accuracy",
    "f1",
    "larger_is_better",
    "mean_absolute_error",
    "mean_squared_error",
    "precision",
    "r2_score",
    "recall",
    "resolve",
    "roc_auc",
    "top_k_accuracy",
]


# ------------------------------------------------------------------------------------- reading


def _read(name: str, value: npt.ArrayLike) -> Array:
    """Return a real array of samples in rows; (m, 1) becomes (m,)."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected real numbers, got dtype {array.dtype}")
    if array.ndim not in (1, 2) or 0 in array.shape:
        raise ValueError(
            f"{name}: expected shape (samples,) or (samples, outputs), at least one of each, got "
            f"{array.shape}"
        )
    return array[:, 0] if array.shape[1:] == (1,) else array


def _read_both(
    y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None
) -> tuple[Array, Array, Array]:
    """Return y_true, y_pred in float64, and a weight for each sample."""
    true, pred = _read("y_true", y_true), _read("y_pred", y_pred).astype(np.float64)
    if len(true) != len(pred):
        raise ValueError(
            f"y_pred: expected a row for each of y_true's {len(true)} samples, got {len(pred)}"
        )
    if sample_weight is None:
        return true, pred, np.ones(len(true))
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (len(true),):
        raise ValueError(f"sample_weight: expected shape ({len(true)},), got {weight.shape}")
    if not (np.isfinite(weight).all() and (weight >= 0).all() and weight.any()):
        raise ValueError("sample_weight: expected finite numbers of at least 0, not all of them 0")
    return true, pred, weight


def _check_01(true: Array) -> None:
    """Raise unless y_true holds 0 and 1 alone."""
    bad = np.argwhere((true != 0) & (true != 1))
    if len(bad):
        value = true[tuple(bad[0])]
        raise ValueError(f"y_true: expected 0 and 1, got {value} in row {bad[0][0]}")


class _Task(NamedTuple):
    """Columns of truth, scores and predictions, one for each class or label, (m, K)."""

    kind: str  # "binary", "multi-class" or "multi-label"
    true: npt.NDArray[np.bool_]
    score: Array
    predicted: npt.NDArray[np.bool_]
    weight: Array


def _read_task(
    y_true: npt.ArrayLike,
    y_pred: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None,
    multi_label: bool | None,
) -> _Task:
    """Return what the metrics of classification count."""
    true, pred, weight = _read_both(y_true, y_pred, sample_weight)
    if pred.ndim == 1:
        if true.ndim != 1:
            raise ValueError(f"y_true: expected one column, as y_pred has, got shape {true.shape}")
        _check_01(true)
        yes = true[:, None] == 1
        return _Task("binary", yes, pred[:, None], pred[:, None] > 0.5, weight)
    n_classes = pred.shape[1]
    if true.ndim == 1:
        if multi_label:
            raise ValueError(
                f"y_true: expected a column of 0 and 1 for each of y_pred's {n_classes} labels, "
                "got one column"
            )
        bad = np.flatnonzero(~((true >= 0) & (true < n_classes) & (true == np.floor(true))))
        if bad.size:
            raise ValueError(
                f"y_true: expected classes from 0 to {n_classes - 1}, as y_pred has {n_classes} "
                f"columns, got {true[bad[0]]} in row {bad[0]}"
            )
        classes = true.astype(np.intp)
    else:
        if true.shape != pred.shape:
            raise ValueError(
                f"y_true: expected y_pred's shape {pred.shape} or one column, got {true.shape}"
            )
        _check_01(true)
        one_hot = (true.sum(axis=1, dtype=np.float64) == 1).all()
        if multi_label or (multi_label is None and not one_hot):
            return _Task("multi-label", true == 1, pred, pred > 0.5, weight)
        if not one_hot:
            raise ValueError("y_true: expected exactly one 1 in each row of one-hot classes")
        classes = true.argmax(axis=1)
    columns = np.arange(n_classes)
    predicted = pred.argmax(axis=1)[:, None] == columns
    return _Task("multi-class", classes[:, None] == columns, pred, predicted, weight)


# ------------------------------------------------------------------------------- classification


def accuracy(
    y_true: npt.ArrayLike,
    y_pred: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    multi_label: bool | None = None,
) -> float:
    """Return the part of the samples whose class, or whole set of labels, is right.

    Parameters
    ----------
    y_true, y_pred : array_like
        As the module's table says.
    sample_weight : array_like of shape (m,), optional
        How much each sample counts.
    multi_label : bool, optional
        Whether several columns are labels (True) or classes (False); by default y_true tells.

    Returns
    -------
    float
        From 0 to 1.
    """
    task = _read_task(y_true, y_pred, sample_weight, multi_label)
    if np.isnan(task.score).any():
        return math.nan
    right = (task.true == task.predicted).all(axis=1)
    return float(np.average(right, weights=task.weight))


def top_k_accuracy(
    y_true: npt.ArrayLike,
    y_pred: npt.ArrayLike,
    *,
    k: int = 5,
    sample_weight: npt.ArrayLike | None = None,
) -> float:
    """Return the part of the samples whose class is among the k with the largest y_pred.

    Of equal values the first counts as larger, so that k = 1 gives the accuracy.

    Parameters
    ----------
    y_true, y_pred : array_like
        Of several classes, as the module's table says.
    k : int
        From 1 to one less than the number of classes.
    sample_weight : array_like of shape (m,), optional
        How much each sample counts.

    Returns
    -------
    float
        From 0 to 1.
    """
    k = read_index("k", k, 1)
    task = _read_task(y_true, y_pred, sample_weight, None)
    if task.kind != "multi-class":
        raise ValueError(
            f"y_pred: expected several classes for the top {k}, got a {task.kind} task"
        )
    n_classes = task.score.shape[1]
    if k >= n_classes:
        raise ValueError(
            f"k: expected less than the {n_classes} classes, got {k}; for another k write "
            '"top_2_accuracy" or functools.partial(top_k_accuracy, k=2)'
        )
    if np.isnan(task.score).any():
        return math.nan
    own = task.score[task.true][:, None]
    place = task.true.argmax(axis=1)[:, None]
    ahead = (task.score > own) | ((task.score == own) & (np.arange(n_classes) < place))
    return float(np.average(ahead.sum(axis=1) < k, weights=task.weight))


def _mean_ratio(task: _Task, numerator: Array, denominator: Array) -> float:
    """Return the mean of the columns' ratios, over classes that occur."""
    if np.isnan(task.score).any():
        return math.nan
    ratio = np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator > 0)
    if task.kind == "multi-class":
        ratio = ratio[task.true.any(axis=0) | task.predicted.any(axis=0)]
    return float(ratio.mean())


def precision(
    y_true: npt.ArrayLike,
    y_pred: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    multi_label: bool | None = None,
) -> float:
    """Return the part of the predicted positives that are positive; 0 where there are none.

    Parameters
    ----------
    y_true, y_pred, sample_weight, multi_label : array_like or bool
        As `accuracy` has them.

    Returns
    -------
    float
        From 0 to 1; the macro average where there are several classes or labels.
    """
    task = _read_task(y_true, y_pred, sample_weight, multi_label)
    hits = task.weight @ (task.true & task.predicted)
    return _mean_ratio(task, hits, task.weight @ task.predicted)


def recall(
    y_true: npt.ArrayLike,
    y_pred: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    multi_label: bool | None = None,
) -> float:
    """Return the part of the positives that are predicted; 0 where there are none.

    Parameters
    ----------
    y_true, y_pred, sample_weight, multi_label : array_like or bool
        As `accuracy` has them.

    Returns
    -------
    float
        From 0 to 1; the macro average where there are several classes or labels.
    """
    task = _read_task(y_true, y_pred, sample_weight, multi_label)
    hits = task.weight @ (task.true & task.predicted)
    return _mean_ratio(task, hits, task.weight @ task.true)


def f1(
    y_true: npt.ArrayLike,
    y_pred: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    multi_label: bool | None = None,
) -> float:
    """Return the harmonic mean of precision and recall; 0 where there are no positives at all.

    Parameters
    ----------
    y_true, y_pred, sample_weight, multi_label : array_like or bool
        As `accuracy` has them.

    Returns
    -------
    float
        From 0 to 1; the macro average where there are several classes or labels.
    """
    task = _read_task(y_true, y_pred, sample_weight, multi_label)
    hits = task.weight @ (task.true & task.predicted)
    return _mean_ratio(task, 2 * hits, task.weight @ task.predicted + task.weight @ task.true)


def roc_auc(
    y_true: npt.ArrayLike,
    y_pred: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    multi_label: bool | None = None,
) -> float:
    """Return the area under the ROC curve.

    It is the probability that a positive sample has a larger y_pred than a negative one, where
    equal ones count half. Several classes are compared one against the rest.

    Parameters
    ----------
    y_true, y_pred, sample_weight, multi_label : array_like or bool
        As `accuracy` has them; y_pred may be any score here.

    Returns
    -------
    float
        From 0 to 1; the macro average over the classes or labels that have samples of both kinds,
        NaN where none has.
    """
    task = _read_task(y_true, y_pred, sample_weight, multi_label)
    if np.isnan(task.score).any():
        return math.nan
    areas = []
    for yes, score in zip(task.true.T, task.score.T, strict=True):
        places, place = np.unique(score, return_inverse=True)
        positive = np.bincount(place, weights=task.weight * yes, minlength=len(places))
        negative = np.bincount(place, weights=task.weight * ~yes, minlength=len(places))
        pairs = positive.sum() * negative.sum()
        if pairs > 0:
            below = np.cumsum(negative) - negative / 2
            areas.append(float(positive @ below / pairs))
    return math.fsum(areas) / len(areas) if areas else math.nan


# ----------------------------------------------------------------------------------- regression


def _read_targets(
    y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None
) -> tuple[Array, Array, Array]:
    """Return y_true and y_pred in float64, of one shape (m, k), and the weights."""
    true, pred, weight = _read_both(y_true, y_pred, sample_weight)
    if true.shape != pred.shape:
        raise ValueError(f"y_pred: expected y_true's shape {true.shape}, got {pred.shape}")
    m = len(true)
    return true.astype(np.float64).reshape(m, -1), pred.reshape(m, -1), weight


def mean_absolute_error(
    y_true: npt.ArrayLike, y_pred: npt.ArrayLike, *, sample_weight: npt.ArrayLike | None = None
) -> float:
    """Return the mean of ``|y_true - y_pred|`` over samples and outputs.

    Parameters
    ----------
    y_true, y_pred : array_like of shape (m,) or (m, k)
        Targets and predictions.
    sample_weight : array_like of shape (m,), optional
        How much each sample counts.

    Returns
    -------
    float
        At least 0.
    """
    true, pred, weight = _read_targets(y_true, y_pred, sample_weight)
    return float(np.average(np.abs(true - pred), axis=0, weights=weight).mean())


def mean_squared_error(
    y_true: npt.ArrayLike, y_pred: npt.ArrayLike, *, sample_weight: npt.ArrayLike | None = None
) -> float:
    """Return the mean of ``(y_true - y_pred)**2`` over samples and outputs.

    Parameters
    ----------
    y_true, y_pred, sample_weight : array_like
        As `mean_absolute_error` has them.

    Returns
    -------
    float
        At least 0.
    """
    true, pred, weight = _read_targets(y_true, y_pred, sample_weight)
    return float(np.average((true - pred) ** 2, axis=0, weights=weight).mean())


def r2_score(
    y_true: npt.ArrayLike, y_pred: npt.ArrayLike, *, sample_weight: npt.ArrayLike | None = None
) -> float:
    """Return the part of the variance of y_true that y_pred explains, a mean over the outputs.

    An output that is constant in y_true scores 1 where y_pred is right to the last bit, else 0.

    Parameters
    ----------
    y_true, y_pred, sample_weight : array_like
        As `mean_absolute_error` has them.

    Returns
    -------
    float
        At most 1; NaN for less than two samples.
    """
    true, pred, weight = _read_targets(y_true, y_pred, sample_weight)
    if len(true) < 2 or np.isnan(pred).any():
        return math.nan
    mean = np.average(true, axis=0, weights=weight)
    wrong = weight @ (true - pred) ** 2
    spread = weight @ (true - mean) ** 2
    constant = (true == true[0]).all(axis=0) | (spread == 0)
    score = np.where(wrong == 0, 1.0, 0.0)
    score[~constant] = 1 - wrong[~constant] / spread[~constant]
    return float(score.mean())


# ---------------------------------------------------------------------------------- the table


@dataclass(frozen=True)
class Metric:
    """A metric as `resolve` returns it.

    Attributes
    ----------
    name : str
        Its key in a history.
    function : callable
        ``function(y_true, y_pred)``, with ``sample_weight`` and ``multi_label`` where it has them.
    larger_is_better : bool or None
        None where nobody said: a function says so with an attribute of this name.
    """

    name: str
    function: Callable[..., Any]
    larger_is_better: bool | None = None

    def __call__(
        self,
        y_true: npt.ArrayLike,
        y_pred: npt.ArrayLike,
        *,
        sample_weight: npt.ArrayLike | None = None,
        multi_label: bool | None = None,
    ) -> float:
        """Return the metric's value; the function gets only the keywords it has."""
        given = {"sample_weight": sample_weight, "multi_label": multi_label}
        keywords = {
            key: value
            for key, value in given.items()
            if value is not None and key in self._keywords
        }
        value = self.function(y_true, y_pred, **keywords)
        try:
            return float(value)
        except (TypeError, ValueError):
            raise TypeError(
                f"metrics: expected {self.name} to return a number, got {type(value).__name__}"
            ) from None

    @functools.cached_property
    def _keywords(self) -> frozenset[str]:
        try:
            return frozenset(inspect.signature(self.function).parameters)
        except ValueError:  # a function in C that does not tell
            return frozenset()


_TABLE: list[tuple[str, Callable[..., float], bool]] = [
    ("accuracy", accuracy, True),
    ("top_k_accuracy", top_k_accuracy, True),
    ("precision", precision, True),
    ("recall", recall, True),
    ("f1", f1, True),
    ("roc_auc", roc_auc, True),
    ("mean_absolute_error", mean_absolute_error, False),
    ("mean_squared_error", mean_squared_error, False),
    ("r2_score", r2_score, True),
    ("acc", accuracy, True),
    ("auc", roc_auc, True),
    ("mae", mean_absolute_error, False),
    ("mse", mean_squared_error, False),
    ("r2", r2_score, True),
]
METRICS = {name: Metric(name, function, larger) for name, function, larger in _TABLE}
"""Names, with the short ones that Keras and scikit-learn use."""

_RESERVED = {"loss", "lr", "learning_rate", "time", "epoch"}


def _named(name: object) -> Metric:
    """Return the metric of that name."""
    if isinstance(name, str):
        if name in METRICS:
            return METRICS[name]
        match = re.fullmatch(r"top_([1-9]\d{0,8})_accuracy", name)
        if match:
            return Metric(name, functools.partial(top_k_accuracy, k=int(match[1])), True)
    raise ValueError(unknown_name("metrics", name, METRICS))


def _of_function(name: str | None, function: Callable[..., Any]) -> Metric:
    """Return the metric of a callable, whose name is the function's own where none is given."""
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    name = name or str(getattr(inner, "__name__", type(inner).__name__))
    larger = getattr(function, "larger_is_better", getattr(inner, "larger_is_better", None))
    for known in METRICS.values():
        if inner is known.function:
            larger = known.larger_is_better
    if name == "<lambda>":
        raise ValueError("metrics: a lambda has no name; pass {'a name': lambda ...}")
    return Metric(name, function, larger)


def resolve(metrics: Any) -> list[Metric]:
    """Return the metrics that names and functions stand for.

    Parameters
    ----------
    metrics : None, str, callable, or an iterable or dict of them
        Names of `METRICS`, or ``"top_3_accuracy"`` with any number; functions of (y_true, y_pred)
        that return a number. A dict gives its own names.

    Returns
    -------
    list of Metric
        In order, with different names.
    """
    if metrics is None:
        return []
    items: list[tuple[str | None, Any]]
    if isinstance(metrics, Mapping):
        items = list(metrics.items())
    elif isinstance(metrics, str | Metric) or callable(metrics):
        items = [(None, metrics)]
    elif isinstance(metrics, Iterable):
        items = [(None, metric) for metric in metrics]
    else:
        raise TypeError(f"metrics: expected names or functions, got {type(metrics).__name__}")
    result: list[Metric] = []
    for name, item in items:
        if isinstance(item, Metric):
            metric = Metric(name or item.name, item.function, item.larger_is_better)
        elif isinstance(item, str):
            known = _named(item)
            metric = Metric(name or known.name, known.function, known.larger_is_better)
        elif callable(item):
            metric = _of_function(name, item)
        else:
            raise TypeError(f"metrics: expected a name or a function, got {item!r}")
        if metric.name in _RESERVED or metric.name.startswith("val_"):
            raise ValueError(
                f"metrics: {metric.name!r} is a history's own name; pass {{'another': ...}}"
            )
        if any(metric.name == other.name for other in result):
            raise ValueError(f"metrics: expected different names, got {metric.name!r} twice")
        result.append(metric)
    return result


def larger_is_better(key: str, metrics: Iterable[Metric] = ()) -> bool | None:
    """Return the direction of a history's key, such as "val_accuracy"; None where unknown.

    `metrics` are those of the training; the names of `METRICS` are known anyway.
    """
    name = key.removeprefix("val_")
    if name == "loss":
        return False
    for metric in metrics:
        if metric.name == name:
            return metric.larger_is_better
    try:
        return _named(name).larger_is_better
    except ValueError:
        return None
