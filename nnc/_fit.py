"""The training of `nnc.Network`: what is between its arguments and the engine's epochs."""

from __future__ import annotations

import functools
import itertools
import math
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from nnc import _minimize, schedules
from nnc import metrics as _metrics
from nnc._arguments import Array, DivergenceError, read_index, read_threads
from nnc._data import Data
from nnc._rates import Rates
from nnc.callbacks import CallbackList, EarlyStopping, want_rates
from nnc.history import History
from nnc.losses import Custom
from nnc.metrics import Metric
from nnc.optimizers import Gradient, Minimizer
from nnc.progress import Progress, read_verbose

if TYPE_CHECKING:
    from nnc.network import Network


Method = TypeVar("Method", bound=Callable[..., Any])

_in_training: set[int] = set()  # the id of each network that is being trained
_lock = threading.Lock()


def alone(method: Method) -> Method:
    """Make a method refuse to begin while the network is being trained."""

    @functools.wraps(method)
    def guarded(network: Network, /, *args: Any, **kwargs: Any) -> Any:
        with _lock:
            if id(network) in _in_training:
                raise RuntimeError(
                    f"{method.__name__}: another thread, or the training whose callback this is, "
                    "trains this network: train a copy()"
                )
            _in_training.add(id(network))
        try:
            return method(network, *args, **kwargs)
        finally:
            _in_training.discard(id(network))

    return cast(Method, guarded)


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
        return _read_batch(network, batch, 0)

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
    if isinstance(X, Sequence) and len(X) and np.ndim(_first_of(X[0])) == 0:
        raise ValueError("y: expected labels, got None: pass y, or an iterable of batches as X")
    return Batches(X)


def _first_of(batch: Any) -> Any:
    return batch[0] if isinstance(batch, tuple | list) and batch else batch


def _read_batch(network: Network, batch: Any, place: int) -> Data:
    if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
        raise TypeError(
            f"X: expected batches (X, y) or (X, y, sample_weight), got {type(batch).__name__} as "
            f"batch {place}: pass arrays as fit(X, y)"
        )
    names = (f"X[{place}][0]", f"X[{place}][1]", f"X[{place}][2]")
    data = network.read_data(names, batch[0], batch[1], batch[2] if len(batch) == 3 else None)
    if len(data.X) == 0:
        raise ValueError(f"{names[0]}: expected at least one sample, got none: leave it out")
    return data


def refuse_beside_batches(asked: Mapping[str, Any]) -> None:
    """Raise for arguments that need all samples at once."""
    for name, value in asked.items():
        if value is not None:
            raise ValueError(
                f"{name}: leave it out beside an iterable of batches, whose samples are not known"
            )


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
    rates: Rates
    verbose: int | str
    deadline: float = math.inf
    start: int = 0  # epochs of this training that a checkpoint has already seen
    save: Callable[[int], object] | None = None  # writes a checkpoint
    stopped_by: str = ""
    outputs: Array | None = None
    batches: Batches | None = None  # instead of data, which is then the first of them
    # what history lacks: first epoch, losses, accuracies and learning rates
    parts: list[tuple[int, Array, Array, Array]] = field(default_factory=list)

    @property
    def too_late(self) -> bool:
        """Whether its time is over."""
        return time.monotonic() >= self.deadline

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
    deadline: float = math.inf,
    batches: Batches | None = None,
) -> Plan:
    """Check the arguments of `Network.fit`, and let its callbacks begin."""
    m = len(data.X)
    if m == 0:
        raise ValueError("X: expected at least one sample, got none: pass a row for each")
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
        _minimize.check(network)
        if batches is not None:
            raise ValueError(f"X: {optimizer.kind} needs all samples at once, got batches")
    steps = -(-m // size) if batches is None else batches.steps()
    rate = getattr(optimizer, "learning_rate", 1.0)
    rates = Rates(rate.initial if isinstance(rate, schedules.Constant) else rate, n_epochs, steps)
    found = _metrics.resolve(metrics)
    _try_metrics(network, data, found)
    watchers = CallbackList(callbacks, network)
    stopper = _read_early_stopping(early_stopping, validation)
    if stopper is not None:
        watchers = CallbackList([*watchers.callbacks, stopper], network)
    if len(watchers) and (rates.are_few or want_rates(watchers)):
        watchers.set_rates(rates.keep())
    keys = ["loss", *(["accuracy"] if network.loss.has_accuracy else []), *(m.name for m in found)]
    keys += [f"val_{key}" for key in keys] if validation else []
    watchers.check(list(dict.fromkeys(keys)), found)
    threads = read_threads(n_threads)
    read_verbose(verbose)
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
        deadline=deadline,
        batches=batches,
    )


def _read_early_stopping(
    early_stopping: bool | EarlyStopping, validation: Data | None
) -> EarlyStopping | None:
    if isinstance(early_stopping, EarlyStopping):
        return early_stopping
    if not isinstance(early_stopping, bool | np.bool_):
        raise TypeError(
            f"early_stopping: expected True, False or EarlyStopping(...), got {early_stopping!r}"
        )
    if early_stopping and validation is None:
        raise ValueError(
            "early_stopping: True watches val_loss, and there is no validation data: pass X_val "
            "and y_val, or validation_split"
        )
    return EarlyStopping() if early_stopping else None


