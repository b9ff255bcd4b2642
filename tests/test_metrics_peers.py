"""Metrics against scikit-learn's."""

import warnings

import numpy as np
import pytest
import sklearn.metrics as theirs

from nnc import metrics as ours

pytestmark = pytest.mark.peers

WEIGHTS = [False, True]
PAIRS = [
    (ours.precision, "precision_score"),
    (ours.recall, "recall_score"),
    (ours.f1, "f1_score"),
]


def weights(rng, m, weighted):
    return rng.integers(0, 4, m) + 0.25 if weighted else None


def check(value, expected):
    assert value == pytest.approx(expected, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("weighted", WEIGHTS)
@pytest.mark.parametrize("m", [3, 50, 1000])
def test_binary(rng, m, weighted):
    for _ in range(20):
        true, score = rng.integers(0, 2, m), rng.integers(0, 21, m) / 20
        predicted, weight = (score > 0.5).astype(int), weights(rng, m, weighted)
        check(
            ours.accuracy(true, score, sample_weight=weight),
            theirs.accuracy_score(true, predicted, sample_weight=weight),
        )
        for our, name in PAIRS:
            their = getattr(theirs, name)(true, predicted, sample_weight=weight, zero_division=0)
            check(our(true, score, sample_weight=weight), their)
        if 0 < true.sum() < m:
            check(
                ours.roc_auc(true, score, sample_weight=weight),
                theirs.roc_auc_score(true, score, sample_weight=weight),
            )


@pytest.mark.parametrize("weighted", WEIGHTS)
@pytest.mark.parametrize(("m", "n_classes"), [(6, 5), (60, 3), (500, 10)])
def test_multi_class(rng, m, n_classes, weighted):
    for _ in range(10):
        true, weight = rng.integers(0, n_classes, m), weights(rng, m, weighted)
        score = rng.dirichlet(np.ones(n_classes), m)
        predicted = score.argmax(axis=1)
        check(
            ours.accuracy(true, score, sample_weight=weight),
            theirs.accuracy_score(true, predicted, sample_weight=weight),
        )
        for our, name in PAIRS:
            their = getattr(theirs, name)(
                true, predicted, sample_weight=weight, zero_division=0, average="macro"
            )
            check(our(true, score, sample_weight=weight), their)
        for k in range(1, n_classes):
            their = theirs.top_k_accuracy_score(
                true, score, k=k, sample_weight=weight, labels=np.arange(n_classes)
            )
            check(ours.top_k_accuracy(true, score, k=k, sample_weight=weight), their)
        if len(np.unique(true)) == n_classes:
            their = theirs.roc_auc_score(
                true, score, multi_class="ovr", average="macro", sample_weight=weight
            )
            check(ours.roc_auc(true, score, sample_weight=weight), their)


@pytest.mark.parametrize("weighted", WEIGHTS)
def test_multi_label(rng, weighted):
    for _ in range(10):
        m = 40
        true, score = rng.integers(0, 2, (m, 4)), rng.integers(0, 21, (m, 4)) / 20
        predicted, weight = (score > 0.5).astype(int), weights(rng, m, weighted)
        check(
            ours.accuracy(true, score, sample_weight=weight),
            theirs.accuracy_score(true, predicted, sample_weight=weight),
        )
        for our, name in PAIRS:
            their = getattr(theirs, name)(
                true, predicted, sample_weight=weight, zero_division=0, average="macro"
            )
            check(our(true, score, sample_weight=weight), their)
        check(
            ours.roc_auc(true, score, sample_weight=weight),
            theirs.roc_auc_score(true, score, sample_weight=weight),
        )


@pytest.mark.parametrize("weighted", WEIGHTS)
@pytest.mark.parametrize("shape", [(2,), (50,), (200, 3)])
def test_regression(rng, shape, weighted):
    true, pred = rng.normal(size=shape), rng.normal(size=shape)
    weight = weights(rng, shape[0], weighted)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("mean_absolute_error", "mean_squared_error", "r2_score"):
            check(
                getattr(ours, name)(true, pred, sample_weight=weight),
                getattr(theirs, name)(true, pred, sample_weight=weight),
            )
