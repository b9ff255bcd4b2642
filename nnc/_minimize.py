"""The training of `nnc.Network` by L-BFGS and Levenberg-Marquardt: iterations instead of epochs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from nnc import _core, _state
from nnc._arguments import Array
from nnc._data import Data
from nnc.optimizers import Minimizer
from nnc.progress import Progress

if TYPE_CHECKING:
    from nnc._fit import Plan
    from nnc.network import Network


def check(network: Network) -> None:
    """Raise for what these methods cannot do, before anything is computed."""
    kind = network.optimizer.kind
    if network.loss.kind == "custom":
        raise ValueError(f"optimizer: {kind} knows no losses in Python; use 'adam'")
    for layer in network.layers:
        for name in ("l1", "max_norm"):
            if getattr(layer, name, None):
                raise ValueError(f"optimizer: {kind} knows no {name}; use l2, or 'adam'")


def run(plan: Plan, progress: Progress) -> None:
    """Iterate; each iteration is an entry of the history, as an epoch is elsewhere.

    The loss of an entry is that after its iteration, with L2; accuracy and metrics likewise.
    """
    from nnc._fit import divergence, end_epoch, logs_of

    network, optimizer = plan.network, plan.network.optimizer
    assert isinstance(optimizer, Minimizer)
    engine = network.engine
    start = engine.params.copy()

    def tick(epoch: int, loss: float) -> bool:
        progress(epoch, loss)
        return plan.too_late

    def at_iteration(iteration: int, loss: float, _: float, params: Array) -> bool:
        engine.params[:] = params
        found = network.evaluate_data(plan.data, plan.metrics, plan.n_threads)
        logs = logs_of(plan, iteration, loss, found.pop("accuracy", math.nan)) | {
            key: value for key, value in found.items() if key != "loss"
        }
        network.epochs_trained += 1
        stop = end_epoch(plan, progress, iteration, logs)
        if not stop and iteration + 1 < plan.epochs:
            plan.callbacks.on_epoch_begin(iteration + 1)
        return stop or plan.too_late

    if plan.epochs:
        plan.callbacks.on_epoch_begin(0)
    numbers = optimizer.numbers()
    numbers["max_iter"] = min(int(numbers["max_iter"]), plan.epochs)
    result = _core.minimize(
        start,
        _inputs(network, plan.data),
        _labels(network, plan.data),
        network.engine_layers(),
        network.loss.engine_name,
        optimizer.engine_name,
        ranges=[
            (begin, n, frozen, l2)
            for begin, n, frozen, _, l2, *_ in _state.ranges(
                network.specs, engine, network.frozen, 0.0
            )
        ],
        n_threads=plan.n_threads,
        progress=tick,
        at_iteration=at_iteration,
        weights=plan.data.weights,
        loss_parameter=network.loss.parameter,
        **numbers,  # type: ignore[arg-type]
    )
    engine.params[:] = start
    if result["status"] == "diverged":
        raise divergence(network, plan.history, "the loss is not finite")
    plan.stopped_by = plan.stopped_by or _reason(plan, result["status"], result["ending"])


def _reason(plan: Plan, status: str, ending: str) -> str:
    if status == "stopped":
        return "max_time" if plan.too_late else ""
    return "" if ending == "iterations" else f"{plan.network.optimizer.kind}: {ending}"


def _inputs(network: Network, data: Data) -> Array:
    """Return X (n_inputs, m) in the dtype of the network."""
    rows = data.X
    if network.input_scale is not None:
        rows = rows.astype(np.float64) * network.input_scale
    return rows.astype(network.dtype, copy=False).T


def _labels(network: Network, data: Data) -> Array:
    """Return Y (n_outputs, m): classes as rows of 0 and 1, smoothed."""
    Y = data.Y
    if Y.ndim == 1:
        Y = np.eye(network.n_outputs, dtype=network.dtype)[Y]
    smoothing = network.loss.smoothing
    if smoothing:
        rest = 1 / network.n_outputs if network.loss.activations[0] == "softmax" else 0.5
        Y = Y.astype(np.float64) * (1 - smoothing) + smoothing * rest
    return Y.astype(network.dtype, copy=False).T
