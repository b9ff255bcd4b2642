"""Checks arguments before anything is written: each message names argument, got and expected."""

from __future__ import annotations

import math
import operator
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nnc import _core

Array = npt.NDArray[Any]


class KeysError(KeyError, ValueError):
    """A dictionary lacks keys, or has keys it should not have."""

    def __str__(self) -> str:
        """Return the message, without the quotes that KeyError puts around it."""
        return str(self.args[0])


class DivergenceError(FloatingPointError):
    """A training lost its finite cost.

    Attributes
    ----------
    epoch : int
        The first epoch without a finite cost.
    params_values : dict of str to numpy.ndarray
        The parameters that the last entry of the histories belongs to; the initial ones where the
        histories are empty.
    cost_history, accuracy_history : list of float
        What was recorded before that epoch.

    Examples
    --------
    >>> import numpy as np
    >>> import nnc
    >>> net = nnc.datasets.tutorial_architecture(2, 4, 1)
    >>> try:
    ...     nnc.train(np.ones((2, 3)), np.zeros((1, 3)), net, epochs=100, learning_rate=1e300)
    ... except nnc.DivergenceError as error:
    ...     print(len(error.cost_history) == error.epoch)
    True
    """

    epoch: int
    params_values: dict[str, Array]
    cost_history: list[float]
    accuracy_history: list[float]


class Layer(NamedTuple):
    """One layer, as the core takes it."""

    n_in: int
    n_out: int
    activation: str
    has_bias: bool


def read_index(name: str, value: object, least: int) -> int:
    """Return an integer not below `least`; TypeError or ValueError names the argument."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {value!r}") from None
    if number < least:
        raise ValueError(f"{name}: expected at least {least}, got {number}")
    if number > sys.maxsize:
        raise ValueError(f"{name}: expected at most {sys.maxsize}, got more")
    return number


def read_integer(name: str, value: object, least: int) -> int:
    """Return an integer not below `least`, and no bool."""
    if isinstance(value, bool):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    return read_index(name, value, least)


def read_flag(name: str, value: object) -> bool:
    """Return a bool; NumPy's count, other numbers do not."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise TypeError(f"{name}: expected True or False, got {value!r}")