def _try_metrics(network: Network, data: Data, found: Sequence[Metric]) -> None:
    """Raise before training where a metric of ours is not made for such labels and outputs."""
    ours = [metric for metric in found if _module_of(metric.function) == _metrics.__name__]
    if ours:
        outputs = np.full((len(data.X), network.n_outputs), 1 / network.n_outputs)
        network.score(ours, data, outputs)


def _module_of(function: Any) -> Any:
    return getattr(getattr(function, "func", function), "__module__", None)


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
    """Call the engine's fit for part after part, which is as one call for all epochs."""
    network = plan.network
    begin, stopped, last = plan.start, False, math.nan

    def tick(epoch: int, loss: float) -> bool:
        nonlocal stopped
        progress(begin + epoch, loss if epoch or begin == plan.start else last)
        stopped = stopped or plan.too_late
        return stopped

    def at_epoch(epoch: int, loss: float, accuracy: float) -> bool:
        nonlocal stopped
        epoch += begin
        network.epochs_trained += 1
        stop = end_epoch(plan, progress, epoch, logs_of(plan, epoch, loss, accuracy))
        stopped = stop or plan.too_late
        if not stopped and epoch + 1 < plan.epochs:
            plan.callbacks.on_epoch_begin(epoch + 1)
        return stopped

    if plan.start < plan.epochs:
        plan.callbacks.on_epoch_begin(plan.start)
    size = plan.rates.part_epochs
    before = network.engine.params.copy() if plan.epochs - plan.start > size else None
    while True:
        end = min(begin + size, plan.epochs)
        losses = _fit_part(plan, begin, end, before, at_epoch if plan.watches else None, tick)
        last = float(losses[-1]) if len(losses) else last
        if stopped or end == plan.epochs:
            break
        begin = end
    if not plan.watches:
        _record(plan)
        if plan.history.epoch:
            progress(len(plan.history.epoch), last)
    if len(plan.history.epoch) < plan.epochs and plan.too_late:
        plan.stopped_by = plan.stopped_by or "max_time"


def _fit_part(
    plan: Plan,
    begin: int,
    end: int,
    before: Array | None,
    at_epoch: Callable[[int, float, float], bool] | None,
    tick: Callable[[int, float], bool],
) -> Array:
    """Train for the epochs from begin to end, and return their losses."""
    network, data, constant = plan.network, plan.data, plan.rates.constant
    rates = np.empty((0, 1))
    try:
        rates = plan.rates.part(begin, end)
        losses, accuracies = network.engine.fit(
            data.X,
            data.Y,
            end - begin,
            plan.batch_size,
            learning_rate=1.0 if constant is None else constant,
            seed=plan.shuffle_seed,
            first_epoch=plan.first_epoch + begin,
            n_threads=plan.n_threads,
            weights=data.weights,
            rates=rates if constant is None else None,
            outputs=plan.outputs,
            callback=at_epoch,
            progress=tick,
            before=before,
            **network.engine_options(data),
        )
        if not plan.watches:
            plan.parts.append((begin, losses, accuracies, rates[:, -1].copy()))
    except BaseException as error:
        if _is_divergence(error) or not plan.watches:
            losses, accuracies = error.__dict__.pop("histories", (np.empty(0), np.empty(0)))
            plan.parts.append((begin, losses, accuracies, rates[:, -1]))
            _record(plan)
        if not _is_divergence(error):
            raise
        # its parameters are those at the start of the last epoch recorded
        network.epochs_trained = plan.first_epoch + max(len(plan.history.epoch) - 1, 0)
        raise divergence(network, plan.history, str(error)) from None
    return losses


def _record(plan: Plan) -> None:
    """Add the epochs that the engine knows of and the history lacks, a part at once."""
    for begin, losses, accuracies, rates in plan.parts:
        known = len(plan.history.epoch) - begin
        logs = {"loss": losses[known:].tolist()}
        if plan.network.loss.has_accuracy:
            logs["accuracy"] = accuracies[known:].tolist()
        if _has_schedule(plan):
            logs["learning_rate"] = rates[known : len(losses)].tolist()
        if len(losses) > known:
            plan.history.extend(range(begin + known, begin + len(losses)), logs)
            plan.network.epochs_trained += len(losses) - known


