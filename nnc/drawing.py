"""Pictures of a network: its layers as SVG, and as a table in plain text."""

from __future__ import annotations

import html
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nnc._arguments import Array, read_matrix
from nnc.layers import LayerSpec

# Sizes in pixels.
WIDTH = 720
MARGIN = 54
GAP = 104  # between columns of units, where there is room
LEAST_GAP = 66  # what most labels need; layers are left out rather than less
LETTER, DIGIT = 6.2, 8.0  # about the width of one in a label
BAR_GAP = 0.42  # of a gap, from units to the bar of a dropout or normalisation behind them
PITCH = 27  # between units
RADIUS = 8
TOP = 44

UNITS_SHOWN = 8  # at most, in one column
LABEL_LENGTH = 14
BAR_HALF_WIDTH = 9
BAR_HALF_HEIGHT = 46  # at least: its text is LABEL_LENGTH long
BAR_SLOTS = 4  # units that are so high

# Colours of Okabe and Ito (2008), told apart by colour-blind eyes, in shades that stand out from
# the panel: light, dark.
COLOURS = {
    "panel": ("#ffffff", "#15191e"),
    "frame": ("#d5dbe1", "#38414b"),
    "ink": ("#1d252d", "#e8ecf0"),
    "faint": ("#5a6672", "#a3aeba"),
    "edge": ("#8a96a3", "#75818d"),
    "positive": ("#0072b2", "#56b4e9"),
    "negative": ("#d55e00", "#f0a030"),
    "input": ("#ffffff", "#15191e"),
    "hidden": ("#d3dae1", "#46515d"),
    "output": ("#1d252d", "#e8ecf0"),
    "bar": ("#eef1f4", "#252c33"),
}


class Column(NamedTuple):
    """What stands in one vertical line: units, the bar of a layer without any, or left-out layers.

    `spec` is None for the inputs.
    """

    kind: str  # "units", "bar" or "gap"
    size: int
    spec: LayerSpec | None
    title: str = ""
    role: str = "hidden"
    x: float = 0.0

    def places(self) -> list[tuple[int, float]]:
        """Return (unit, height above or below the middle) of each unit that is shown."""
        if self.size <= UNITS_SHOWN:
            return [(i, (i - (self.size - 1) / 2) * PITCH) for i in range(self.size)]
        half = UNITS_SHOWN // 2
        upper = [(i, float(i - half) * PITCH) for i in range(half)]
        lower = [(self.size - half + i, float(i + 1) * PITCH) for i in range(half)]
        return upper + lower


def network_svg(
    specs: Sequence[LayerSpec],
    input_dim: int,
    *,
    weights: Mapping[str, npt.ArrayLike] | None = None,
    dark: bool | None = None,
) -> str:
    """Draw a network: a column of circles for each layer, and lines for weights.

    Of a layer with many units a few are drawn, and of a network with many layers the first and the
    last. The same network gives the same text.

    Parameters
    ----------
    specs : list of LayerSpec
        What `nnc.layers.compile_layers` returned.
    input_dim : int
        The number of inputs.
    weights : dict of str to array_like, optional
        ``W1``, … of the dense layers, among other parameters: lines get the colour of the sign, and
        a width by the size, relative to the greatest in its layer.
    dark : bool, optional
        Whether the panel is dark; without it the reader's system decides.

    Returns
    -------
    str
        An ``<svg>`` element of at most 720 pixels' width, for a page or a file of its own.

    Raises
    ------
    ValueError, TypeError
        For weights that are missing or of another shape.
    """
    columns = columns_of(specs, input_dim)
    width = columns[-1].x + MARGIN
    slots = max(len(heights(column)) for column in columns)
    if any(column.kind == "bar" for column in columns):
        slots = max(slots, BAR_SLOTS)
    middle = TOP + PITCH * (slots - 1) / 2
    bottom = 2 * middle - TOP
    height = bottom + 62 + (22 if weights is not None else 0)
    name = "nnc-net" if dark is None else f"nnc-net-{'dark' if dark else 'light'}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{name}" role="img" '
        f'width="{_n(width)}" height="{_n(height)}" viewBox="0 0 {_n(width)} {_n(height)}">',
        f"<title>{html.escape(_sentence(specs, input_dim))}</title>",
        _style(name, dark),
        f'<rect class="panel" x="0.5" y="0.5" width="{_n(width - 1)}" height="{_n(height - 1)}" '
        'rx="8"/>',
    ]
    for before, column in itertools.pairwise(columns):
        if column.kind == "units":
            matrix = scaled_weights(weights, column.spec)
            if before.kind != "gap":
                parts.append(_lines(before, column, middle, matrix))
        elif "gap" not in (before.kind, column.kind):
            parts.append(_straight(before, column, middle))
    for column in columns:
        parts += _column(column, middle, bottom)
    if weights is not None:
        parts.append(_legend(height))
    return "\n".join([*parts, "</svg>"]) + "\n"


def columns_of(specs: Sequence[LayerSpec], input_dim: int) -> list[Column]:
    """Return the columns of a drawing, in their places; those that do not fit are left out."""
    columns = [Column("units", input_dim, None, "input", "input")]
    dense = [spec for spec in specs if spec.kind == "dense"]
    for spec in specs:
        title = spec.source.name or ""
        if spec.kind != "dense":
            columns.append(Column("bar", spec.n_out, spec, title or words_of(spec)))
        elif spec is dense[-1]:
            columns.append(Column("units", spec.n_out, spec, title or "output", "output"))
        else:
            columns.append(Column("units", spec.n_out, spec, title))
    return _place(columns)


def _gaps(columns: Sequence[Column]) -> list[float]:
    """Return the distances between columns, in gaps."""
    return [BAR_GAP if column.kind == "bar" else 1.0 for column in columns[1:]]


def _label_width(column: Column) -> float:
    """Return about how wide the labels of a column are."""
    if column.kind != "units":
        return 0.0
    activation = column.spec.activation if column.spec else ""
    words = max(len(short(column.title)), len(activation))
    return max(LETTER * words, DIGIT * len(f"{column.size:,}"))


def _place(columns: list[Column]) -> list[Column]:
    """Give columns their places; where they would be too close, leave out some in the middle."""
    room = WIDTH - 2 * MARGIN
    least = max(LEAST_GAP, *(_label_width(column) + 8 for column in columns))
    left_out = 0
    while room / sum(_gaps(columns)) < least:
        middle = [i for i, column in enumerate(columns) if column.kind == "gap"]
        i = near = middle[0] if middle else len(columns) // 2
        if middle:  # the longer side gives its nearest column away
            near = i - 1 if i > len(columns) - 1 - i else i + 1
        left_out += 1
        text = f"{left_out} more layer{'s' if left_out > 1 else ''}"
        gap = Column("gap", 1, None, text)
        columns = [*columns[: min(i, near)], gap, *columns[max(i, near) + 1 :]]
    gaps = _gaps(columns)
    gap_width = min(GAP, room / sum(gaps))
    x = float(MARGIN)
    placed = []
    for column, distance in zip(columns, [0.0, *gaps], strict=True):
        x += distance * gap_width
        placed.append(column._replace(x=x))
    return placed


def heights(column: Column) -> list[float]:
    """Return a height for each place that a column takes, that of its dots included."""
    n = min(column.size, UNITS_SHOWN + 1)
    return [(i - (n - 1) / 2) * PITCH for i in range(n)]


def scaled_weights(
    weights: Mapping[str, npt.ArrayLike] | None, spec: LayerSpec | None
) -> Array | None:
    """Return the weights of a layer over the greatest of them, NaN and infinities as 0."""
    if weights is None or spec is None:
        return None
    key = f"W{spec.key}"
    if key not in weights:
        raise ValueError(f"weights: missing {key}; pass the parameters of the network")
    matrix = read_matrix(
        f"weights['{key}']", weights[key], spec.n_out, spec.n_in, np.dtype(np.float64)
    )
    matrix = np.where(np.isfinite(matrix), matrix, 0.0)
    return np.asarray(matrix / max(np.abs(matrix).max(), np.finfo(float).tiny))


