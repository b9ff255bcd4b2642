"""`playground`: a page of its own in which somebody trains a network and watches it learn.

What learns there is the engine, compiled to WebAssembly (csrc/wasm); the rest of the page is in
nnc/pages. This module reads the data and puts the parts together.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nnc import _core, losses
from nnc._arguments import Array
from nnc._optional import unknown_name
from nnc._page import POLICY, Page, read_bytes, render
from nnc._state import draw_seeds
from nnc.datasets import tutorial_moons
from nnc.optimizers import SGD, Adagrad, Adam, Gradient, Lion, NAdam, RMSprop

MAX_NUMBERS = 250_000  # in X: two megabytes, and some ten of the page
MAX_FEATURES = 64
MAX_CLASSES = 8  # as many as there are colours that everybody can tell apart
NAME_LENGTH = 40
SEEDS = 100
HEIGHT = 940  # of the frame in a notebook, in pixels
MORE = " 'wasm-unsafe-eval'; img-src data:"  # than other pages may do

TASKS = ("auto", "classification", "regression")

_OPTIMIZERS: dict[str, Gradient] = {
    "Adam": Adam(),
    "NAdam": NAdam(),
    "RMSprop": RMSprop(),
    "Adagrad": Adagrad(),
    "Lion": Lion(),
    "SGD": SGD(),
    "SGD, momentum 0.9": SGD(momentum=0.9),
    "SGD, Nesterov 0.9": SGD(momentum=0.9, nesterov=True),
}

_MOONS = """\
from nnc.datasets import tutorial_moons

