"""Losses as data: names, parameters, the outputs that each is made for."""

import itertools
import json
import pickle

import pytest

from nnc import layers, losses
from nnc.losses import (
    BinaryCrossEntropy,
    BinaryFocal,
    CategoricalCrossEntropy,
    Custom,
    Hinge,
    Huber,
    MeanSquaredError,
    Poisson,
    Quantile,
    SparseCategoricalCrossEntropy,
)


def custom(y_true, y_pred):
    return 0.0, y_pred


EACH = [cls() for cls in losses.KINDS.values()] + [
    Huber(2),
    Quantile(0.9),
    BinaryFocal(gamma=0),
    BinaryCrossEntropy(0.1),
    CategoricalCrossEntropy(label_smoothing=0.2),
    SparseCategoricalCrossEntropy(0.3),
]


@pytest.mark.parametrize("loss", EACH, ids=repr)
def test_plain_dicts_and_back(loss):
    config = json.loads(json.dumps(losses.to_config(loss), allow_nan=False))
    assert losses.from_config(config) == loss
    assert type(losses.from_config(config)) is type(loss)
    assert pickle.loads(pickle.dumps(loss)) == loss
    assert losses.resolve(loss) is loss
    with pytest.raises(ValueError, match=f"key of {loss.kind}"):
        losses.from_config(config | {"reduction": "sum"})


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("mse", "mean_squared_error"),
        ("mean_squared_error", "mean_squared_error"),
        ("mae", "mean_absolute_error"),
        ("mean_absolute_error", "mean_absolute_error"),
        ("sum_of_squares", "sum_of_squares"),
        ("huber", "huber"),
        ("quantile", "quantile"),
        ("pinball", "quantile"),
        ("poisson", "poisson"),
        ("bce", "binary_cross_entropy"),
        ("binary_crossentropy", "binary_cross_entropy"),
        ("categorical_crossentropy", "categorical_cross_entropy"),
        ("sparse_categorical_crossentropy", "sparse_categorical_cross_entropy"),
        ("binary_focal_crossentropy", "binary_focal_cross_entropy"),
        ("hinge", "hinge"),
    ],
)
def test_names(name, kind):
    assert losses.resolve(name) == losses.resolve(losses.KINDS[kind]) == losses.KINDS[kind]()
    assert losses.resolve(name).kind == kind


def test_what_the_engine_gets():
    for loss, name, parameter, smoothing, classes in (
        (Huber(2), "huber", 2.0, 0.0, False),
        (Quantile(0.9), "quantile", 0.9, 0.0, False),
        (BinaryFocal(1), "binary_focal_cross_entropy", 1.0, 0.0, False),
        (MeanSquaredError(), "mean_squared_error", 0.0, 0.0, False),
        (BinaryCrossEntropy(0.1), "binary_cross_entropy", 0.0, 0.1, False),
        (CategoricalCrossEntropy(0.1), "categorical_cross_entropy", 0.0, 0.1, False),
        (SparseCategoricalCrossEntropy(0.1), "categorical_cross_entropy", 0.0, 0.1, True),
    ):
        assert loss.engine_name == name
        assert (loss.parameter, loss.smoothing, loss.classes) == (parameter, smoothing, classes)


