"""The training of `nnc.Network`: what is between its arguments and the engine's epochs."""

from __future__ import annotations

import functools
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nnc import _minimize, schedules
from nnc import metrics as _metrics
from nnc._arguments import Array, DivergenceError, read_index, read_threads
from nnc._data import Data
from nnc.callbacks import CallbackList, EarlyStopping
from nnc.history import History
from nnc.losses import Custom
from nnc.metrics import Metric
from nnc.optimizers import Gradient, Minimizer
from nnc.progress import Progress

if TYPE_CHECKING:
    from nnc.network import Network


class Batches:
    """An iterable of batches, of which the first has been looked at."""

    def __init__(self, source: Iterable[Any]) -> None:
        self._source = source
        self._begun: tuple[Any, Iterator[Any]] | None = None

    def first(self, network: Network) -> Data:
        """Return the first batch; the first epoch begins with it."""
        iterator = iter(self._source)
        batch = next(iterator, None)
        if batch is None:
            raise ValueError("X: expected batches (X, y), got none")
        self._begun = batch, iterator
        return network.read_batch(batch, 0)

    def steps(self) -> int:
        """Return their number where it is known, else 1."""
        return len(self._source) if isinstance(self._source, Sized) else 1

    def __iter__(self) -> Iterator[Any]:
        """Iterate over an epoch."""
        if self._begun is None:
            return iter(self._source)
        (batch, iterator), self._begun = self._begun, None
        return itertools.chain([batch], iterator)


def read_batches(X: Any, y: Any) -> Batches | None:
    """Return X as batches where it is an iterable of them, and not an array."""
    if y is not None:
        return None
    if isinstance(X, str | bytes | Mapping) or hasattr(X, "__array__"):
        raise ValueError("y: expected labels, got None: pass y, or an iterable of batches as X")
    if not isinstance(X, Iterable):
        raise TypeError(f"X: expected an array or an iterable of batches, got {X!r}")
    return Batches(X)


def refuse_beside_batches(asked: Mapping[str, Any]) -> None:
    """Raise for arguments that need all samples at once."""
    for name, value in asked.items():
        if value is not None:
            raise ValueError(f"{name}: leave it out beside an iterable of batches")


@dataclass
class Plan:
    """A training, checked and ready to begin."""

    network: Network
    data: Data
    validation: Data | None
    epochs: int
    batch_size: int
    shuffle_seed: int | None
    first_epoch: int  # of all that the network has been trained for, for the order of samples
    n_threads: int
    metrics: Sequence[Metric]
    callbacks: CallbackList
    history: History
    rates: Array
    verbose: int | str
    deadline: float = math.inf
    start: int = 0  # epochs of this training that a checkpoint has already seen
    save: Callable[[int], object] | None = None  # writes a checkpoint
    stopped_by: str = ""
    outputs: Array | None = None
    batches: Batches | None = None  # instead of data, which is then the first of them

    @property
    def watches(self) -> bool:
        """Whether Python has something to do after each epoch."""
        return bool(
            len(self.callbacks) or self.metrics or self.validation or self.save or self.verbose == 2
        )


