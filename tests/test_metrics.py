"""Metrics: values counted by hand, the kinds of tasks, names, and what is refused."""

import functools
import math
import pickle

import numpy as np
import pytest

from nnc import metrics
from nnc.metrics import (
    METRICS,
    Metric,
    accuracy,
    f1,
    larger_is_better,
    mean_absolute_error,
    mean_squared_error,
    precision,
    r2_score,
    recall,
    resolve,
    roc_auc,
    top_k_accuracy,
)

# 2 true positives, 1 false positive, 1 false negative, 1 true negative (1/2 itself is no)
BINARY = [1, 1, 0, 1, 0], [0.9, 0.6, 0.7, 0.5, 0.1]
CLASSES = [0, 1, 2, 2]
SCORES = [[0.5, 0.3, 0.2], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7], [0.2, 0.5, 0.3]]
LABELS = [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
LABEL_SCORES = [[0.9, 0.1, 0.8], [0.6, 0.7, 0.1], [0.1, 0.2, 0.3]]
WEIGHT = [1, 2, 3, 4]


def almost(expected):
    return pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [(accuracy, 3 / 5), (precision, 2 / 3), (recall, 2 / 3), (f1, 2 / 3), (roc_auc, 4 / 6)],
)
def test_binary(metric, expected):
    true, pred = BINARY
    assert metric(true, pred) == almost(expected)
    column = np.array(pred, np.float32)[:, None]
    assert metric(np.array(true, bool), column) == almost(expected)
    assert metric(np.array(true, np.uint8)[:, None], column) == almost(expected)
    assert type(metric(true, pred)) is float


@pytest.mark.parametrize(
    ("metric", "expected", "weighted"),
    [
        (accuracy, 2 / 4, 4 / 10),
        (functools.partial(top_k_accuracy, k=1), 2 / 4, 4 / 10),
        (functools.partial(top_k_accuracy, k=2), 4 / 4, 10 / 10),
        # predicted 0 0 2 1
        (precision, (1 / 2 + 0 / 1 + 1 / 1) / 3, (1 / 3 + 0 + 1) / 3),
        (recall, (1 / 1 + 0 / 1 + 1 / 2) / 3, (1 + 0 + 3 / 7) / 3),
        (f1, (2 / 3 + 0 + 2 / 3) / 3, (2 / 4 + 0 + 6 / 10) / 3),
        # class 0: 2 of 3 pairs; 1: 1.5 of 3 (0.3 = 0.3); 2: all 4
        (roc_auc, (2 / 3 + 1.5 / 3 + 1) / 3, (7 / 9 + (1 / 2 + 3) / 8 + 1) / 3),
    ],
)
def test_multi_class(metric, expected, weighted):
    assert metric(CLASSES, SCORES) == almost(expected)
    assert metric(np.array(CLASSES, float)[:, None], np.array(SCORES)) == almost(expected)
    assert metric(np.eye(3)[CLASSES], SCORES) == almost(expected)
    assert metric(CLASSES, SCORES, sample_weight=WEIGHT) == almost(weighted)


def test_macro_averages_count_classes_that_occur():
    scores = np.eye(4)[[0, 0, 1]]
    assert recall([0, 0, 0], scores) == almost((2 / 3 + 0) / 2)
    assert precision([0, 0, 2], scores) == almost((1 + 0 + 0) / 3)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (accuracy, 2 / 3),
        (precision, (1 / 2 + 1 + 1) / 3),
        (recall, 1),
        (f1, (2 / 3 + 1 + 1) / 3),
        (roc_auc, 1),
    ],
)
def test_multi_label(metric, expected):
    assert metric(LABELS, LABEL_SCORES) == almost(expected)


def test_one_hot_or_labels_can_be_said():
    one_each = [[1, 0], [0, 1]]
    scores = [[0.9, 0.8], [0.1, 0.7]]
    assert accuracy(one_each, scores) == 1
    assert accuracy(one_each, scores, multi_label=True) == 0.5
    with pytest.raises(ValueError, match="exactly one 1 in each row"):
        accuracy(LABELS, LABEL_SCORES, multi_label=False)
    with pytest.raises(ValueError, match="each of y_pred's 3 labels"):
        accuracy([0, 1, 2], LABEL_SCORES, multi_label=True)


@pytest.mark.parametrize("metric", [precision, recall, f1])
def test_no_denominator_gives_zero(metric):
    assert metric([0, 0], [0.1, 0.2]) == 0
    assert metric([[0, 0], [0, 0]], [[0.1, 0.2], [0.3, 0.4]]) == 0