moons = tutorial_moons()
X, y = moons.X_train.T, moons.Y_train[0]
"""
_GIVEN = "\n# X, y: what nnc.playground(X, y) was given\n"
_STANDARDIZE = """\
X = np.ascontiguousarray(X, "float64")
X = (X - X.mean(axis=0)) / X.std(axis=0)
"""
_ENCODE = "classes, y = np.unique(np.ravel(y), return_inverse=True)\n"
_STANDARDIZE_Y = 'y = np.ravel(np.asarray(y, "float64"))\ny = (y - y.mean()) / y.std()\n'


def playground(
    X: npt.ArrayLike | None = None,
    y: npt.ArrayLike | None = None,
    *,
    X_val: npt.ArrayLike | None = None,
    y_val: npt.ArrayLike | None = None,
    task: str = "auto",
    feature_names: Sequence[str] | None = None,
) -> Page:
    """Make a page in which somebody changes a network, and watches it learn this data.

    The page needs no server and no connection, and its numbers are those of the engine: the Python
    code that it shows trains the same network. docs/playground.md has more.

    Parameters
    ----------
    X : array_like, shape (m, n_features), optional
        Samples with 2 to 64 features, 250,000 numbers at most. They are standardised: each feature
        gets mean 0 and standard deviation 1. Without X and y, the tutorial's moons.
    y : array_like, shape (m,), optional
        Labels of any kind, of 2 to 8 classes; or numbers.
    X_val, y_val : array_like, optional
        Data that is only looked at: for a loss and an accuracy of its own, and hollow points.
    task : {"auto", "classification", "regression"}, optional
        Whether y are classes or numbers, which are standardised, too. "auto" takes fractions for
        numbers, and all else for classes.
    feature_names : list of str, optional
        By default the columns' names where X is a data frame, else x1, x2 and so on.

    Returns
    -------
    Page
        It shows itself in a notebook; ``save(path)`` writes the page to a file.

    Raises
    ------
    ValueError, TypeError
        For data that is not finite, too large or of another shape, for a feature that is the same
        in all samples, and for too many classes.

    Examples
    --------
    >>> import nnc
    >>> nnc.playground()  # doctest: +ELLIPSIS
    <Page 'nnc playground: 900 samples, 2 features, 2 classes', ... bytes>
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], ["same", "other", "other", "same"]
    >>> nnc.playground(X, y)  # doctest: +ELLIPSIS
    <Page 'nnc playground: 4 samples, 2 features, 2 classes', ... bytes>
    """
    if task not in TASKS:
        raise ValueError(unknown_name("task", task, TASKS))
    code = _GIVEN
    if all(given is None for given in (X, y, X_val, y_val)):
        moons = tutorial_moons()
        X, y = moons.X_train.T, moons.Y_train[0]
        X_val, y_val = moons.X_test.T, moons.Y_test[0]
        code = _MOONS
    if X is None or y is None:
        raise ValueError(f"{'X' if X is None else 'y'}: X and y belong together; pass both")
    if (X_val is None) != (y_val is None):
        missing = "X_val" if X_val is None else "y_val"
        raise ValueError(f"{missing}: X_val and y_val belong together; pass both")
    names = _read_names(feature_names, X)
    rows = _read_rows("X", X)
    n = rows.shape[1]
    if names and len(names) != n:
        raise ValueError(f"feature_names: expected {n} of them, got {len(names)}")
    inputs = _Scale.of("X", rows)
    labels = _read_labels("y", y, len(rows))
    target = _Target.of(labels, task)
    x, encoded = inputs.apply("X", rows), target.encode("y", labels)
    data = {
        "training": _samples(x, encoded),
        "validation": None,
        "axes": _best_axes(x, encoded, target.classes is not None),
        "features": names or [f"x{i + 1}" for i in range(n)],
        "mean": inputs.mean.tolist(),
        "scale": inputs.scale.tolist(),
        **target.describe(),
        "activations": list(_core.ACTIVATIONS),
        "optimizers": [_describe(*item) for item in _OPTIMIZERS.items()],
        "shuffleSeeds": [draw_seeds(np.random.RandomState(seed))[0] for seed in range(SEEDS)],
        "code": "import numpy as np\nimport nnc\n" + code + _STANDARDIZE + target.code,
        "core": _core_for_pages(),
    }
    if X_val is not None and y_val is not None:
        rows_val = _read_rows("X_val", X_val)
        if rows_val.shape[1] != n:
            raise ValueError(f"X_val: expected {n} columns, as X has, got {rows_val.shape[1]}")
        labels_val = _read_labels("y_val", y_val, len(rows_val))
        data["validation"] = _samples(
            inputs.apply("X_val", rows_val), target.encode("y_val", labels_val)
        )
    title = f"nnc playground: {len(rows)} samples, {n} features, {target.title}"
    return render("playground", data, title=title, height=HEIGHT, policy=POLICY + MORE)


# ------------------------------------------------------------------------------------ data


class _Scale(NamedTuple):
    """Mean and standard deviation, of each column."""

    mean: Array
    scale: Array

    @classmethod
    def of(cls, name: str, values: Array) -> _Scale:
        """Return those of values; ValueError where there is nothing to divide by."""
        constant = np.flatnonzero(values.min(axis=0) == values.max(axis=0))
        if len(constant):
            where = f" in column {constant[0]}: leave it out" if values.ndim == 2 else ""
            raise ValueError(f"{name}: expected numbers that differ, got one and the same{where}")
        with np.errstate(over="ignore", invalid="ignore"):
            found = cls(values.mean(axis=0), values.std(axis=0))
        if not np.isfinite(found.scale).all():
            raise ValueError(f"{name}: has too large numbers to be standardised")
        return found

    def apply(self, name: str, values: Array) -> Array:
        """Return standardised values; ValueError where they overflow."""
        with np.errstate(over="ignore"):
            result: Array = (values - self.mean) / self.scale
        if not np.isfinite(result).all():
            raise ValueError(f"{name}: has too large numbers to be standardised")
        return result


class _Target(NamedTuple):
    """What y is: classes, or numbers."""

    classes: Array | None
    numbers: _Scale | None

    @classmethod
    def of(cls, labels: Array, task: str) -> _Target:
        """Return what labels are; ValueError and TypeError where the page can't show them."""
        if task == "regression" or (task == "auto" and _are_numbers(labels)):
            return cls(None, _Scale.of("y", _read_numbers("y", labels)))
        try:
            classes = np.unique(labels)
        except TypeError:
            raise TypeError("y: expected labels of one kind, which can be put in order") from None
        if not 2 <= len(classes) <= MAX_CLASSES:
            hint = '; pass task="regression" if they are numbers' if len(classes) > 1 else ""
            raise ValueError(f"y: expected 2 to {MAX_CLASSES} classes, got {len(classes)}{hint}")
        return cls(classes, None)

    @property
    def title(self) -> str:
        """What there is to learn, in words."""
        return "a number to predict" if self.classes is None else f"{len(self.classes)} classes"

    @property
    def code(self) -> str:
        """The Python that does what `encode` does."""
        return _STANDARDIZE_Y if self.classes is None else _ENCODE

    def encode(self, name: str, labels: Array) -> Array:
        """Return the classes' places in order, or standardised numbers, as float64."""
        if self.numbers is not None:
            return self.numbers.apply(name, _read_numbers(name, labels))
        assert self.classes is not None
        places = {label: float(place) for place, label in enumerate(self.classes.tolist())}
        unknown = [label for label in labels.tolist() if label not in places]
        if unknown:
            raise ValueError(f"{name}: expected classes that y has, got {unknown[0]!r:.60}")
        return np.array([places[label] for label in labels.tolist()])

    def describe(self) -> dict[str, Any]:
        """Return what the page is told of y and of the output layer."""
        if self.classes is None:
            assert self.numbers is not None
            activation, units, names = "identity", 1, None
            numbers = [float(self.numbers.mean), float(self.numbers.scale)]
        else:
            units = len(self.classes) if len(self.classes) > 2 else 1
            activation, numbers = "softmax" if units > 1 else "sigmoid", None
            names = [_shorten(str(label)) for label in self.classes.tolist()]
        return {
            "classes": names,
            "target": numbers,
            "output": {
                "units": units,
                "activation": activation,
                "loss": losses.default_loss(activation, units).engine_name,
            },
        }


