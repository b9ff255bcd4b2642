"""What may look on while a network trains, and stop it: Keras' names, without its weight.

A callback is an object with any of the methods ``on_train_begin(logs)``, ``on_epoch_begin(epoch,
logs)``, ``on_epoch_end(epoch, logs)``, ``on_train_end(logs)``, or a plain function ``f(epoch,
logs)`` that is called at the end of each epoch. Epochs count from 0; logs is a dict of floats such
as "loss" and "val_accuracy". Training stops when one of them returns True at the end of an epoch.
Exceptions pass through to the caller of fit.

What a training does with its callbacks, here a `CallbackList`::

    callbacks = CallbackList([EarlyStopping(), report], network=network, rates=rates)
    callbacks.check(["loss", "val_loss"])      # before anything is trained
    callbacks.on_train_begin()                 # they start afresh
    callbacks.set_state(state, arrays)         # only where a training is resumed
    for epoch in ...:
        callbacks.on_epoch_begin(epoch)
        ...
        if callbacks.on_epoch_end(epoch, logs):
            break                              # callbacks.stopped_by says why
    callbacks.on_train_end()
"""

from __future__ import annotations

import io
import math
import os
import string
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from nnc._arguments import Array, read_index, read_real
from nnc._callbacklist import (
    Callback,
    CallbackList,
    LambdaCallback,
    Logs,
    Number,
    State,
)
from nnc._optional import unknown_name
from nnc._recorders import LayerRecorder, WeightRecorder
from nnc.metrics import Metric, larger_is_better

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "LambdaCallback",
    "LayerRecorder",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TimeLimit",
    "WeightRecorder",
]


# ------------------------------------------------------------------------- watching one number


class _Monitoring(Callback):
    """A callback that watches for a new best value of one of the logs."""

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        if not isinstance(monitor, str):
            raise TypeError(f"monitor: expected a name such as 'val_loss', got {monitor!r}")
        if mode not in ("auto", "min", "max"):
            raise ValueError(unknown_name("mode", mode, ("auto", "min", "max")))
        self.monitor = monitor
        self.mode = mode
        self.min_delta = read_real("min_delta", min_delta, 0)
        self._larger: bool | None = None
        self._forget()

    def _forget(self) -> None:
        self.best: float | None = None
        self.best_epoch: int | None = None

    def check(self, keys: Sequence[str], metrics: Sequence[Metric] = ()) -> None:
        """Raise where the logs will lack the monitored name, or its direction is unknown."""
        if self.monitor not in keys:
            remedy = ""
            if self.monitor.startswith("val_") and not any(k.startswith("val_") for k in keys):
                remedy = "; pass validation data to fit, or monitor='loss'"
            raise ValueError(unknown_name("monitor", self.monitor, keys) + remedy)
        self._larger = self.mode == "max"
        if self.mode == "auto":
            direction = larger_is_better(self.monitor, metrics)
            if direction is None:
                raise ValueError(
                    f"mode: 'auto' does not know whether {self.monitor!r} should become small or "
                    "large; pass mode='min' or mode='max'"
                )
            self._larger = direction

    def _is_new_best(self, epoch: int, logs: Logs) -> bool:
        """Return whether the monitored value is the best so far, and keep it if so."""
        if self._larger is None or self.monitor not in logs:
            self.check(list(logs))
        value = float(logs[self.monitor])
        if not math.isfinite(value):
            return False
        if self.best is None:
            better = True
        elif self._larger:
            better = value > self.best + self.min_delta
        else:
            better = value < self.best - self.min_delta
        if better:
            self.best, self.best_epoch = value, epoch
        return better