def test_auc_of_ties_and_of_one_class():
    assert roc_auc([0, 1, 0, 1], [0.5] * 4) == 0.5
    assert roc_auc([0, 1, 1], [0.2, 0.2, 0.9]) == 0.75
    assert roc_auc([0, 1, 1], [-5, 7, 7]) == 1
    assert roc_auc([0, 1, 1], [math.inf, 1, -math.inf]) == 0
    assert math.isnan(roc_auc([1, 1], [0.1, 0.9]))
    # class 2 never occurs: the mean over the other two
    assert roc_auc([0, 1], [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]) == 1
    assert roc_auc([0, 1, 1], [0.5, 0.1, 0.9], sample_weight=[1, 1, 3]) == 0.75


def test_auc_is_the_share_of_pairs(rng):
    true = rng.integers(0, 2, 60)
    score = rng.integers(0, 12, 60) / 12
    pairs = [
        (p > n) + (p == n) / 2 for p in score[true == 1] for n in score[true == 0]
    ]  # fmt: skip
    assert roc_auc(true, score) == almost(np.mean(pairs))


def test_top_k_breaks_ties_as_argmax_does(rng):
    scores = rng.integers(0, 3, (200, 6)) / 3
    true = rng.integers(0, 6, 200)
    assert top_k_accuracy(true, scores, k=1) == accuracy(true, scores)
    for k in (2, 5):
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        expected = (order == true[:, None]).any(axis=1).mean()
        assert top_k_accuracy(true, scores, k=k) == almost(expected)
    with pytest.raises(ValueError, match="k: expected less than the 6 classes, got 6"):
        top_k_accuracy(true, scores, k=6)
    with pytest.raises(ValueError, match="k: expected at least 1"):
        top_k_accuracy(true, scores, k=0)
    with pytest.raises(ValueError, match="expected several classes"):
        top_k_accuracy(*BINARY)


def test_regression():
    true, pred = [1, 2, 6], [1, 4, 5]
    assert mean_absolute_error(true, pred) == almost(1)
    assert mean_squared_error(true, np.float32(pred)[:, None]) == almost(5 / 3)
    assert r2_score(true, pred) == almost(1 - 5 / 14)
    weight = [2, 1, 1]
    assert mean_absolute_error(true, pred, sample_weight=weight) == almost(3 / 4)
    assert mean_squared_error(true, pred, sample_weight=weight) == almost(5 / 4)
    assert r2_score(true, pred, sample_weight=weight) == almost(1 - 5 / 17)
    two = np.array([[1, 10], [3, 10]]), np.array([[1, 10], [2, 11]])
    assert mean_absolute_error(*two) == almost(0.5)
    assert mean_squared_error(*two) == almost(0.5)
    assert r2_score(*two) == almost((0.5 + 0) / 2)


def test_r2_at_its_edges():
    assert r2_score([0.1] * 3, [0.1] * 3) == 1
    assert r2_score([0.1] * 3, [0.1, 0.1, 0.2]) == 0
    assert math.isnan(r2_score([1], [1]))


@pytest.mark.parametrize("name", METRICS)
def test_nan_in_predictions_gives_nan(name):
    if name.startswith("top"):
        assert math.isnan(METRICS[name]([1, 0], np.full((2, 9), math.nan)))
    else:
        assert math.isnan(METRICS[name]([1, 0, 1], [0.2, math.nan, 0.4]))


@pytest.mark.parametrize(
    ("true", "pred", "message"),
    [
        ([0, 1], [0.1], r"y_pred: expected a row for each of y_true's 2 samples, got 1"),
        ([], [], r"y_true: expected shape"),
        ([[[0]]], [0.5], r"y_true: expected shape .* got \(1, 1, 1\)"),
        ([0, 2], [0.1, 0.2], r"y_true: expected 0 and 1, got 2 in row 1"),
        ([0, math.nan], [0.1, 0.2], r"y_true: expected 0 and 1, got nan in row 1"),
        ([[0, 1]], [0.1], r"y_true: expected one column"),
        ([0, 3], [[0.1] * 3] * 2, r"y_true: expected classes from 0 to 2, .* got 3 in row 1"),
        ([-1, 0], [[0.1] * 3] * 2, r"got -1 in row 0"),
        ([0.5, 0], [[0.1] * 3] * 2, r"got 0.5 in row 0"),
        ([math.nan, 0], [[0.1] * 3] * 2, r"got nan in row 0"),
        ([[0, 1]], [[0.1] * 3], r"y_true: expected y_pred's shape \(1, 3\) or one column"),
        ([[0, 1, 2]], [[0.1] * 3], r"y_true: expected 0 and 1, got 2 in row 0"),
    ],
)
@pytest.mark.parametrize("metric", [accuracy, precision, roc_auc])
def test_bad_shapes_and_labels(metric, true, pred, message):
    with pytest.raises(ValueError, match=message):
        metric(true, pred)