def _lines(source: Column, target: Column, middle: float, matrix: Array | None) -> str:
    """Return lines between all units shown; a bar as source stands for the units before it."""
    start = source.x + (RADIUS if source.kind == "units" else BAR_HALF_WIDTH)
    end = target.x - RADIUS
    lines = [
        (i, j, f"M{_n(start)} {_n(middle + y)}L{_n(end)} {_n(middle + z)}")
        for i, y in source.places()
        for j, z in target.places()
    ]
    if matrix is None:
        return f'<path class="edge" d="{"".join(line for _, _, line in lines)}"/>'
    parts = []
    for i, j, line in sorted(lines, key=lambda item: abs(float(matrix[item[1], item[0]]))):
        size = abs(float(matrix[j, i]))
        sign = "positive" if matrix[j, i] >= 0 else "negative"
        parts.append(
            f'<path class="{sign}" stroke-width="{_n(0.4 + 2.4 * size)}" '
            f'stroke-opacity="{_n(0.25 + 0.7 * size)}" d="{line}"/>'
        )
    return "\n".join(parts)


def _straight(before: Column, bar: Column, middle: float) -> str:
    """Return the lines from units, or from another bar, to a bar behind them."""
    start = before.x + (RADIUS if before.kind == "units" else BAR_HALF_WIDTH)
    end = bar.x - BAR_HALF_WIDTH
    lines = [f"M{_n(start)} {_n(middle + y)}H{_n(end)}" for _, y in bar.places()]
    return f'<path class="edge" d="{"".join(lines)}"/>'


def _column(column: Column, middle: float, bottom: float) -> list[str]:
    """Return the shapes and labels of a column."""
    x = column.x
    if column.kind == "units":
        parts = [
            f'<circle class="{column.role}" cx="{_n(x)}" cy="{_n(middle + y)}" r="{RADIUS}"/>'
            for _, y in column.places()
        ]
        if column.size > UNITS_SHOWN:
            parts += [_dot(x, middle + 7 * k) for k in (-1, 0, 1)]
        labels = [
            (TOP - 20, "faint", short(column.title)),
            (bottom + 32, "ink", f"{column.size:,}"),
            (bottom + 48, "faint", column.spec.activation if column.spec else ""),
        ]
    elif column.kind == "gap":
        parts = [_dot(x + 9 * k, middle) for k in (-1, 0, 1)]
        count, _, words = column.title.partition(" ")
        labels = [(bottom + 32, "faint", count), (bottom + 48, "faint", words)]
    else:
        half = max(heights(column)[-1] + 14, BAR_HALF_HEIGHT)
        parts = [
            f'<rect class="bar" x="{_n(x - BAR_HALF_WIDTH)}" y="{_n(middle - half)}" '
            f'width="{2 * BAR_HALF_WIDTH}" height="{_n(2 * half)}" rx="{BAR_HALF_WIDTH}"/>',
            f'<text class="faint" transform="translate({_n(x + 4)} {_n(middle)}) rotate(-90)">'
            f"{html.escape(short(column.title))}</text>",
        ]
        labels = []
    parts += [
        f'<text class="{style}" x="{_n(x)}" y="{_n(y)}">{html.escape(text)}</text>'
        for y, style, text in labels
        if text
    ]
    return [f"<g><title>{html.escape(_describe(column))}</title>", *parts, "</g>"]


def words_of(spec: LayerSpec) -> str:
    """Return a layer that is not dense in words."""
    return f"dropout {spec.rate:g}" if spec.kind == "dropout" else spec.kind.replace("_", " ")


def _describe(column: Column) -> str:
    """Return what a pointer that rests on the column shows."""
    spec = column.spec
    if spec is None:
        return column.title if column.kind == "gap" else f"{column.size:,} inputs"
    what = f"{spec.n_out:,} units, {spec.activation}" if spec.kind == "dense" else words_of(spec)
    if spec.key:
        what += f"; {', '.join(spec.parameters)}: {spec.n_params:,}"
    return f"{spec.source.name}: {what}" if spec.source.name else what


def _sentence(specs: Sequence[LayerSpec], input_dim: int) -> str:
    """Return the network in words, for those who cannot see it."""
    words = [f"{input_dim:,} input{'s' if input_dim > 1 else ''}"]
    for spec in specs:
        dense = spec.kind == "dense"
        words.append(f"{spec.n_out:,} {spec.activation}" if dense else words_of(spec))
    return "Network: " + ", ".join(words)


