"""How callbacks are told about a training: their base class, and the list that calls them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nnc._arguments import Array
from nnc.metrics import Metric

Logs = Mapping[str, float]
Number = int | float | None
State = dict[str, Number]


class TrainedNetwork(Protocol):
    """What callbacks ask of a network."""

    def get_weights(self) -> list[Array]:
        """Return the weights."""

    def set_weights(self, weights: list[Array], /) -> object:
        """Copy weights into the network."""

    def save(self, path: str, /) -> object:
        """Write the network to a file."""


class Callback:
    """The base of callbacks: methods that do nothing.

    Attributes
    ----------
    network
        The network that is trained.
    rates : numpy.ndarray of float64, shape (epochs, n_rates), or None
        The learning rates of all epochs, with one for an epoch or one for each of its steps. Row e
        is that of epoch e; a callback may change the rows of epochs that are still to come. nnc's
        own callbacks that have no use for them get None where there are more than 2^20.
    reason : str
        Why it stopped the training; "" if it did not.
    """

    network: Any = None
    rates: npt.NDArray[np.float64] | None = None
    reason: str = ""

    def set_network(self, network: Any) -> None:
        """Take the network that will be trained."""
        self.network = network

    def check(self, keys: Sequence[str], metrics: Sequence[Metric] = ()) -> None:
        """Raise before training begins where the logs will lack what this needs."""

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start afresh."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Be told that an epoch begins."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> bool | None:
        """Be told how an epoch went; True stops the training."""
        return None

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Be told that the training has ended, with logs of its last epoch."""

    def restored(self) -> tuple[int, str] | None:
        """Return the epoch whose weights it leaves in the network, and the log that chose it."""
        return None

    def get_state(self) -> State:
        """Return what a resumed training needs to go on exactly, in plain numbers."""
        return {}

    def set_state(self, state: Mapping[str, Number]) -> None:
        """Take what `get_state` returned; called after `on_train_begin`."""

    def get_arrays(self) -> list[Array]:
        """Return arrays that belong to the state, such as the best weights so far."""
        return []

    def set_arrays(self, arrays: Sequence[Array]) -> None:
        """Take what `get_arrays` returned; called after `set_state`."""


class LambdaCallback(Callback):
    """A callback made of functions; they take what the methods of their names take."""

    def __init__(
        self,
        on_epoch_end: Callable[[int, Logs], object] | None = None,
        *,
        on_train_begin: Callable[[Logs | None], object] | None = None,
        on_epoch_begin: Callable[[int, Logs | None], object] | None = None,
        on_train_end: Callable[[Logs | None], object] | None = None,
    ) -> None:
        given = {
            "on_epoch_end": on_epoch_end, "on_train_begin": on_train_begin,
            "on_epoch_begin": on_epoch_begin, "on_train_end": on_train_end,
        }  # fmt: skip
        for name, function in given.items():
            if function is not None:
                if not callable(function):
                    raise TypeError(f"{name}: expected a function, got {function!r}")
                setattr(self, name, function)


