"""Reads data for `nnc.Network`: samples, labels and weights, checked before anything is trained."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from nnc import _core
from nnc._arguments import Array
from nnc._specs import NOT_NEGATIVE, read_number
from nnc.losses import BINARY, CLASSES, Loss

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
    # no masked array without its module, whose import costs a megabyte
    if "numpy.ma" in sys.modules and isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name}: got a masked array: pass {name}.filled(value) or drop the masked rows"
        )
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(
            f"{name}: expected an array of numbers, with rows of one length: {error}"
        ) from None
    if array.dtype.kind == "b":
        return array.view(np.uint8)
    if array.dtype.kind not in "iuf":
        raise TypeError(
            f"{name}: expected an array of real numbers, got dtype {array.dtype}: "
            f"{_REMEDIES.get(array.dtype.kind, 'pass numbers')}"
        )
    return array


_REMEDIES = {
    "O": "convert it with astype(float)",
    "c": "pass its real and imaginary parts side by side",
    "U": "number the names with numpy.unique(…, return_inverse=True)[1]",
    "S": "number the names with numpy.unique(…, return_inverse=True)[1]",
}


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


def _place(start: int, row: Any, *column: Any) -> str:
    """Return where an element of the rows from `start` on is, in words."""
    return f"row {start + row}" + (f", column {column[0]}" if column else "")


def _check_finite(name: str, array: Array) -> None:
    if array.dtype.kind != "f":
        return
    for start, rows in blocks(array):
        bad = _core.first_nonfinite(rows)
        if bad >= 0:
            place = _place(start, *np.unravel_index(bad, rows.shape))
            raise ValueError(
                f"{name}: expected finite numbers, got {rows.flat[bad]} in {place}: drop or "
                "replace such samples first"
            )


def check_range(name: str, array: Array, dtype: np.dtype[Any], scale: float = 1.0) -> None:
    """Raise for numbers that are finite, but not in the network's dtype."""
    if array.dtype.kind != "f" or array.dtype.itemsize <= dtype.itemsize or not array.size:
        return
    most = float(np.finfo(dtype).max) / scale
    for start, rows in blocks(array):
        if rows.max() <= most and rows.min() >= -most:
            continue
        index = tuple(np.argwhere(np.abs(rows) > most)[0])
        raise ValueError(
            f"{name}: expected numbers that fit into {dtype}, got {rows[index]:g} in "
            f"{_place(start, *index)}: scale {name}, or make the network with dtype='float64'"
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
        raise ValueError(
            f"{name}: expected a label for each of the {m} rows of X, got {rows}: rows of X and "
            f"{name} belong together"
        )
    if loss.activations == CLASSES and array.ndim == 1:
        return _read_classes(name, array, n_out)
    if loss.classes:
        raise ValueError(
            f"{name}: {loss.kind} takes the number of each sample's class, shape ({m},), got shape "
            f"{array.shape}: pass {name}" + (".ravel()" if array.size == m else ".argmax(axis=1)")
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
        wrong = ~(np.floor(array) == array)  # NaN among them
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ValueError(
                f"{name}: expected the number of each sample's class, got {array[row]} in row "
                f"{row}: for labels that are no classes end with Dense({n_out})"
            )
    wrong = (array < 0) | (array >= n_out)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"{name}: expected classes from 0 to {n_out - 1}, as the output layer has {n_out} "
            f"units, got {array[row]} in row {row}: "
            + (
                f"number the classes with numpy.unique({name}, return_inverse=True)[1]"
                if array[row] < 0 or len(np.unique(array)) <= n_out
                else f'end with Dense({int(array.max()) + 1}, "softmax")'
            )
        )
    return np.ascontiguousarray(array, dtype=np.int64)


def _wrong_outputs(name: str, array: Array, n_out: int, loss: Loss) -> str:
    text = f"{name}: expected shape ({len(array)}, {n_out}), got {array.shape}"
    if array.shape == (len(array), 1) and loss.activations == CLASSES:
        return f"{text}: pass the classes as {name}.ravel()"
    if array.ndim == 1 and array.dtype.kind != "f":
        return (
            f"{text}: for classes in one column end with Dense({int(array.max(initial=0)) + 1}, "
            '"softmax")'
        )
    if array.ndim == 1:
        return f"{text}: for one label a sample end with one unit"
    if array.ndim == 2:
        return (
            f"{text}: the output layer has {n_out} units, {name} has {array.shape[1]} columns: "
            f"end with {array.shape[1]} units"
        )
    return f"{text}: pass {name}.reshape(len({name}), -1)"


def _check_values(name: str, array: Array, loss: Loss) -> None:
    wrong, expected, remedy = None, "", ""
    if loss.classifies:
        wrong, expected = (array < 0) | (array > 1), "labels from 0 to 1"
        if array.shape[1] == 1 and not (array % 1).any():
            remedy = f"number two classes as ({name} == {name}.max()), or more after softmax"
        else:
            remedy = "scale them, or end with the activation identity"
    elif loss.kind == "poisson":
        wrong, expected = array < 0, "counts of at least 0"
        remedy = "use the loss mean_squared_error"
    elif loss.kind == "hinge":
        wrong, expected = (array != -1) & (array != 0) & (array != 1), "labels -1 and 1"
        remedy = f"pass numpy.where({name} is of the class, 1, -1)"
    if wrong is not None and wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(
            f"{name}: {loss.kind} expects {expected}, got {array[row, column]} in row {row}, "
            f"column {column}: {remedy}"
        )
    if loss.activations == CLASSES:
        _check_shares(name, array)


def _check_shares(name: str, array: Array) -> None:
    """Raise unless each row shares a probability of 1 among the classes."""
    wrong = np.abs(array.sum(axis=1, dtype=np.float64) - 1) > 1e-2
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"{name}: expected rows whose numbers add up to 1, got {array[row].tolist()} in row "
            f"{row}: where a sample may have several labels or none end with "
            f'Dense({array.shape[1]}, "sigmoid")'
        )


