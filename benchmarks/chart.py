"""Horizontal bars on a logarithmic scale, as SVG that follows the reader's light or dark mode."""

from __future__ import annotations

import math
from collections.abc import Callable
from xml.sax.saxutils import escape

Scale = Callable[[float], float]

# Blue and grey differ in lightness too, so that no colour vision is needed to tell them apart.
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; }
.ours { fill: #0072b2; }
.theirs { fill: #b5bcc4; }
.one { stroke: #57606a; stroke-dasharray: 3 3; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .ours { fill: #56b4e9; }
  .theirs { fill: #59626d; }
  .one { stroke: #9198a1; }
}
"""
WIDTH, LEFT, RIGHT, BAR, GAP, HEAD = 480, 100, 48, 14, 3, 26  # of a column


def text(x: float, y: float, content: str, extra: str = "") -> str:
    """Return a line of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}"{extra}>{escape(content)}</text>'


def draw(title: str, ratios: dict[str, float], left: float, y: float, scale: Scale) -> list[str]:
    """Draw one panel whose upper left corner is at (left, y)."""
    zero = left + LEFT
    parts = [text(left + 4, y + 15, title, ' class="title"')]
    top = y = y + HEAD
    for peer, ratio in sorted(ratios.items(), key=lambda item: item[1]):
        kind = "ours" if peer == "nnc" else "theirs"
        label = f"{ratio:.2g}" if ratio < 100 else f"{ratio:.0f}"
        parts += [
            text(zero - 6, y + BAR - 3, peer, ' text-anchor="end"'),
            f'<rect class="{kind}" x="{zero}" y="{y}" width="{scale(ratio):.1f}" height="{BAR}"/>',
            text(zero + scale(ratio) + 4, y + BAR - 3, label),
        ]
        y += BAR + GAP
    one = zero + scale(1)
    return [*parts, f'<path class="one" d="M{one:.1f} {top}V{y}"/>']


def svg(panels: dict[str, dict[str, float]], threads: int) -> str:
    """Draw a panel for each workload, in two columns: each peer's time over that of nnc, 1."""
    everything = [ratio for panel in panels.values() for ratio in panel.values()]
    low, high = math.log10(min([*everything, 1]) / 1.6), math.log10(max(everything))

    def scale(ratio: float) -> float:
        return (math.log10(ratio) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    noun = "thread" if threads == 1 else "threads"
    parts = [text(4, 18, f"Time relative to nnc = 1, {threads} {noun}, logarithmic scale")]
    columns = [34, 34]
    for title, panel in panels.items():
        column = columns.index(min(columns))
        parts += draw(title, panel, column * WIDTH, columns[column], scale)
        columns[column] += HEAD + len(panel) * (BAR + GAP) + 8
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {max(columns)}" '
        f'role="img">\n<style>{STYLE}</style>\n' + "\n".join(parts) + "\n</svg>\n"
    )
