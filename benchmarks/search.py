"""Show that searches with n_jobs=-1 do not start more threads than there are CPUs.

    python benchmarks/search.py [--repeats 5] [--quick]

A grid search of eight settings in three folds, by scikit-learn's estimator and by nnc's, in one
process and in one for each CPU, take turns. nnc's has n_threads=None, its default, and beside it
n_threads=1 and as many as there are CPUs: joblib tells its processes how many CPUs are theirs, and
nnc takes no more unless it is told to. Prints median times, and how many threads a process of the
search would use.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import time
import warnings
from typing import Any

import machine
import numpy as np
from joblib import Parallel, delayed
from sklearn import neural_network
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

import nnc

GRID = {"alpha": [1e-4, 1e-2], "learning_rate_init": [1e-3, 1e-2], "activation": ["relu", "tanh"]}


def search(make: Any, n_jobs: int, quick: bool, **options: Any) -> None:
    """Run the grid search."""
    sizes, epochs = ((20,), 2) if quick else ((200, 200), 20)
    X, y = load_digits(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = make(sizes, max_iter=epochs, random_state=0, batch_size=500, **options)
        GridSearchCV(model, GRID, cv=3, n_jobs=n_jobs).fit(X / 16, y)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="at least 5; default 5")
    parser.add_argument("--quick", action="store_true", help="a look: a small network")
    options = parser.parse_args()
    cpus, quick = nnc.get_num_threads(), options.quick
    repeats = max(options.repeats, 1 if quick else 5)
    os.environ["PYTHONWARNINGS"] = "ignore"  # of the processes
    ours, theirs = nnc.MLPClassifier, neural_network.MLPClassifier
    ways = {
        "scikit-learn, n_jobs=1": functools.partial(search, theirs, 1, quick),
        "scikit-learn, n_jobs=-1": functools.partial(search, theirs, -1, quick),
        "nnc, n_jobs=1": functools.partial(search, ours, 1, quick),
        "nnc, n_jobs=-1": functools.partial(search, ours, -1, quick),
        "nnc, n_jobs=-1, n_threads=1": functools.partial(search, ours, -1, quick, n_threads=1),
        f"nnc, n_jobs=-1, n_threads={cpus}": functools.partial(
            search, ours, -1, quick, n_threads=cpus
        ),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():  # processes start, and import
        way()
    for _ in range(repeats):
        for name, way in ways.items():
            time.sleep(machine.PAUSE)
            times[name].append(machine.seconds(way))
    print(machine.describe())
    threads = Parallel(n_jobs=-1)(delayed(nnc.get_num_threads)() for _ in range(2 * cpus))
    print(f"threads of nnc in a process of the search: {int(np.max(threads))}, of {cpus} CPUs")
    print("\n| search | seconds | ÷ the first |\n|---|---:|---:|")
    first = statistics.median(next(iter(times.values())))
    for name, values in times.items():
        median = statistics.median(values)
        print(f"| {name} | {median:.3g} | {first / median:.2f} |")


if __name__ == "__main__":
    main()
