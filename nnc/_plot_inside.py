"""Plots of what is inside a model: its layers, weights and activations; and of its mistakes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from nnc import drawing
from nnc._arguments import Array
from nnc._optional import import_optional, unknown_name
from nnc._plot_base import (
    COLOURS,
    ground,
    ink,
    is_dark,
    read_axes,
    read_labels,
    read_names,
    shades,
)
from nnc._plot_models import as_network

POINT = 1 / 72  # inches: a drawing's pixel
BINS = 60
SATURATED = 0.01  # how near an output must be to its bounds to count
BOUNDS = {"sigmoid": (0, 1), "hard_sigmoid": (0, 1), "softmax": (0, 1), "tanh": (-1, 1),
          "softsign": (-1, 1)}  # fmt: skip
MOST_NUMBERED = 15  # classes whose confusions are written into the cells


def network(model: Any, *, ax: Any = None) -> Any:
    """Draw a model's layers, and its weights as lines between their units.

    A line has the colour of the weight's sign, and a width by its size, relative to the greatest in
    its layer. Of a layer with many units a few are drawn, and of many layers the first and last.
    The layout is that of `Network.to_svg`.

    Parameters
    ----------
    model : Network, NeuralNetwork, fitted estimator, or (params_values, nn_architecture)
        Of scikit-learn's estimators, multi-layer perceptrons.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure of fitting size.

    Returns
    -------
    matplotlib.axes.Axes
        The axes that were drawn in.

    Raises
    ------
    TypeError
        For other models.
    ImportError
        Without matplotlib; the message has the command that installs it.

    Examples
    --------
    >>> import nnc
    >>> net = nnc.datasets.tutorial_architecture(2, 4, 1)
    >>> ax = nnc.plot.network((nnc.init_layers(net), net))
    >>> [text.get_text() for text in ax.texts if text.get_text().isdigit()]
    ['2', '4', '1']
    """
    read = as_network(model)
    columns = drawing.columns_of(read.specs, read.n_inputs)
    half = max(drawing.heights(column)[-1] for column in columns)
    if any(column.kind == "bar" for column in columns):
        half = max(half, drawing.BAR_HALF_HEIGHT)
    width = columns[-1].x + drawing.MARGIN
    top, bottom = -half - 36, half + 52
    size = (1.3 * width * POINT, 1.3 * (bottom - top) * POINT)
    axes = read_axes(ax, "nnc.plot.network", size)
    axes.set(xlim=(0, width), ylim=(bottom, top), aspect="equal")
    axes.axis("off")
    colours = {key: pair[is_dark(axes)] for key, pair in drawing.COLOURS.items()}
    for before, column in pairwise(columns):
        if "gap" not in (before.kind, column.kind):
            _draw_lines(axes, before, column, read.params, colours)
    for column in columns:
        _draw_column(axes, column, half, colours)
    return axes


def _draw_lines(
    axes: Any,
    before: drawing.Column,
    column: drawing.Column,
    params: Mapping[str, Array],
    colours: Mapping[str, str],
) -> None:
    """Draw the lines that lead to a column, large weights over small ones."""
    lines = import_optional("matplotlib.collections", "nnc.plot.network").LineCollection
    if column.kind == "bar":
        straight = [[(before.x, y), (column.x, y)] for _, y in column.places()]
        axes.add_collection(lines(straight, colors=colours["edge"], linewidths=0.7, zorder=1))
        return
    matrix = drawing.scaled_weights(params, column.spec)
    assert matrix is not None
    pairs = [(i, y, j, z) for i, y in before.places() for j, z in column.places()]
    pairs.sort(key=lambda pair: abs(float(matrix[pair[2], pair[0]])))
    sizes = np.array([matrix[j, i] for i, _, j, _ in pairs])
    signs = [colours["positive" if size >= 0 else "negative"] for size in sizes]
    axes.add_collection(
        lines(
            [[(before.x, y), (column.x, z)] for _, y, _, z in pairs],
            colors=signs,
            linewidths=0.4 + 2.4 * abs(sizes),
            alpha=0.25 + 0.7 * abs(sizes),
            zorder=1,
        )
    )


def _draw_column(
    axes: Any, column: drawing.Column, half: float, colours: Mapping[str, str]
) -> None:
    """Draw the units of a column, or the bar of a layer without units, and the labels."""
    patches = import_optional("matplotlib.patches", "nnc.plot.network")
    x = column.x
    dots: list[tuple[float, float]] = []
    labels = [(-half - 22, "faint", "normal", drawing.short(column.title))]
    if column.kind == "units":
        for _, y in column.places():
            circle = patches.Circle((x, y), drawing.RADIUS, linewidth=1.2, zorder=2)
            circle.set(facecolor=colours[column.role], edgecolor=colours["ink"])
            axes.add_patch(circle)
        if column.size > drawing.UNITS_SHOWN:
            dots = [(x, 7.0 * k) for k in (-1, 0, 1)]
        activation = column.spec.activation if column.spec else ""
        labels += [
            (half + 24, "ink", "bold", f"{column.size:,}"),
            (half + 39, "faint", "normal", activation),
        ]
    elif column.kind == "gap":
        dots = [(x + 9.0 * k, 0) for k in (-1, 0, 1)]
        count, _, words = column.title.partition(" ")
        labels = [(half + 24, "faint", "normal", count), (half + 39, "faint", "normal", words)]
    else:
        height, width = half + 14, drawing.BAR_HALF_WIDTH
        bar = patches.Rectangle((x - width, -height), 2 * width, 2 * height, zorder=2)
        bar.set(facecolor=colours["bar"], edgecolor=colours["faint"])
        axes.add_patch(bar)
        axes.text(
            x, 0, drawing.short(column.title), color=colours["faint"], fontsize="small",
            rotation=90, ha="center", va="center", zorder=3,
        )  # fmt: skip
        labels = []
    if dots:
        axes.scatter(*zip(*dots, strict=True), s=6, color=colours["faint"], zorder=3)
    for y, colour, weight, text in labels:
        axes.text(
            x, y, text, color=colours[colour], fontsize="small", fontweight=weight,
            ha="center", va="center",
        )  # fmt: skip


def weights(
    model: Any,
    name: str = "W1",
    *,
    ax: Any = None,
    image_shape: tuple[int, int] | None = None,
) -> Any:
    """Draw a matrix of weights: a row for each unit, a column for each of its inputs.

    The colours of positive and negative weights meet in that of the ground at 0.

    Parameters
    ----------
    model : Network, NeuralNetwork, fitted estimator, (params_values, nn_architecture) or dict
        Or a dict of arrays alone, such as params_values and grads_values.
    name : str
        Which of the arrays: "W1", "b1", "W2" and so on.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.
    image_shape : (int, int), optional
        Where the inputs are pixels, the height and width of the image: each unit's weights are then
        drawn as one, row by row in a square of images.

    Returns
    -------
    matplotlib.axes.Axes
        The axes that were drawn in.

    Raises
    ------
    ValueError, TypeError
        For an unknown name, another number of pixels than inputs, and other models.
    ImportError
        Without matplotlib; the message has the command that installs it.

    Examples
    --------
    >>> import nnc
    >>> params = nnc.init_layers(nnc.datasets.tutorial_architecture(2, 4, 1))
    >>> nnc.plot.weights(params, "W1").images[0].get_array().shape
    (4, 2)
    """
    params = model if isinstance(model, Mapping) else as_network(model).params
    if name not in params:
        raise ValueError(unknown_name("name", name, params))
    matrix = np.asarray(params[name], np.float64)
    if image_shape is not None:
        matrix = _mosaic(matrix, image_shape)
    axes = read_axes(ax, "nnc.plot.weights")
    sides = drawing.COLOURS["negative"][is_dark(axes)], drawing.COLOURS["positive"][is_dark(axes)]
    most = np.nanmax(np.abs(matrix), initial=0.0) or 1.0
    image = axes.imshow(
        matrix, cmap=shades(axes, sides[0], None, sides[1]), vmin=-most, vmax=most,
        interpolation="nearest", aspect="auto" if image_shape is None else "equal",
    )  # fmt: skip
    axes.figure.colorbar(image, ax=axes)
    if image_shape is None:
        axes.set(xlabel="input", ylabel="unit", title=name)
        for axis in (axes.xaxis, axes.yaxis):
            axis.get_major_locator().set_params(integer=True)
    else:
        axes.set(xticks=[], yticks=[], title=f"{name}, an image for each unit")
        axes.spines[:].set_visible(False)
    return axes


def _mosaic(matrix: Array, shape: tuple[int, int]) -> Array:
    """Return rows as images beside and below each other, with NaN between them."""
    height, width = (int(size) for size in shape)
    n, pixels = matrix.shape
    if height < 1 or width < 1 or height * width != pixels:
        raise ValueError(
            f"image_shape: expected height and width of {pixels} pixels, got {shape!r}"
        )
    across = math.ceil(math.sqrt(n))
    down = math.ceil(n / across)
    tiles = np.full((down * across, height + 1, width + 1), np.nan)
    tiles[:n, :height, :width] = matrix.reshape(n, height, width)
    rows = tiles.reshape(down, across, height + 1, width + 1).swapaxes(1, 2)
    whole: Array = rows.reshape(down * (height + 1), -1)[:-1, :-1]
    return whole


def activations(model: Any, X: Any, *, ax: Any = None) -> Any:
    """Draw how the outputs of each layer are distributed over samples.

    A layer is a row, the first at the bottom, with a histogram of its outputs that are not 0, and
    in words how many of them are 0 and how many units are dead, which is 0 for all samples; or how
    many are saturated, which is within 1 % of an end of the activation's range.

    Parameters
    ----------
    model : Network, NeuralNetwork, fitted estimator, or (params_values, nn_architecture)
        Of scikit-learn's estimators, multi-layer perceptrons.
    X : array_like, shape (m, n_inputs)
        Samples as rows.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes that were drawn in.

    Raises
    ------
    ValueError, TypeError
        For samples of another shape, and other models.
    ImportError
        Without matplotlib; the message has the command that installs it.

    Examples
    --------
    >>> import nnc
    >>> moons, net = nnc.datasets.tutorial_moons(), nnc.datasets.tutorial_architecture(2, 8, 1)
    >>> ax = nnc.plot.activations((nnc.init_layers(net), net), moons.X_train.T)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['1: relu', '2: sigmoid']
    """
    read = as_network(model)
    _, memory = read.forward(X, trace=True)
    layers = [
        (spec, memory[f"A{place}"])
        for place, spec in enumerate(read.specs, 1)
        if spec.kind != "dropout"
    ]
    axes = read_axes(ax, "nnc.plot.activations", (6.4, 1.2 + 0.8 * len(layers)))
    ends = [np.quantile(A, [0.002, 0.998]) for _, A in layers]
    low, high = float(np.min(ends)), float(np.max(ends))
    margin = 0.04 * (high - low) or 0.5
    edges = np.linspace(low - margin, high + margin, BINS + 1)
    for row, (spec, A) in enumerate(layers):
        counts, _ = np.histogram(A[A != 0], edges)
        heights = 0.8 * counts / max(counts.max(), 1)
        axes.stairs(
            row + heights, edges, baseline=row, fill=True, color=COLOURS[row % len(COLOURS)],
            alpha=0.75, zorder=2,
        )  # fmt: skip
        axes.axhline(row, color=ink(axes), linewidth=0.6, zorder=3)
        axes.text(
            0.99, row + 0.42, _say(spec.activation, A), ha="right", va="center", fontsize="small",
            transform=axes.get_yaxis_transform(), zorder=4,
            bbox={"facecolor": ground(axes), "edgecolor": "none", "alpha": 0.7, "pad": 1},
        )  # fmt: skip
    names = [
        spec.source.name or (spec.activation if spec.kind == "dense" else drawing.words_of(spec))
        for spec, _ in layers
    ]
    ticks = [row + 0.4 for row in range(len(layers))]
    axes.set_yticks(ticks, [f"{i}: {name}" for i, name in enumerate(names, 1)])
    axes.tick_params(axis="y", length=0)
    axes.set(xlabel="output", ylim=(-0.1, len(layers)), xlim=edges[[0, -1]])
    axes.grid(visible=True, axis="x", color="0.5", alpha=0.25, linewidth=0.6)
    return axes


def _say(activation: str, A: Array) -> str:
    """Return what a histogram of outputs A (units, m) does not show."""
    if activation in BOUNDS:
        low, high = BOUNDS[activation]
        near = SATURATED * (high - low)
        return f"{((A <= low + near) | (A >= high - near)).mean():.0%} saturated"
    zero = A == 0
    if not zero.any():
        return ""
    dead = int(zero.all(axis=1).sum())
    return f"{zero.mean():.0%} zero, {dead} of {len(A)} dead"


def confusion(
    y_true: npt.ArrayLike,
    y_pred: npt.ArrayLike,
    *,
    ax: Any = None,
    normalize: bool = False,
    class_names: Sequence[str] | None = None,
) -> Any:
    """Draw how often samples of each class, a row, were taken for each class, a column.

    Colours go by the part of the row, so that rare classes are seen as well.

    Parameters
    ----------
    y_true, y_pred : array_like, shape (m,), (m, 1), (1, m) or (m, classes)
        The true classes, and those that a model named: numbers or strings.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.
    normalize : bool
        Whether to write the parts of the row, instead of numbers of samples.
    class_names : sequence of str, optional
        What the classes are called, in their order.

    Returns
    -------
    matplotlib.axes.Axes
        The axes that were drawn in.

    Raises
    ------
    ValueError
        For arrays of different lengths, and labels that are no classes.
    ImportError
        Without matplotlib; the message has the command that installs it.

    Examples
    --------
    >>> import nnc
    >>> ax = nnc.plot.confusion([0, 0, 1, 1], [0, 1, 1, 1])
    >>> [text.get_text() for text in ax.texts]
    ['1', '1', '0', '2']
    """
    true = read_labels(y_true, None, "y_true")
    said = read_labels(y_pred, len(true), "y_pred")
    classes, places = np.unique(np.concatenate([true, said]), return_inverse=True)
    if classes.dtype.kind == "f":
        raise ValueError("y_pred: expected classes as y_true, got numbers with fractions")
    k = len(classes)
    counts = np.zeros((k, k), np.int64)
    np.add.at(counts, (places[: len(true)], places[len(true) :]), 1)
    parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = read_names(class_names, classes)
    axes = read_axes(ax, "nnc.plot.confusion", (1.8 + 0.42 * k, 1.5 + 0.42 * k))
    axes.imshow(parts, cmap=shades(axes, None, COLOURS[0]), vmin=0, vmax=1)
    if k <= MOST_NUMBERED:
        for (i, j), part in np.ndenumerate(parts):
            axes.text(
                j, i, f"{part:.2f}" if normalize else str(counts[i, j]), ha="center", va="center",
                color="white" if part > 0.5 else ink(axes), fontsize="small",
            )  # fmt: skip
    short = [name.removeprefix("class ") for name in names]
    turned = max(map(len, short)) > 3
    axes.set_xticks(
        range(k), short, rotation=45 if turned else 0, ha="right" if turned else "center"
    )
    axes.set_yticks(range(k), short)
    axes.set(xlabel="predicted class", ylabel="true class")
    return axes
