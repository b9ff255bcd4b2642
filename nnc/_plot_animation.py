"""The decision boundary while a network learns, as one file without anything around it."""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nnc._arguments import read_index, read_real
from nnc._optional import import_optional
from nnc._plot_base import read_axes, read_labels, read_points, wipe
from nnc._plot_models import as_network
from nnc._plot_samples import draw_boundary
from nnc._recorders import WeightRecorder

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body{{margin:0;font:14px system-ui,sans-serif;color-scheme:light dark}}
img{{display:block;max-width:100%}}
div{{display:flex;gap:8px;align-items:center;padding:4px;max-width:{width}px}}
input{{flex:1}}output{{min-width:9em;text-align:right;font-variant-numeric:tabular-nums}}
</style></head><body><img id="frame" alt="{title}">
<div><button id="play" aria-label="play or pause">&#9654;</button>
<input id="at" type="range" min="0" max="{last}" value="0" aria-label="frame">
<output id="label"></output></div><script>
const frames=[{frames}],labels=[{labels}],at=document.getElementById("at");
const play=document.getElementById("play");let timer=null;
function show(){{document.getElementById("frame").src="data:image/png;base64,"+frames[at.value];
document.getElementById("label").textContent=labels[at.value];}}
function stop(){{clearInterval(timer);timer=null;play.innerHTML="&#9654;";}}
function step(){{if(+at.value<{last}){{at.value=+at.value+1;show();}}else stop();}}
at.oninput=()=>{{stop();show();}};
play.onclick=()=>{{if(timer)stop();else{{if(+at.value==={last})at.value=0;
show();play.innerHTML="&#10074;&#10074;";timer=setInterval(step,{delay});}}}};
show();</script></body></html>
"""


class Animation:
    """Pictures that follow each other: what `animate` returns. A notebook plays it.

    Attributes
    ----------
    frames : list of bytes
        The pictures, as PNG files.
    labels : list of str
        What each is called.
    seconds : float
        How long one stays.
    """

    def __init__(
        self, frames: Sequence[bytes], labels: Sequence[str], size: tuple[int, int], seconds: float
    ) -> None:
        self.frames, self.labels = list(frames), list(labels)
        self.seconds = seconds
        self._size = size

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file: ``.html`` with a slider, which needs no other file, or ``.gif``.

        Raises
        ------
        ValueError
            For another suffix.
        """
        target = Path(path)
        if target.suffix == ".html":
            target.write_text(self.to_html(), encoding="utf-8")
        elif target.suffix == ".gif":
            target.write_bytes(self._to_gif())
        else:
            raise ValueError(f"path: expected a name that ends in .html or .gif, got {str(path)!r}")

    def to_html(self) -> str:
        """Return a page of HTML that plays it."""
        return PAGE.format(
            title="Decision boundary over the epochs",
            width=self._size[0],
            last=len(self.frames) - 1,
            delay=round(1000 * self.seconds),
            frames=",".join(f'"{base64.b64encode(frame).decode()}"' for frame in self.frames),
            labels=",".join(f'"{label}"' for label in self.labels),
        )

    def _to_gif(self) -> bytes:
        """Return a GIF file whose last picture stays for two seconds."""
        open_image = import_optional("PIL.Image", "nnc.plot.animate", "pillow").open
        images = [open_image(io.BytesIO(frame)).convert("RGB") for frame in self.frames]
        stay = round(1000 * self.seconds)
        target = io.BytesIO()
        images[0].save(
            target, "GIF", save_all=True, append_images=images[1:], loop=0,
            duration=[*[stay] * (len(images) - 1), 2000],
        )  # fmt: skip
        return target.getvalue()

    def _repr_html_(self) -> str:
        width, height = self._size
        return (
            f'<iframe width="{width}" height="{height + 40}" style="border:0" '
            f'srcdoc="{html.escape(self.to_html())}"></iframe>'
        )


def animate(
    model: Any,
    recorder: WeightRecorder,
    X: Any,
    y: Any,
    *,
    ax: Any = None,
    features: Sequence[int] = (0, 1),
    resolution: int = 120,
    seconds: float = 0.15,
    class_names: Sequence[str] | None = None,
) -> Animation:
    """Draw the decision boundary of each set of parameters that a recorder kept.

    Parameters
    ----------
    model : Network, or the tutorial's (params_values, nn_architecture)
        What was trained; it stays as it is.
    recorder : nnc.callbacks.WeightRecorder
        A callback that was there in training.
    X, y : array_like
        Samples as rows, and their labels, as `decision_boundary` takes them.
    ax : matplotlib.axes.Axes, optional
        Where to draw; pictures are of the whole figure. By default a new one.
    features : (int, int)
        Which columns of X are the axes.
    resolution : int
        Points along each axis.
    seconds : float
        How long a picture stays.
    class_names : sequence of str, optional
        What the legend calls the classes, in their order.

    Returns
    -------
    Animation
        Which a notebook plays, and whose ``save`` writes HTML or GIF.

    Raises
    ------
    ValueError, TypeError
        If nothing was recorded, and for arrays of other shapes.
    ImportError
        Without matplotlib; the message has the command that installs it.

    Examples
    --------
    >>> import nnc
    >>> moons = nnc.datasets.tutorial_moons()
    >>> X, y = moons.X_train.T, moons.Y_train.T
    >>> network = nnc.Network.from_sizes(2, 16, 1, output_activation="sigmoid", seed=0)
    >>> recorder = nnc.callbacks.WeightRecorder(at_most=4)
    >>> history = network.fit(X, y, epochs=8, callbacks=recorder)
    >>> animation = nnc.plot.animate(network, recorder, X, y, resolution=20)
    >>> animation.labels
    ['epoch 0', 'epoch 4', 'epoch 8']
    """
    if not isinstance(recorder, WeightRecorder):
        raise TypeError(f"recorder: expected an nnc.callbacks.WeightRecorder, got {recorder!r}")
    if not recorder.params:
        raise ValueError(
            "recorder: expected at least one set of parameters, got none: pass it to fit, as "
            "callbacks=recorder"
        )
    points = read_points(X, features)
    labels = read_labels(y, len(points.X))
    n = read_index("resolution", resolution, 2)
    stay = read_real("seconds", seconds, 0, above=True)
    network = as_network(model).copy()
    axes = read_axes(ax, "nnc.plot.animate", (6, 4.2))
    frames, names = [], []
    for trained, params in zip(recorder.trained, recorder.params, strict=True):
        network.set_weights(params)
        wipe(axes)
        draw_boundary(axes, network, points, labels, n, False, class_names, "upper right")
        names.append(f"epoch {trained:,}")
        axes.set_title(names[-1], loc="left")
        frames.append(_to_png(axes.figure))
    size = tuple(round(inches * 100) for inches in axes.figure.get_size_inches())
    if ax is None:
        import_optional("matplotlib.pyplot", "nnc.plot.animate").close(axes.figure)
    return Animation(frames, names, (size[0], size[1]), stay)


def _to_png(figure: Any) -> bytes:
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=100)
    return target.getvalue()