def _dot(x: float, y: float) -> str:
    return f'<circle class="dot" cx="{_n(x)}" cy="{_n(y)}" r="1.7"/>'


def _legend(height: float) -> str:
    y = height - 16
    parts = []
    for x, sign in ((MARGIN - 34, "positive"), (MARGIN + 76, "negative")):
        parts.append(f'<path class="{sign}" stroke-width="2.4" d="M{x} {_n(y)}h22"/>')
        parts.append(f'<text class="key" x="{x + 28}" y="{_n(y + 4)}">{sign}</text>')
    return "\n".join(parts)


def _style(name: str, dark: bool | None) -> str:
    """Return the style sheet; its rules hold inside of elements of that class alone."""
    rules = (
        f".{name} text{{font:11px system-ui,sans-serif;text-anchor:middle}}"
        f".{name} .ink{{font-weight:600;font-size:13px}}.{name} .key{{text-anchor:start}}"
        f".{name} path{{fill:none;stroke-linecap:round}}"
    )
    if dark is not None:
        return f"<style>{rules}{_colours(name, int(dark))}</style>"
    night = f"@media (prefers-color-scheme:dark){{{_colours(name, 1)}}}"
    return f"<style>{rules}{_colours(name, 0)}{night}</style>"


def _colours(name: str, shade: int) -> str:
    colour = {key: pair[shade] for key, pair in COLOURS.items()}
    rules = {
        ".panel": f"fill:{colour['panel']};stroke:{colour['frame']}",
        ".edge": f"stroke:{colour['edge']};stroke-width:0.7;stroke-opacity:0.6",
        ".positive": f"stroke:{colour['positive']}",
        ".negative": f"stroke:{colour['negative']}",
        ".bar": f"fill:{colour['bar']};stroke:{colour['faint']}",
        ".dot": f"fill:{colour['faint']}",
        ".ink": f"fill:{colour['ink']}",
        ".faint": f"fill:{colour['faint']}",
        ".key": f"fill:{colour['faint']}",
    }
    for role in ("input", "hidden", "output"):
        rules[f".{role}"] = f"fill:{colour[role]};stroke:{colour['ink']};stroke-width:1.2"
    return "".join(f".{name} {selector}{{{rule}}}" for selector, rule in rules.items())


def short(name: str) -> str:
    """Return a name as a label: its beginning where it is long."""
    return name if len(name) <= LABEL_LENGTH else name[: LABEL_LENGTH - 1] + "…"


def _n(x: float) -> str:
    """Return a number with at most two decimals."""
    return f"{x:.2f}".rstrip("0").rstrip(".")


def summary_table(specs: Sequence[LayerSpec], input_dim: int) -> str:
    """Return a table of the layers: output shape, activation, parameters and their names.

    Parameters
    ----------
    specs : list of LayerSpec
        What `nnc.layers.compile_layers` returned.
    input_dim : int
        The number of inputs.

    Returns
    -------
    str
        Lines of plain text, the last with the total, without a line break at the end.
    """
    rows: list[tuple[str, ...]] = [("layer", "output", "activation", "parameters", "")]
    rows.append(("input", f"({input_dim},)", "", "", ""))
    for spec in specs:
        source: Any = spec.source
        kind = type(source).__name__
        if spec.kind == "dropout":
            kind += f"({spec.rate:g})"
        names = " ".join(spec.parameters)
        if names and not source.trainable:
            names += " (frozen)"
        rows.append(
            (
                f"{source.name} ({kind})" if source.name else kind,
                f"({spec.n_out},)",
                spec.activation if spec.kind == "dense" else "",
                f"{spec.n_params:,}" if spec.key else "",
                names,
            )
        )
    total = sum(spec.n_params for spec in specs)
    frozen = sum(spec.n_params for spec in specs if spec.key and not _trainable(spec))
    rows.append(("total", "", "", f"{total:,}", f"{frozen:,} frozen" if frozen else ""))
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    lines = [
        f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:<{widths[2]}}  "
        f"{row[3]:>{widths[3]}}  {row[4]}".rstrip()
        for row in rows
    ]
    rule = "─" * max(len(line) for line in lines)
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def _trainable(spec: LayerSpec) -> bool:
    source: Any = spec.source
    return bool(source.trainable)
