"""The tutorial's data, made from NumPy alone."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


class Split(NamedTuple):
    """Training and test data in the tutorial's layout: X (features, m), Y (1, m)."""

    X_train: Floats
    Y_train: Labels
    X_test: Floats
    Y_test: Labels


def make_moons(n_samples: int = 1000, noise: float = 0.2, seed: int = 100) -> tuple[Floats, Labels]:
    """Make two interleaving half circles, with Gaussian noise.

    The points are those of scikit-learn's ``make_moons(n_samples, noise=noise,
    random_state=seed)``.

    Parameters
    ----------
    n_samples : int, optional
        Number of points, half of them in each class.
    noise : float, optional
        Standard deviation of the noise, in the units of the circles' radius.
    seed : int, optional
        Of the order of the points and the noise.

    Returns
    -------
    X : numpy.ndarray, shape (n_samples, 2)
        Points, one per row.
    y : numpy.ndarray, shape (n_samples,)
        Classes: 0 for the upper moon, 1 for the lower.
    """
    random = np.random.RandomState(seed)
    n_upper = n_samples // 2
    upper = np.linspace(0, np.pi, n_upper)
    lower = np.linspace(0, np.pi, n_samples - n_upper)
    X = np.column_stack(
        [
            np.append(np.cos(upper), 1 - np.cos(lower)),
            np.append(np.sin(upper), 1 - np.sin(lower) - 0.5),
        ]
    )
    y = np.repeat([0, 1], [n_upper, n_samples - n_upper])
    order = np.arange(n_samples)
    random.shuffle(order)
    return X[order] + random.normal(scale=noise, size=X.shape), y[order]


def tutorial_moons() -> Split:
    """Return the data of the tutorial's chapter 2: 1000 points, 900 to train and 100 to test.

    The split is that of scikit-learn's ``train_test_split(test_size=0.1, random_state=42)``.

    Returns
    -------
    Split
        X_train, Y_train, X_test, Y_test, of shapes (2, 900), (1, 900), (2, 100), (1, 100).
    """
    X, y = make_moons()
    order = np.random.RandomState(42).permutation(len(X))
    test, train = order[:100], order[100:]
    return Split(X[train].T, y[train].reshape(1, -1), X[test].T, y[test].reshape(1, -1))


def tutorial_architecture(*sizes: int) -> list[dict[str, Any]]:
    """Return an architecture of relu layers with a sigmoid at the end.

    Parameters
    ----------
    *sizes : int
        Inputs, then the outputs of each layer; without any, those of the tutorial's experiment:
        2, 25, 50, 50, 25, 1.

    Returns
    -------
    list of dict
        What `nnc.train` takes as ``nn_architecture``.
    """
    sizes = sizes or (2, 25, 50, 50, 25, 1)
    return [
        {
            "input_dim": n_in,
            "output_dim": n_out,
            "activation": "sigmoid" if i == len(sizes) - 2 else "relu",
        }
        for i, (n_in, n_out) in enumerate(pairwise(sizes))
    ]


def tutorial_truth_table() -> tuple[Floats, Floats]:
    """Return the four rows of the tutorial's chapter 1.

    Returns
    -------
    x : numpy.ndarray, shape (4, 3)
        Two bits, and a constant 1 that stands for the bias.
    y : numpy.ndarray, shape (4, 1)
        The exclusive or of the bits.
    """
    x = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=np.float64)
    y = np.array([[0], [1], [1], [0]], dtype=np.float64)
    return x, y