class EarlyStopping(_Monitoring):
    """Stop when a number has not become better for a while.

    Parameters
    ----------
    monitor : str
        Which of the logs to watch.
    patience : int
        How many epochs in a row may be no better; 0 is as 1.
    min_delta : float
        By how much a value must be better than the best so far.
    mode : {"auto", "min", "max"}
        Whether small or large values are good; "auto" knows the losses and metrics.
    restore_best : bool
        Whether the network gets the weights of the best epoch when training ends, for whatever
        reason it ended.
    start_from_epoch : int
        The first epoch that is looked at.

    Attributes
    ----------
    best : float or None
        The best value so far.
    best_epoch : int or None
        Where it was.
    stopped_epoch : int or None
        The epoch after which this stopped the training.

    Examples
    --------
    >>> from nnc import EarlyStopping, Network
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> network = Network.from_sizes(2, 8, 1, activation="tanh", seed=0)
    >>> stopping = EarlyStopping("loss", patience=3, min_delta=0.01)
    >>> history = network.fit(X, y, epochs=1000, callbacks=stopping)
    >>> stopping.stopped_epoch - stopping.best_epoch
    3
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 10,
        min_delta: float = 0,
        mode: str = "auto",
        restore_best: bool = True,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = read_index("patience", patience, 0)
        self.restore_best = bool(restore_best)
        self.start_from_epoch = read_index("start_from_epoch", start_from_epoch, 0)

    def _forget(self) -> None:
        super()._forget()
        self.reason = ""
        self.stopped_epoch: int | None = None
        self._waited = 0
        self._last_epoch: int | None = None
        self._best_weights: list[Array] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start afresh."""
        self._forget()

    def on_epoch_end(self, epoch: int, logs: Logs) -> bool:
        """Return whether the value has not become better for too long."""
        self._last_epoch = epoch
        if epoch < self.start_from_epoch:
            return False
        if self._is_new_best(epoch, logs):
            self._waited = 0
            if self.restore_best:
                self._best_weights = [np.array(w) for w in self.network.get_weights()]
            return False
        self._waited += 1
        if self._waited < self.patience:
            return False
        self._stop(epoch)
        return True

    def _stop(self, epoch: int) -> None:
        self.stopped_epoch = epoch
        best = (
            "never a number"
            if self.best is None
            else (f"not better than {self.best:.6g} of epoch {self.best_epoch}")
        )
        self.reason = f"EarlyStopping: {self.monitor} was {best} for {self._waited} epochs"

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Give the network its best weights back."""
        if self._best_weights and self.best_epoch != self._last_epoch:
            self.network.set_weights(self._best_weights)

    def restored(self) -> tuple[int, str] | None:
        """Return the best epoch and the monitored name, where its weights were restored."""
        if self.restore_best and self.best_epoch is not None:
            return self.best_epoch, self.monitor
        return None

    def get_state(self) -> State:
        """Return the best value and the time since, in plain numbers."""
        return {"best": self.best, "best_epoch": self.best_epoch, "waited": self._waited,
                "last_epoch": self._last_epoch, "stopped_epoch": self.stopped_epoch}  # fmt: skip

    def set_state(self, state: Mapping[str, Number]) -> None:
        """Take what `get_state` returned."""
        self.best, self.best_epoch = state["best"], _int(state["best_epoch"])
        self._waited, self._last_epoch = _int(state["waited"]) or 0, _int(state["last_epoch"])
        stopped = _int(state["stopped_epoch"])
        if stopped is not None:
            self._stop(stopped)

    def get_arrays(self) -> list[Array]:
        """Return the best weights so far."""
        return self._best_weights

    def set_arrays(self, arrays: Sequence[Array]) -> None:
        """Take the best weights so far."""
        self._best_weights = [np.array(w) for w in arrays]


class ReduceLROnPlateau(_Monitoring):
    """Multiply the learning rates to come when a number has not become better for a while.

    It multiplies the rows of `rates` after the present epoch, so that it goes together with any
    schedule.

    Parameters
    ----------
    monitor : str
        Which of the logs to watch.
    factor : float
        What the rates are multiplied with; between 0 and 1.
    patience : int
        How many epochs in a row may be no better; 0 is as 1.
    min_delta : float
        By how much a value must be better than the best so far.
    cooldown : int
        How many epochs are not counted after a reduction.
    min_lr : float
        Rates are not made smaller than this.
    mode : {"auto", "min", "max"}
        Whether small or large values are good; "auto" knows the losses and metrics.

    Attributes
    ----------
    reductions : int
        How often it has multiplied the rates.

    Examples
    --------
    >>> from nnc import Network, ReduceLROnPlateau
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> network = Network.from_sizes(2, 8, 1, activation="tanh", seed=0)
    >>> reduction = ReduceLROnPlateau("loss", factor=0.5, patience=5, min_delta=0.01)
    >>> history = network.fit(X, y, epochs=200, callbacks=reduction)
    >>> reduction.reductions > 0
    True
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0,
        mode: str = "auto",
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.factor = read_real("factor", factor, 0)
        if not 0 < self.factor < 1:
            raise ValueError(f"factor: expected a number between 0 and 1, got {factor!r}")
        self.patience = read_index("patience", patience, 0)
        self.cooldown = read_index("cooldown", cooldown, 0)
        self.min_lr = read_real("min_lr", min_lr, 0)

    def _forget(self) -> None:
        super()._forget()
        self.reductions = 0
        self._waited = 0
        self._cooling = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start afresh."""
        if self.rates is None:
            raise ValueError("ReduceLROnPlateau: this training has no learning rates to reduce")
        self._forget()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Reduce the rates of the epochs to come where the value has been no better."""
        if self._cooling:
            self._cooling -= 1
            self._waited = 0
        if self._is_new_best(epoch, logs):
            self._waited = 0
        elif not self._cooling:
            self._waited += 1
            if self._waited >= self.patience and self._reduce(epoch + 1):
                self.reductions += 1
                self._cooling = self.cooldown
                self._waited = 0

    def _reduce(self, first: int) -> bool:
        """Reduce the rates from epoch `first` on; False where they are all as low as may be."""
        assert self.rates is not None
        rest = self.rates[first:]
        high = rest > self.min_lr
        rest[high] = np.maximum(rest[high] * self.factor, self.min_lr)
        return bool(high.any()) or not rest.size

    def get_state(self) -> State:
        """Return the best value, the time since and the reductions, in plain numbers."""
        return {"best": self.best, "best_epoch": self.best_epoch, "waited": self._waited,
                "cooling": self._cooling, "reductions": self.reductions}  # fmt: skip

    def set_state(self, state: Mapping[str, Number]) -> None:
        """Take what `get_state` returned, and reduce the schedule's rates as often as it says.

        That is at most once for each epoch, whatever it says.
        """
        self.best, self.best_epoch = state["best"], _int(state["best_epoch"])
        self._waited, self._cooling = _int(state["waited"]) or 0, _int(state["cooling"]) or 0
        self.reductions = _int(state["reductions"]) or 0
        for _ in range(min(self.reductions, 0 if self.rates is None else len(self.rates))):
            self._reduce(0)


