"""`LivePlot`: the curves of a training, and its decision boundary, while it runs in a notebook."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any

import numpy as np

from nnc._callbacklist import Callback, Logs
from nnc._optional import import_optional
from nnc._plot_base import are_classes, read_labels, read_points, wipe
from nnc._plot_samples import draw_boundary
from nnc._plot_training import history as plot_history
from nnc.history import History
from nnc.metrics import Metric
from nnc.progress import in_notebook

__all__ = ["LivePlot"]

SHARE = 0.03  # of the time of a training, at most, goes into pictures
SECONDS_BETWEEN = 0.25  # from the beginning of one picture to that of the next
CURVE_POINTS = 500  # at most, in a curve
RESOLUTION = 60  # of the boundary
PANEL = (4.0, 3.0)  # inches


class Budget:
    """Decides when there is time for the next picture, from what the ones before have cost.

    Parameters
    ----------
    clock : callable
        Returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._cost = 0.0
        self.start()

    def start(self) -> None:
        """Begin to count: what was spent before is only remembered as the price of a picture."""
        self._spent = 0.0
        self._began = self._latest = self._clock()

    def allows(self) -> bool:
        """Whether a picture that costs as much as the last one may be drawn now."""
        now = self._clock()
        if now - self._latest < SECONDS_BETWEEN:
            return False
        return self._spent + self._cost <= SHARE * (now - self._began)

    @contextmanager
    def spend(self) -> Iterator[None]:
        """Take the time of a picture."""
        self._latest = self._clock()
        try:
            yield
        finally:
            self._cost = self._clock() - self._latest
            self._spent += self._cost


class LivePlot(Callback):
    """A callback that shows a training while it runs in a Jupyter notebook.

    It draws the losses and metrics over the epochs, and where it has samples of two features the
    decision boundary. There is a picture before the training and one after it; in between at most
    four a second, and less where they would take more than 3 % of the time of the training. The
    last one comes before other callbacks, such as early stopping, put back the weights of a better
    epoch.

    Parameters
    ----------
    X : array_like, shape (m, 2), optional
        Samples of two features, for the boundary; a few hundred are enough.
    y : array_like, optional
        Their labels, as `nnc.plot.decision_boundary` takes them.
    show : callable, optional
        Instead of the notebook: a function that takes each picture, the bytes of a PNG file.

    Attributes
    ----------
    pictures : int
        How many it has drawn in the last training.

    Raises
    ------
    RuntimeError
        Before training, where there is neither a notebook nor `show`.
    ValueError
        For X with other than two columns, and y without X.
    ImportError
        Before training, without matplotlib; the message has the command that installs it.

    Examples
    --------
    >>> import nnc
    >>> moons = nnc.datasets.tutorial_moons()
    >>> X, y = moons.X_train.T, moons.Y_train.T
    >>> network = nnc.Network.from_sizes(2, 16, 1, output_activation="sigmoid", seed=0)
    >>> pictures = []
    >>> live = nnc.LivePlot(X, y, show=pictures.append)  # in a notebook without show
    >>> history = network.fit(X, y, epochs=20, callbacks=live)
    >>> len(pictures) >= 2
    True
    """

    def __init__(
        self, X: Any = None, y: Any = None, *, show: Callable[[bytes], object] | None = None
    ) -> None:
        if X is None and y is not None:
            raise ValueError("X: expected samples with y, got None")
        if show is not None and not callable(show):
            raise TypeError(f"show: expected a function of the bytes of a picture, got {show!r}")
        self._points = None if X is None else read_points(X)
        if self._points is not None and self._points.X.shape[1] != 2:
            raise ValueError(f"X: expected two features, got {self._points.X.shape[1]}")
        self._labels = None
        if self._points is not None and y is not None:
            self._labels = read_labels(y, len(self._points.X))
        self._show = show
        self._budget = Budget(monotonic)
        self._has_metrics = False
        self.pictures = 0

    def check(self, keys: Sequence[str], metrics: Sequence[Metric] = ()) -> None:
        """Raise where there is nothing to draw in or with; take the names of the curves."""
        if self._show is None and not in_notebook():
            raise RuntimeError(
                "LivePlot: expected a Jupyter notebook to draw in, or show=f, with a function that "
                "takes each picture as the bytes of a PNG file"
            )
        import_optional("matplotlib", "nnc.LivePlot")
        self._has_metrics = any(key not in ("loss", "val_loss") for key in keys)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Show the network before training."""
        self._epochs: list[int] = []
        self._logs: list[Logs] = []
        self.pictures = 0
        self._handle: Any = None
        figures = import_optional("matplotlib.figure", "nnc.LivePlot")
        agg = import_optional("matplotlib.backends.backend_agg", "nnc.LivePlot")
        n = 1 + self._has_metrics + (self._points is not None)
        self._figure = figures.Figure((n * PANEL[0], PANEL[1]), dpi=80, layout="constrained")
        self._canvas = agg.FigureCanvasAgg(self._figure)
        self._axes = self._figure.subplots(1, n, squeeze=False)[0]
        for axes in self._axes:
            axes.locator_params(nbins=4)  # words on axes take most of the time
        self._draw()
        self._figure.set_layout_engine("none")  # the places found stay
        with self._budget.spend():  # the first picture takes longer than all others
            self._draw()
        self._budget.start()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Note what the epoch gave; draw where there is time."""
        self._epochs.append(epoch)
        self._logs.append(logs)
        if self._budget.allows():
            with self._budget.spend():
                self._draw()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Show the end."""
        self._draw()

    def _draw(self) -> None:
        """Draw all panels anew, and show them."""
        for axes in self._axes:
            wipe(axes)
        n_curves = 1 + self._has_metrics
        if self._epochs:
            plot_history(self._thinned(), ax=self._axes[:n_curves])
        else:
            for axes, name in zip(self._axes, ("loss", "metric")[:n_curves], strict=False):
                axes.set(xlabel="epoch", ylabel=name)
        if self._points is not None:
            classes = self._labels is None or are_classes(self._labels)
            draw_boundary(
                self._axes[-1], self.network, self._points, self._labels, RESOLUTION,
                errors=classes, class_names=None, place="upper right",
            )  # fmt: skip
        self._canvas.draw()  # and not savefig, which draws twice
        target = io.BytesIO()
        pixels = import_optional("PIL.Image", "nnc.LivePlot", "pillow").fromarray
        pixels(np.asarray(self._canvas.buffer_rgba())).save(target, "PNG", compress_level=1)
        self.pictures += 1
        (self._show or self._show_in_notebook)(target.getvalue())

    def _thinned(self) -> History:
        """Return the history: every epoch, or as many as a curve can show, with the last."""
        stride = -(-len(self._epochs) // CURVE_POINTS)
        places = range(len(self._epochs) - 1, -1, -stride)[::-1]
        history = History()
        for place in places:
            history.append(self._epochs[place], self._logs[place])
        return history

    def _show_in_notebook(self, picture: bytes) -> None:
        show = import_optional("IPython.display", "nnc.LivePlot")
        content = show.Image(data=picture, format="png")
        if self._handle is None:
            self._handle = show.display(content, display_id=True)
        else:
            self._handle.update(content)
