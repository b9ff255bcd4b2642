"""What all plots share: axes, colours, and how samples and their labels are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nnc._arguments import Array, read_index
from nnc._optional import import_optional

# Any two of them differ for every kind of colour vision, in hue or in lightness, and each has a
# contrast of at least 3 against both white and black.
COLOURS = ("#0055CC", "#EE6644", "#446600", "#AA1177", "#AA77FF")
MARKERS = "o^sDvP*X<>"  # with COLOURS, ten classes are told apart, in grey print, too
WIDTH = 1.8  # of curves, in points

QUANTITIES = 10  # numbers of more kinds than this are quantities, not classes


# ---------------------------------------------------------------------------------------- axes


def new_axes(needed_by: str, n: int = 1, size: tuple[float, float] | None = None) -> list[Any]:
    """Return n axes side by side in a new figure."""
    pyplot = import_optional("matplotlib.pyplot", needed_by)
    _, axes = pyplot.subplots(1, n, figsize=size, squeeze=False, layout="constrained")
    return list(axes[0])


def read_axes(ax: Any, needed_by: str, size: tuple[float, float] | None = None) -> Any:
    """Return axes to draw in: those given, or those of a new figure."""
    if ax is None:
        return new_axes(needed_by, 1, size)[0]
    if not hasattr(ax, "plot"):
        raise TypeError(f"ax: expected matplotlib axes, got {ax!r}")
    return ax


def panels(ax: Any, n: int, needed_by: str) -> list[Any]:
    """Return axes for n panels: as many of those given as there are, or a new figure's."""
    if ax is None:
        return new_axes(needed_by, n, (5.2 * n, 3.6))
    axes = list(ax) if isinstance(ax, Sequence) or hasattr(ax, "ravel") else [ax]
    if not axes or not all(hasattr(one, "plot") for one in axes):
        raise TypeError(f"ax: expected matplotlib axes, or two of them, got {ax!r}")
    return axes[:n]


def wipe(axes: Any) -> None:
    """Remove what is drawn in axes; their ticks stay, which take longest to make."""
    for artist in (*axes.lines, *axes.collections, *axes.images):
        if getattr(artist, "colorbar", None) is not None:
            artist.colorbar.remove()
        artist.remove()
    axes.relim()


def finish_curves(axes: Any, xlabel: str, ylabel: str) -> None:
    """Give axes with curves over whole numbers their labels, grid and legend."""
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(visible=True, color="0.5", alpha=0.25, linewidth=0.6)
    axes.legend(framealpha=0.7, edgecolor="none")


# ------------------------------------------------------------------------------------- colours


def mix(axes: Any, colour: Any, share: npt.ArrayLike) -> Array:
    """Return a colour laid over the ground of axes, RGB: 0 leaves the ground, 1 covers it."""
    to_rgb = import_optional("matplotlib.colors", "nnc.plot").to_rgb
    part = np.asarray(share)[..., None]
    mixed: Array = part * np.array(to_rgb(colour)) + (1 - part) * np.array(ground(axes))
    return mixed


def ground(axes: Any) -> tuple[float, float, float]:
    """Return the colour behind axes; where that is transparent, behind the figure, or white."""
    for patch in (axes.patch, axes.figure.patch):
        red, green, blue, alpha = patch.get_facecolor()
        if alpha > 0:
            return red, green, blue
    return 1.0, 1.0, 1.0


def is_dark(axes: Any) -> bool:
    """Whether the ground of axes is nearer to black than to white."""
    return float(np.dot((0.2126, 0.7152, 0.0722), ground(axes))) < 0.5


def ink(axes: Any) -> str:
    """Return the colour for lines and words on the ground of axes."""
    return "#E8ECF0" if is_dark(axes) else "#1D252D"


def shades(axes: Any, *colours: Any) -> Any:
    """Return a colour map through these colours; None stands for the ground of the axes."""
    maps = import_optional("matplotlib.colors", "nnc.plot").LinearSegmentedColormap
    stops = [ground(axes) if colour is None else colour for colour in colours]
    return maps.from_list("nnc", stops)


# ---------------------------------------------------------------------------------------- data


class Points(NamedTuple):
    """Samples X (m, n) and, for the axes, two of their features and what they are called."""

    X: Array
    features: tuple[int, int]
    names: tuple[str, str]
    columns: Any  # of the pandas.DataFrame that X was, or None
    frame: Any  # its type

    @property
    def xy(self) -> Array:
        """The two features, (m, 2)."""
        return self.X[:, list(self.features)]

    def like(self, rows: Array) -> Any:
        """Return rows as what X was: a data frame with its columns, or the array."""
        return rows if self.columns is None else self.frame(rows, columns=self.columns)


def read_points(X: Any, features: Sequence[int] = (0, 1)) -> Points:
    """Return samples and two of their features, checked."""
    columns = X.columns if hasattr(X, "iloc") else None
    rows = np.asarray(X, np.float64)
    if rows.ndim != 2 or rows.shape[0] == 0:
        raise ValueError(f"X: expected shape (m, n), a row for each sample, got {rows.shape}")
    if not np.isfinite(rows).all():
        raise ValueError("X: expected finite numbers, got NaN or infinity")
    if isinstance(features, str) or len(features) != 2:
        raise ValueError(f"features: expected two columns of X, got {features!r}")
    read = [read_index("features", feature, 0) for feature in features]
    if max(read) >= rows.shape[1]:
        raise ValueError(f"features: expected columns of X, 0 to {rows.shape[1] - 1}, got {read}")
    names = [f"$x_{{{i + 1}}}$" if columns is None else str(columns[i]) for i in read]
    return Points(rows, (read[0], read[1]), (names[0], names[1]), columns, type(X))


def read_labels(y: Any, m: int | None, name: str = "y") -> Array:
    """Return labels (m,) of any number; of a matrix (m, classes) the largest of each row."""
    labels = np.asarray(y)
    if labels.ndim == 2 and min(labels.shape) > 1 and labels.shape[0] == (m or len(labels)):
        labels = labels.argmax(axis=1)
    if m is not None and labels.size != m:
        hint = ": samples are rows here; pass X.T" if labels.size > m else ""
        raise ValueError(
            f"{name}: expected {m} labels, one for each sample, got shape {labels.shape}{hint}"
        )
    flat = labels.ravel()
    whole = flat.dtype.kind == "f" and bool((flat == np.floor(flat)).all())
    return flat.astype(np.int64) if whole and len(np.unique(flat)) <= QUANTITIES else flat


def are_classes(labels: Array) -> bool:
    """Whether labels are classes, and not quantities."""
    return labels.dtype.kind != "f" and (
        labels.dtype.kind not in "iu" or len(np.unique(labels)) <= QUANTITIES
    )


def read_names(class_names: Sequence[str] | None, classes: Array) -> list[str]:
    """Return what the classes are called."""
    if class_names is None:
        numbers = classes.dtype.kind in "iub"
        return [f"class {int(c)}" if numbers else str(c) for c in classes]
    if isinstance(class_names, str) or len(class_names) != len(classes):
        raise ValueError(
            f"class_names: expected a name for each of {len(classes)} classes, got {class_names!r}"
        )
    return [str(name) for name in class_names]
