"""Plots of samples in the plane, and of what a model says there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnc._arguments import Array, read_index
from nnc._plot_base import (
    COLOURS,
    MARKERS,
    Points,
    are_classes,
    ground,
    ink,
    mix,
    read_axes,
    read_labels,
    read_names,
    read_points,
)
from nnc._plot_models import Answers, ask

MARGIN = 0.08  # around the samples, of their range
FAINTEST, STRONGEST = 0.06, 0.5  # how much of a class's colour covers the ground


def data(
    X: Any,
    y: Any = None,
    *,
    ax: Any = None,
    features: Sequence[int] = (0, 1),
    class_names: Sequence[str] | None = None,
) -> Any:
    """Draw samples as points of two of their features.

    Classes differ in colour and marker. Labels that are quantities, which are floats with
    fractions or numbers of more than ten kinds, have a scale of colours.

    Parameters
    ----------
    X : array_like or data frame, shape (m, n)
        Samples as rows.
    y : array_like, shape (m,), (m, 1), (1, m) or (m, classes), optional
        Labels.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.
    features : (int, int)
        Which columns of X to draw.
    class_names : sequence of str, optional
        What the legend calls the classes, in their order.

    Returns
    -------
    matplotlib.axes.Axes
        The axes that were drawn in.

    Raises
    ------
    ValueError, TypeError
        For arrays of other shapes.
    ImportError
        Without matplotlib; the message has the command that installs it.

    Examples
    --------
    >>> import nnc
    >>> moons = nnc.datasets.tutorial_moons()
    >>> ax = nnc.plot.data(moons.X_train.T, moons.Y_train)
    >>> ax.get_xlabel()
    '$x_{1}$'
    """
    points = read_points(X, features)
    labels = None if y is None else read_labels(y, len(points.X))
    axes = read_axes(ax, "nnc.plot.data")
    axes.set(xlabel=points.names[0], ylabel=points.names[1])
    if labels is None:
        _scatter(axes, points.xy, color=COLOURS[0])
    elif are_classes(labels):
        _scatter_classes(axes, points, labels, np.unique(labels), class_names)
        _add_legend(axes, len(labels))
    else:
        drawn = _scatter(axes, points.xy, c=labels, cmap="cividis")
        axes.figure.colorbar(drawn, ax=axes)
    return axes


def _scatter(axes: Any, xy: Array, **options: Any) -> Any:
    style = {"s": _size(len(xy)), "edgecolors": [ground(axes)], "linewidths": 0.5, "zorder": 2}
    return axes.scatter(*xy.T, **(style | options))


def _size(m: int) -> float:
    """Return the area of the point of a sample among m."""
    return float(np.clip(9000 / m, 9, 49))


def _scatter_classes(
    axes: Any,
    points: Points,
    labels: Array,
    classes: Array,
    class_names: Sequence[str] | None,
) -> None:
    """Draw a scatter for each class that has samples."""
    for i, name in enumerate(read_names(class_names, classes)):
        chosen = labels == classes[i]
        if chosen.any():
            _scatter(
                axes, points.xy[chosen], s=_size(len(labels)), color=_colour(i), label=name,
                marker=MARKERS[i % len(MARKERS)],
            )  # fmt: skip


def _add_legend(axes: Any, m: int, place: str = "best") -> None:
    """Add the legend of m samples; with many, looking for the best place takes long."""
    legend = axes.legend(loc=place if m <= 2000 else "upper right")
    for handle in legend.legend_handles:
        handle.set_sizes([_size(1)])


def _colour(i: int) -> str:
    """Return the colour of the class at place i."""
    return COLOURS[i % len(COLOURS)]


def decision_boundary(
    model: Any,
    X: Any,
    y: Any = None,
    *,
    ax: Any = None,
    features: Sequence[int] = (0, 1),
    resolution: int = 200,
    errors: bool = True,
    class_names: Sequence[str] | None = None,
) -> Any:
    """Draw what a model says in the plane of two features, and samples on it.

    Each point has the colour of its likeliest class, the stronger the surer the model is, and lines
    run where two classes are equally likely. A model of quantities has a scale of colours instead.
    Where samples have more than two features the others stay at their means. The model is asked
    once, for all points together.

    Parameters
    ----------
    model : object
        A `Network`, chapter 1's `NeuralNetwork`, the tutorial's ``(params_values,
        nn_architecture)``, anything with ``predict_proba`` or ``predict``, or a function that takes
        rows and returns probabilities, of class 1 or of each class.
    X : array_like or data frame, shape (m, n)
        Samples as rows: they give the section of the plane.
    y : array_like, shape (m,), (m, 1), (1, m) or (m, classes), optional
        Labels. Without them no samples are drawn.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.
    features : (int, int)
        Which columns of X are the axes.
    resolution : int
        Points along each axis; at least 2.
    errors : bool
        Whether samples that the model takes for another class get a ring.
    class_names : sequence of str, optional
        What the legend calls the classes, in their order.

    Returns
    -------
    matplotlib.axes.Axes
        The axes that were drawn in.

    Raises
    ------
    ValueError, TypeError
        For arrays of other shapes, and models of several outputs that are not one choice.
    ImportError
        Without matplotlib; the message has the command that installs it.

    Examples
    --------
    >>> import nnc
    >>> moons = nnc.datasets.tutorial_moons()
    >>> network = nnc.Network.from_sizes(2, 16, 1, output_activation="sigmoid", seed=0)
    >>> history = network.fit(moons.X_train.T, moons.Y_train.T, epochs=20)
    >>> ax = nnc.plot.decision_boundary(network, moons.X_test.T, moons.Y_test)
    >>> len(ax.images)
    1
    """
    points = read_points(X, features)
    n = read_index("resolution", resolution, 2)
    labels = None if y is None else read_labels(y, len(points.X))
    axes = read_axes(ax, "nnc.plot.decision_boundary")
    draw_boundary(axes, model, points, labels, n, errors, class_names)
    return axes


def draw_boundary(
    axes: Any,
    model: Any,
    points: Points,
    labels: Array | None,
    resolution: int,
    errors: bool,
    class_names: Sequence[str] | None,
    place: str = "best",
) -> None:
    """Do what `decision_boundary` does, on arguments that have been read."""
    sides, rows = _grid(points, resolution)
    answers = ask(model, points.like(rows), labels)
    extent = (*sides[0][[0, -1]], *sides[1][[0, -1]])
    options = {"extent": extent, "origin": "lower", "aspect": "auto", "zorder": 0}
    axes.set(xlim=extent[:2], ylim=extent[2:], xlabel=points.names[0], ylabel=points.names[1])
    shape = (resolution, resolution)
    if answers.values is not None:
        values = answers.values.reshape(shape)
        image = axes.imshow(values, cmap="cividis", interpolation="bilinear", **options)
        if labels is not None:
            quantities = labels.astype(np.float64)
            both = np.concatenate([answers.values, quantities])
            image.set_clim(both.min(), both.max())
            _scatter(axes, points.xy, c=quantities, cmap=image.cmap, norm=image.norm)
        axes.figure.colorbar(image, ax=axes)
        return
    _check_labels(labels, answers.classes)
    axes.imshow(_blend(axes, answers.probabilities).reshape(*shape, 3), **options)
    _lines(axes, sides, answers, shape)
    if labels is None:
        return
    _scatter_classes(axes, points, labels, answers.classes, class_names)
    if errors:
        said = ask(model, points.like(points.X), labels)
        wrong = said.classes[said.probabilities.argmax(axis=1)] != labels
        if wrong.any():
            _scatter(
                axes, points.xy[wrong], s=2.5 * _size(len(labels)), facecolors="none",
                edgecolors=ink(axes), linewidths=1.2, label="wrong", zorder=3,
            )  # fmt: skip
    _add_legend(axes, len(labels), place)


def _check_labels(labels: Array | None, classes: Array) -> None:
    """Raise for labels that are no classes of the model's: their samples would not be seen."""
    strange = np.empty(0) if labels is None else np.setdiff1d(labels, classes)
    if len(strange):
        known = ", ".join(str(c) for c in classes)
        raise ValueError(f"y: expected classes of the model, {known}, got {strange[0]}")