def check_classes(name: str, Y: Array, loss: Loss) -> None:
    """Raise where all samples of a classification have one class: there is nothing to learn."""
    if len(Y) == 0 or not loss.classifies:
        return
    if (Y == Y[:1]).all():
        value = Y[0].item() if Y[0].size == 1 else Y[0].tolist()
        raise ValueError(
            f"{name}: all {len(Y)} samples to train on have the label {value}: a classifier needs "
            "some of each class; shuffle the samples if they are sorted"
        )


def read_weights(name: str, weights: Any, m: int) -> Array | None:
    """Return weights of samples as float64 (m,), or None."""
    if weights is None:
        return None
    array = np.array(_numbers(name, weights), dtype=np.float64)
    if array.ndim == 0:
        array = np.full(m, float(array))
    if array.shape != (m,):
        remedy = f"{name}.ravel()" if array.size == m else "a weight for each row of X"
        raise ValueError(f"{name}: expected shape ({m},), got {array.shape}: pass {remedy}")
    bad = ~(np.isfinite(array) & (array >= 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"{name}: expected finite numbers >= 0, got {array[row]} in row {row}: weigh samples "
            "that shall not count with 0"
        )
    if m > 0 and not array.any():
        raise ValueError(f"{name}: expected at least one weight above 0, got {m} zeros")
    return array


def weigh_classes(class_weight: Any, data: Data, n_out: int, loss: Loss) -> Data:
    """Return data whose weights are multiplied by those of their classes.

    Parameters
    ----------
    class_weight : None, "balanced", or dict of int to float
        "balanced" weighs classes by m / (classes * count), as scikit-learn does. Classes that a
        dict lacks weigh 1.
    data : Data
        Labels are (m,) classes, (m, 1) of 0 and 1 (or -1 and 1), or (m, k) one-hot rows.
    n_out : int
        The number of outputs.
    loss : Loss
        It says whether there are classes.
    """
    if class_weight is None:
        return data
    classes = _classes_of(data.Y, loss)
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(f"class_weight: expected 'balanced' or a dict, got {class_weight!r}")
        counts = np.bincount(classes)
        present = np.count_nonzero(counts)
        factors = len(classes) / (present * np.maximum(counts, 1))
    elif isinstance(class_weight, Mapping):
        factors = np.ones(max(n_out, 2))
        for label, weight in class_weight.items():
            if label not in range(len(factors)):
                raise ValueError(
                    f"class_weight: expected classes from 0 to {len(factors) - 1}, got {label!r}"
                )
            factors[int(label)] = read_number(f"class_weight[{label!r}]", weight, NOT_NEGATIVE)
    else:
        raise TypeError(f"class_weight: expected 'balanced' or a dict, got {class_weight!r}")
    weights: Array = factors[classes]
    if data.weights is not None:
        weights *= data.weights
    if not weights.any():
        raise ValueError("class_weight: leaves no sample a weight above 0: raise one of them")
    return data._replace(weights=weights)


def _classes_of(Y: Array, loss: Loss) -> Array:
    """Return the class of each sample."""
    if Y.ndim == 1:
        return Y
    if Y.shape[1] == 1 and (loss.kind == "hinge" or loss.activations in BINARY):
        return (Y[:, 0] > 0.5).astype(np.int64)
    if loss.activations == CLASSES:
        classes: Array = Y.argmax(axis=1)
        return classes
    raise ValueError(
        f"class_weight: {loss.kind} on {Y.shape[1]} outputs has no classes to weigh: pass "
        "sample_weight"
    )


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
    if any(part.weights is not None and not part.weights.any() for part in parts):
        raise ValueError(
            f"validation_split: the samples on one side of row {first} all have sample_weight 0; "
            "pass X_val and y_val instead"
        )
    return parts[0], parts[1]