def read_real(
    name: str, value: object, least: float, most: float = math.inf, *, above: bool = False
) -> float:
    """Return a finite number from least (or above it) to most."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    if not (math.isfinite(value) and least <= value <= most) or (above and value == least):
        limits = f"above {least:g}" if above else f"of at least {least:g}"
        limits += f" and at most {most:g}" if math.isfinite(most) else ""
        raise ValueError(f"{name}: expected a finite number {limits}, got {value!r}")
    return float(value)


def read_rate(value: object) -> float:
    """Return a learning rate: finite and positive."""
    try:
        if isinstance(value, str | bytes | bytearray):
            raise TypeError
        rate = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise TypeError(f"learning_rate: expected a number, got {value!r}") from None
    except OverflowError:
        rate = math.inf
    if not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"learning_rate: expected a finite positive number, got {rate}")
    return rate


def read_architecture(nn_architecture: object) -> list[Layer]:
    """Return the layers of a list of dicts with input_dim, output_dim and activation."""
    if isinstance(nn_architecture, Mapping | str) or not isinstance(nn_architecture, Sequence):
        raise TypeError(
            "nn_architecture: expected a list of dicts with the keys input_dim, output_dim and "
            f"activation, got {type(nn_architecture).__name__}"
        )
    if not nn_architecture:
        raise ValueError("nn_architecture: expected at least one layer, got none")
    layers: list[Layer] = []
    for i, entry in enumerate(nn_architecture):
        name = f"nn_architecture[{i}]"
        if not isinstance(entry, Mapping):
            raise TypeError(f"{name}: expected a dict, got {type(entry).__name__}")
        missing = [k for k in ("input_dim", "output_dim", "activation") if k not in entry]
        if missing:
            raise KeysError(f"{name}: missing {', '.join(missing)}")
        n_in = read_index(f"{name}['input_dim']", entry["input_dim"], 1)
        n_out = read_index(f"{name}['output_dim']", entry["output_dim"], 1)
        if layers and n_in != layers[-1].n_out:
            raise ValueError(
                f"{name}['input_dim'] is {n_in}, but the layer before has output_dim "
                f"{layers[-1].n_out}"
            )
        _core.check_activation(entry["activation"], f"{name}['activation']")
        layers.append(Layer(n_in, n_out, entry["activation"], True))
    return layers


def check_keys(name: str, values: object, expected: Sequence[str]) -> None:
    """Raise unless `values` is a dict with exactly the expected keys."""
    if not isinstance(values, Mapping):
        raise TypeError(f"{name}: expected a dict, got {type(values).__name__}")
    if len(values) == len(expected) and all(key in values for key in expected):
        return
    missing = [key for key in expected if key not in values]
    surplus = [str(key) for key in values if key not in expected]
    parts = [f"missing {', '.join(missing)}"] if missing else []
    parts += [f"surplus {', '.join(surplus)}"] if surplus else []
    raise KeysError(f"{name}: {'; '.join(parts)}; expected {', '.join(expected)}")


def parameter_keys(layers: Sequence[Layer]) -> list[str]:
    """Return W1, b1, W2, b2 and so on."""
    return [f"{letter}{i}" for i in range(1, len(layers) + 1) for letter in "Wb"]


def read_params(
    params_values: Mapping[str, npt.ArrayLike], layers: Sequence[Layer]
) -> list[tuple[Array, Array]]:
    """Return (W, b) of each layer, after checking keys and shapes."""
    check_keys("params_values", params_values, parameter_keys(layers))
    return [
        (
            read_matrix(f"params_values['W{i}']", params_values[f"W{i}"], layer.n_out, layer.n_in),
            read_matrix(f"params_values['b{i}']", params_values[f"b{i}"], layer.n_out, 1),
        )
        for i, layer in enumerate(layers, 1)
    ]


def read_matrix(
    name: str, value: npt.ArrayLike, rows: int, cols: int, dtype: np.dtype[Any] | None = None
) -> Array:
    """Return a real matrix of that shape, where -1 stands for any number of rows or columns."""
    return _core.read_matrix(value, name, dtype.name if dtype else "", rows, cols)


def read_data(
    name: str, value: npt.ArrayLike, rows: int, cols: int, dtype: np.dtype[Any] | None
) -> Array:
    """Return a matrix whose elements are all finite."""
    with np.errstate(over="ignore"):  # what becomes infinite is named below
        array = read_matrix(name, value, rows, cols, dtype)
    bad = _core.first_nonfinite(array)
    if bad >= 0:
        row, col = divmod(bad, array.shape[1])
        in_dtype = "" if array.dtype == np.float64 else f" ({array.dtype})"
        raise ValueError(
            f"{name}: expected finite numbers, got {array[row, col]} in row {row}, column {col}"
            f"{in_dtype}"
        )
    return array


def read_dtype(dtype: npt.DTypeLike | None) -> np.dtype[Any] | None:
    """Return float32 or float64; None stays None."""
    if dtype is None:
        return None
    try:
        result = np.dtype(dtype)
    except TypeError as error:
        raise TypeError(f"dtype: expected float32 or float64, got {dtype!r}") from error
    if result not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"dtype: expected float32 or float64, got {result}")
    return result


def read_seed(seed: Any) -> int | Array:
    """Return what numpy.random.seed makes of a seed: an int, or an array of 32-bit words.

    None draws fresh entropy from the operating system.
    """
    if seed is None:
        return np.random.SeedSequence().generate_state(624)
    if hasattr(seed, "squeeze"):
        seed = np.squeeze(seed)
    limits = "Seed must be between 0 and 2**32 - 1"
    try:
        number = operator.index(seed)
    except TypeError:
        pass
    else:
        if not 0 <= number < 2**32:
            raise ValueError(f"{limits}, got {number}")
        return number
    words = np.asarray(seed)
    if words.size == 0:
        raise ValueError("Seed must be non-empty")
    if words.dtype.kind not in "iub":
        raise TypeError(f"Seed must hold integers, got dtype {words.dtype}")
    if words.ndim != 1:
        raise ValueError(f"Seed array must be 1-d, got {words.ndim} dimensions")
    if (words < 0).any() or (words >= 2**32).any():
        raise ValueError(limits)
    return words.astype(np.uint32)


def read_thread_count(name: str, value: object) -> int:
    """Return a number of threads: an integer from 1 to MAX_THREADS, and no bool."""
    number = read_integer(name, value, 1)
    if number > _core.MAX_THREADS:
        raise ValueError(f"{name}: expected at most {_core.MAX_THREADS}, got {number}")
    return number


def read_threads(n_threads: object) -> int:
    """Return the number of threads to use at most; None means that of `nnc.get_num_threads`."""
    if n_threads is not None:
        return read_thread_count("n_threads", n_threads)
    number = _core.get_num_threads()
    if number == 0:
        text = os.environ.get("NNC_NUM_THREADS", "").strip()
        raise ValueError(f"NNC_NUM_THREADS: expected 1 to {_core.MAX_THREADS}, got {text[:20]!r}")
    return number
