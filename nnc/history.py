"""What a training recorded, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nnc._optional import import_optional, unknown_name
from nnc.metrics import larger_is_better

__all__ = ["History"]

NEITHER_LOSS_NOR_METRIC = {"lr", "learning_rate", "time"}


class History(Mapping[str, list[float]]):
    """A dict of lists, "loss", "val_loss", "accuracy" and so on, with an entry for each epoch.

    Parameters
    ----------
    params : dict, optional
        What the training was asked for, such as epochs and batch_size.
    monitor : str, optional
        The key that says which epoch is best; by default "val_loss", or "loss" without it.
    larger_is_better : bool, optional
        Whether large values of it are good; by default known from its name, else False.

    Attributes
    ----------
    epoch : list of int
        The epochs, counted from 0, that the entries belong to.
    params : dict
        What the training was asked for.
    stopped_by : str
        What stopped it before its last epoch; "" if nothing did.

    Examples
    --------
    >>> from nnc import Network
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> network = Network.from_sizes(2, 8, 1, activation="tanh", seed=0)
    >>> history = network.fit(X, y, epochs=3)
    >>> list(history), len(history["loss"]), history.best_epoch
    (['loss'], 3, 2)
    """

    def __init__(
        self,
        params: Mapping[str, Any] | None = None,
        *,
        monitor: str | None = None,
        larger_is_better: bool | None = None,
    ) -> None:
        self.epoch: list[int] = []
        self.params: dict[str, Any] = dict(params or {})
        self.stopped_by = ""
        self._lists: dict[str, list[float]] = {}
        self._monitor = monitor
        self._larger = larger_is_better
        self._best_epoch: int | None = None

    def append(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Add what an epoch gave; NaN stands where a key has no value for an epoch."""
        self.extend([int(epoch)], {key: [float(value)] for key, value in logs.items()})

    def extend(self, epochs: Sequence[int], logs: Mapping[str, Sequence[float]]) -> None:
        """Add what several epochs gave: a value for each of them under every key."""
        for key in logs:
            if key not in self._lists:
                self._lists[key] = [math.nan] * len(self.epoch)
        self.epoch.extend(epochs)
        for key, entries in self._lists.items():
            entries.extend(logs.get(key, [math.nan] * len(epochs)))

    def set_best(
        self, epoch: int, monitor: str | None = None, larger_is_better: bool | None = None
    ) -> None:
        """Say which epoch is best, where early stopping chose one.

        Raises
        ------
        ValueError
            If there is no entry for that epoch.
        """
        if epoch not in self.epoch:
            raise ValueError(f"epoch: expected one of the {len(self.epoch)} epochs, got {epoch}")
        self._best_epoch = int(epoch)
        if monitor is not None:
            self._monitor = monitor
        if larger_is_better is not None:
            self._larger = larger_is_better

    # ------------------------------------------------------------------------------- the mapping

    def __getitem__(self, key: str) -> list[float]:
        """Return the list of that name."""
        try:
            return self._lists[key]
        except KeyError:
            raise KeyError(unknown_name("key", key, self._lists)) from None

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._lists)

    def __len__(self) -> int:
        """Return the number of names."""
        return len(self._lists)

    def __contains__(self, key: object) -> bool:
        """Return whether there is a list of that name."""
        return key in self._lists

    @property
    def history(self) -> dict[str, list[float]]:
        """A plain dict of the lists, where Keras has it."""
        return self._lists

    # ------------------------------------------------------------------------------- the best

    @property
    def monitor(self) -> str:
        """The key that says which epoch is best."""
        return self._monitor or ("val_loss" if "val_loss" in self._lists else "loss")

    @property
    def best_epoch(self) -> int | None:
        """The epoch with the best monitored value, the first of equal ones; None without any."""
        if self._best_epoch is not None:
            return self._best_epoch
        place = self._best_place(self.monitor)
        return None if place is None else self.epoch[place]

    @property
    def best_score(self) -> float | None:
        """The monitored value of the best epoch."""
        epoch, entries = self.best_epoch, self._lists.get(self.monitor)
        return None if epoch is None or entries is None else entries[self.epoch.index(epoch)]

    def _best_place(self, key: str) -> int | None:
        """Return where a list is best: the first of equal values, never a NaN."""
        entries = self._lists.get(key, [])
        places = [i for i, value in enumerate(entries) if not math.isnan(value)]
        if not places:
            return None
        larger = larger_is_better(key)
        if key == self.monitor and self._larger is not None:
            larger = self._larger
        return max(places, key=lambda i: entries[i] if larger else -entries[i])

    # ------------------------------------------------------------------------------- showing it

    def __repr__(self) -> str:
        """Return the number of epochs, the best one, and the last values."""
        if not self.epoch:
            return "History(no epochs)"
        parts = [f"{len(self.epoch)} epoch{'s' if len(self.epoch) > 1 else ''}"]
        if self.best_epoch is not None:
            score = "" if self.best_score is None else f"{self.monitor}={self.best_score:.4g} "
            parts.append(f"best {score}at epoch {self.best_epoch}")
        last = [f"{k}={v[-1]:.4g}" for k, v in self.items() if k not in NEITHER_LOSS_NOR_METRIC]
        parts.append(f"last {', '.join(last)}")
        return f"History({'; '.join(parts)})"

    def _repr_html_(self) -> str:
        """Return a table with the first, best and last value of each list, and a small curve."""
        import html  # here, as `import nnc` should stay quick

        head = f"{len(self.epoch)} epochs"
        if self.best_epoch is not None:
            head += f", the best of them {self.best_epoch} by {self.monitor}"
        if self.stopped_by:
            head += f"; stopped by {self.stopped_by}"
        rows = []
        for key, entries in self._lists.items():
            place = self._best_place(key) if key not in NEITHER_LOSS_NOR_METRIC else None
            best = "" if place is None else f"{entries[place]:.5g} ({self.epoch[place]})"
            cells = (f"{entries[0]:.5g}", best, f"{entries[-1]:.5g}")
            rows.append(
                f'<tr><th scope="row">{html.escape(key)}</th>'
                + "".join(f"<td>{cell}</td>" for cell in cells)
                + f"<td>{sparkline(entries)}</td></tr>"
            )
        return (
            f"<table><caption>{html.escape(head)}</caption><thead><tr><th></th><th>first</th>"
            "<th>best (epoch)</th><th>last</th><th></th></tr></thead>"
            f"<tbody>{''.join(rows)}</tbody></table>"
        )

    def to_frame(self) -> Any:
        """Return a pandas.DataFrame with a column for each list and the epochs as index.

        Raises
        ------
        ImportError
            If pandas is not installed; the message has the command that installs it.
        """
        pandas = import_optional("pandas", "History.to_frame")
        index = pandas.Index(self.epoch, dtype="int64", name="epoch")
        return pandas.DataFrame(dict(self._lists), index=index, dtype="float64")

    def plot(self, ax: Any = None) -> Any:
        """Draw the losses, and the metrics beside them, over the epochs: `nnc.plot.history`.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or a sequence of two, optional
            Where to draw the losses, and in the second the metrics. By default a new figure.

        Returns
        -------
        tuple of matplotlib.axes.Axes
            The axes that were drawn in.

        Raises
        ------
        ImportError
            If matplotlib is not installed; the message has the command that installs it.
        ValueError
            If there is nothing to draw yet.
        """
        from nnc import plot  # here, as `import nnc` should stay quick

        return plot.history(self, ax=ax)


def sparkline(values: Sequence[float], width: int = 120, height: int = 24) -> str:
    """Return an SVG curve in the colour of the text around it; gaps where values are not finite."""
    step = max(1, math.ceil(len(values) / width))
    points = [(i, v) for i, v in enumerate(values) if i % step == 0 or i == len(values) - 1]
    finite = [v for _, v in points if math.isfinite(v)]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    path, pen = [], "M"
    for i, value in points:
        if not math.isfinite(value):
            pen = "M"
            continue
        x = 1 + (width - 2) * i / max(1, len(values) - 1)
        part = (value / 2 - low / 2) / (high / 2 - low / 2) if high > low else 0.5
        path.append(f"{pen}{x:.1f} {height - 2 - (height - 4) * part:.1f}")
        pen = "L"
    return (
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'role="img" aria-label="curve over the epochs">'
        f'<path d="{"".join(path)}" fill="none" stroke="currentColor" stroke-width="1.5" '
        'stroke-linecap="round"/></svg>'
    )
