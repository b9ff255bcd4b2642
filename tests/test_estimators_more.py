"""What the estimators have beyond scikit-learn's, against its own parts, SciPy and formulas."""

import os
import signal
import threading
import warnings

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.special import erf
from sklearn import neural_network as theirs
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error, r2_score
from sklearn.utils.class_weight import compute_sample_weight

from nnc import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.RandomState(8)
X = rng.randn(150, 4)
CLASSES = np.array(["a", "b", "c"])[(X[:, 0] > 1).astype(int) + (X[:, 1] * X[:, 2] > 0)]
NUMBERS = np.column_stack([np.sin(X[:, 0]) + X[:, 1] ** 2, X[:, 2] * X[:, 3]])
OPTIONS = {"hidden_layer_sizes": (7, 5), "random_state": 2, "max_iter": 20, "alpha": 0.1}


def assert_same_training(right, ours):
    np.testing.assert_allclose(ours.loss_curve_, right.loss_curve_, rtol=1e-6)
    for expected, found in zip(right.coefs_, ours.coefs_, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


# -------------------------------------------------------------------------------- class_weight


@pytest.mark.parametrize("class_weight", ["balanced", {"a": 3, "c": 0.5}], ids=str)
@pytest.mark.parametrize("weights", [None, np.abs(X[:, 3])], ids=["", "weights"])
@pytest.mark.parametrize("labels", [CLASSES, CLASSES == "a"], ids=["three", "two"])
def test_class_weight_is_sample_weight(class_weight, weights, labels):
    if isinstance(class_weight, dict) and labels.dtype == bool:
        class_weight = {True: 3, False: 0.5}
    ours = MLPClassifier(class_weight=class_weight, batch_size=40, **OPTIONS)
    ours.fit(X, labels, weights)
    product = compute_sample_weight(class_weight, labels)
    if weights is not None:
        product *= weights
    right = theirs.MLPClassifier(batch_size=40, **OPTIONS).fit(X, labels, product)
    assert_same_training(right, ours)


def test_class_weight_in_partial_fit():
    right, ours = theirs.MLPClassifier(**OPTIONS), MLPClassifier(class_weight={"a": 3}, **OPTIONS)
    for _ in range(4):
        right.partial_fit(X, CLASSES, compute_sample_weight({"a": 3}, CLASSES), list("abc"))
        ours.partial_fit(X, CLASSES, classes=list("abc"))
    assert_same_training(right, ours)
    with pytest.raises(
        ValueError, match="class_weight 'balanced' is not supported for partial_fit"
    ):
        MLPClassifier(class_weight="balanced").partial_fit(X, CLASSES, classes=list("abc"))
    with pytest.raises(ValueError, match="class_weight: several labels a sample"):
        MLPClassifier(class_weight="balanced").fit(X, (NUMBERS > 0).astype(int))


# -------------------------------------------------------------------------- validation data


@pytest.mark.parametrize("weights", [None, np.abs(X[100:, 3])], ids=["", "weights"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_classes_that_are_watched(early_stopping, weights):
    options = OPTIONS | {"early_stopping": early_stopping, "learning_rate_init": 0.03}
    model = MLPClassifier(**options).fit(
        X[:100], CLASSES[:100], X_val=X[100:], y_val=CLASSES[100:], sample_weight_val=weights
    )
    assert len(model.validation_scores_) == len(model.validation_loss_curve_) == model.n_iter_
    score = accuracy_score(CLASSES[100:], model.predict(X[100:]), sample_weight=weights)
    if early_stopping:  # the best parameters are back
        assert score == model.best_validation_score_ == max(model.validation_scores_)
        place = model.validation_scores_.index(score)
    else:
        assert score == model.validation_scores_[-1]
        place = -1
        right = theirs.MLPClassifier(**options).fit(X[:100], CLASSES[:100])
        assert_same_training(right, model)
    loss = log_loss(CLASSES[100:], model.predict_proba(X[100:]), sample_weight=weights)
    assert model.validation_loss_curve_[place] == pytest.approx(loss, rel=1e-12)


@pytest.mark.parametrize("weights", [None, np.abs(X[100:, 3])], ids=["", "weights"])
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_numbers_that_are_watched(loss, weights):
    y = np.abs(NUMBERS) if loss == "poisson" else NUMBERS
    model = MLPRegressor(loss=loss, **OPTIONS)
    model.fit(X[:100], y[:100], X_val=X[100:], y_val=y[100:], sample_weight_val=weights)
    predicted = model.predict(X[100:])
    score = r2_score(y[100:], predicted, sample_weight=weights)
    assert model.validation_scores_[-1] == pytest.approx(score, rel=1e-12)
    from sklearn.neural_network._base import LOSS_FUNCTIONS

    expected = LOSS_FUNCTIONS[loss](y[100:], predicted, weights)
    assert model.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-9)
    if loss == "squared_error":
        half = mean_squared_error(y[100:], predicted, sample_weight=weights) / 2
        assert expected == pytest.approx(half)


def test_validation_data_that_do_not_fit():
    model = MLPClassifier(**OPTIONS)
    with pytest.raises(ValueError, match="y_val: expected validation data, got None; pass X_val"):
        model.fit(X, CLASSES, X_val=X)
    with pytest.raises(ValueError, match=r"`y_val` has classes not in `self\.classes_`"):
        model.fit(X, CLASSES, X_val=X[:2], y_val=["a", "d"])
    with pytest.raises(ValueError, match="X has 3 features, but MLPClassifier is expecting 4"):
        model.fit(X, CLASSES, X_val=X[:, 1:], y_val=CLASSES)
    with pytest.raises(ValueError, match="y_val: expected 2 outputs as y has, got 1"):
        MLPRegressor().fit(X, NUMBERS, X_val=X, y_val=NUMBERS[:, 0])
    with pytest.raises(ValueError, match="X_val: lbfgs looks at no validation data"):
        MLPRegressor(solver="lbfgs").fit(X, NUMBERS, X_val=X, y_val=NUMBERS)


# ---------------------------------------------------------------------------------- clipping


class Clipped(theirs.MLPRegressor):
    """scikit-learn's, whose gradients are clipped."""

    def clip(self, value=None, norm=None):
        self.limits = value, norm
        return self

    def _backprop(self, *args):
        loss, coefs, intercepts = super()._backprop(*args)
        value, norm = self.limits
        grads = [*coefs, *intercepts]
        if value:
            grads = [np.clip(grad, -value, value) for grad in grads]
        if norm:
            length = np.sqrt(sum((grad**2).sum() for grad in grads))
            grads = [grad * min(1, norm / length) for grad in grads]
        return loss, grads[: len(coefs)], grads[len(coefs) :]


@pytest.mark.parametrize("limits", [{"value": 0.02}, {"norm": 0.1}, {"value": 0.05, "norm": 0.2}])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("y", [NUMBERS, NUMBERS[:, 0]], ids=["several", "one"])
def test_clipping(limits, solver, y):
    options = OPTIONS | {"solver": solver, "batch_size": 40}
    right = Clipped(**options).clip(**limits).fit(X, y)
    ours = MLPRegressor(**options, **{f"clip_{name}": most for name, most in limits.items()})
    assert_same_training(right, ours.fit(X, y))
    free = theirs.MLPRegressor(**options).fit(X, y)
    assert abs(free.loss_ - right.loss_) > 1e-4  # it does something


# ----------------------------------------------------------------------- layers of their own

FUNCTIONS = {
    "tanh": np.tanh,
    "gelu": lambda z: z * (1 + erf(z / np.sqrt(2))) / 2,
    "logistic": lambda z: 1 / (1 + np.exp(-z)),
    "silu": lambda z: z / (1 + np.exp(-z)),
}


def outputs(model, names):
    """All layers' activations, in NumPy."""
    layers = [X]
    for coef, intercept, name in zip(model.coefs_, model.intercepts_, [*names, None], strict=True):
        z = layers[-1] @ coef + intercept
        layers.append(FUNCTIONS[name](z) if name else z)
    return layers


@pytest.mark.parametrize("names", [["tanh", "gelu"], ("logistic", "silu")], ids=str)
def test_an_activation_for_each_layer(names):
    """The first step of gradient descent is against the slope that SciPy finds."""
    options = {**OPTIONS, "activation": names, "solver": "sgd", "momentum": 0, "alpha": 0.0}
    rate = 1e-3
    model = MLPRegressor(**options | {"max_iter": 1, "learning_rate_init": rate}).fit(X, NUMBERS)
    start = MLPRegressor(**options | {"max_iter": 1, "learning_rate_init": 1e-300}).fit(X, NUMBERS)
    np.testing.assert_allclose(start.predict(X), outputs(start, names)[-1], rtol=1e-10)

    coef = start.coefs_[0].copy()

    def loss(flat):
        start.coefs_[0] = flat.reshape(coef.shape)
        return ((outputs(start, names)[-1] - NUMBERS) ** 2).sum(axis=1).mean() / 2

    slope = approx_fprime(coef.ravel(), loss, 1e-7).reshape(coef.shape)
    np.testing.assert_allclose((coef - model.coefs_[0]) / rate, slope, rtol=1e-4, atol=1e-6)

    for layer, expected in enumerate(outputs(model, names)[1:-1]):
        np.testing.assert_allclose(model.hidden_activations(X, layer), expected, rtol=1e-10)
        np.testing.assert_array_equal(
            model.hidden_activations(X, layer - 2), model.hidden_activations(X, layer)
        )


def test_initial_parameters_follow_each_layers_activation():
    """As scikit-learn draws them: narrower before the logistic function."""
    model = MLPRegressor(
        hidden_layer_sizes=(500, 500), activation=["logistic", "tanh"], random_state=0,
        max_iter=1, learning_rate_init=1e-300,
    ).fit(X, NUMBERS)  # fmt: skip
    for coef, factor in zip(model.coefs_, (2, 6, 6), strict=True):
        bound = np.sqrt(factor / sum(coef.shape))
        assert 0.98 * bound < np.abs(coef).max() <= bound


def test_dropout_as_a_formula():
    """Of a linear layer with weights w behind units h, it adds the sum of (w h)^2 p / (1 - p)."""
    many = np.repeat(X[:20], 3000, axis=0)
    options = {
        "hidden_layer_sizes": (6,), "activation": "identity", "solver": "sgd", "random_state": 1,
        "alpha": 0.0, "max_iter": 1, "learning_rate_init": 1e-300, "batch_size": 60000,
    }  # fmt: skip
    y = np.zeros(len(many))
    plain = theirs.MLPRegressor(**options).fit(many, y)
    model = MLPRegressor(dropout=0.3, **options).fit(many, y)
    np.testing.assert_allclose(model.coefs_[0], plain.coefs_[0])
    hidden = many @ plain.coefs_[0] + plain.intercepts_[0]
    added = ((hidden * plain.coefs_[1].ravel()) ** 2).sum(axis=1).mean() / 2 * 0.3 / 0.7
    assert model.loss_ - plain.loss_ == pytest.approx(added, rel=0.03)
    np.testing.assert_allclose(model.predict(X), plain.predict(X), rtol=1e-10)
    by_layer = MLPRegressor(dropout=[0.3], **options).fit(many, y)
    assert by_layer.loss_ == model.loss_


def test_refusals_of_layers():
    for options, text in [
        ({"activation": ["relu"]}, "activation: expected one for each of 2 hidden layers, got 1"),
        ({"activation": ["relu", "step"]}, "activation: expected names among elu, .* got 'step'"),
        ({"dropout": [0.1]}, r"dropout: expected a number in \[0, 1\), or one for each of 2"),
        ({"dropout": [0.1, 1]}, r"dropout: expected a number in \[0, 1\)"),
        ({"solver": "lbfgs", "dropout": 0.5}, "dropout: lbfgs knows no dropout; leave it out"),
        ({"solver": "lbfgs", "clip_norm": 1.0}, "clip_norm: lbfgs knows no clip_norm"),
        ({"solver": "lbfgs", "max_time": 1.0}, "max_time: lbfgs knows no max_time"),
        ({"dtype": "int8"}, "The 'dtype' parameter of MLPRegressor must be"),
        ({"dtype": np.int8}, "dtype: expected float32 or float64, got int8"),
        ({"n_threads": 0}, "The 'n_threads' parameter of MLPRegressor must be"),
    ]:
        with pytest.raises(ValueError, match=text):
            MLPRegressor(**OPTIONS | options).fit(X, NUMBERS)
    model = MLPRegressor(**OPTIONS).fit(X, NUMBERS)
    with pytest.raises(ValueError, match="layer: expected a hidden layer, -2 to 1, got 2"):
        model.hidden_activations(X, 2)
    with pytest.raises(ValueError, match=r"the network to go on with has \[7, 5\], got \[7\]"):
        model.set_params(warm_start=True, hidden_layer_sizes=7).fit(X, NUMBERS)
    with pytest.raises(
        ValueError, match="y: expected numbers of at least 0 for the loss 'poisson'"
    ):
        MLPRegressor(loss="poisson").fit(X, NUMBERS)
    with pytest.raises(ValueError, match="Negative values in data passed to `sample_weight`"):
        MLPRegressor().fit(X, NUMBERS, -np.ones(150))


# ------------------------------------------------------------------------------ dtype and time


def test_dtype():
    model = MLPClassifier(dtype="float32", **OPTIONS).fit(X, CLASSES)
    right = theirs.MLPClassifier(**OPTIONS).fit(X.astype(np.float32), CLASSES)
    assert model.predict_proba(X).dtype == np.float32
    np.testing.assert_allclose(model.loss_curve_, right.loss_curve_, rtol=1e-4)
    integers = (10 * X).astype(np.int8)
    assert MLPRegressor(dtype=np.float32).fit(integers, NUMBERS).coefs_[0].dtype == np.float32


def test_threads_change_no_bit():
    many = np.repeat(X, 30, axis=0) + 0.1 * rng.randn(4500, 4)
    y = np.sin(many[:, 0])
    curves = []
    for n_threads in (1, 2):
        model = MLPRegressor(n_threads=n_threads, batch_size=1500, **OPTIONS)
        curves.append(model.fit(many, y).loss_curve_)
    assert curves[0] == curves[1]


def test_time_ends():
    with pytest.warns(ConvergenceWarning, match=r"max_time \(1e-09 s\) reached after 1 iterations"):
        model = MLPRegressor(max_time=1e-9, **OPTIONS | {"max_iter": 10**6}).fit(X, NUMBERS)
    right = theirs.MLPRegressor(**OPTIONS | {"max_iter": 1}).fit(X, NUMBERS)
    assert_same_training(right, model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MLPRegressor(max_time=600, **OPTIONS | {"max_iter": 10**6, "tol": 1}).fit(X, NUMBERS)


@pytest.mark.parametrize("batch_size", ["auto", 20000])
def test_ctrl_c_keeps_the_model(batch_size):
    many = rng.randn(20000, 50)
    y = many[:, 0] ** 2
    model = MLPRegressor(
        max_iter=10**6, n_iter_no_change=np.inf, hidden_layer_sizes=(64,), batch_size=batch_size
    )
    timer = threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    with pytest.warns(UserWarning, match=r"^Training interrupted by user\.$"):
        model.fit(many, y)
    timer.join()
    assert model.n_iter_ < 10**6
    assert np.isfinite(model.predict(many)).all()
    assert model.partial_fit(many, y).loss_ == model.loss_curve_[-1]


# ------------------------------------------------------------------- where scikit-learn is off


def test_weights_of_zero_in_a_whole_batch():
    """scikit-learn divides by their sum; here nothing is learned from the batch."""
    weights = np.r_[np.ones(100), np.zeros(50)]
    options = OPTIONS | {"batch_size": 50, "shuffle": False, "solver": "sgd"}
    with pytest.raises(ZeroDivisionError):
        theirs.MLPRegressor(**options).fit(X, NUMBERS, weights)
    ours = MLPRegressor(**options).fit(X, NUMBERS, weights)
    right = theirs.MLPRegressor(**options).fit(X[:100], NUMBERS[:100])
    for expected, found in zip(right.coefs_, ours.coefs_, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9)