class ModelCheckpoint(_Monitoring):
    """Save the network at the end of epochs.

    Parameters
    ----------
    path : str or path-like
        The file. Names in braces stand for the epoch and the logs, as in
        ``"best-{epoch:03d}-{val_loss:.3f}"``.
    monitor : str
        Which of the logs says what is best.
    save_best_only : bool
        Whether to save only where the monitored value is the best so far.
    every : int
        Look only at each such epoch: with 10 at epochs 9, 19 and so on.
    mode : {"auto", "min", "max"}
        Whether small or large values are good; "auto" knows the losses and metrics.

    Attributes
    ----------
    saved : str or None
        The file it wrote last.

    Examples
    --------
    >>> from nnc import ModelCheckpoint, Network
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> network = Network.from_sizes(2, 8, 1, activation="tanh", seed=0)
    >>> checkpoint = ModelCheckpoint("epoch-{epoch:03d}.nnc", monitor="loss", every=10)
    >>> history = network.fit(X, y, epochs=30, callbacks=checkpoint)
    >>> checkpoint.saved
    'epoch-029.nnc'
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str = "val_loss",
        save_best_only: bool = False,
        every: int = 1,
        mode: str = "auto",
    ) -> None:
        super().__init__(monitor, mode, 0)
        self.path = _read_path(path)
        self.save_best_only = bool(save_best_only)
        self.every = read_index("every", every, 1)
        self.saved: str | None = None

    def check(self, keys: Sequence[str], metrics: Sequence[Metric] = ()) -> None:
        """Raise where the folder is missing, or logs that the path or the choice needs."""
        known = ["epoch", *keys]
        for _, field, _, _ in string.Formatter().parse(self.path):
            if field is not None and field not in known:
                raise ValueError(unknown_name("path", field, known))
        _check_folder(self.path)
        if self.save_best_only:
            super().check(keys, metrics)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start afresh."""
        self._forget()
        self.saved = None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Save the network where it is time, or better than before."""
        if (epoch + 1) % self.every:
            return
        if not self.save_best_only or self._is_new_best(epoch, logs):
            path = self.path.format(**{**logs, "epoch": epoch})
            self.network.save(path)
            self.saved = path

    def get_state(self) -> State:
        """Return the best value, in plain numbers."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def set_state(self, state: Mapping[str, Number]) -> None:
        """Take what `get_state` returned."""
        self.best, self.best_epoch = state["best"], _int(state["best_epoch"])


