"""What is measured: networks, data, and what a peer must reach to count as having learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Workload:
    """One network on one set of data.

    Attributes
    ----------
    name, title : str
        How it is asked for, and what it is.
    data : str
        The key of `DATA`.
    sizes : tuple of int
        Inputs, then the units of each layer.
    hidden, output : str
        Activations.
    loss : str
        binary_cross_entropy, categorical_cross_entropy: summed over outputs, the mean over
        samples. sum_of_squares: summed over both. mean_squared_error: the mean over both. Empty
        for an inference.
    epochs : int
        Epochs of one repetition; calls, for an inference.
    unit : str
        What one of them is.
    scale : float
        From seconds to the unit's time.
    batch : int
        Samples a step, reshuffled every epoch; 0 is all of them, in order.
    check_epochs : int
        After so many epochs of training a peer is judged.
    goal : float
        The accuracy that it must then reach; for mean_squared_error and sum_of_squares the
        fraction of the first cost that it must come below.
    """

    name: str
    title: str
    data: str
    sizes: tuple[int, ...]
    unit: str
    scale: float
    output: str
    hidden: str = "relu"
    loss: str = ""
    optimizer: str = "sgd"
    learning_rate: float = 0.0
    batch: int = 0
    bias: bool = True
    epochs: int = 1
    check_epochs: int = 0
    goal: float = 0.0
    dtypes: tuple[str, ...] = ("float32",)
    rows: int = 0

    @property
    def trains(self) -> bool:
        """Whether this is a training, or an inference."""
        return bool(self.loss)

    @property
    def classifies(self) -> bool:
        """Whether accuracy is part of the history."""
        return self.loss.endswith("cross_entropy")

    @property
    def layers(self) -> list[tuple[int, int, str, bool]]:
        """The layers as (n_in, n_out, activation, has_bias)."""
        last = len(self.sizes) - 2
        return [
            (n_in, n_out, self.output if i == last else self.hidden, self.bias)
            for i, (n_in, n_out) in enumerate(pairwise(self.sizes))
        ]

    def flops(self, rows: int) -> float:
        """Return the useful flops of one unit: no gradient by the first layer's input."""
        weights = [n_in * n_out for n_in, n_out in pairwise(self.sizes)]
        return float(
            rows * (6 * sum(weights) - 2 * weights[0] if self.trains else 2 * sum(weights))
        )

    @classmethod
    def read(cls, fields: dict[str, Any]) -> Workload:
        """Return the workload of these fields, as they come out of JSON."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in fields.items()
        }
        return cls(**values)

    def shorter(self) -> Workload:
        """Return the same for a quick look: a tenth of the epochs, few rows."""
        rows = min(self.rows, 2000)
        check = max(self.check_epochs, 10 if self.rows else 0)
        return replace(self, epochs=max(1, self.epochs // 10), rows=rows, check_epochs=check)


_MOONS: dict[str, Any] = {
    "data": "moons",
    "sizes": (2, 25, 50, 50, 25, 1),
    "unit": "µs/epoch",
    "scale": 1e6,
    "output": "sigmoid",
    "loss": "binary_cross_entropy",
    "dtypes": ("float32", "float64"),
}
_DIGITS: dict[str, Any] = {"data": "digits", "sizes": (64, 128, 10), "output": "softmax"}
_WIDE: dict[str, Any] = {
    "data": "prototypes",
    "sizes": (784, 512, 512, 10),
    "output": "softmax",
    "rows": 60_000,
}
_TRAIN_DIGITS: dict[str, Any] = {
    **_DIGITS,
    "unit": "ms/epoch",
    "scale": 1e3,
    "loss": "categorical_cross_entropy",
    "batch": 32,
    "epochs": 10,
    "check_epochs": 20,
    "goal": 0.85,
}

ALL: tuple[Workload, ...] = (
    Workload(
        "W1", "moons 2-25-50-50-25-1, 900 rows, full batch", **_MOONS,
        learning_rate=0.2, epochs=200, check_epochs=600, goal=0.9,
    ),
    Workload(
        "W1b", "moons 2-25-50-50-25-1, 900 rows, batches of 32", **_MOONS,
        learning_rate=0.03, batch=32, epochs=50, check_epochs=200, goal=0.85,
    ),
    Workload(
        "W2", "chapter 1: 3-4-1, 4 rows, full batch, sum of squares", "truth table", (3, 4, 1),
        "µs/iteration", 1e6, "sigmoid", hidden="sigmoid", bias=False, loss="sum_of_squares",
        learning_rate=1.0, epochs=1500, check_epochs=1500, goal=0.1, dtypes=("float64",),
    ),
    Workload("W3", "digits 64-128-10, batches of 32, SGD", **_TRAIN_DIGITS, learning_rate=0.1),
    Workload(
        "W3-adam", "digits 64-128-10, batches of 32, Adam", **_TRAIN_DIGITS,
        learning_rate=0.001, optimizer="adam",
    ),
    Workload(
        "W4", "784-512-512-10, batches of 128, SGD", **_WIDE, unit="ms/epoch", scale=1e3,
        loss="categorical_cross_entropy", batch=128, learning_rate=0.1, check_epochs=1, goal=0.9,
    ),
    Workload(
        "W5", "1024-2048-2048-1024, 1024 rows, full batch, mean squared error", "teacher",
        (1024, 2048, 2048, 1024), "ms/step", 1e3, "identity", loss="mean_squared_error",
        learning_rate=1.0, epochs=3, check_epochs=12, goal=0.6,
    ),
    Workload(
        "W6", "inference: one row through 64-128-10", **_DIGITS, unit="µs/call", scale=1e6,
        epochs=5000,
    ),
    Workload(
        "W7", "inference: 784-512-512-10", **_WIDE, unit="ms/call", scale=1e3,
    ),
)  # fmt: skip


def named(names: Sequence[str]) -> list[Workload]:
    """Return the workloads of these names; of none, all."""
    by_name = {workload.name: workload for workload in ALL}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise SystemExit(f"unknown workload {unknown[0]!r}: expected one of {', '.join(by_name)}")
    return [by_name[name] for name in names or by_name]


class Unavailable(Exception):
    """Data that needs something which is not installed."""


def _moons(workload: Workload) -> tuple[Array, Array]:
    from nnc import datasets

    split = datasets.tutorial_moons()
    return split.X_train.T, split.Y_train.T


def _truth_table(workload: Workload) -> tuple[Array, Array]:
    from nnc import datasets

    x, y = datasets.tutorial_truth_table()
    return x, y


def _digits(workload: Workload) -> tuple[Array, Array]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise Unavailable("the digits come with scikit-learn, which is not installed") from error
    X, labels = load_digits(return_X_y=True)
    return X / 16, np.eye(10)[labels]


def _prototypes(workload: Workload) -> tuple[Array, Array]:
    """Ten pictures of 784 pixels in [0, 1], each seen many times through noise."""
    random = np.random.default_rng(4)
    pictures = random.random((10, 784), dtype=np.float32)
    labels = random.integers(0, 10, workload.rows)
    noise = random.standard_normal((workload.rows, 784), dtype=np.float32)
    return np.clip(pictures[labels] + noise, 0, 1), np.eye(10)[labels]


def _teacher(workload: Workload) -> tuple[Array, Array]:
    """Targets that are sizes of combinations of the inputs: their mean is learned first."""
    random = np.random.default_rng(5)
    X = random.standard_normal((1024, 1024))
    return X, np.abs(X @ random.standard_normal((1024, 1024)) / 32)


DATA = {
    "moons": _moons,
    "truth table": _truth_table,
    "digits": _digits,
    "prototypes": _prototypes,
    "teacher": _teacher,
}


def initial(workload: Workload) -> list[Array]:
    """Return W1, b1, W2, b2, …, W (n_out, n_in): the start of every peer that can be told one."""
    if workload.data == "truth table":  # as nnc.NeuralNetwork draws them
        random = np.random.RandomState(63)
        return [random.rand(n_in, n_out).T for n_in, n_out in pairwise(workload.sizes)]
    params: list[Array] = []
    if workload.data == "moons":  # as nnc.train does
        random = np.random.RandomState(2)
        for n_in, n_out in pairwise(workload.sizes):
            params += [0.1 * random.randn(n_out, n_in), 0.1 * random.randn(n_out)]
        return params
    generator = np.random.default_rng(3)
    for n_in, n_out in pairwise(workload.sizes):
        params += [generator.standard_normal((n_out, n_in)) * (2 / n_in) ** 0.5, np.zeros(n_out)]
    return params


@dataclass
class Problem:
    """What a peer gets: rows are samples, everything in the dtype of the measurement."""

    workload: Workload
    dtype: str
    threads: int
    X: Array
    Y: Array
    params: list[Array]
    model: str  # the ONNX file of an inference

    @property
    def pairs(self) -> list[tuple[Array, Array | None]]:
        """W and b of each layer."""
        if not self.workload.bias:
            return [(W, None) for W in self.params]
        return list(zip(self.params[::2], self.params[1::2], strict=True))

    @property
    def labels(self) -> Array:
        """The class of each row, as integers."""
        return self.Y.argmax(axis=1) if self.Y.shape[1] > 1 else self.Y[:, 0].astype(np.int64)

    @property
    def steps(self) -> int:
        """Updates in an epoch."""
        batch = self.workload.batch or len(self.X)
        return -(-len(self.X) // batch)


def make(workload: Workload, dtype: str, threads: int, model: str = "") -> Problem:
    """Make the data and the initial parameters."""
    X, Y = DATA[workload.data](workload)
    arrays = [np.ascontiguousarray(x, dtype=dtype) for x in (X, Y, *initial(workload))]
    return Problem(workload, dtype, threads, arrays[0], arrays[1], arrays[2:], model)


def save(problem: Problem, folder: Path) -> None:
    """Write the arrays, for `load` in another process."""
    for name, array in {"X": problem.X, "Y": problem.Y}.items():
        np.save(folder / f"{name}.npy", array)
    for i, array in enumerate(problem.params):
        np.save(folder / f"p{i}.npy", array)


def load(folder: Path, workload: Workload, dtype: str, threads: int) -> Problem:
    """Read what `save` wrote."""
    params = [np.load(folder / f"p{i}.npy") for i in range(len(list(folder.glob("p*.npy"))))]
    X, Y = np.load(folder / "X.npy"), np.load(folder / "Y.npy")
    return Problem(workload, dtype, threads, X, Y, params, str(folder / "model.onnx"))