def _train_on_batches(plan: Plan, progress: Progress) -> None:
    """Each batch is a call of the engine's fit, with one step."""
    network = plan.network
    assert plan.batches is not None
    block = network.engine.params
    starts = [block.copy()]  # of this epoch, and before it that of the last one
    for epoch in range(plan.epochs):
        plan.callbacks.on_epoch_begin(epoch)
        means, weights = [], []
        for i, batch in enumerate(plan.batches):
            if plan.too_late:
                plan.stopped_by = "max_time"
                return
            data = _read_batch(network, batch, i)
            try:
                means.append(_fit_batch(plan, data, _rate_of(plan, epoch, i)))
            except FloatingPointError as error:
                if not _is_divergence(error):
                    raise
                block[:] = starts[0]
                network.epochs_trained = plan.first_epoch + max(epoch - 1, 0)
                raise divergence(network, plan.history, str(error), batch=i) from None
            weights.append(len(data.X) if data.weights is None else float(data.weights.sum()))
            progress(epoch, means[-1][0])
        if not means:
            raise ValueError(f"X: has no batches for epoch {epoch}: pass a list, not a generator")
        network.epochs_trained += 1
        loss, accuracy, *rest = np.average(means, axis=0, weights=weights).tolist()
        plan.outputs = None
        logs = logs_of(plan, epoch, loss, accuracy)
        logs |= dict(zip((metric.name for metric in plan.metrics), rest, strict=True))
        starts = [starts[-1], block.copy()]
        if end_epoch(plan, progress, epoch, logs):
            return


def _rate_of(plan: Plan, epoch: int, step: int) -> float:
    """Return the learning rate; an iterable may have more batches than it told."""
    return float(plan.rates.row(epoch)[min(step, plan.rates.shape[1] - 1)])


def _fit_batch(plan: Plan, data: Data, rate: float) -> list[float]:
    """Take a step; return the loss before it, the accuracy, and the metrics."""
    network = plan.network
    if plan.metrics:
        plan.outputs = np.empty((len(data.X), network.n_outputs), network.dtype)
    losses, accuracies = network.engine.fit(
        data.X, data.Y, 1, len(data.X), n_threads=plan.n_threads, weights=data.weights,
        rates=np.array([[rate]]), outputs=plan.outputs, **network.engine_options(data),
    )  # fmt: skip
    return [losses[0], accuracies[0], *_metrics_of(plan, data)]


def _metrics_of(plan: Plan, data: Data) -> list[float]:
    if plan.outputs is None:
        return []
    return list(plan.network.score(plan.metrics, data, plan.outputs).values())


def end_epoch(plan: Plan, progress: Progress, epoch: int, logs: dict[str, float]) -> bool:
    """Record an epoch and tell everybody; whether somebody wants to stop."""
    plan.history.append(epoch, logs)
    stop = plan.callbacks.on_epoch_end(epoch, logs)
    progress.epoch_end(epoch, logs)
    if plan.save is not None:
        plan.save(epoch)
    return stop


_DIVERGED = re.compile(r"fit: training diverged: (.*) in epoch \d+(?:, batch (\d+))?;")


def _is_divergence(error: BaseException) -> bool:
    """Whether it is the engine's own, and not of a callback."""
    return isinstance(error, FloatingPointError) and _DIVERGED.match(str(error)) is not None


def divergence(
    network: Network, history: History, text: str, batch: int | None = None
) -> DivergenceError:
    """Return the exception for a training that lost its finite loss; text is the engine's."""
    found = _DIVERGED.match(text)
    what, engines_batch = found.groups() if found else (text, None)
    where = engines_batch if batch is None else batch
    batch_text = "" if where is None else f", batch {where}"
    losses = history["loss"] if "loss" in history else []
    last = f"the last finite loss was {losses[-1]:.6g}" if losses else "no epoch had a finite loss"
    optimizer = network.optimizer
    remedy = "scale X to about unit size"
    if isinstance(optimizer, Gradient) and not callable(optimizer.learning_rate):
        remedy = (
            f"try a learning_rate below {optimizer.learning_rate:g}, clip_norm=1.0, or {remedy}"
        )
    error = DivergenceError(
        f"training diverged: {what} in epoch {len(losses)}{batch_text}; {last}; the network holds "
        f"the last finite parameters; {remedy}"
    )
    error.epoch = len(losses)
    error.params_values = {name: array.copy() for name, array in network.params.items()}
    error.cost_history = list(losses)
    error.accuracy_history = list(history["accuracy"]) if "accuracy" in history else []
    return error


def _rate(plan: Plan, epoch: int) -> dict[str, float]:
    """Return the last learning rate of an epoch, where it follows a schedule."""
    return {"learning_rate": float(plan.rates.row(epoch)[-1])} if _has_schedule(plan) else {}


def _has_schedule(plan: Plan) -> bool:
    return callable(getattr(plan.network.optimizer, "learning_rate", None))


def logs_of(plan: Plan, epoch: int, loss: float, accuracy: float) -> dict[str, float]:
    """Return what an epoch gave: its own means, and those on the validation data after it."""
    network = plan.network
    logs = {"loss": loss}
    if network.loss.has_accuracy:
        logs["accuracy"] = accuracy
    if plan.outputs is not None:
        logs |= network.score(plan.metrics, plan.data, plan.outputs)
    if plan.validation is not None:
        found = network.evaluate_data(plan.validation, plan.metrics, plan.n_threads)
        logs |= {f"val_{key}": value for key, value in found.items()}
    return logs | _rate(plan, epoch)
