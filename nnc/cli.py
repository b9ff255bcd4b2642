"""The console script: trains the tutorial's networks, and compares with NumPy."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

import nnc
from nnc import datasets, reference
from nnc._arguments import read_threads
from nnc.tutorial import train_with_progress

# NumPy's share of the work, in seconds; it is measured on fewer epochs, and says so.
REFERENCE_SECONDS = 2.0

# The tutorial's own seed is unknown; of the first 200, this one's table is nearest to its table.
CHAPTER1_SEED = 63


def main(argv: Sequence[str] | None = None) -> int:
    """Train as the command line says, and print what came of it.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of the process.

    Returns
    -------
    int
        Exit status: 0, 1 where the training failed, 130 after Ctrl-C.
    """
    options = _parser().parse_args(argv)
    try:
        if options.chapter == 1:
            _chapter1(options)
        else:
            _chapter2(options)
        sys.stdout.flush()
    except (ValueError, TypeError, FloatingPointError, MemoryError) as error:
        print(f"nnc: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader has seen enough, as head(1) does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"nnc: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nnnc: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nnc", description="Train the tutorial's networks, and compare with plain NumPy."
    )
    parser.add_argument("--chapter", type=int, choices=(1, 2), default=2, help="default 2")
    parser.add_argument("--epochs", type=int, help="default 10000; chapter 1: 1500 iterations")
    parser.add_argument("--lr", type=float, help="learning rate of chapter 2, default 0.01")
    parser.add_argument("--seed", type=int, help="of the initial weights; default 2, chapter 1: 63")
    parser.add_argument(
        "--dtype", choices=("float64", "float32"), help="chapter 2, default float64"
    )
    parser.add_argument("--threads", type=int, help="chapter 2: at most so many")
    parser.add_argument("--version", action="version", version=f"nnc {nnc.__version__}")
    return parser


def _default(value: Any, default: Any) -> Any:
    return default if value is None else value


# ----------------------------------------------------------------------------------- chapter 1


def _chapter1(options: argparse.Namespace) -> None:
    for name in ("lr", "dtype", "threads"):
        if getattr(options, name) is not None:
            raise ValueError(f"--{name} is an option of chapter 2: chapter 1 has none")
    iterations = _default(options.epochs, 1500)
    seed = _default(options.seed, CHAPTER1_SEED)
    x, y = datasets.tutorial_truth_table()
    network = nnc.NeuralNetwork(x, y, seed=seed)
    loss, seconds = _timed(network.train, iterations)

    print(f"chapter 1: 3-4-1, {iterations} iterations, seed {seed}")
    print(f"{'X1':>3} {'X2':>3} {'X3':>3}   Prediction   Y (Actual)")
    for row, predicted, actual in zip(x, network.output, y, strict=True):
        bits = " ".join(f"{bit:3.0f}" for bit in row)
        print(f"{bits} {predicted[0]:12.3f} {actual[0]:12.0f}")
    if loss:
        print(f"loss      {loss[0]:.5f} -> {loss[-1]:.5f}")

    twin = reference.NeuralNetwork(x, y, seed=seed)
    twin_loss, twin_seconds = _timed(twin.train, iterations)
    difference = max(
        np.abs(network.weights1 - twin.weights1).max(),
        np.abs(network.weights2 - twin.weights2).max(),
        np.abs(np.subtract(loss, twin_loss)).max(initial=0),
    )
    _print_comparison(seconds, twin_seconds, f"{iterations} iterations", difference)


# ----------------------------------------------------------------------------------- chapter 2


def _chapter2(options: argparse.Namespace) -> None:
    epochs = _default(options.epochs, 10_000)
    rate = _default(options.lr, 0.01)
    seed = _default(options.seed, 2)
    dtype = np.dtype(_default(options.dtype, "float64"))
    data = datasets.tutorial_moons()
    architecture = datasets.tutorial_architecture()
    work = (data.X_train, data.Y_train, architecture)

    threads = read_threads(options.threads)
    print(
        f"chapter 2: 2-25-50-50-25-1, {epochs} epochs, learning rate {rate}, {dtype}, "
        f"threads: {threads}"
    )
    with _ProgressBar(epochs) as bar:
        start = time.perf_counter()
        params, _, _ = train_with_progress(
            *work, epochs, rate, seed=seed, dtype=dtype, n_threads=threads, progress=bar
        )
        seconds = time.perf_counter() - start
    for name, X, Y in (("train", data.X_train, data.Y_train), ("test", data.X_test, data.Y_test)):
        Y_hat, _ = nnc.full_forward_propagation(X.astype(dtype), params, architecture)
        print(
            f"{name:<9} cost {nnc.get_cost_value(Y_hat, Y):.6f}, "
            f"accuracy {nnc.get_accuracy_value(Y_hat, Y):.4f}"
        )

    _, trial = _timed(reference.train, *work, 3, rate, seed=seed, dtype=dtype)
    fewer = min(epochs, max(200, int(REFERENCE_SECONDS / (trial / 3))))
    twin, twin_seconds = _timed(reference.train, *work, fewer, rate, seed=seed, dtype=dtype)
    ours = nnc.train(*work, fewer, rate, seed=seed, dtype=dtype)
    difference = max(np.abs(ours[0][key] - twin[0][key]).max() for key in twin[0])
    difference = max(difference, np.abs(np.subtract(ours[1], twin[1])).max(initial=0))
    scaled = twin_seconds * (epochs / fewer if fewer else 1)
    _print_comparison(seconds, scaled, f"{fewer} epochs", difference, measured=epochs == fewer)


def _timed(function: Any, *args: Any, **kwargs: Any) -> tuple[Any, float]:
    start = time.perf_counter()
    result = function(*args, **kwargs)
    return result, time.perf_counter() - start


def _print_comparison(
    seconds: float, numpy_seconds: float, work: str, difference: float, *, measured: bool = True
) -> None:
    how = "" if measured else f" (from {work})"
    ratio = numpy_seconds / max(seconds, 1e-9)
    print(f"nnc       {seconds:.4g} s")
    print(f"NumPy     {numpy_seconds:.4g} s{how}: {ratio:.1f} times as long")
    print(f"largest difference of parameters and costs after {work}: {difference:.1e}")


class _ProgressBar:
    """A bar on standard error, redrawn at most five times a second; silent elsewhere."""

    WIDTH = 40

    def __init__(self, total: int) -> None:
        self.total = total
        self.shown = sys.stderr is not None and sys.stderr.isatty() and total > 0
        self.next = 0.0

    def __call__(self, epoch: int, cost: float) -> None:
        now = time.monotonic()
        if self.shown and now >= self.next:
            self.next = now + 0.2
            self._draw(epoch, f"cost {cost:.5f}")

    def _draw(self, epoch: int, note: str) -> None:
        filled = self.WIDTH * epoch // self.total
        bar = "#" * filled + "." * (self.WIDTH - filled)
        sys.stderr.write(f"\r[{bar}] {epoch}/{self.total}  {note}\033[K")
        sys.stderr.flush()

    def __enter__(self) -> "_ProgressBar":
        return self

    def __exit__(self, *exception: object) -> None:
        if self.shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
