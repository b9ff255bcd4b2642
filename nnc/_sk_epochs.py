"""The epochs of the estimators' stochastic solvers: records, what is watched, when they end.

What a fit records is in attributes of the estimator, which a later fit may go on with.
"""

# scikit-learn has no types:
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from nnc import _sk_engine
from nnc._arguments import Array
from nnc._sk_callbacks import Watchers
from nnc._sk_optimizers import Optimizer
from nnc._sk_solvers import Divergence, Training
from nnc._sk_tasks import Tasks

# So many epochs at most are one call of the engine.
AT_ONCE = 1024


@dataclass
class Watched:
    """Samples that are not trained on: X as given, y as scores want it, Y as the engine does."""

    X: Any
    y: Array
    Y: Array
    weights: Array | None


@dataclass
class Unbroken:
    """What a fit with warm_start='resume' goes on with, so that it is as one with the fit before.

    Attributes
    ----------
    order : ndarray or None
        Of the samples in the last epoch.
    split : tuple or None
        The state of the random numbers before validation samples were drawn.
    seed : int or None
        Of dropout.
    saturated : bool
        As of `Training`.
    """

    order: Array | None = None
    split: Any = None
    seed: int | None = None
    saturated: bool = True

    def dropout_seed(self, stream: Any) -> int:
        """Return the seed, which is drawn once."""
        if self.seed is None:
            self.seed = int(stream.randint(2**31))
        return self.seed

    def split_stream(self, stream: Any) -> Any:
        """Return a stream that draws the same validation samples as before, or stream itself."""
        if self.split is None:
            self.split = stream.get_state()
            return stream
        again = np.random.RandomState()
        again.set_state(self.split)
        return again


