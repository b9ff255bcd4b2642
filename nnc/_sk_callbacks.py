"""nnc's callbacks in a fit of the estimators: they see it as that of a `Network`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nnc import _sk_engine
from nnc._callbacklist import CallbackList
from nnc._sk_optimizers import EngineOptimizer, Optimizer
from nnc._sk_parameters import dropout_rates, hidden_activations
from nnc._sk_solvers import Training
from nnc.callbacks import want_rates
from nnc.layers import Dense, Dropout, Layer
from nnc.losses import Loss
from nnc.network import Network


@dataclass
class Watchers:
    """The callbacks of a fit.

    Attributes
    ----------
    network : Network
        What they see: it has the layers of the estimator, and its parameters whenever they look.
        Those that it has when the training ends are the estimator's.
    """

    model: Any
    training: Training
    callbacks: CallbackList
    network: Network

    def _show(self) -> None:
        self.network.engine.params[:] = self.training.engine.params

    def begin(self) -> None:
        """Say that the training begins."""
        self._show()
        self.callbacks.on_train_begin()

    def begin_epoch(self) -> None:
        """Say that an epoch begins."""
        self.callbacks.on_epoch_begin(self.model.n_iter_)

    def end_epoch(self) -> bool:
        """Tell what an epoch gave, and return whether one of them wants to stop."""
        self._show()
        return self.callbacks.on_epoch_end(self.model.n_iter_ - 1, _logs_of(self.model))

    def end(self) -> None:
        """Say that the training has ended."""
        self._show()
        self.callbacks.on_train_end()
        self.training.engine.params[:] = self.network.engine.params


def watchers_of(
    model: Any, training: Training, optimizer: Optimizer, validates: bool
) -> Watchers | None:
    """Return the callbacks of an estimator, told what they will see; None without any.

    The learning rates are theirs to change where nothing else changes them.
    """
    callbacks = CallbackList(model.callbacks)
    if not len(callbacks):
        return None
    network = _network_of(model, training)
    callbacks = CallbackList(model.callbacks, network)
    if isinstance(optimizer, EngineOptimizer) and want_rates(callbacks):
        assert optimizer.rates is not None
        optimizer.rates_may_change = True
        callbacks.set_rates(optimizer.rates.keep())
    keys = ["loss"]
    if validates:
        keys += ["val_loss", *_score_name(model)]
    callbacks.check(keys)
    return Watchers(model, training, callbacks, network)


def _network_of(model: Any, training: Training) -> Network:
    """Return a network of the same layers."""
    units = training.units
    hidden = hidden_activations(model, len(units) - 2)
    rates = [*dropout_rates(model, len(hidden)), 0.0]
    layers: list[Layer] = []
    for n, name, rate in zip(units[1:], [*hidden, model.out_activation_], rates, strict=True):
        layers.append(Dense(n, _sk_engine.ACTIVATIONS.get(name, name)))
        if rate:
            layers.append(Dropout(rate))
    loss = model.loss if isinstance(model.loss, Loss) else None
    dtype = training.engine.params.dtype
    return Network(layers, units[0], loss=loss, seed=0, dtype=dtype)


def _score_name(model: Any) -> list[str]:
    """Return what the logs call the score of validation samples; nothing where it is the loss."""
    if model.scoring is None:
        return ["val_accuracy" if hasattr(model, "classes_") else "val_r2_score"]
    if model.scoring == "loss":
        return []
    return [f"val_{model.scoring}" if isinstance(model.scoring, str) else "val_score"]


def _logs_of(model: Any) -> dict[str, float]:
    """Return what the last epoch gave."""
    logs = {"loss": model.loss_curve_[-1]}
    if model.validation_loss_curve_:
        logs["val_loss"] = model.validation_loss_curve_[-1]
        logs |= dict.fromkeys(_score_name(model), model.validation_scores_[-1])
    return logs