def _grid(points: Points, n: int) -> tuple[list[Array], Array]:
    """Return n coordinates along each axis, and rows for all pairs of them, x changing fastest."""
    low, high = points.xy.min(axis=0), points.xy.max(axis=0)
    margin = np.where(high > low, MARGIN * (high - low), 0.5)
    sides = [np.linspace(low[i] - margin[i], high[i] + margin[i], n) for i in (0, 1)]
    rows = np.tile(points.X.mean(axis=0), (n * n, 1))
    rows[:, points.features[0]] = np.tile(sides[0], n)
    rows[:, points.features[1]] = np.repeat(sides[1], n)
    return sides, rows


def _blend(axes: Any, probabilities: Array) -> Array:
    """Return the colour of each point, (points, 3): that of its class, by how sure it is."""
    k = probabilities.shape[1]
    winner = probabilities.argmax(axis=1)
    sure = (k * probabilities.max(axis=1) - 1) / max(k - 1, 1)
    strength = FAINTEST + (STRONGEST - FAINTEST) * np.clip(sure, 0, 1)
    colours = np.empty((len(winner), 3))
    for c in np.unique(winner):
        chosen = winner == c
        colours[chosen] = mix(axes, _colour(int(c)), strength[chosen])
    return colours


def _lines(axes: Any, sides: list[Array], answers: Answers, shape: tuple[int, int]) -> None:
    """Draw lines where a class is as likely as the likeliest of the others."""
    k = answers.probabilities.shape[1]
    for c in range(1 if k <= 2 else 0, k):
        others = np.delete(answers.probabilities, c, axis=1).max(axis=1)
        lead = answers.probabilities[:, c] - others
        if lead.min() < 0 < lead.max():
            axes.contour(
                *sides, lead.reshape(shape), [0], colors=[ink(axes)], linewidths=1.3, zorder=1
            )
