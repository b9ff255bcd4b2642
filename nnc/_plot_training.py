"""Plots of a training: its curves, and what went on in the layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnc import _plot_base
from nnc._optional import import_optional
from nnc._plot_base import COLOURS, WIDTH
from nnc._recorders import LayerRecorder
from nnc.history import NEITHER_LOSS_NOR_METRIC, History

LOSSES = ("loss", "val_loss", "cost")


def history(history: Any, *, ax: Any = None) -> Any:
    """Draw the losses of a training, and its metrics beside them, over the epochs.

    A quantity of the training is a solid line, the same of the validation a dashed one.

    Parameters
    ----------
    history : History, Network, fitted estimator, dict of lists, or list of float
        What was recorded: of the tutorial's ``train`` for example ``{"cost": cost_history,
        "accuracy": accuracy_history}``, of chapter 1's the list that it returns.
    ax : matplotlib.axes.Axes or a sequence of two, optional
        Where to draw the losses, and in the second the metrics. By default a new figure.

    Returns
    -------
    tuple of matplotlib.axes.Axes
        The axes that were drawn in.

    Raises
    ------
    ValueError, TypeError
        If there is nothing to draw yet, and for what is no history.
    ImportError
        Without matplotlib; the message has the command that installs it.

    Examples
    --------
    >>> import nnc
    >>> x, y = nnc.datasets.tutorial_truth_table()
    >>> (ax,) = nnc.plot.history(nnc.NeuralNetwork(x, y, seed=1).train(1500))
    >>> len(ax.lines[0].get_xdata())
    1500
    """
    read = _read_history(history)
    losses = [key for key in read if key in LOSSES]
    metrics = [key for key in read if key not in {*losses, *NEITHER_LOSS_NOR_METRIC}]
    parts = [(name, keys) for name, keys in (("loss", losses), ("metric", metrics)) if keys]
    if not read.epoch or not parts:
        raise ValueError("history: expected at least one epoch to plot, got none")
    axes = _plot_base.panels(ax, len(parts), "nnc.plot.history")
    for one, (name, keys) in zip(axes, parts, strict=False):
        _draw_curves(one, read, name, keys)
    return tuple(axes)


def _read_history(history: Any) -> History:
    """Return a History of whatever keeps one."""
    if isinstance(history, History):
        return history
    kept = getattr(history, "history", None)  # a Network's, or the dict of Keras' History
    if kept is not None and not isinstance(history, Mapping):
        return _read_history(kept)
    if hasattr(history, "loss_curve_"):
        lists = {"loss": history.loss_curve_}
        for key in ("validation_loss_curve_", "validation_scores_"):
            if getattr(history, key, None) is not None:
                lists["val_loss" if "loss" in key else "val_score"] = getattr(history, key)
    elif isinstance(history, Mapping):
        lists = dict(history)
    elif isinstance(history, Sequence) and not isinstance(history, str):
        lists = {"loss": history}
    else:
        raise TypeError(
            "history: expected a History, a trained Network or estimator, a dict of lists or a "
            f"list of losses, got {history!r}"
        )
    lengths = {key: len(values) for key, values in lists.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"history: expected lists of one length, got {lengths}")
    result = History()
    result.extend(range(max(lengths.values(), default=0)), {k: list(v) for k, v in lists.items()})
    return result


def _draw_curves(axes: Any, history: History, name: str, keys: Sequence[str]) -> None:
    quantities = list(dict.fromkeys(key.removeprefix("val_") for key in keys))
    marker = "o" if len(history.epoch) == 1 else ""
    for key in keys:
        quantity = key.removeprefix("val_")
        axes.plot(
            history.epoch, history[key], label=key, marker=marker, linewidth=WIDTH,
            color=COLOURS[quantities.index(quantity) % len(COLOURS)],
            linestyle="--" if key.startswith("val_") else "-",
        )  # fmt: skip
    chosen = history.best_epoch is not None and history.monitor != "loss"
    if chosen and len(history.epoch) > 1:
        axes.axvline(
            history.best_epoch, color="0.5", linewidth=1, linestyle=":",
            label=f"best epoch: {history.best_epoch}",
        )  # fmt: skip
    ylabel = name if len(quantities) > 1 else quantities[0].replace("_", " ")
    _plot_base.finish_curves(axes, "epoch", ylabel)


def gradients(recorder: LayerRecorder, *, ax: Any = None) -> Any:
    """Draw how large the gradients of each layer are over the epochs, and its dead units.

    Layers go from dark to light, from the first to the last. Where early layers lie far below late
    ones, gradients vanish on their way back.

    Parameters
    ----------
    recorder : nnc.callbacks.LayerRecorder
        A callback that was there in training.
    ax : matplotlib.axes.Axes or a sequence of two, optional
        Where to draw the root mean square of the gradients, and in the second the part of each
        layer's units that were dead: 0 for all samples. By default a new figure.

    Returns
    -------
    tuple of matplotlib.axes.Axes
        The axes that were drawn in.

    Raises
    ------
    ValueError, TypeError
        If nothing was recorded, and for anything but a recorder.
    ImportError
        Without matplotlib; the message has the command that installs it.

    Examples
    --------
    >>> import nnc
    >>> moons = nnc.datasets.tutorial_moons()
    >>> X, y = moons.X_train.T, moons.Y_train.T
    >>> network = nnc.Network.from_sizes(2, 25, 25, 1, output_activation="sigmoid", seed=0)
    >>> recorder = nnc.callbacks.LayerRecorder(X[:200], y[:200])
    >>> history = network.fit(X, y, epochs=10, callbacks=recorder)
    >>> sizes, dead = nnc.plot.gradients(recorder)
    >>> len(sizes.lines), len(dead.lines)
    (3, 2)
    """
    if not isinstance(recorder, LayerRecorder):
        raise TypeError(f"recorder: expected an nnc.callbacks.LayerRecorder, got {recorder!r}")
    if not recorder.epoch:
        raise ValueError(
            "recorder: expected at least one epoch, got none: pass it to fit, as callbacks=recorder"
        )
    parts = [
        ("root mean square of the gradient", recorder.gradients),
        ("dead units, part of the layer", recorder.dead),
    ]
    axes = _plot_base.panels(ax, len(parts), "nnc.plot.gradients")
    marker = "o" if len(recorder.epoch) == 1 else ""
    for one, (ylabel, lists) in zip(axes, parts, strict=False):
        for name, colour in zip(lists, _layer_colours(one, len(lists)), strict=True):
            one.plot(
                recorder.epoch, lists[name], color=colour, linewidth=WIDTH, marker=marker,
                label=name,
            )  # fmt: skip
        if lists is recorder.gradients and any(np.any(np.asarray(v) > 0) for v in lists.values()):
            one.set_yscale("log")
        elif lists is recorder.dead:
            one.set_ylim(-0.02, 1.02)
        _plot_base.finish_curves(one, "epoch", ylabel)
    return tuple(axes)


def _layer_colours(axes: Any, n: int) -> Any:
    """Return a colour for each layer, in order of lightness, that the ground sets off."""
    colormaps = import_optional("matplotlib", "nnc.plot").colormaps
    low, high = (0.3, 1.0) if _plot_base.is_dark(axes) else (0.0, 0.75)
    return colormaps["viridis"](np.linspace(low, high, n))
