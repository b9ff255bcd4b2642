"""Reads data for `nnc.Network`: samples, labels and weights, checked before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from nnc import _core
from nnc._arguments import Array
from nnc.losses import CLASSES, PROBABILITIES, Loss

# Rows that are looked at together, so that files larger than memory are read block by block.
BLOCK = 1 << 14


class Data(NamedTuple):
    """What the engine takes: X (m, n_in), Y (m, n_out) or classes (m,), weights (m,) or None."""

    X: Array
    Y: Array
    weights: Array | None


def read_inputs(name: str, X: Any, input_shape: tuple[int, ...]) -> Array:
    """Return samples as a matrix, one a row, without a copy where that is possible.

    Raises
    ------
    ValueError, TypeError
        For another shape, for anything but real numbers, and for NaN and infinities, whose row and
        column the message names.
    """
    array = _numbers(name, X)
    n_in = math.prod(input_shape)
    if array.shape[1:] not in (input_shape, (n_in,)) or array.ndim < 2:
        raise ValueError(_wrong_shape(name, array.shape, input_shape))
    rows = array.reshape(len(array), n_in)
    _check_finite(name, rows)
    return rows


def _numbers(name: str, value: Any) -> Array:
    """Return an array of real numbers of any dtype; bools become 0 and 1."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name}: got a masked array: pass {name}.filled(value) or drop the masked rows"
        )
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name}: expected an array of numbers: {error}") from None
    if array.dtype.kind == "b":
        return array.view(np.uint8)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name}: expected an array of real numbers, got dtype {array.dtype}")
    return array


def _wrong_shape(name: str, got: tuple[int, ...], input_shape: tuple[int, ...]) -> str:
    expected = ", ".join(["m", *map(str, input_shape)])
    text = f"{name}: expected shape ({expected}), a row for each sample, got {got}"
    n_in = math.prod(input_shape)
    if len(got) == 2 and got[0] == n_in:
        return f"{text}: samples are rows here; pass {name}.T"
    if got == (n_in,) or got == input_shape:
        return f"{text}: for one sample use predict_one, or pass {name}[None]"
    if len(got) == 1 and n_in == 1:
        return f"{text}: pass {name}.reshape(-1, 1)"
    return text


def blocks(array: Array) -> Iterator[tuple[int, Array]]:
    """Yield (first row, rows) for the whole array."""
    for start in range(0, len(array), BLOCK):
        yield start, array[start : start + BLOCK]


def _check_finite(name: str, array: Array) -> None:
    if array.dtype.kind != "f":
        return
    for start, rows in blocks(array):
        bad = _core.first_nonfinite(rows)
        if bad >= 0:
            row, *column = np.unravel_index(bad, rows.shape)
            place = f"row {start + row}" + (f", column {column[0]}" if column else "")
            raise ValueError(
                f"{name}: expected finite numbers, got {rows.flat[bad]} in {place}: drop or "
                "replace such samples first"
            )


def read_labels(name: str, y: Any, m: int, n_out: int, loss: Loss) -> Array:
    """Return labels as the engine takes them: (m, n_out) numbers, or (m,) int64 classes.

    Raises
    ------
    ValueError, TypeError
        For a number of rows or outputs that does not fit, for classes out of range, and for values
        that the loss is not made for.
    """
    array = _numbers(name, y)
    if array.ndim == 0 or len(array) != m:
        rows = len(array) if array.ndim else "a single number"
        raise ValueError(f"{name}: expected a label for each of the {m} rows of X, got {rows}")
    if loss.activations == CLASSES and array.ndim == 1:
        return _read_classes(name, array, n_out)
    if loss.classes:
        raise ValueError(
            f"{name}: {loss.kind} takes the number of each sample's class, shape ({m},), got shape "
            f"{array.shape}: pass {name}.argmax(axis=1), or use categorical_cross_entropy"
        )
    if array.ndim == 1 and n_out == 1:
        array = array.reshape(m, 1)
    if array.shape != (m, n_out):
        raise ValueError(_wrong_outputs(name, array, n_out, loss))
    _check_finite(name, array)
    _check_values(name, array, loss)
    return array


def _read_classes(name: str, array: Array, n_out: int) -> Array:
    if array.dtype.kind == "f":
        whole = array.astype(np.int64, casting="unsafe") if np.isfinite(array).all() else None
        if whole is None or (whole != array).any():
            raise ValueError(f"{name}: expected whole numbers of classes, got {array.dtype} others")
        array = whole
    wrong = (array < 0) | (array >= n_out)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"{name}: expected classes from 0 to {n_out - 1}, as the output layer has {n_out} "
            f"units, got {array[row]} in row {row}"
        )
    return np.ascontiguousarray(array, dtype=np.int64)