def _best_axes(x: Array, y: Array, are_classes: bool) -> list[int]:
    """Return the two features of which parabolas come nearest to y, or to who is of which class."""
    targets = (y[:, np.newaxis] == np.unique(y)).astype("float64") if are_classes else y
    missed = []
    for column in x.T:
        parabola = np.vander(column, 3)
        fit = parabola @ np.linalg.lstsq(parabola, targets, rcond=None)[0]
        missed.append(float(np.sum((targets - fit) ** 2)))
    return sorted(np.argsort(missed, kind="stable")[:2].tolist())


def _are_numbers(labels: Array) -> bool:
    """Whether they are numbers with fractions."""
    return labels.dtype.kind == "f" and bool(np.any(labels != np.floor(labels)))


def _read_rows(name: str, X: npt.ArrayLike) -> Array:
    array = np.asarray(X)
    if array.dtype.kind not in "biufO":
        raise TypeError(f"{name}: expected numbers, got dtype {array.dtype}")
    if array.ndim != 2 or not 2 <= array.shape[1] <= MAX_FEATURES or len(array) < 2:
        raise ValueError(
            f"{name}: expected two samples or more, with 2 to {MAX_FEATURES} features: shape "
            f"(m, n_features), got {array.shape}"
        )
    if array.size > MAX_NUMBERS:
        raise ValueError(
            f"{name}: expected at most {MAX_NUMBERS:,} numbers, got {array.size:,}: pass fewer "
            f"samples, such as {name}[:{MAX_NUMBERS // array.shape[1]}]"
        )
    return _as_finite(name, array)


def _read_labels(name: str, y: npt.ArrayLike, m: int) -> Array:
    array = np.asarray(y)
    if array.shape not in ((m,), (m, 1)):
        raise ValueError(
            f"{name}: expected a label for each of the {m} samples, shape ({m},), got {array.shape}"
        )
    array = array.ravel()
    if array.dtype.kind == "f":
        _as_finite(name, array)
    return array


def _read_numbers(name: str, labels: Array) -> Array:
    if labels.dtype.kind not in "biufO":
        raise TypeError(f"{name}: expected numbers, got dtype {labels.dtype}")
    return _as_finite(name, labels)


def _as_finite(name: str, array: Array) -> Array:
    """Return numbers as float64; TypeError and ValueError for what is not finite numbers."""
    try:
        numbers = np.ascontiguousarray(array, "float64")
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected numbers, got dtype {array.dtype}") from None
    if not np.isfinite(numbers).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(numbers))[0])
        index = ", ".join(map(str, place))
        raise ValueError(f"{name}: expected finite numbers, got {numbers[place]} at [{index}]")
    return numbers


def _read_names(names: Sequence[str] | None, X: Any) -> list[str] | None:
    if names is None:
        names = getattr(X, "columns", None)
        return None if names is None else [_shorten(str(name)) for name in names]
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"feature_names: expected a list of str, got {names!r:.60}")
    return [_shorten(name) for name in names]


def _shorten(name: str) -> str:
    return name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 1] + "…"


# ------------------------------------------------------------------------------------ page


def _samples(x: Array, y: Array) -> dict[str, Any]:
    """Return samples for the page, feature by feature."""
    return {"m": len(x), "x": _encode(x.T), "y": _encode(y)}


def _encode(values: Array) -> str:
    """Return numbers as base64 of float64, in row-major order."""
    return base64.b64encode(np.ascontiguousarray(values, "<f8").tobytes()).decode("ascii")


def _describe(name: str, optimizer: Gradient) -> dict[str, Any]:
    """Return an optimizer for the page, which puts the learning rate into its code."""
    options = [
        f"{key}={getattr(optimizer, key)}"
        for key in ("momentum", "nesterov")
        if isinstance(optimizer, SGD) and getattr(optimizer, key)
    ]
    arguments = ", ".join(["{rate}", *options])
    return {
        "name": name,
        "engineName": optimizer.engine_name,
        "numbers": optimizer.numbers(),
        "code": f"nnc.{type(optimizer).__name__}({arguments})",
    }


def _core_for_pages() -> str:
    """Return the engine in WebAssembly, compressed, as base64."""
    return base64.b64encode(gzip.compress(read_bytes("playground/core.wasm"), mtime=0)).decode()
