"""Horizontal bars on a logarithmic scale, as SVG that follows the reader's light or dark mode."""

from __future__ import annotations

import math
from xml.sax.saxutils import escape

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
WIDTH, LEFT, RIGHT, BAR, GAP, HEAD = 760, 110, 60, 15, 4, 26


def text(x: float, y: float, content: str, extra: str = "") -> str:
    """Return a line of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}"{extra}>{escape(content)}</text>'


def svg(panels: dict[str, dict[str, float]], threads: int) -> str:
    """Draw a panel for each workload: each peer's time over that of nnc, which is 1."""
    everything = [ratio for panel in panels.values() for ratio in panel.values()]
    low, high = math.log10(min([*everything, 1]) / 1.6), math.log10(max(everything))

    def place(ratio: float) -> float:
        return LEFT + (math.log10(ratio) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    noun = "thread" if threads == 1 else "threads"
    parts = [text(8, 18, f"Time relative to nnc = 1, {threads} {noun}, logarithmic scale")]
    y = 34.0
    for title, panel in panels.items():
        parts.append(text(8, y + 15, title, ' class="title"'))
        y += HEAD
        top = y
        for peer, ratio in sorted(panel.items(), key=lambda item: item[1]):
            kind = "ours" if peer == "nnc" else "theirs"
            label = f"{ratio:.2g}" if ratio < 100 else f"{ratio:.0f}"
            parts += [
                text(LEFT - 6, y + BAR - 3, peer, ' text-anchor="end"'),
                f'<rect class="{kind}" x="{LEFT}" y="{y:.1f}" '
                f'width="{place(ratio) - LEFT:.1f}" height="{BAR}"/>',
                text(place(ratio) + 4, y + BAR - 3, label),
            ]
            y += BAR + GAP
        one = place(1)
        parts.append(f'<path class="one" d="M{one:.1f} {top:.1f}V{y:.1f}"/>')
        y += 8
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y:.0f}" role="img">\n'
        f"<style>{STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )
