"""The progress bar: where it draws, how often, and how it ends."""

import io
import itertools
import math
import os
import pty
import re
import signal
import subprocess
import sys
import time
import types
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from nnc import progress as module
from nnc.progress import Progress

ROOT = Path(__file__).parent.parent


class Terminal(io.StringIO):
    """A stream that says it is a terminal, and counts what is written."""

    def __init__(self):
        super().__init__()
        self.writes = []

    def isatty(self):
        return True

    def write(self, text):
        self.writes.append(text)
        return super().write(text)


class Clock:
    def __init__(self):
        self.now = 50.0

    def __call__(self):
        return self.now


@pytest.fixture
def without_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)


@pytest.fixture(autouse=True)
def no_notebook(monkeypatch):
    monkeypatch.setattr(module, "in_notebook", lambda: False)


def train(progress, clock, epochs, seconds=0.03):
    """Call it as the core does: every 30 ms; an epoch takes three such times."""
    for epoch in range(epochs):
        for _ in range(3):
            clock.now += seconds
            progress(epoch, 1 / (1 + epoch))
        progress.epoch_end(epoch, {"loss": 1 / (1 + epoch), "val_loss": 2.0})


def interrupted(progress, clock, epochs, error):
    with progress:
        train(progress, clock, epochs)
        raise error


def frames(stream):
    text = stream.getvalue()
    assert text.startswith("\r")
    assert text.endswith("\n")
    assert text.count("\n") == 1
    return text[1:-1].split("\r")


# -------------------------------------------------------------------------------- where and when


@pytest.mark.parametrize("verbose", [1, True, "auto"])
def test_a_bar_on_a_terminal(without_tqdm, verbose):
    stream, clock = Terminal(), Clock()
    with Progress(100, verbose, stream=stream, clock=clock) as progress:
        train(progress, clock, 100)
    drawn = frames(stream)
    assert 30 <= len(drawn) <= 9.0 / 0.2 + 2  # nine seconds
    assert re.fullmatch(r"100% \[#+\] 100/100  loss 0\.01, val_loss 2  0:09 *", drawn[-1])
    middle = re.fullmatch(
        r" (\d\d)% \[(#+)(\.+)\] (\d\d)/100  loss 0\.0\d+, val_loss 2  0:0\d, 0:0\d left *",
        drawn[len(drawn) // 2],
    )
    assert middle[1] == middle[4]
    assert len(middle[2]) == (len(middle[2]) + len(middle[3])) * int(middle[1]) // 100


def test_at_most_five_drawings_a_second(without_tqdm):
    stream, clock = Terminal(), Clock()
    times = []
    with Progress(1000, 1, stream=stream, clock=clock) as progress:
        for i in range(1000):
            clock.now += 0.0301
            before = len(stream.writes)
            progress(i, 0.5)
            if len(stream.writes) > before:
                times.append(clock.now)
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert min(gaps) >= 0.2
    assert max(gaps) < 0.24


@pytest.mark.parametrize("verbose", [0, 1, False, True, "auto"])
@pytest.mark.parametrize("stream", [io.StringIO(), None], ids=["file", "stderr"])
def test_nothing_where_nobody_looks(verbose, stream, capfd):
    clock = Clock()
    with Progress(100, verbose, stream=stream, clock=clock) as progress:
        train(progress, clock, 100)
    assert stream is None or stream.getvalue() == ""
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("stream", [None, object()])
def test_no_stderr_at_all(monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream)
    clock = Clock()
    with Progress(100, 1, clock=clock) as progress:
        train(progress, clock, 100)


def test_zero_is_silent_on_a_terminal_too():
    stream, clock = Terminal(), Clock()
    with Progress(100, 0, stream=stream, clock=clock) as progress:
        train(progress, clock, 100)
    assert stream.writes == []


def test_auto_is_silent_for_short_trainings(without_tqdm):
    for seconds, shown in [(0.49 / 30, False), (0.51 / 30, True)]:
        stream, clock = Terminal(), Clock()
        with Progress(10, "auto", stream=stream, clock=clock) as progress:
            train(progress, clock, 10, seconds)
        assert bool(stream.writes) == shown


def test_a_line_for_each_epoch(capsys):
    with Progress(10, 2) as progress:
        progress(0, 0.5)
        progress.epoch_end(0, {"loss": 0.25, "val_accuracy": 2 / 3})
        progress.epoch_end(9, {"loss": 1e-9})
    lines = ["epoch  1/10  loss 0.25  val_accuracy 0.6667", "epoch 10/10  loss 1e-09"]
    assert capsys.readouterr() == ("\n".join(lines) + "\n", "")


def test_it_returns_none_whatever_happens(without_tqdm):
    """True would stop the training."""
    stream, clock = Terminal(), Clock()
    with Progress(4, 1, stream=stream, clock=clock) as progress:
        assert progress(1, 0.5) is None
        assert progress.epoch_end(1, {"loss": 0.5}) is None
    assert progress(2, 0.5) is None  # outside of the block it is silent
    assert frames(stream)[-1].startswith(" 50%")


@pytest.mark.parametrize(("epochs", "loss"), [(0, 0.5), (3, math.nan), (3, math.inf)])
def test_odd_numbers(without_tqdm, epochs, loss):
    stream, clock = Terminal(), Clock()
    with Progress(epochs, 1, stream=stream, clock=clock) as progress:
        progress(0, loss)
        clock.now += 7200
        progress(epochs + 1, loss)
    assert frames(stream)[-1].startswith(f"100% [{'#' * 24}] {epochs + 1}/{epochs}")


def test_a_shorter_text_leaves_nothing_of_a_longer_one(without_tqdm):
    stream, clock = Terminal(), Clock()
    with Progress(10, 1, stream=stream, clock=clock) as progress:
        progress(1, 0.123456789)
        clock.now += 1
        progress(1, 1)
    first, second = frames(stream)[:2]
    assert len(second) >= len(first)


@pytest.mark.parametrize("bad", [3, -1, "bar", None, 1.0, "1"])
def test_verbose_is_checked(bad):
    with pytest.raises(ValueError, match="verbose: expected 0, 1, 2 or 'auto', got"):
        Progress(10, bad)


# ------------------------------------------------------------------------------ things that fail


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_the_line_ends_with_an_exception(without_tqdm, error):
    stream, clock = Terminal(), Clock()
    with pytest.raises(error):
        interrupted(Progress(10, 1, stream=stream, clock=clock), clock, 4, error)
    assert frames(stream)[-1].startswith(" 40%")


def test_no_line_without_a_drawing(without_tqdm):
    stream = Terminal()
    with Progress(10, 1, stream=stream):
        pass
    with pytest.raises(RuntimeError), Progress(10, "auto", stream=stream):
        raise RuntimeError
    assert stream.writes == []


@pytest.mark.parametrize("verbose", [1, 2])
@pytest.mark.parametrize("after", [0, 1, 5])
@pytest.mark.parametrize("error", [BrokenPipeError, ValueError("I/O operation on closed file")])
def test_a_stream_that_fails_stops_no_training(without_tqdm, verbose, after, error):
    class Failing(Terminal):
        def write(self, text):
            if len(self.writes) >= after:
                self.writes.append("failed")
                raise error
            return super().write(text)

    stream, clock = Failing(), Clock()
    with Progress(100, verbose, stream=stream, clock=clock) as progress:
        train(progress, clock, 100)
    assert stream.writes.count("failed") == 1  # silent from then on


N = 400
SCRIPT = f"""
import sys, time
sys.modules["tqdm"] = None
from nnc.progress import Progress
with Progress({N}, verbose="auto") as progress:
    for epoch in range({N}):
        time.sleep(0.003)
        progress(epoch, 0.5)
        if epoch == {N // 2}: print("ready", flush=True)
"""


def run_on_terminal(columns, interrupt):
    """What a script's stderr is on a real terminal, and how it ended."""
    import fcntl
    import struct
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stderr=follower, stdout=subprocess.PIPE, env=environment
    )
    os.close(follower)
    process.stdout.readline()
    if interrupt:
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
    output = b""
    while True:
        try:
            part = os.read(leader, 4096)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        output += part
    os.close(leader)
    process.stdout.close()
    return output.decode(), process.wait()