def test_functions():
    assert losses.resolve(custom) == Custom(custom)
    assert losses.suits(Custom(custom), "sigmoid", 2) is None
    assert "elementwise" in losses.suits(Custom(custom), "softmax", 2)
    with pytest.raises(TypeError, match=r"Custom\(function\): function .* is not data"):
        losses.to_config(Custom(custom))
    with pytest.raises(ValueError, match=r"\['kind'\]: expected one of .* got 'custom'"):
        losses.from_config({"kind": "custom", "function": "custom"})
    with pytest.raises(TypeError, match=r"Custom\(function\): expected a callable, got 3"):
        Custom(3)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: losses.resolve("msee"), ValueError, "loss: expected one of .*did you mean 'mse'"),
        (lambda: losses.resolve("MSE"), ValueError, "did you mean 'mse'"),
        (lambda: losses.resolve("cross_entropy"), ValueError, "did you mean '.*cross_entropy'"),
        (lambda: losses.resolve(None), TypeError, "loss: expected one of .* got None"),
        (lambda: losses.resolve(int), TypeError, "loss: expected one of .* got <class 'int'>"),
        (lambda: losses.resolve(Custom), TypeError, "loss: Custom needs arguments"),
        (lambda: losses.resolve(losses.Loss), TypeError, "loss: Loss is what others derive from"),
        (lambda: Huber(0), ValueError, r"Huber\(delta\): expected a finite number above 0, got 0"),
        (lambda: Quantile(1), ValueError, r"Quantile\(q\): .* above 0 and below 1, got 1"),
        (lambda: BinaryFocal(-1), ValueError, r"BinaryFocal\(gamma\): .* at least 0, got -1"),
        (lambda: BinaryCrossEntropy(1), ValueError, r"label_smoothing\): .* below 1, got 1"),
        (lambda: CategoricalCrossEntropy("a"), TypeError, r"label_smoothing\): expected a number"),
    ],
)
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("loss", "fitting"),
    [
        ("binary_cross_entropy", {"sigmoid", "hard_sigmoid"}),
        ("binary_focal", {"sigmoid"}),
        ("categorical_cross_entropy", {"softmax", "log_softmax"}),
        ("sparse_categorical_cross_entropy", {"softmax", "log_softmax"}),
        ("poisson", {"exponential", "softplus"}),
        ("mse", set(layers.ACTIVATIONS) - {"softmax", "log_softmax"}),
        ("mae", set(layers.ACTIVATIONS) - {"softmax", "log_softmax"}),
    ],
)
def test_outputs_that_fit(loss, fitting):
    loss = losses.resolve(loss)
    found = {name for name in layers.ACTIVATIONS if losses.suits(loss, name, 3) is None}
    assert found == fitting


@pytest.mark.parametrize("loss", EACH, ids=repr)
def test_remedies_help(loss):
    """What a message says to do ends in a pair that fits."""
    for activation, n_out in itertools.product(layers.ACTIVATIONS, (1, 2, 10)):
        message = losses.suits(loss, activation, n_out)
        if message is None:
            continue
        assert message.startswith(f"loss: {loss.kind} needs ")
        units, name = message.split("Dense(")[1].partition(")")[0].split(", ")
        assert losses.suits(loss, name.strip('"'), int(units)) is None
        if "use the loss" in message:
            other = message.rpartition('"')[0].rpartition('"')[2]
            assert losses.suits(losses.resolve(other), activation, n_out) is None


def test_messages_say_the_remedy():
    assert losses.suits(CategoricalCrossEntropy(), "sigmoid", 10) == (
        "loss: categorical_cross_entropy needs the output activation softmax or log_softmax, got "
        'sigmoid; end with Dense(10, "softmax"), or use the loss "binary_cross_entropy"'
    )
    assert losses.suits(MeanSquaredError(), "softmax", 3) == (
        "loss: mean_squared_error needs an elementwise output activation, got softmax; end with "
        'Dense(3, "identity"), or use the loss "categorical_cross_entropy"'
    )
    assert 'Dense(1, "sigmoid") and the loss "binary_cross_entropy"' in losses.suits(
        SparseCategoricalCrossEntropy(), "softmax", 1
    )
    assert 'Dense(2, "exponential")' in losses.suits(Poisson(), "identity", 2)
    assert 'Dense(1, "identity")' in losses.suits(Hinge(), "sigmoid", 1)


def test_defaults():
    assert losses.default_loss("softmax", 3) == CategoricalCrossEntropy()
    assert losses.default_loss("log_softmax", 3) == CategoricalCrossEntropy()
    assert losses.default_loss("sigmoid", 1) == BinaryCrossEntropy()
    assert losses.default_loss("hard_sigmoid", 4) == BinaryCrossEntropy()
    assert losses.default_loss("identity", 1) == MeanSquaredError()
    for activation in layers.ACTIVATIONS:
        assert losses.suits(losses.default_loss(activation, 2), activation, 2) is None
    with pytest.raises(ValueError, match="needs one unit for each of at least two classes"):
        losses.default_loss("softmax", 1)
