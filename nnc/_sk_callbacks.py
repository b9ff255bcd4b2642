"""nnc's callbacks in a fit of the estimators: what they see of it, and may change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnc import _sk_engine
from nnc._arguments import Array
from nnc._callbacklist import CallbackList
from nnc._sk_optimizers import EngineOptimizer, Optimizer
from nnc._sk_parameters import hidden_activations
from nnc._sk_solvers import Training
from nnc.callbacks import want_rates
from nnc.layers import Dense
from nnc.network import Network


class TrainedModel:
    """What callbacks get as their ``network``: the parameters while they are trained.

    Attributes
    ----------
    estimator
        The estimator, whose coefs_ are those of before the fit until it ends.
    """

    def __init__(self, estimator: Any, training: Training) -> None:
        """Show the parameters of a training."""
        self.estimator = estimator
        self._training = training

    def _views(self) -> list[Array]:
        training = self._training
        layers = _sk_engine.views(training.engine.params, training.units, training.engine)
        return [array for W, b in layers for array in (W.T, b[:, None])]

    def get_weights(self) -> list[Array]:
        """Return copies of W (n_out, n_in) and b of each layer in turn."""
        return [np.array(array, order="C") for array in self._views()]

    def set_weights(self, weights: Sequence[Array], /) -> None:
        """Copy what `get_weights` returned into the parameters."""
        for own, array in zip(self._views(), weights, strict=True):
            own[...] = array

    def save(self, path: str, /) -> None:
        """Write a `Network` of the same layers and parameters to a file."""
        units = self._training.units
        names = [
            *hidden_activations(self.estimator, len(units) - 2),
            self.estimator.out_activation_,
        ]
        layers = [
            Dense(n, _sk_engine.ACTIVATIONS.get(name, name))
            for n, name in zip(units[1:], names, strict=True)
        ]
        dtype = self._training.engine.params.dtype
        network = Network(layers, units[0], seed=0, dtype=dtype)
        network.set_weights(self.get_weights())
        network.save(path)


def score_name(model: Any) -> str | None:
    """Return what the logs call the score of validation samples; None where it is the loss."""
    if model.scoring is None:
        return "val_accuracy" if hasattr(model, "classes_") else "val_r2_score"
    if model.scoring == "loss":
        return None
    return f"val_{model.scoring}" if isinstance(model.scoring, str) else "val_score"


def watchers_of(
    model: Any, training: Training, optimizer: Optimizer, validates: bool
) -> CallbackList | None:
    """Return the callbacks of an estimator, told what they will see; None without any.

    The learning rates are theirs to change where nothing else changes them.
    """
    watchers = CallbackList(model.callbacks, TrainedModel(model, training))
    if not len(watchers):
        return None
    if isinstance(optimizer, EngineOptimizer) and want_rates(watchers):
        assert optimizer.rates is not None
        optimizer.rates_may_change = True
        watchers.set_rates(optimizer.rates.keep())
    name = score_name(model)
    watchers.check(["loss", *(["val_loss"] if validates else []),
                    *([name] if validates and name else [])])  # fmt: skip
    return watchers


def logs_of(model: Any) -> dict[str, float]:
    """Return what the last epoch gave."""
    logs = {"loss": model.loss_curve_[-1]}
    if model.validation_loss_curve_:
        logs["val_loss"] = model.validation_loss_curve_[-1]
        name = score_name(model)
        if name:
            logs[name] = model.validation_scores_[-1]
    return logs