@dataclass
class Epochs:
    """A run of epochs.

    Attributes
    ----------
    model : BaseMLP
        Whose attributes are the records.
    watched : Watched or None
        What is scored after each epoch.
    incremental : bool
        Whether one epoch is all.
    deadline : float
        By time.monotonic(), of `max_time`.
    watchers : Watchers or None
        nnc's callbacks.
    order : ndarray
        Of the samples.
    moves, draws : bool
        Whether each epoch has an order of its own, and whether it is drawn.
    diverged : bool
        Whether the loss or the parameters are no longer finite.
    """

    model: Any
    training: Training
    optimizer: Optimizer
    watched: Watched | None
    incremental: bool
    deadline: float
    tasks: Tasks | None
    watchers: Watchers | None
    order: Array = field(init=False)
    moves: bool = field(init=False)
    draws: bool = field(init=False)
    diverged: bool = False

    def __post_init__(self) -> None:
        """Look at what no epoch changes."""
        model, n = self.model, self.training.n_samples
        unbroken = model._unbroken
        if unbroken.order is None or len(unbroken.order) != n:
            unbroken.order = np.arange(n)
        self.order = unbroken.order
        # in a batch of all samples their order changes nothing but the rounding
        self.moves = bool(model.shuffle and self.training.batch_size < n)
        # it is drawn all the same where the stream is the caller's
        self.draws = self.moves or bool(
            model.shuffle and not isinstance(model.random_state, Integral)
        )

    def run(self) -> None:
        """Train until something ends it."""
        self.model.n_iter_ = 0
        at_once = not self.moves and not self.incremental and self.training.is_one_call
        at_once = at_once and self.optimizer.keeps_its_rate
        if self.watchers is not None:
            self.watchers.begin()
        try:
            self._run(at_once)
        finally:
            self.model._unbroken.saturated = self.training.saturated
            if self.watchers is not None:
                self.watchers.end()

    def _run(self, at_once: bool) -> None:
        stopped = False
        while not stopped:
            self.begin()
            try:
                if at_once and not self.diverged:
                    n = min(AT_ONCE, self.model.max_iter - self.model.n_iter_)
                    stopped = self.training.epochs(self.optimizer, n, self.end, self.begin)
                elif not self.diverged:
                    order = self.order if self.moves else None
                    stopped = self.end(self.training.epoch(self.optimizer, order))
                else:
                    stopped = self.end(np.nan)
            except Divergence:
                self.diverged = True
                stopped = self.end(np.nan)

    def begin(self) -> None:
        """Begin an epoch."""
        if self.tasks is not None:
            self.tasks.begin("epoch")
        if self.watchers is not None:
            self.watchers.begin_epoch()
        if self.draws:
            self.model._random_state.shuffle(self.order)

    def end(self, loss: float) -> bool:
        """Record an epoch, and return whether it was the last one."""
        model, engine = self.model, self.training.engine
        if self.diverged:
            engine.params[:] = np.nan
        model.n_iter_ += 1
        model.t_ += self.training.n_samples
        model.loss_ = loss
        model.loss_curve_.append(loss)
        if model.verbose:
            print(f"Iteration {model.n_iter_}, loss = {loss:.8f}")
        if self.watched is not None:
            self._look(self.watched)
        self._count_improvement()
        asked = self._tell()
        if self.diverged and not model.early_stopping:
            return True  # nothing brings it back, and the fit raises
        self.optimizer.end_epoch(model.t_, engine)
        if model._no_improvement_count > model.n_iter_no_change:
            if not self._goes_on():
                return True
            model._no_improvement_count = 0
        return asked or self.incremental or self._is_over()

    def _tell(self) -> bool:
        """Tell callbacks of both kinds, and return whether one wants to stop."""
        model, stopped = self.model, False
        if self.tasks is not None:
            shown = None if self.diverged else lambda: model._shown(self.training)
            self.tasks.end(shown)
            stopped = self.tasks.stopped
        if self.watchers is not None:
            stopped |= self.watchers.end_epoch()
        return stopped

    def _goes_on(self) -> bool:
        """Return whether a lower rate may help where nothing has improved."""
        model = self.model
        what = "Validation score" if model.early_stopping else "Training loss"
        message = (
            f"{what} did not improve more than tol={model.tol:f} for "
            f"{model.n_iter_no_change:d} consecutive epochs."
        )
        return self.optimizer.divides(message, model.verbose, self.training.engine)

    def _is_over(self) -> bool:
        model = self.model
        if model.n_iter_ == model.max_iter:
            what = f"Maximum iterations ({model.max_iter}) reached"
        elif time.monotonic() >= self.deadline:
            what = f"max_time ({model.max_time:g} s) reached after {model.n_iter_} iterations"
        else:
            return False
        warnings.warn(
            f"Stochastic Optimizer: {what} and the optimization hasn't converged yet.",
            ConvergenceWarning,
            stacklevel=2,
        )
        return True

    def _look(self, watched: Watched) -> None:
        """Record the loss and the score of samples that are not trained on."""
        model, training = self.model, self.training
        loss = score = float("nan")
        if not self.diverged:
            loss, outputs = _sk_engine.evaluate(
                training.engine, training.task, watched.X, watched.Y, watched.weights,
                training.n_threads,
            )  # fmt: skip
            if np.isfinite(outputs).all():
                score = float(model._score_watched(watched, loss, outputs, training))
        model.validation_loss_curve_.append(loss)
        model.validation_scores_.append(score)
        if model.verbose:
            print(f"Validation score: {score:f}")

    def _count_improvement(self) -> None:
        model = self.model
        if model.early_stopping:
            score = model.validation_scores_[-1]
            best = model.best_validation_score_
            best = -np.inf if best is None else best
            worse = score < best + model.tol
            if score > best:
                model.best_validation_score_ = score
                model._best_params = self.training.engine.params.copy()
        else:
            loss = model.loss_curve_[-1]
            best = np.inf if model.best_loss_ is None else model.best_loss_
            worse = loss > best - model.tol
            if loss < best:
                model.best_loss_ = loss
        model._no_improvement_count = model._no_improvement_count + 1 if worse else 0
