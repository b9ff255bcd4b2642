"""The tutorial's trainings: nnc against plain NumPy, one thread each, in one interleaved run.

    python benchmarks/bench_tutorial.py [--repeats 7]

Prints a Markdown table: median times per epoch, and their ratio. Both sides are checked to have
learned the same before they are timed. NumPy's BLAS gets one thread too.
"""

import os

for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[variable] = "1"

import argparse
from collections.abc import Callable

import machine
import numpy as np

import nnc
from nnc import datasets, reference

CHAPTER1_ITERATIONS = 1500
CHAPTER2_EPOCHS = 200


def chapter1() -> tuple[str, dict[str, Callable[[], object]], int]:
    """Chapter 1's network, from the weights of one seed."""
    x, y = datasets.tutorial_truth_table()

    def train(side: object) -> list[float]:
        network = side.NeuralNetwork(x, y, seed=63)
        return network.train(CHAPTER1_ITERATIONS)

    np.testing.assert_allclose(train(nnc), train(reference), rtol=1e-11)
    sides = {"nnc": lambda: train(nnc), "NumPy": lambda: train(reference)}
    return "chapter 1: 3-4-1, 4 rows", sides, CHAPTER1_ITERATIONS


def chapter2(dtype: str, rtol: float) -> tuple[str, dict[str, Callable[[], object]], int]:
    """Chapter 2's experiment: moons, full batch, cost and accuracy of every epoch."""
    data = datasets.tutorial_moons()
    work = (data.X_train, data.Y_train, datasets.tutorial_architecture(), CHAPTER2_EPOCHS, 0.01)
    sides = {
        "nnc": lambda: nnc.train(*work, dtype=dtype, n_threads=1),
        "NumPy": lambda: reference.train(*work, dtype=dtype),
    }
    np.testing.assert_allclose(sides["nnc"]()[1], sides["NumPy"]()[1], rtol=rtol)
    return f"chapter 2: 2-25-50-50-25-1, 900 rows, {dtype}", sides, CHAPTER2_EPOCHS


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7, help="at least 5; default 7")
    repeats = max(parser.parse_args().repeats, 5)

    print(machine.describe())
    print("\n| training | nnc, µs an epoch | NumPy, µs an epoch | NumPy / nnc |")
    print("|---|---:|---:|---:|")
    for name, sides, epochs in (
        chapter1(),
        chapter2("float64", 1e-12),
        chapter2("float32", 1e-5),
    ):
        times = machine.interleave(sides, repeats)
        ours, theirs = (times[side] / epochs * 1e6 for side in ("nnc", "NumPy"))
        print(f"| {name} | {ours:.3g} | {theirs:.4g} | {theirs / ours:.1f} |")


if __name__ == "__main__":
    main()