def _wrong_outputs(name: str, array: Array, n_out: int, loss: Loss) -> str:
    text = f"{name}: expected shape ({len(array)}, {n_out}), got {array.shape}"
    if array.ndim == 1 and loss.activations == PROBABILITIES and array.dtype.kind != "f":
        return (
            f"{text}: for classes in one column end with Dense({int(array.max(initial=0)) + 1}, "
            '"softmax")'
        )
    if array.ndim == 2:
        return f"{text}: the output layer has {n_out} units, {name} has {array.shape[1]} columns"
    return text


def _check_values(name: str, array: Array, loss: Loss) -> None:
    wrong, expected = None, ""
    if loss.activations == PROBABILITIES or loss.activations in (CLASSES, ("sigmoid",)):
        wrong, expected = (array < 0) | (array > 1), "labels from 0 to 1"
    elif loss.kind == "poisson":
        wrong, expected = array < 0, "counts of at least 0"
    elif loss.kind == "hinge":
        wrong, expected = (array != -1) & (array != 0) & (array != 1), "labels -1 and 1"
    if wrong is not None and wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(
            f"{name}: {loss.kind} expects {expected}, got {array[row, column]} in row {row}, "
            f"column {column}"
        )


def check_classes(name: str, Y: Array, loss: Loss) -> None:
    """Raise where all samples of a classification have one class: there is nothing to learn."""
    if len(Y) == 0 or (loss.activations not in (CLASSES, PROBABILITIES, ("sigmoid",))):
        return
    if (Y == Y[:1]).all():
        value = Y[0] if Y.ndim == 1 else Y[0].tolist()
        raise ValueError(
            f"{name}: all {len(Y)} samples have the label {value}: a classifier needs at least two "
            "classes"
        )


def read_weights(name: str, weights: Any, m: int) -> Array | None:
    """Return weights of samples as float64 (m,), or None."""
    if weights is None:
        return None
    array = np.array(_numbers(name, weights), dtype=np.float64)
    if array.ndim == 0:
        array = np.full(m, float(array))
    if array.shape != (m,):
        raise ValueError(f"{name}: expected shape ({m},), got {array.shape}")
    bad = ~(np.isfinite(array) & (array >= 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(f"{name}: expected finite numbers >= 0, got {array[row]} in row {row}")
    if m > 0 and not array.any():
        raise ValueError(f"{name}: expected at least one weight above 0, got {m} zeros")
    return array


def weights_of_classes(class_weight: Any, Y: Array) -> Array | None:
    """Return a weight for each sample from its class, or None.

    Parameters
    ----------
    class_weight : None, "balanced", or dict of int to float
        "balanced" weighs classes by m / (classes * count), as scikit-learn does. Classes that a
        dict lacks weigh 1.
    Y : numpy.ndarray
        (m,) classes, (m, 1) labels of 0 and 1, or (m, k) one-hot rows.
    """
    if class_weight is None:
        return None
    classes = Y if Y.ndim == 1 else Y[:, 0] > 0.5 if Y.shape[1] == 1 else Y.argmax(axis=1)
    classes = classes.astype(np.int64)
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(f"class_weight: expected 'balanced' or a dict, got {class_weight!r}")
        counts = np.bincount(classes)
        present = np.count_nonzero(counts)
        weights: Array = (len(classes) / (present * np.maximum(counts, 1)))[classes]
        return weights
    if not isinstance(class_weight, Mapping):
        raise TypeError(f"class_weight: expected 'balanced' or a dict, got {class_weight!r}")
    result = np.ones(len(classes))
    for label, weight in class_weight.items():
        if not (isinstance(weight, int | float) and math.isfinite(weight) and weight >= 0):
            raise ValueError(f"class_weight[{label!r}]: expected a number >= 0, got {weight!r}")
        result[classes == label] = weight
    return result


def product(a: Array | None, b: Array | None) -> Array | None:
    """Return the product of two vectors of weights, where None is all ones."""
    if a is None or b is None:
        return b if a is None else a
    both: Array = a * b
    return both


def split(data: Data, fraction: float) -> tuple[Data, Data]:
    """Cut the last fraction of the samples off, for validation, as Keras does."""
    m = len(data.X)
    first = m - math.ceil(fraction * m)
    if not 0 < first < m:
        raise ValueError(
            f"validation_split: {fraction} of {m} samples leaves none on one side; pass X_val and "
            "y_val instead"
        )
    parts = [
        Data(data.X[part], data.Y[part], None if data.weights is None else data.weights[part])
        for part in (slice(first), slice(first, None))
    ]
    return parts[0], parts[1]