@pytest.mark.parametrize("columns", [100, 50, 30])
def test_a_real_terminal(columns):
    text, code = run_on_terminal(columns, interrupt=False)
    assert code == 0
    assert text.endswith("\r\n")
    drawn = text.strip("\r\n").split("\r")
    assert 5 <= len(drawn) <= 60
    assert all(len(frame) < columns for frame in drawn)
    assert drawn[-1].startswith(" 99% ")
    assert f"{N - 1}/{N}  loss 0.5" in drawn[-1]
    assert ("#" in drawn[-1]) == (columns > 30)
    assert "\n" not in "\r".join(drawn)


def test_ctrl_c_on_a_real_terminal():
    text, code = run_on_terminal(100, interrupt=True)
    assert code == -signal.SIGINT
    bar, _, rest = text.partition("\r\n")
    assert re.search(rf" [5-9]\d% \[#+\.+\] [23]\d\d/{N}  loss 0\.5", bar.split("\r")[-1])
    assert rest.startswith("Traceback")
    assert "KeyboardInterrupt" in rest


# ---------------------------------------------------------------------------- tqdm and notebooks


class FakeTqdm:
    def __init__(self, **options):
        self.options, self.calls, self.n = options, [], 0
        self.start_t = 0.0

    def set_postfix_str(self, text, refresh):
        assert refresh is False
        self.text = text

    def refresh(self):
        self.calls.append((self.n, self.text))

    def close(self):
        self.calls.append("closed")


def test_tqdm_is_used_where_it_is(monkeypatch):
    made = []

    def make(**options):
        made.append(FakeTqdm(**options))
        return made[-1]

    monkeypatch.setitem(sys.modules, "tqdm", types.ModuleType("tqdm"))
    auto = types.ModuleType("tqdm.auto")
    auto.tqdm = make
    monkeypatch.setitem(sys.modules, "tqdm.auto", auto)
    stream, clock = Terminal(), Clock()
    with pytest.raises(RuntimeError):
        interrupted(Progress(100, 1, stream=stream, clock=clock), clock, 50, RuntimeError)
    (bar,) = made
    assert bar.options["total"] == 100
    assert bar.options["file"] is stream
    assert 15 <= len(bar.calls) <= 4.5 / 0.2 + 3
    assert bar.calls[-2:] == [(50, "loss 0.02, val_loss 2"), "closed"]
    with Progress(100, "auto", stream=stream, clock=clock) as progress:
        progress(1, 0.5)
    assert len(made) == 1  # a short training makes none
    with Progress(100, 1, stream=io.StringIO(), clock=clock) as progress:
        progress(1, 0.5)
    assert len(made) == 1  # nor does one that nobody looks at


def test_with_the_real_tqdm():
    stream, clock = Terminal(), Clock()
    with Progress(100, 1, stream=stream, clock=clock) as progress:
        train(progress, clock, 40)
    last = stream.getvalue().rstrip("\n").split("\r")[-1]
    assert " 40/100 " in last
    assert "loss 0.025, val_loss 2" in last
    assert stream.getvalue().endswith("\n")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_notebook_shows_one_output(tmp_path):
    code = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
sys.modules["tqdm"] = None
from nnc.progress import Progress
with Progress(50, verbose="auto") as progress:
    for epoch in range(50):
        time.sleep(0.02)
        progress.epoch_end(epoch, {{"loss": 0.5}})
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": tmp_path}}).execute()
    (output,) = notebook.cells[0].outputs
    assert output.output_type == "display_data"
    assert output.data["text/plain"].startswith("50/50  loss 0.5  0:0")
    bar = ElementTree.fromstring(f"<p>{output.data['text/html']}</p>").find("progress")
    assert (bar.get("value"), bar.get("max")) == ("50", "50")


def test_importing_it_imports_no_display():
    code = """
import sys, nnc.progress, nnc.history, nnc.callbacks, nnc.metrics, nnc.schedules
print(*sorted({"tqdm", "IPython", "matplotlib", "pandas", "sklearn"} & set(sys.modules)))
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert result.stdout.strip() == ""
