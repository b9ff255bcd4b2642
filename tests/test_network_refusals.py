"""Data and arguments that nnc.Network refuses, before it changes anything; and what it says."""

import re

import numpy as np
import pytest
from sample_networks import circles

from nnc import Dense, Network

X, y = circles(60)


def make(last="sigmoid", n_out=1, **options):
    options = {"seed": 1, "dtype": "float64"} | options
    return Network([Dense(5, "tanh"), Dense(n_out, last)], 2, **options)


def with_one(array, place, value):
    array = np.array(array, np.float64)
    array[place] = value
    return array


SIGMOID, SOFTMAX, LINE = make, lambda: make("softmax", 3), lambda: make("identity", 3)
THREE = np.arange(60) % 3
BAD_DATA = {
    "transposed": (
        SIGMOID,
        X.T,
        y,
        {},
        "X: expected shape (m, 2), a row for each sample, got (2, 60): samples are rows "
        "here; pass X.T",
    ),
    "one sample": (SIGMOID, X[0], y[:1], {}, "for one sample use predict_one, or pass X[None]"),
    "three dimensions": (SIGMOID, X[None], y, {}, "X: expected shape (m, 2)"),
    "NaN": (
        SIGMOID,
        with_one(X, (7, 1), np.nan),
        y,
        {},
        "X: expected finite numbers, got nan in row 7, column 1: drop or replace",
    ),
    "infinite in f2": (
        SIGMOID,
        with_one(X, (59, 0), -np.inf).astype("f2"),
        y,
        {},
        "X: expected finite numbers, got -inf in row 59, column 0",
    ),
    "NaN behind many": (
        SIGMOID,
        with_one(np.zeros((40_000, 2)), (33_333, 1), np.nan),
        np.arange(40_000) % 2,
        {},
        "in row 33333, column 1",
    ),
    "too large": (
        lambda: make(dtype="float32"),
        with_one(X, (3, 1), -1e39),
        y,
        {},
        "X: expected numbers that fit into float32, got -1e+39 in row 3, column 1: scale "
        "X, or make the network with dtype='float64'",
    ),
    "masked": (
        SIGMOID,
        np.ma.array(X),
        y,
        {},
        "X: got a masked array: pass X.filled(value) or drop",
    ),
    "objects": (
        SIGMOID,
        X.astype(object),
        y,
        {},
        "X: expected an array of real numbers, got dtype object: convert it with astype(float)",
    ),
    "complex": (
        SIGMOID,
        X * 1j,
        y,
        {},
        "X: expected an array of real numbers, got dtype complex128",
    ),
    "ragged": (
        SIGMOID,
        [[1.0, 2.0], [3.0]],
        y[:2],
        {},
        "X: expected an array of numbers, with rows of one length",
    ),
    "no samples": (SIGMOID, X[:0], y[:0], {}, "X: expected at least one sample, got none"),
    "no labels": (SIGMOID, X, None, {}, "y: expected labels, got None: pass y"),
    "no labels for a list": (SIGMOID, X.tolist(), None, {}, "y: expected labels, got None: pass y"),
    "fewer labels": (
        SIGMOID,
        X,
        y[:-1],
        {},
        "y: expected a label for each of the 60 rows of X, got 59",
    ),
    "a number": (
        SIGMOID,
        X,
        1,
        {},
        "y: expected a label for each of the 60 rows of X, got a single number",
    ),
    "names": (
        SIGMOID,
        X,
        np.array(["a", "b"])[y],
        {},
        "y: expected an array of real numbers, got dtype <U1: number the names with numpy.unique",
    ),
    "masked labels": (
        SIGMOID,
        X,
        np.ma.array(y),
        {},
        "y: got a masked array: pass y.filled(value)",
    ),
    "NaN label": (
        SIGMOID,
        X,
        with_one(y, 9, np.nan),
        {},
        "y: expected finite numbers, got nan in row 9, column 0",
    ),
    "one class": (
        SIGMOID,
        X,
        y * 0,
        {},
        "y: all 60 samples to train on have the label 0: a classifier needs",
    ),
    "one class of several": (
        SOFTMAX,
        X,
        y * 0 + 2,
        {},
        "y: all 60 samples to train on have the label 2: a classifier needs",
    ),
    "one class, one-hot": (
        SOFTMAX,
        X,
        np.eye(3)[y * 0],
        {},
        "have the label [1.0, 0.0, 0.0]: a classifier needs",
    ),
    "sorted": (
        SIGMOID,
        X,
        np.sort(y),
        {"validation_split": 0.7},
        "y: all 18 samples to train on have the label 0: a classifier needs some of each "
        "class; shuffle",
    ),
    "labels 1 and 2": (
        SIGMOID,
        X,
        y + 1,
        {},
        "y: binary_cross_entropy expects labels from 0 to 1, got 2 in row",
    ),
    "labels -1 and 1": (
        SIGMOID,
        X,
        2 * y - 1,
        {},
        "y: binary_cross_entropy expects labels from 0 to 1, got -1 in row",
    ),
    "three classes for a sigmoid": (
        SIGMOID,
        X,
        THREE,
        {},
        "y: binary_cross_entropy expects labels from 0 to 1, got 2 in row 2, column 0",
    ),
    "numbers for a sigmoid": (
        SIGMOID,
        X,
        X[:, 0],
        {},
        "scale them, or end with the activation identity",
    ),
    "too many classes": (
        SOFTMAX,
        X,
        np.arange(60) % 5,
        {},
        "y: expected classes from 0 to 2, as the output layer has 3 units, got 3 in row "
        '3: end with Dense(5, "softmax")',
    ),
    "classes from 1": (
        SOFTMAX,
        X,
        THREE + 1,
        {},
        "got 3 in row 2: number the classes with numpy.unique(y, return_inverse=True)[1]",
    ),
    "negative class": (SOFTMAX, X, THREE - 1, {}, "got -1 in row 0: number the classes"),
    "numbers for softmax": (
        SOFTMAX,
        X,
        THREE + 0.5,
        {},
        "y: expected the number of each sample's class, got 0.5 in row 0: for labels "
        "that are no classes end with Dense(3)",
    ),
    "NaN class": (SOFTMAX, X, with_one(THREE, 4, np.nan), {}, "got nan in row 4"),
    "column of classes": (
        SOFTMAX,
        X,
        THREE[:, None],
        {},
        "y: expected shape (60, 3), got (60, 1): pass the classes as y.ravel()",
    ),
    "two columns for three": (
        SOFTMAX,
        X,
        np.eye(2)[y],
        {},
        "y: expected shape (60, 3), got (60, 2): the output layer has 3 units, y has 2 "
        "columns: end with 2 units",
    ),
    "several labels for softmax": (
        SOFTMAX,
        X,
        np.ones((60, 3)) * (np.arange(3) < 2),
        {},
        "y: expected rows whose numbers add up to 1, got [1.0, 1.0, 0.0] in row 0: where "
        'a sample may have several labels or none end with Dense(3, "sigmoid")',
    ),
    "one-hot for sparse": (
        lambda: make("softmax", 3, loss="sparse_categorical_crossentropy"),
        X,
        np.eye(3)[THREE],
        {},
        "pass y.argmax(axis=1)",
    ),
    "column for sparse": (
        lambda: make("softmax", 3, loss="sparse_categorical_crossentropy"),
        X,
        THREE[:, None],
        {},
        "pass y.ravel()",
    ),
    "classes for a line": (
        LINE,
        X,
        THREE,
        {},
        "y: expected shape (60, 3), got (60,): for classes in one column end with "
        'Dense(3, "softmax")',
    ),
    "numbers for three outputs": (
        LINE,
        X,
        X[:, 0],
        {},
        "y: expected shape (60, 3), got (60,): for one label a sample end with one unit",
    ),
    "classes for sigmoids": (
        lambda: make("sigmoid", 3),
        X,
        THREE,
        {},
        'end with Dense(3, "softmax")',
    ),
    "counts below 0": (
        lambda: make("exponential", loss="poisson"),
        X,
        -y,
        {},
        "y: poisson expects counts of at least 0, got -1",
    ),
    "hinge": (
        lambda: make("identity", loss="hinge"),
        X,
        y * 2,
        {},
        "y: hinge expects labels -1 and 1, got 2",
    ),
    "negative weight": (
        SIGMOID,
        X,
        y,
        {"sample_weight": with_one(y, 8, -1)},
        "sample_weight: expected finite numbers >= 0, got -1.0 in row 8: weigh",
    ),
    "NaN weight": (
        SIGMOID,
        X,
        y,
        {"sample_weight": with_one(y, 8, np.nan)},
        "sample_weight: expected finite numbers >= 0, got nan in row 8",
    ),
    "no weight": (
        SIGMOID,
        X,
        y,
        {"sample_weight": y * 0},
        "sample_weight: expected at least one weight above 0, got 60 zeros",
    ),
    "column of weights": (
        SIGMOID,
        X,
        y,
        {"sample_weight": y[:, None]},
        "sample_weight: expected shape (60,), got (60, 1): pass sample_weight.ravel()",
    ),
    "fewer weights": (
        SIGMOID,
        X,
        y,
        {"sample_weight": y[1:]},
        "sample_weight: expected shape (60,), got (59,): pass a weight for each row of X",
    ),
    "weights beside a split": (
        SIGMOID,
        X,
        y,
        {"sample_weight": np.arange(60) < 30, "validation_split": 0.5},
        "validation_split: the samples on one side of row 30 all have sample_weight 0",
    ),
    "unknown class weight": (
        SIGMOID,
        X,
        y,
        {"class_weight": "balance"},
        "class_weight: expected 'balanced' or a dict, got 'balance'",
    ),
    "class weight of no class": (
        SOFTMAX,
        X,
        THREE,
        {"class_weight": {3: 1.0}},
        "class_weight: expected classes from 0 to 2, got 3",
    ),
    "class weight of a name": (
        SOFTMAX,
        X,
        THREE,
        {"class_weight": {"a": 1.0}},
        "class_weight: expected classes from 0 to 2, got 'a'",
    ),
    "negative class weight": (
        SOFTMAX,
        X,
        THREE,
        {"class_weight": {1: -1.0}},
        "class_weight[1]: expected a finite number at least 0, got -1",
    ),
    "class weights all 0": (
        SIGMOID,
        X,
        y,
        {"class_weight": {0: 0, 1: 0}},
        "class_weight: leaves no sample a weight above 0",
    ),
    "list of class weights": (
        SIGMOID,
        X,
        y,
        {"class_weight": [1, 2]},
        "class_weight: expected 'balanced' or a dict, got [1, 2]",
    ),
    "class weights without classes": (
        lambda: make("identity"),
        X,
        X[:, 0],
        {"class_weight": "balanced"},
        "class_weight: mean_squared_error on 1 outputs has no classes to weigh: pass sample_weight",
    ),
    "class weights of labels": (
        lambda: make("sigmoid", 2),
        X,
        np.eye(2)[y],
        {"class_weight": "balanced"},
        "has no classes to weigh",
    ),
    "only X_val": (
        SIGMOID,
        X,
        y,
        {"X_val": X},
        "y_val: X_val and y_val belong together; pass both",
    ),
    "only y_val": (
        SIGMOID,
        X,
        y,
        {"y_val": y},
        "X_val: X_val and y_val belong together; pass both",
    ),
    "weights of no validation": (
        SIGMOID,
        X,
        y,
        {"sample_weight_val": y},
        "sample_weight_val: expected None without X_val",
    ),
    "other X_val": (SIGMOID, X, y, {"X_val": X[:, :1], "y_val": y}, "X_val: expected shape (m, 2)"),
    "NaN in X_val": (
        SIGMOID,
        X,
        y,
        {"X_val": with_one(X, (1, 1), np.nan), "y_val": y},
        "X_val: expected finite numbers, got nan in row 1, column 1",
    ),
    "other y_val": (
        SIGMOID,
        X,
        y,
        {"X_val": X, "y_val": y * 3},
        "y_val: binary_cross_entropy expects labels from 0 to 1, got 3",
    ),
    "both validations": (
        SIGMOID,
        X,
        y,
        {"X_val": X, "y_val": y, "validation_split": 0.1},
        "validation_split: expected 0 beside X_val",
    ),
    "split of all": (
        SIGMOID,
        X,
        y,
        {"validation_split": 1.0},
        "validation_split: expected a finite number at least 0 and below 1, got 1",
    ),
    "batch_size 0": (SIGMOID, X, y, {"batch_size": 0}, "batch_size: expected at least 1, got 0"),
    "half a batch": (
        SIGMOID,
        X,
        y,
        {"batch_size": 2.5},
        "batch_size: expected an integer, got 2.5",
    ),
    "epochs": (SIGMOID, X, y, {"epochs": -1}, "epochs: expected at least 0, got -1"),
    "metric": (SIGMOID, X, y, {"metrics": "acuracy"}, "did you mean 'accuracy'"),
    "threads": (SIGMOID, X, y, {"n_threads": 0}, "n_threads: expected at least 1, got 0"),
    "rprop in batches": (
        lambda: make(optimizer="rprop"),
        X,
        y,
        {"batch_size": 32},
        "batch_size: rprop needs all samples in a step: pass batch_size=None",
    ),
    "pair": (
        SIGMOID,
        (X, y),
        None,
        {},
        "X: expected batches (X, y) or (X, y, sample_weight), got ndarray as batch 0: "
        "pass arrays as fit(X, y)",
    ),
    "no batches": (SIGMOID, [], None, {}, "X: expected batches (X, y), got none"),
    "number": (SIGMOID, 5, None, {}, "X: expected an array or an iterable of batches, got 5"),
    "empty batch": (
        SIGMOID,
        [(X, y), (X[:0], y[:0])],
        None,
        {},
        "X[1][0]: expected at least one sample, got none",
    ),
    "bad batch": (SIGMOID, [(X, y), (X.T, y)], None, {}, "X[1][0]: expected shape (m, 2)"),
    "bad labels of a batch": (
        SIGMOID,
        [(X, y), (X, y * 2)],
        None,
        {},
        "X[1][1]: binary_cross_entropy expects",
    ),
    "bad weights of a batch": (
        SIGMOID,
        [(X, y, -y)],
        None,
        {},
        "X[0][2]: expected finite numbers >= 0",
    ),
    "weights beside batches": (
        SIGMOID,
        [(X, y)],
        None,
        {"sample_weight": y},
        "sample_weight: leave it out beside an iterable of batches",
    ),
    "class weights beside batches": (
        SIGMOID,
        [(X, y)],
        None,
        {"class_weight": "balanced"},
        "class_weight: leave it out beside",
    ),
    "split beside batches": (
        SIGMOID,
        [(X, y)],
        None,
        {"validation_split": 0.1},
        "validation_split: leave it out beside",
    ),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_what_fit_refuses(case):
    new, inputs, labels, options, message = BAD_DATA[case]
    network = new()
    with pytest.raises((ValueError, TypeError)) as caught:
        network.fit(inputs, labels, **({"epochs": 1} | options))
    assert message in str(caught.value)
    fresh = new()
    untouched = network.engine.steps == 0
    assert untouched or isinstance(inputs, list)  # a batch that is bad comes after a good one
    if untouched:
        for a, b in zip(network.get_weights(), fresh.get_weights(), strict=True):
            assert (a == b).all()
    assert network.fit(*blobs_for(network), epochs=1).epoch == [0] or network.optimizer.full_batch


def blobs_for(network):
    """Data that the network takes, in one batch for those that need it."""
    labels = {1: y, 2: np.eye(2)[y], 3: np.eye(3)[THREE]}[network.n_outputs]
    if network.loss.kind.startswith("sparse"):
        labels = THREE
    if network.optimizer.full_batch:
        return X[:32], labels[:32]
    return X, labels


@pytest.mark.parametrize("method", ["partial_fit", "step", "evaluate"])
@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        (X.T, y, "X: expected shape"),
        (X, y[1:], "y: expected a label for each"),
        (X, y * 2, "labels from 0 to 1"),
        (with_one(X, (2, 0), np.inf), y, "X: expected finite numbers, got inf in row 2, column 0"),
    ],
)
def test_what_other_methods_refuse(method, inputs, labels, message):
    with pytest.raises(ValueError, match=message):
        getattr(make(), method)(inputs, labels)