class CallbackList:
    """Calls all callbacks in order, and collects the wish to stop.

    Parameters
    ----------
    callbacks : None, a callback, or an iterable of callbacks
        Of any kind that the module's text names.
    network : Network, optional
        What they get as their ``network``.
    rates : numpy.ndarray of float64, shape (epochs, n_rates), optional
        What they get as their ``rates``.

    Attributes
    ----------
    callbacks : list
        Them.
    stopped_by : str
        Why training should stop; "" if it should not.
    """

    def __init__(
        self,
        callbacks: object = None,
        network: Any = None,
        rates: npt.NDArray[np.float64] | None = None,
    ) -> None:
        items = _as_list(callbacks)
        self.callbacks: list[Any] = [
            _adapt(item, f"callbacks[{i}]") for i, item in enumerate(items)
        ]
        self.stopped_by = ""
        self._logs: Logs | None = None
        for callback in self.callbacks:
            if hasattr(callback, "set_network"):
                callback.set_network(network)
        self.set_rates(rates)

    def set_rates(self, rates: npt.NDArray[np.float64] | None) -> None:
        """Give all of them the learning rates."""
        for callback in self._own():
            callback.rates = rates

    def __len__(self) -> int:
        """Return the number of callbacks."""
        return len(self.callbacks)

    def check(self, keys: Sequence[str], metrics: Sequence[Metric] = ()) -> None:
        """Raise where a callback needs a name that is not among the logs' keys."""
        for callback in self._own():
            callback.check(keys, metrics)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Call all of them."""
        self.stopped_by, self._logs = "", None
        self._call("on_train_begin", {} if logs is None else logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Call all of them."""
        self._call("on_epoch_begin", epoch, {} if logs is None else logs)

    def on_epoch_end(self, epoch: int, logs: Logs) -> bool:
        """Call all of them; return whether one of them wants to stop."""
        self._logs = logs
        reasons = []
        for callback, wish in self._call("on_epoch_end", epoch, logs):
            if isinstance(wish, bool | np.bool_) and wish:
                name = getattr(callback, "name", type(callback).__name__)
                reasons.append(getattr(callback, "reason", "") or f"{name} after epoch {epoch}")
        if reasons:
            self.stopped_by = "; ".join(reasons)
        return bool(reasons)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Call all of them, by default with the logs of the last epoch."""
        self._call("on_train_end", (self._logs or {}) if logs is None else logs)

    def restored(self) -> tuple[int, str] | None:
        """Return (epoch, name) of the last callback that leaves an epoch's weights in the network.

        None where all leave those of the last epoch.
        """
        found = [answer for c in self._own() if (answer := c.restored()) is not None]
        return found[-1] if found else None

    def get_state(self) -> list[State]:
        """Return the state of each callback: plain numbers, which JSON can hold."""
        return [c.get_state() if isinstance(c, Callback) else {} for c in self.callbacks]

    def get_arrays(self) -> list[list[Array]]:
        """Return the arrays that belong to the state of each callback."""
        return [c.get_arrays() if isinstance(c, Callback) else [] for c in self.callbacks]

    def set_state(
        self, state: Sequence[Mapping[str, Number]], arrays: Sequence[Sequence[Array]] | None = None
    ) -> None:
        """Take what `get_state` and `get_arrays` returned, after `on_train_begin`.

        Raises
        ------
        ValueError
            If the state is not that of as many callbacks.
        """
        arrays = [[] for _ in state] if arrays is None else arrays
        if len(state) != len(self.callbacks) or len(arrays) != len(self.callbacks):
            raise ValueError(
                f"callbacks: expected the {len(state)} that the training was begun with, got "
                f"{len(self.callbacks)}"
            )
        for callback, its_state, its_arrays in zip(self.callbacks, state, arrays, strict=True):
            if its_state:
                callback.set_state(its_state)
            if its_arrays:
                callback.set_arrays(its_arrays)

    def _own(self) -> list[Callback]:
        """Return those that have all of a Callback's methods."""
        return [callback for callback in self.callbacks if isinstance(callback, Callback)]

    def _call(self, method: str, *arguments: object) -> list[tuple[Any, object]]:
        """Call the method of each callback that has it; return their results."""
        return [
            (callback, getattr(callback, method)(*arguments))
            for callback in self.callbacks
            if hasattr(callback, method)
        ]


class _Function(Callback):
    """A plain function as a callback."""

    def __init__(self, function: Callable[[int, Logs], object]) -> None:
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)

    def on_epoch_end(self, epoch: int, logs: Logs) -> Any:
        """Call the function."""
        return self.function(epoch, logs)


_METHODS = ("on_train_begin", "on_epoch_begin", "on_epoch_end", "on_train_end")


def _as_list(callbacks: Any) -> list[Any]:
    """Return callbacks as a list."""
    if callbacks is None:
        return []
    if callable(callbacks) or any(hasattr(callbacks, name) for name in _METHODS):
        return [callbacks]
    if isinstance(callbacks, Iterable) and not isinstance(callbacks, str | bytes):
        return list(callbacks)
    raise TypeError(f"callbacks: expected callbacks or functions, got {callbacks!r}")


def _adapt(callback: Any, name: str) -> Any:
    """Return an object with methods of a callback."""
    if isinstance(callback, type):
        raise TypeError(
            f"{name}: expected a callback, got the class {callback.__name__}; write "
            f"{callback.__name__}(...)"
        )
    if any(hasattr(callback, method) for method in _METHODS):
        return callback
    if callable(callback):
        return _Function(callback)
    raise TypeError(
        f"{name}: expected a function or an object with one of {', '.join(_METHODS)}, got "
        f"{callback!r}"
    )
