"""The estimators' parameters: what each may be, and what follows from them."""

# scikit-learn has no types:
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import Interval, Options, StrOptions

from nnc import _core, losses, optimizers
from nnc._arguments import Array
from nnc._sk_optimizers import EngineOptimizer, Optimizer, ScikitOptimizer

# scikit-learn's four, and the engine's others.
ACTIVATIONS = {"identity", "logistic", "tanh", "relu"} | set(_core.ACTIVATIONS) - {
    "sigmoid", "softmax", "log_softmax"
}  # fmt: skip

# nnc's optimizers that step along gradients of batches, beside scikit-learn's own two.
OPTIMIZERS = {
    name: kind
    for name, kind in optimizers.KINDS.items()
    if issubclass(kind, optimizers.Gradient) and name not in ("sgd", "adam")
}

# Losses of a regressor that scikit-learn's does not know.
LOSSES: dict[str, losses.Loss] = {
    "absolute_error": losses.MeanAbsoluteError(),
    "huber": losses.Huber(),
    "quantile": losses.Quantile(),
}
REGRESSION = (
    losses.MeanSquaredError, losses.MeanAbsoluteError, losses.Huber, losses.Quantile,
    losses.Poisson,
)  # fmt: skip
CLASSIFICATION = (losses.CrossEntropy, losses.BinaryFocal)

CONSTRAINTS: dict[str, list[Any] | str] = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions(ACTIVATIONS), list, tuple],
    "solver": [StrOptions({"lbfgs", "sgd", "adam", *OPTIMIZERS}), optimizers.Gradient],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"}), callable],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "power_t": [Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [Interval(Real, 0, None, closed="left")],
    "verbose": ["verbose"],
    "warm_start": ["boolean", StrOptions({"resume"})],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "beta_1": [Interval(Real, 0, 1, closed="left")],
    "beta_2": [Interval(Real, 0, 1, closed="left")],
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
    "max_fun": [Interval(Integral, 1, None, closed="left")],
    "scoring": [StrOptions({"loss", *get_scorer_names()}), callable, None],
    "dropout": [Interval(Real, 0, 1, closed="left"), list, tuple],
    "clip_value": [Interval(Real, 0, None, closed="neither"), None],
    "clip_norm": [Interval(Real, 0, None, closed="neither"), None],
    "coefs_init": [list, tuple, None],
    "intercepts_init": [list, tuple, None],
    "callbacks": "no_validation",  # CallbackList says what it takes
    "max_time": [Interval(Real, 0, None, closed="neither"), None],
    "dtype": [StrOptions({"float32", "float64"}), type, np.dtype, None],
    "n_threads": [Interval(Integral, 1, _core.MAX_THREADS, closed="both"), None],
}

# What has no meaning to lbfgs; scikit-learn passes over its own parameters of this kind.
NOT_LBFGS = ("dropout", "clip_value", "clip_norm", "max_time", "callbacks", "scoring")


def hidden_sizes(model: Any) -> list[int]:
    """Return the units of each hidden layer."""
    sizes = model.hidden_layer_sizes
    sizes = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
    if np.any(np.array(sizes) <= 0):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return [operator.index(size) for size in sizes]


def hidden_activations(model: Any, n_hidden: int) -> list[str]:
    """Return the activation of each hidden layer."""
    names = model.activation
    if isinstance(names, str):
        return [names] * n_hidden
    if len(names) != n_hidden:
        raise ValueError(
            f"activation: expected one for each of {n_hidden} hidden layers, got "
            f"{len(names)}; pass one name for all of them"
        )
    unknown = [name for name in names if name not in ACTIVATIONS]
    if unknown:
        raise ValueError(
            f"activation: expected names among {', '.join(sorted(ACTIVATIONS))}, got {unknown[0]!r}"
        )
    return list(names)


def dropout_rates(model: Any, n_hidden: int) -> list[float]:
    """Return the rate of each hidden layer."""
    rates = model.dropout
    rates = list(rates) if isinstance(rates, list | tuple) else [rates] * n_hidden
    if len(rates) != n_hidden or not all(
        isinstance(rate, int | float | np.number) and 0 <= rate < 1 for rate in rates
    ):
        raise ValueError(
            f"dropout: expected a number in [0, 1), or one for each of {n_hidden} hidden "
            f"layers, got {model.dropout!r}"
        )
    return [float(rate) for rate in rates]


def initial_parameters(
    model: Any, units: Sequence[int], activations: Sequence[str], stream: Any, dtype: Any
) -> tuple[list[Array], list[Array]]:
    """Return coefficients and intercepts: the caller's, or drawn as scikit-learn does.

    They are drawn anyway, so that what is drawn after them stays the same.
    """
    coefs, intercepts = [], []
    for fan_in, fan_out, name in zip(units[:-1], units[1:], activations, strict=True):
        bound = np.sqrt((2.0 if name == "logistic" else 6.0) / (fan_in + fan_out))
        coefs.append(stream.uniform(-bound, bound, (fan_in, fan_out)).astype(dtype, copy=False))
        intercepts.append(stream.uniform(-bound, bound, fan_out).astype(dtype, copy=False))
    return (
        _given("coefs_init", model.coefs_init, coefs),
        _given("intercepts_init", model.intercepts_init, intercepts),
    )


def _given(name: str, given: Sequence[Any] | None, drawn: list[Array]) -> list[Array]:
    if given is None:
        return drawn
    if len(given) != len(drawn):
        raise ValueError(f"{name}: expected an array for each of {len(drawn)} layers, got "
                         f"{len(given)}")  # fmt: skip
    result = []
    for i, (value, own) in enumerate(zip(given, drawn, strict=True)):
        array = np.array(value, own.dtype, order="C")
        if array.shape != own.shape:
            raise ValueError(f"{name}[{i}]: expected shape {own.shape}, got {array.shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name}[{i}]: expected finite numbers, got nan or inf")
        result.append(array)
    return result


def new_optimizer(model: Any) -> Optimizer:
    """Return what `solver`, `learning_rate` and the rest ask for."""
    solver, schedule = model.solver, model.learning_rate
    if solver in ("sgd", "adam") and not callable(schedule):
        return ScikitOptimizer(
            solver,
            model.learning_rate_init,
            schedule,
            model.power_t,
            model.momentum,
            model.nesterovs_momentum,
            model.beta_1,
            model.beta_2,
            model.epsilon,
            model.clip_value or 0.0,
            model.clip_norm or 0.0,
        )
    rate = schedule if callable(schedule) else float(model.learning_rate_init)
    if solver == "sgd":
        nesterov = bool(model.nesterovs_momentum and model.momentum)
        spec: optimizers.Gradient = optimizers.SGD(rate, model.momentum, nesterov)
    elif solver == "adam":
        spec = optimizers.Adam(rate, model.beta_1, model.beta_2, model.epsilon)
    elif isinstance(solver, str):
        spec = OPTIMIZERS[solver](rate)
    elif callable(schedule):
        raise ValueError(
            f"learning_rate: {solver!r} has a learning rate of its own; pass the schedule as its "
            "learning_rate"
        )
    else:
        spec = solver
    if spec.ema_decay:
        raise ValueError(
            "solver: ema_decay has no use here, as coefs_ are the parameters themselves; leave it "
            "out, or use nnc.Network"
        )
    asked = {"clip_value": model.clip_value, "clip_norm": model.clip_norm}
    clips = {name: value for name, value in asked.items() if value is not None}
    return EngineOptimizer(dataclasses.replace(spec, **clips))
