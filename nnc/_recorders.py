"""Callbacks that keep what plots show of a training: gradients, dead units, parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnc._arguments import Array, read_index
from nnc._callbacklist import Callback, Logs


class LayerRecorder(Callback):
    """Record at the end of epochs how large each layer's gradients are, and its dead units.

    Every record takes a pass forward and back over the samples that it is given, so that a few
    hundred are enough. `nnc.plot.gradients` draws the result.

    Parameters
    ----------
    X, y : array_like
        Samples as rows, and their labels, as `Network.fit` takes them.
    every : int
        Record only each such epoch: with 10 epochs 9, 19 and so on.

    Attributes
    ----------
    epoch : list of int
        The epochs that the entries belong to.
    gradients : dict of str to list of float
        For W1, W2, … the root mean square of the gradient of the mean loss.
    dead : dict of str to list of float
        For the hidden layer of W1, W2, … the part of its units whose output is 0 for all of X.

    Examples
    --------
    >>> import nnc
    >>> recorder = nnc.callbacks.LayerRecorder([[0.0], [1.0]], [[1.0], [0.0]])
    >>> network = nnc.Network.from_sizes(1, 4, 1, seed=0)
    >>> history = network.fit([[0.0], [1.0]], [[1.0], [0.0]], epochs=3, callbacks=recorder)
    >>> recorder.epoch, list(recorder.gradients), list(recorder.dead)
    ([0, 1, 2], ['W1', 'W2'], ['W1'])
    """

    def __init__(self, X: Any, y: Any, *, every: int = 1) -> None:
        self.X, self.y = X, y
        self.every = read_index("every", every, 1)
        self._forget()

    def _forget(self) -> None:
        self.epoch: list[int] = []
        self.gradients: dict[str, list[float]] = {}
        self.dead: dict[str, list[float]] = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start afresh."""
        self._forget()
        specs = [spec for spec in self.network.specs if spec.kind == "dense"]
        self.gradients = {f"W{spec.key}": [] for spec in specs}
        self.dead = {f"W{spec.key}": [] for spec in specs[:-1]}

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Record, where it is time."""
        if (epoch + 1) % self.every:
            return
        gradients = self.network.backward(self.X, self.y)
        _, memory = self.network.forward(self.X, trace=True)
        self.epoch.append(epoch)
        for place, spec in enumerate(self.network.specs, 1):
            name = f"W{spec.key}"
            if spec.kind == "dense":
                square = np.square(gradients[f"d{name}"], dtype=np.float64)
                self.gradients[name].append(float(np.sqrt(square.mean())))
                if name in self.dead:
                    self.dead[name].append(float((memory[f"A{place}"] == 0).all(axis=1).mean()))

    def get_arrays(self) -> list[Array]:
        """Return what was recorded: the epochs, and a row for each list."""
        rows = [*self.gradients.values(), *self.dead.values()]
        return [np.array(self.epoch, np.int64), np.array(rows, np.float64)]

    def set_arrays(self, arrays: Sequence[Array]) -> None:
        """Take what `get_arrays` returned."""
        self.epoch = arrays[0].tolist()
        rows = iter(arrays[1].tolist())
        for lists in (self.gradients, self.dead):
            lists.update({name: next(rows) for name in lists})


class WeightRecorder(Callback):
    """Keep the parameters of some epochs, evenly spaced, for `nnc.plot.animate`.

    When it has as many as it may keep, it drops every second one and goes on at half the rate: a
    training of any length leaves between half of `at_most` and `at_most`. The last epoch of
    `Network.fit` comes on top.

    Parameters
    ----------
    at_most : int
        How many sets of parameters to keep; at least 2.

    Attributes
    ----------
    trained : list of int
        How many epochs each set had been trained for; the first is 0, before training, where
        `Network.fit` calls it.
    params : list of dict of str to numpy.ndarray
        The sets: copies of W1, b1, …

    Examples
    --------
    It keeps for the tutorial's training, too:

    >>> import nnc
    >>> moons, net = nnc.datasets.tutorial_moons(), nnc.datasets.tutorial_architecture(2, 8, 1)
    >>> recorder = nnc.callbacks.WeightRecorder(at_most=10)
    >>> _ = nnc.train(moons.X_train, moons.Y_train, net, 100, 0.1, callback=recorder.keep)
    >>> recorder.trained
    [1, 17, 33, 49, 65, 81, 97]
    """

    def __init__(self, at_most: int = 60) -> None:
        self.at_most = read_index("at_most", at_most, 2)
        self._forget()

    def _forget(self) -> None:
        self.trained: list[int] = []
        self.params: list[dict[str, Array]] = []
        self._stride = 1
        self._latest = -1

    def keep(self, epoch: int, params_values: Mapping[str, Array]) -> None:
        """Keep a copy of the parameters after an epoch, where it is time."""
        trained = self._latest = epoch + 1
        if self.trained and trained - self.trained[-1] < self._stride:
            return
        if len(self.trained) == self.at_most:
            self.trained, self.params = self.trained[::2], self.params[::2]
            self._stride *= 2
            if trained - self.trained[-1] < self._stride:
                return
        self._append(params_values)

    def _append(self, params_values: Mapping[str, Array]) -> None:
        self.trained.append(self._latest)
        self.params.append({name: np.array(array) for name, array in params_values.items()})

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start afresh, with the parameters before training."""
        self._forget()
        self.keep(-1, self.network.params)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Keep the parameters, where it is time."""
        self.keep(epoch, self.network.params)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Keep the last parameters, too."""
        if self._latest > self.trained[-1]:
            self._append(self.network.params)

    def get_arrays(self) -> list[Array]:
        """Return the numbers of epochs, and all sets one after the other."""
        flat = [array for params in self.params for array in params.values()]
        return [np.array([self._stride, self._latest, *self.trained], np.int64), *flat]

    def set_arrays(self, arrays: Sequence[Array]) -> None:
        """Take what `get_arrays` returned."""
        self._stride, self._latest, *self.trained = arrays[0].tolist()
        flat = iter(arrays[1:])
        names = list(self.network.params)
        self.params = [{name: np.array(next(flat)) for name in names} for _ in self.trained]
