"""How far a training is: a bar, or a line for each epoch.

`Progress` picks where to draw: tqdm where it is installed, else a line on stderr of its own, or one
display in a notebook. It draws at most five times a second, and nothing where nobody looks: when
stderr is not a terminal and no notebook runs the code. A stream that fails silences it; it never
stops a training.
"""

from __future__ import annotations

import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from nnc._arguments import read_index
from nnc._optional import import_optional

__all__ = ["Progress"]

SECONDS_BETWEEN_DRAWINGS = 0.2
QUIET_SECONDS = 0.5  # with "auto", what ends sooner draws nothing


class Progress:
    """Shows how far a training is, as ``progress(epoch, loss)`` and ``epoch_end(epoch, logs)``.

    Use it as a context manager: however the block ends, the line on the terminal does.

    Parameters
    ----------
    epochs : int
        How many epochs the training has.
    verbose : {"auto", 0, 1, 2}
        0: silent. 1: a bar, where stderr is a terminal or a notebook runs the code. 2: a line on
        stdout for each epoch. "auto": as 1, but silent for trainings under half a second.
    stream : text stream, optional
        Instead of stderr for the bar and stdout for the lines.
    clock : callable, optional
        Instead of time.monotonic.
    """

    def __init__(
        self,
        epochs: int,
        verbose: int | str = "auto",
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.epochs = read_index("epochs", epochs, 0)
        self.verbose = read_verbose(verbose)
        self._stream = stream
        self._clock = clock
        self._display: _Display | None = None
        self._lines: TextIO | None = None
        self._epoch, self._loss, self._note = 0, math.nan, ""
        self._called = False
        self._started = self._drawn_at = clock()
        self._drawn: tuple[int, float, str] | None = None

    def __enter__(self) -> Self:
        """Start the clock, and look where to draw."""
        self._started = self._clock()
        self._drawn_at = -math.inf
        self._drawn = None
        if self.verbose == 2:
            self._lines = self._stream or sys.stdout
        elif self.verbose != 0:
            self._display = _choose_display(self.epochs, self._stream or sys.stderr)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Draw the last state and end the line."""
        if self._display is not None:
            latest = (self._epoch, self._loss, self._note)
            if self._called and self._drawn != latest and not self._too_early():
                self._draw()
            display, self._display = self._display, None
            if display is not None and self._drawn is not None:
                _quietly(display.close)
        self._lines = None

    def __call__(self, epoch: int, loss: float) -> None:
        """Take the number of epochs that are complete and a loss; draw if it is time."""
        if self._display is None:
            return
        self._epoch, self._loss, self._called = epoch, loss, True
        if self._clock() - self._drawn_at >= SECONDS_BETWEEN_DRAWINGS and not self._too_early():
            self._draw()

    def epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Take what an epoch, counted from 0, gave; print its line, or move the bar."""
        if self._lines is not None:
            width = len(str(self.epochs))
            line = f"epoch {epoch + 1:{width}}/{self.epochs}  {_text_of(logs)}\n"
            if not _quietly(lambda: _write(self._lines, line)):
                self._lines = None
        elif self._display is not None:
            if "val_loss" in logs:
                self._note = f", val_loss {logs['val_loss']:.4g}"
            self(epoch + 1, logs.get("loss", self._loss))

    def _too_early(self) -> bool:
        return self.verbose == "auto" and self._clock() - self._started < QUIET_SECONDS

    def _draw(self) -> None:
        display = self._display
        assert display is not None
        now = self._clock()
        self._drawn, self._drawn_at = (self._epoch, self._loss, self._note), now
        note = "" if math.isnan(self._loss) else f"loss {self._loss:.4g}{self._note}"
        if not _quietly(lambda: display.draw(self._epoch, note, now - self._started)):
            self._display = None


def read_verbose(verbose: object) -> int | str:
    """Return 0, 1, 2 or "auto"; False and True are 0 and 1."""
    if isinstance(verbose, str):
        if verbose == "auto":
            return verbose
    elif isinstance(verbose, int) and verbose in (0, 1, 2):
        return int(verbose)
    raise ValueError(f"verbose: expected 0, 1, 2 or 'auto', got {verbose!r}")


def _quietly(action: Callable[[], object]) -> bool:
    """Return whether an action worked; a stream that is closed or full is no reason to stop."""
    try:
        action()
    except (OSError, ValueError):
        return False
    return True


def _write(stream: TextIO | None, text: str) -> None:
    assert stream is not None
    stream.write(text)
    stream.flush()


def _text_of(logs: Mapping[str, float]) -> str:
    return "  ".join(f"{key} {value:.4g}" for key, value in logs.items())


# --------------------------------------------------------------------------------- the displays


class _Display(Protocol):
    """Something that shows the number of complete epochs and a note."""

    def draw(self, epoch: int, note: str, seconds: float) -> None:
        """Show it."""

    def close(self) -> None:
        """Leave what was shown last, and end the line."""


def _choose_display(epochs: int, stream: TextIO) -> _Display | None:
    """Return the display for this stream, and None where nobody looks."""
    notebook = in_notebook()
    if not notebook and not _is_terminal(stream):
        return None
    try:
        with warnings.catch_warnings():  # tqdm warns where ipywidgets are missing, and manages
            warnings.simplefilter("ignore")
            tqdm = import_optional("tqdm.auto", "Progress").tqdm
    except ImportError:
        return _NotebookDisplay(epochs) if notebook else _Line(epochs, stream)
    return _Tqdm(tqdm, epochs, stream)


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except (AttributeError, OSError, ValueError):
        return False


def in_notebook() -> bool:
    """Return whether a Jupyter kernel runs this code."""
    module = sys.modules.get("IPython")
    get_shell = getattr(module, "get_ipython", None)
    return get_shell is not None and getattr(get_shell(), "kernel", None) is not None


class _Tqdm:
    """A bar of tqdm, made when it is first drawn."""

    def __init__(self, tqdm: Any, epochs: int, stream: TextIO) -> None:
        self._make: Callable[[], Any] = lambda: tqdm(
            total=epochs, file=stream, unit="epoch", mininterval=0, miniters=1, dynamic_ncols=True
        )
        self._bar: Any = None

    def draw(self, epoch: int, note: str, seconds: float) -> None:
        """Show it."""
        if self._bar is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._bar = self._make()
            self._bar.start_t -= seconds
        self._bar.n = epoch
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.refresh()

    def close(self) -> None:
        """Leave the bar, and end the line."""
        if self._bar is not None:
            self._bar.close()


class _Line:
    """A bar in one line of a terminal."""

    def __init__(self, epochs: int, stream: TextIO) -> None:
        self._epochs = epochs
        self._stream = stream
        self._length = 0
        self._bar = 24  # it shrinks where the text needs room, and does not grow back

    def draw(self, epoch: int, note: str, seconds: float) -> None:
        """Show it."""
        part = min(1.0, epoch / self._epochs) if self._epochs else 1.0
        text = f"{epoch}/{self._epochs}"
        if note:
            text += f"  {note}"
        text += f"  {_duration(seconds)}"
        if 0 < epoch < self._epochs:
            text += f", {_duration(seconds * (self._epochs - epoch) / epoch)} left"
        room = _width(self._stream) - 1  # a full line would scroll some terminals
        self._bar = min(self._bar, room - len(text) - 8)
        if self._bar >= 4:
            full = int(self._bar * part)
            text = f"[{'#' * full}{'.' * (self._bar - full)}] {text}"
        text = f"{int(100 * part):3}% {text}"[: max(1, room)]
        blank = " " * (self._length - len(text))
        _write(self._stream, f"\r{text}{blank}")
        self._length = len(text)

    def close(self) -> None:
        """End the line."""
        _write(self._stream, "\n")


class _NotebookDisplay:
    """One output of a notebook cell that changes in place."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._handle: Any = None

    def draw(self, epoch: int, note: str, seconds: float) -> None:
        """Show it."""
        content = _NotebookBar(epoch, self._epochs, note, seconds)
        if self._handle is None:
            show = import_optional("IPython.display", "Progress").display
            self._handle = show(content, display_id=True)
        else:
            self._handle.update(content)

    def close(self) -> None:
        """Leave the output as it is."""


class _NotebookBar:
    """What a notebook shows: HTML, or text where it keeps no HTML."""

    def __init__(self, epoch: int, epochs: int, note: str, seconds: float) -> None:
        self._epoch, self._epochs = epoch, epochs
        self._text = f"{epoch}/{epochs}  {note}  {_duration(seconds)}"

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        return (
            f'<progress value="{min(self._epoch, self._epochs)}" max="{max(1, self._epochs)}">'
            f"</progress> <code>{self._text}</code>"
        )


def _width(stream: TextIO) -> int:
    """Return the number of columns of a terminal."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (AttributeError, OSError, ValueError):
        return 80


def _duration(seconds: float) -> str:
    """Return a time as 0:07 or 1:02:03."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours}:{minutes:02}:{whole % 60:02}"
    return f"{minutes}:{whole % 60:02}"
