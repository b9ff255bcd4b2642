"""The tutorial's data: scikit-learn's points and split, made from NumPy alone."""

import hashlib

import numpy as np
import pytest

from nnc import datasets

SHA_X = "533ff2328172e4b1f686cfc5c676d02f8bda0a33e1b79e95e0293d86ea89936a"
SHA_SPLIT = "c1cda28edaa2f5a0f24d182518024f7897608256f3aa50b1bf941bc7644e1bd5"


def test_the_data_are_those_of_scikit_learn():
    """The digests were taken of scikit-learn's make_moons and train_test_split."""
    X, _ = datasets.make_moons()
    assert hashlib.sha256(X.tobytes()).hexdigest() == SHA_X
    split = datasets.tutorial_moons()
    parts = b"".join(np.ascontiguousarray(part.T).tobytes() for part in split)
    assert hashlib.sha256(parts).hexdigest() == SHA_SPLIT


def test_shapes_and_classes():
    split = datasets.tutorial_moons()
    assert [part.shape for part in split] == [(2, 900), (1, 900), (2, 100), (1, 100)]
    assert np.bincount(split.Y_train[0]).tolist() == [446, 454]
    assert np.bincount(split.Y_test[0]).tolist() == [54, 46]


def test_without_noise_the_points_lie_on_two_circles():
    X, y = datasets.make_moons(101, noise=0)
    radius = np.where(y == 0, np.hypot(X[:, 0], X[:, 1]), np.hypot(X[:, 0] - 1, X[:, 1] - 0.5))
    np.testing.assert_allclose(radius, 1, rtol=1e-14)
    assert np.bincount(y).tolist() == [50, 51]


@pytest.mark.peers
@pytest.mark.parametrize("n_samples", [1000, 101])
@pytest.mark.parametrize("seed", [0, 100])
def test_make_moons_equals_scikit_learn(n_samples, seed):
    from sklearn.datasets import make_moons

    ours = datasets.make_moons(n_samples, noise=0.2, seed=seed)
    theirs = make_moons(n_samples, noise=0.2, random_state=seed)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.peers
def test_the_split_equals_scikit_learn():
    from sklearn.datasets import make_moons
    from sklearn.model_selection import train_test_split

    X, y = make_moons(n_samples=1000, noise=0.2, random_state=100)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.1, random_state=42)
    split = datasets.tutorial_moons()
    np.testing.assert_array_equal(split.X_train, X_train.T)
    np.testing.assert_array_equal(split.X_test, X_test.T)
    np.testing.assert_array_equal(split.Y_train[0], y_train)
    np.testing.assert_array_equal(split.Y_test[0], y_test)
