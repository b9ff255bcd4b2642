"""The learning rates of a training: all of them, or of very many those of the next epochs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nnc._arguments import Array, read_index, read_rate

# A schedule is asked for so many rates before a training begins; for more, part by part.
MOST = 1 << 20
# The epochs of a part, or its rates.
PART = 1 << 16


class Rates:
    """An array (epochs, 1 or the steps of an epoch), as far as it is needed.

    Attributes
    ----------
    shape : tuple
        Of all of them.
    constant : float or None
        The rate, where all are the same and nobody may change them.
    array : numpy.ndarray of float64, shape (epochs, n_rates), or None
        All of them, where they are kept.
    part_epochs : int
        How many epochs to take at a time.
    """

    def __init__(
        self, learning_rate: float | Callable[[float], float], epochs: int, steps_per_epoch: int = 1
    ) -> None:
        """Check the arguments, and the rates where they are not too many."""
        epochs = read_index("epochs", epochs, 0)
        n_steps = read_index("steps_per_epoch", steps_per_epoch, 1)
        self.constant = None if callable(learning_rate) else read_rate(learning_rate)
        self._schedule: Any = learning_rate
        if epochs and hasattr(learning_rate, "for_training"):
            self._schedule = learning_rate.for_training(epochs, n_steps)
        n_rates = n_steps if getattr(self._schedule, "per_step", False) else 1
        self.shape = epochs, n_rates
        self.array: Array | None = None
        self.part_epochs = PART
        self._start, self._part = 0, np.empty((0, n_rates))
        self._zeros_from: str | None = None
        if self.constant is None and self.are_few:
            self.array = self.part(0, epochs)
        elif self.constant is None:
            self.part_epochs = max(1, PART // n_rates)

    @property
    def are_few(self) -> bool:
        """Whether all of them may be kept, though nobody needs it."""
        return self.shape[0] * self.shape[1] <= MOST

    def keep(self) -> Array:
        """Keep all of them from now on, in an array that may be changed, and return it."""
        if self.array is None:
            self.array = self.part(0, self.shape[0])
            self.constant = None
        return self.array

    def sample(self) -> Array:
        """Return all of them, or of very many some that are far between."""
        if self.are_few:
            return self._rows(0, self.shape[0])
        return self._rows(0, self.shape[0], 1 + self.shape[0] * self.shape[1] // PART)

    def _rows(self, start: int, stop: int, step: int = 1) -> Array:
        epochs = range(start, stop, step)
        if self.array is not None:
            return self.array[start:stop:step]
        if self.constant is not None:
            return np.full((len(epochs), 1), self.constant)
        n_rates = self.shape[1]
        result = np.empty((len(epochs), n_rates))
        for i, epoch in enumerate(epochs):
            for j in range(n_rates):
                result[i, j] = _number(self._schedule(epoch + j / n_rates), epoch)
        return result

    def part(self, start: int, stop: int) -> Array:
        """Return the rows of these epochs, which follow those of the call before.

        Raises
        ------
        ValueError
            If a rate is not finite or not positive. Rates of 0 are fine at the end.
        """
        if self.array is not None:
            return self.array[start:stop]
        part = self._rows(start, stop)
        self._check(part.ravel(), start)
        self._start, self._part = start, part
        return part

    def row(self, epoch: int) -> Array:
        """Return the rates of an epoch: of the present part, or the first of the next."""
        if self.constant is not None:
            return np.array([self.constant])
        if self.array is not None:
            row: Array = self.array[epoch]
            return row
        if not self._start <= epoch < self._start + len(self._part):
            self.part(epoch, min(epoch + self.part_epochs, self.shape[0]))
        row = self._part[epoch - self._start]
        return row

    def _check(self, flat: Array, start: int) -> None:
        used = np.flatnonzero(flat != 0)
        end = used[-1] + 1 if used.size else 0 if start else flat.size
        if used.size and self._zeros_from is not None:
            raise _bad(0.0, self._zeros_from)
        good = np.isfinite(flat) & (flat > 0)
        good[end:] = True
        if not good.all():
            bad = int(np.argmin(good))
            raise _bad(flat[bad], self._place(start, bad))
        if end < flat.size and self._zeros_from is None:
            self._zeros_from = self._place(start, int(end))

    def _place(self, start: int, i: int) -> str:
        n_rates = self.shape[1]
        step = f", step {i % n_rates}" if n_rates > 1 else ""
        return f"epoch {start + i // n_rates}{step}"


def _bad(rate: float, place: str) -> ValueError:
    return ValueError(
        f"learning_rate: expected finite positive numbers (0 only at the end), got {rate} for "
        f"{place}; change the schedule or train for fewer epochs"
    )


def _number(value: object, epoch: int) -> float:
    """Return what a schedule returned, as a float."""
    try:
        if isinstance(value, str | bytes | bytearray | bool):
            raise TypeError
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise TypeError(
            f"learning_rate: expected the schedule to return a number, got {value!r} for epoch "
            f"{epoch}"
        ) from None