def test_what_predict_refuses():
    network = make(dtype="float32")
    for call in (network.predict, network.predict_proba):
        with pytest.raises(ValueError, match="row 3, column 1"):
            call(with_one(X, (3, 1), np.nan))
        with pytest.raises(ValueError, match=r"fit into float32, got 1e\+39 in row 3, column 1"):
            call(with_one(X, (3, 1), 1e39))
        with pytest.raises(TypeError, match="got dtype object"):
            call(X.astype(object))
    scaled = make(dtype="float32", input_scale=1e-30)
    assert np.isfinite(scaled.predict_proba(with_one(X, (3, 1), 1e39))).all()
    assert network.predict(X[:0]).shape == (0,)
    assert network.predict_proba(X[:0]).shape == (0, 1)


def test_losses_and_outputs_that_do_not_fit():
    for last, n_out, loss, remedy in [
        ("softmax", 1, None, 'Dense(2, "softmax")'),
        ("identity", 3, "categorical_crossentropy", 'end with Dense(3, "softmax")'),
        ("identity", 1, "binary_crossentropy", 'end with Dense(1, "sigmoid")'),
        ("softmax", 3, "mse", 'or use the loss "categorical_cross_entropy"'),
        ("sigmoid", 1, "hinge", 'end with Dense(1, "identity")'),
    ]:
        with pytest.raises(ValueError, match=re.escape(remedy)):
            make(last, n_out, loss=loss)