# ----------------------------------------------------------------------------- the other ones


class TimeLimit(Callback):
    """Stop at the end of the epoch in which the time is over.

    Parameters
    ----------
    seconds : float
        How long training may take. A resumed training goes on with what is left.

    Examples
    --------
    >>> from nnc import Network, TimeLimit
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> network = Network.from_sizes(2, 8, 1, activation="tanh", seed=0)
    >>> history = network.fit(X, y, epochs=10**6, callbacks=TimeLimit(0.05))
    >>> len(history.epoch) < 10**6
    True
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = read_real("seconds", seconds, 0)
        if self.seconds == 0:
            raise ValueError("seconds: expected a positive number, got 0")
        self._start: float | None = None

    def _elapsed(self) -> float:
        return 0.0 if self._start is None else monotonic() - self._start

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start the clock."""
        self.reason = ""
        self._start = monotonic()

    def on_epoch_end(self, epoch: int, logs: Logs) -> bool:
        """Return whether the time is over."""
        if self._elapsed() < self.seconds:
            return False
        self.reason = f"TimeLimit: {self.seconds:g} seconds were over after epoch {epoch}"
        return True

    def get_state(self) -> State:
        """Return the seconds that are gone."""
        return {"elapsed": self._elapsed()}

    def set_state(self, state: Mapping[str, Number]) -> None:
        """Take the seconds that are gone."""
        self._start = monotonic() - (state["elapsed"] or 0)


class CSVLogger(Callback):
    """Write the logs to a CSV file, a row for each epoch.

    The file is begun when the first epoch ends, and complete after each row. Numbers are written
    so that they read back as they were.

    Parameters
    ----------
    path : str or path-like
        The file; one that exists is overwritten, and continued where a training is resumed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = _read_path(path)
        self._columns: list[str] = []
        self._rows = 0

    def check(self, keys: Sequence[str], metrics: Sequence[Metric] = ()) -> None:
        """Raise where the folder of the file is missing."""
        _check_folder(self.path)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start afresh."""
        self._columns, self._rows = [], 0

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Write a row."""
        row = {"epoch": epoch, **logs}
        if not self._columns:
            self._begin(list(row))
        if set(row) != set(self._columns):
            raise ValueError(
                f"logs: expected {', '.join(self._columns)}, as in the first row of {self.path}, "
                f"got {', '.join(row)}"
            )
        self._write("a", [[row[column] for column in self._columns]])
        self._rows += 1

    def _begin(self, columns: list[str]) -> None:
        """Write the header, and the rows that belong to the part before a training was resumed."""
        rows: list[list[Any]] = []
        import csv  # here, as `import nnc` should stay quick

        if self._rows and os.path.exists(self.path):
            with open(self.path, encoding="utf-8", newline="") as file:
                rows = list(csv.reader(file))[: self._rows + 1]
        self._columns = rows[0] if rows else columns
        self._write("w", rows or [columns])

    def _write(self, mode: str, rows: Iterable[Iterable[object]]) -> None:
        import csv

        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        with open(self.path, mode, encoding="utf-8", newline="") as file:
            file.write(text.getvalue())

    def get_state(self) -> State:
        """Return the number of rows."""
        return {"rows": self._rows}

    def set_state(self, state: Mapping[str, Number]) -> None:
        """Take the number of rows that stay in the file."""
        self._columns, self._rows = [], _int(state["rows"]) or 0


# ----------------------------------------------------------------------------------- arguments


def _read_path(path: object) -> str:
    """Return a path as a string."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path: expected a path, got {path!r}")
    text = os.fspath(path)
    if not isinstance(text, str):
        raise TypeError(f"path: expected a path of type str, got {text!r}")
    return text


def _check_folder(path: str) -> None:
    """Raise where the folder that a file shall lie in is missing."""
    folder = Path(path).parent
    if "{" not in str(folder) and not folder.is_dir():
        raise ValueError(f"path: there is no folder {str(folder)!r}; make it first")


def _int(value: Number) -> int | None:
    """Return an integer that may have come back from a file as a float."""
    return None if value is None else int(value)


def want_rates(watchers: CallbackList) -> bool:
    """Whether a callback may look at the learning rates, or change them: few of nnc's own do."""
    return any(
        isinstance(callback, ReduceLROnPlateau)
        or (isinstance(callback, Callback) and not type(callback).__module__.startswith("nnc."))
        for callback in watchers.callbacks
    )