def make_plan(
    network: Network,
    data: Data,
    validation: Data | None,
    *,
    epochs: Any,
    batch_size: Any,
    shuffle: bool = False,
    metrics: Any = None,
    callbacks: Any = None,
    early_stopping: bool | EarlyStopping = False,
    verbose: int | str = 0,
    n_threads: Any = 1,
    batches: Batches | None = None,
) -> Plan:
    """Check the arguments of `Network.fit`, and let its callbacks begin."""
    m = len(data.X)
    if m == 0:
        raise ValueError("X: expected at least one sample, got none")
    n_epochs = read_index("epochs", epochs, 0)
    optimizer = network.optimizer
    if batch_size == "auto":
        batch_size = None if optimizer.full_batch else 32
    size = m if batch_size is None else min(read_index("batch_size", batch_size, 1), m)
    if optimizer.full_batch and size < m:
        raise ValueError(
            f"batch_size: {optimizer.kind} needs all samples in a step: pass batch_size=None"
        )
    if data.weights is not None and isinstance(network.loss, Custom):
        raise ValueError("sample_weight: a loss in Python weighs samples itself; leave it out")
    if isinstance(optimizer, Minimizer):
        _minimize.check(network, data)
        if batches is not None:
            raise ValueError(f"X: {optimizer.kind} needs all samples at once, got batches")
    steps = -(-m // size) if batches is None else batches.steps()
    rates = schedules.rates(getattr(optimizer, "learning_rate", 1.0), n_epochs, steps)
    found = _metrics.resolve(metrics)
    watchers = CallbackList(callbacks, network, rates)
    if early_stopping:
        stopper = EarlyStopping() if early_stopping is True else early_stopping
        watchers = CallbackList([*watchers.callbacks, stopper], network, rates)
    keys = ["loss", *(["accuracy"] if network.classifies else []), *(m.name for m in found)]
    keys += [f"val_{key}" for key in keys] if validation else []
    watchers.check(keys, found)
    threads = read_threads(n_threads)
    history = History({"epochs": n_epochs, "batch_size": size, "optimizer": repr(optimizer)})
    watchers.on_train_begin()
    return Plan(
        network=network,
        data=data,
        validation=validation,
        epochs=n_epochs,
        batch_size=size,
        shuffle_seed=network.seeds[0] if shuffle and size < m else None,
        first_epoch=network.epochs_trained,
        n_threads=threads,
        metrics=found,
        callbacks=watchers,
        history=history,
        rates=rates,
        verbose=verbose,
        batches=batches,
    )


def run(plan: Plan) -> History:
    """Train, and return the history, which was filled on the way."""
    network, history = plan.network, plan.history
    train = _train if plan.batches is None else _train_on_batches
    if isinstance(network.optimizer, Minimizer):
        train = _minimize.run
    elif plan.metrics and plan.batches is None:
        plan.outputs = np.empty((len(plan.data.X), network.n_outputs), network.dtype)
    with Progress(plan.epochs, plan.verbose) as progress:
        try:
            train(plan, progress)
        finally:
            # the weights that a callback restores are wanted after an interruption, too
            plan.callbacks.on_train_end()
    history.stopped_by = plan.stopped_by or plan.callbacks.stopped_by
    restored = plan.callbacks.restored()
    if restored is not None:
        history.set_best(*restored)
    return history


def _train(plan: Plan, progress: Progress) -> None:
    network, history = plan.network, plan.history

    def tick(epoch: int, loss: float) -> bool:
        progress(plan.start + epoch, loss)
        return _too_late(plan)

    def at_epoch(epoch: int, loss: float, accuracy: float) -> bool:
        epoch += plan.start
        stop = end_epoch(plan, progress, epoch, logs_of(plan, epoch, loss, accuracy))
        if not stop and epoch + 1 < plan.epochs:
            plan.callbacks.on_epoch_begin(epoch + 1)
        return stop or _too_late(plan)

    if plan.start < plan.epochs:
        plan.callbacks.on_epoch_begin(plan.start)
    data = plan.data
    seen = len(history.epoch)
    losses, accuracies = _diverging(
        plan,
        lambda: network.engine.fit(
            data.X,
            data.Y,
            plan.epochs - plan.start,
            plan.batch_size,
            seed=plan.shuffle_seed,
            first_epoch=plan.first_epoch + plan.start,
            n_threads=plan.n_threads,
            weights=data.weights,
            rates=plan.rates[plan.start :],
            outputs=plan.outputs,
            callback=at_epoch if plan.watches else None,
            progress=tick,
            **network.engine_options(data),
        ),
    )
    if not plan.watches:
        for i, (loss, accuracy) in enumerate(
            zip(losses.tolist(), accuracies.tolist(), strict=True), plan.start
        ):
            history.append(i, logs_of(plan, i, loss, accuracy))
        network.epochs_trained += len(losses)
    if len(history.epoch) - seen < plan.epochs - plan.start and time.monotonic() >= plan.deadline:
        plan.stopped_by = plan.stopped_by or "max_time"


def _train_on_batches(plan: Plan, progress: Progress) -> None:
    """Each batch is a call of the engine's fit, with one step."""
    network = plan.network
    assert plan.batches is not None
    for epoch in range(plan.epochs):
        plan.callbacks.on_epoch_begin(epoch)
        means, weights = [], []
        for i, batch in enumerate(plan.batches):
            data = network.read_batch(batch, i)
            rate = plan.rates[epoch, min(i, plan.rates.shape[1] - 1)]
            plan.outputs = None
            if plan.metrics:
                plan.outputs = np.empty((len(data.X), network.n_outputs), network.dtype)
            losses, accuracies = _diverging(
                plan, functools.partial(_fit_batch, plan, data, np.array([[rate]]))
            )
            means.append([losses[0], accuracies[0], *_metrics_of(plan, data)])
            weights.append(len(data.X) if data.weights is None else float(data.weights.sum()))
            progress(epoch, losses[0])
            if _too_late(plan):
                break
        if not means:
            raise ValueError(f"X: has no batches for epoch {epoch}: pass a list, not a generator")
        loss, accuracy, *rest = np.average(means, axis=0, weights=weights).tolist()
        plan.outputs = None
        logs = logs_of(plan, epoch, loss, accuracy)
        logs |= dict(zip((metric.name for metric in plan.metrics), rest, strict=True))
        if end_epoch(plan, progress, epoch, logs):
            return
        if _too_late(plan):
            plan.stopped_by = "max_time"
            return


def _fit_batch(plan: Plan, data: Data, rates: Array) -> tuple[Array, Array]:
    return plan.network.engine.fit(
        data.X, data.Y, 1, max(len(data.X), 1), n_threads=plan.n_threads, weights=data.weights,
        rates=rates, outputs=plan.outputs, **plan.network.engine_options(data),
    )  # fmt: skip


def _metrics_of(plan: Plan, data: Data) -> list[float]:
    if plan.outputs is None:
        return []
    return list(plan.network.score(plan.metrics, data, plan.outputs).values())


def end_epoch(plan: Plan, progress: Progress, epoch: int, logs: dict[str, float]) -> bool:
    """Record an epoch and tell everybody; whether somebody wants to stop."""
    plan.history.append(epoch, logs)
    plan.network.epochs_trained += 1
    stop = plan.callbacks.on_epoch_end(epoch, logs)
    progress.epoch_end(epoch, logs)
    if plan.save is not None:
        plan.save(epoch)
    return stop


def _too_late(plan: Plan) -> bool:
    return time.monotonic() >= plan.deadline


def _diverging(plan: Plan, train: Callable[[], tuple[Array, Array]]) -> tuple[Array, Array]:
    """Train; an error of the engine's becomes one that says where and what to do."""
    history = plan.history
    try:
        return train()
    except FloatingPointError as error:
        raise divergence(plan.network, str(error), history) from None


def divergence(network: Network, text: str, history: History) -> DivergenceError:
    """Return the exception for a training that lost its finite loss."""
    losses = history["loss"] if "loss" in history else []
    last = f"the last finite loss was {losses[-1]:.6g}" if losses else "no epoch had a finite loss"
    optimizer = network.optimizer
    remedy = "scale X to about unit size"
    if isinstance(optimizer, Gradient) and not callable(optimizer.learning_rate):
        remedy = (
            f"try a learning_rate below {optimizer.learning_rate:g}, clip_norm=1.0, or {remedy}"
        )
    where = text.removeprefix("fit: training diverged: ").partition(";")[0]
    error = DivergenceError(
        f"training diverged: {where}; {last}; the network holds the last finite parameters; "
        f"{remedy}"
    )
    error.epoch = len(losses)
    error.params_values = {name: array.copy() for name, array in network.params.items()}
    error.cost_history = list(losses)
    error.accuracy_history = list(history["accuracy"]) if "accuracy" in history else []
    return error


def logs_of(plan: Plan, epoch: int, loss: float, accuracy: float) -> dict[str, float]:
    """Return what an epoch gave: its own means, and those on the validation data after it."""
    network = plan.network
    logs = {"loss": loss}
    if network.classifies:
        logs["accuracy"] = accuracy
    if plan.outputs is not None:
        logs |= network.score(plan.metrics, plan.data, plan.outputs)
    if plan.validation is not None:
        found = network.evaluate_data(plan.validation, plan.metrics, plan.n_threads)
        logs |= {f"val_{key}": value for key, value in found.items()}
    if callable(getattr(network.optimizer, "learning_rate", None)):
        logs["learning_rate"] = float(plan.rates[epoch, -1])
    return logs