def test_other_bad_input():
    with pytest.raises(TypeError, match="y_true: expected real numbers"):
        accuracy(["a", "b"], [0.1, 0.2])
    with pytest.raises(TypeError, match="y_pred: expected real numbers"):
        mean_squared_error([1.0], [1j])
    with pytest.raises(ValueError, match=r"y_pred: expected y_true's shape \(2,\), got \(2, 2\)"):
        r2_score([1, 2], [[1, 2], [3, 4]])
    for bad in ([1], [[1], [1]]):
        with pytest.raises(ValueError, match=r"sample_weight: expected shape \(2,\)"):
            accuracy([0, 1], [0.1, 0.2], sample_weight=bad)
    for bad in ([0, 0], [1, -1], [1, math.nan], [1, math.inf]):
        with pytest.raises(ValueError, match="sample_weight: expected finite numbers"):
            accuracy([0, 1], [0.1, 0.2], sample_weight=bad)


def test_inputs_stay_as_they_are():
    true, pred = np.array(CLASSES), np.array(SCORES)
    true.flags.writeable = pred.flags.writeable = False
    for name in ("accuracy", "f1", "roc_auc"):
        METRICS[name](true, pred)


# ---------------------------------------------------------------------------------------- names


def test_the_table_knows_every_function_and_its_direction():
    functions = {metric.function.__name__ for metric in METRICS.values()}
    helpers = {"METRICS", "Metric", "larger_is_better", "resolve"}
    assert functions == set(metrics.__all__) - helpers
    smaller = {name for name, metric in METRICS.items() if not metric.larger_is_better}
    assert smaller == {"mean_absolute_error", "mean_squared_error", "mae", "mse"}


def test_resolve():
    def my_metric(y_true, y_pred):
        return np.float32(len(y_true))

    my_metric.larger_is_better = False
    assert resolve(None) == []
    assert [m.name for m in resolve("acc")] == ["acc"]
    assert resolve(accuracy) == [METRICS["accuracy"]]
    found = resolve(["mae", my_metric, functools.partial(top_k_accuracy, k=2), "top_3_accuracy"])
    assert [m.name for m in found] == ["mae", "my_metric", "top_k_accuracy", "top_3_accuracy"]
    assert [m.larger_is_better for m in found] == [False, False, True, True]
    assert found[1]([1, 2], [3, 4], sample_weight=[1, 1]) == 2
    assert found[2](CLASSES, SCORES) == 1
    renamed = resolve({"hits": "accuracy", "half": lambda y_true, y_pred: 0.5})
    assert [(m.name, m.larger_is_better) for m in renamed] == [("hits", True), ("half", None)]
    assert renamed[0]([0, 1], [0, 1]) == 1
    assert resolve(found) == found
    assert pickle.loads(pickle.dumps(METRICS["f1"])) == METRICS["f1"]


def test_metrics_get_the_keywords_they_have():
    metric = METRICS["accuracy"]
    one_each, scores = [[1, 0], [0, 1]], [[0.9, 0.8], [0.1, 0.7]]
    assert metric(one_each, scores, multi_label=True, sample_weight=[1, 3]) == 0.75
    assert METRICS["mae"]([1, 2], [1, 3], multi_label=True, sample_weight=[1, 3]) == 0.75


def test_resolve_refuses():
    with pytest.raises(ValueError, match=r"metrics: .*got 'acuracy'; did you mean 'accuracy'\?"):
        resolve(["acuracy"])
    with pytest.raises(ValueError, match=r"metrics: .*got 'top_0_accuracy'"):
        resolve("top_0_accuracy")
    with pytest.raises(TypeError, match="metrics: expected names or functions, got int"):
        resolve(3)
    with pytest.raises(TypeError, match="metrics: expected a name or a function, got 3"):
        resolve([3])
    with pytest.raises(ValueError, match="metrics: expected different names, got 'f1' twice"):
        resolve(["f1", f1])
    with pytest.raises(ValueError, match="a lambda has no name"):
        resolve(lambda y_true, y_pred: 0)
    for name in ("loss", "val_x", "time"):
        with pytest.raises(ValueError, match=f"'{name}' is a history's own name"):
            resolve({name: accuracy})
    with pytest.raises(TypeError, match="expected bad to return a number, got list"):
        Metric("bad", lambda y_true, y_pred: [1])([1], [1])


def test_directions():
    assert larger_is_better("val_accuracy") is True
    assert larger_is_better("top_3_accuracy") is True
    assert larger_is_better("loss") is False
    assert larger_is_better("val_loss") is False
    assert larger_is_better("val_mae") is False
    assert larger_is_better("mine") is None
    assert larger_is_better("val_mine", [Metric("mine", accuracy, True)]) is True
