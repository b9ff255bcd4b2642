"""Warm starts that keep everything, first parameters of one's own, scorers, nnc's callbacks."""

import copy
import csv
import pickle

import numpy as np
import pytest
from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.metrics import balanced_accuracy_score, log_loss, mean_absolute_error

import nnc
from nnc import LivePlot, MLPClassifier, MLPRegressor, schedules
from nnc.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LayerRecorder,
    ModelCheckpoint,
    ReduceLROnPlateau,
    WeightRecorder,
)
from nnc.optimizers import SGD, AdamW, RMSprop

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.RandomState(6)
X = rng.randn(150, 4)
CLASSES = np.array(["a", "b", "c"])[(X[:, 0] > 1).astype(int) + (X[:, 1] * X[:, 2] > 0)]
NUMBERS = np.sin(X[:, 0]) + X[:, 1] ** 2
OPTIONS = {"hidden_layer_sizes": (7, 5), "random_state": 2, "batch_size": 40}


def same_model(a, b):
    return all(
        x.tobytes() == y.tobytes()
        for x, y in zip([*a.coefs_, *a.intercepts_], [*b.coefs_, *b.intercepts_], strict=True)
    )


# ------------------------------------------------------------------------------------ resume

RESUMED = {
    "adam": {},
    "sgd": {"solver": "sgd", "momentum": 0.9},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 1, "n_iter_no_change": 2},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.1},
    "all at once": {"batch_size": 150},
    "dropout": {"dropout": 0.3},
    "adamw": {"solver": AdamW(0.01, weight_decay=0.1)},
    "momentum": {"solver": SGD(0.01, 0.9)},
    "schedule": {"learning_rate": schedules.StepDecay(0.02, 0.5, 3)},
    "float32": {"dtype": "float32"},
}


@pytest.mark.parametrize("name", RESUMED)
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_two_fits_are_one(kind, name):
    options = OPTIONS | RESUMED[name]
    y = CLASSES if kind is MLPClassifier else NUMBERS
    whole = kind(max_iter=12, **options).fit(X, y)
    parts = kind(max_iter=5, warm_start="resume", **options).fit(X, y)
    parts = pickle.loads(pickle.dumps(parts)).set_params(max_iter=7).fit(X, y)
    assert parts.loss_curve_ == whole.loss_curve_
    assert same_model(parts, whole)
    assert (parts.n_iter_, parts.t_) == (7, whole.t_)


@pytest.mark.parametrize("solver", ["adam", "sgd", RMSprop(0.01)], ids=str)
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_partial_fits_without_shuffling_are_one_fit(kind, solver):
    options = OPTIONS | {"solver": solver, "shuffle": False}
    y = CLASSES if kind is MLPClassifier else NUMBERS
    whole, parts = kind(max_iter=6, **options).fit(X, y), kind(**options)
    for _ in range(6):
        parts.partial_fit(X, y, **({"classes": list("abc")} if kind is MLPClassifier else {}))
    assert same_model(parts, whole)
    np.testing.assert_allclose(parts.loss_curve_, whole.loss_curve_, rtol=1e-14)


def test_plain_warm_starts_are_those_of_scikit_learn():
    right, ours = (
        library.MLPClassifier(max_iter=5, warm_start=True, **OPTIONS).fit(X, CLASSES)
        for library in (theirs, nnc)
    )
    curves = [m.fit(X, CLASSES).loss_curve_ for m in (right, ours)]
    np.testing.assert_allclose(*curves, rtol=1e-9)
    resumed = MLPClassifier(max_iter=5, warm_start="resume", **OPTIONS).fit(X, CLASSES)
    assert resumed.fit(X, CLASSES).loss_curve_ != curves[1]


def test_resumed_validation_samples_are_the_same():
    """Those that were trained on never become validation samples."""
    options = OPTIONS | {"early_stopping": True, "max_iter": 6, "validation_fraction": 0.4}
    seen = []

    def scorer(estimator, X_val, y_val):
        seen.append(X_val.copy())
        return 1.0

    model = MLPRegressor(warm_start="resume", scoring=scorer, **options)
    model.fit(X, NUMBERS).fit(X, NUMBERS)
    assert len(seen) == 12
    assert all(np.array_equal(seen[0], other) for other in seen)


def test_a_fit_that_stopped_goes_on():
    model = MLPRegressor(warm_start="resume", tol=100, n_iter_no_change=3, **OPTIONS)
    assert model.fit(X, NUMBERS).n_iter_ == 5
    assert model.fit(X, NUMBERS).n_iter_ == 4  # the first epoch of all was the best


def test_the_model_keeps_only_what_a_resumed_fit_needs():
    sizes = [
        len(pickle.dumps(MLPRegressor(max_iter=2, warm_start=warm, **OPTIONS).fit(X, NUMBERS)))
        for warm in (False, True, "resume")
    ]
    assert sizes[0] == pytest.approx(sizes[1], abs=5)
    assert sizes[2] > sizes[0] + 8 * len(X)


def test_another_optimizer_cannot_resume():
    model = MLPRegressor(max_iter=2, warm_start="resume", **OPTIONS).fit(X, NUMBERS)
    with pytest.raises(
        ValueError, match=r"warm_start: 'resume' needs the optimizer of .* adam, got"
    ):
        model.set_params(solver="rmsprop").fit(X, NUMBERS)


# -------------------------------------------------------------------------- first parameters


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_first_parameters(solver):
    """scikit-learn's has none; its warm start goes on from those of coefs_ that are there."""
    options = OPTIONS | {"solver": solver, "max_iter": 8, "shuffle": False}
    right = theirs.MLPRegressor(warm_start=True, **options | {"max_iter": 1}).fit(X, NUMBERS)
    coefs, intercepts = copy.deepcopy(right.coefs_), copy.deepcopy(right.intercepts_)
    right.set_params(max_iter=8).fit(X, NUMBERS)
    ours = MLPRegressor(coefs_init=coefs, intercepts_init=intercepts, **options)
    given = copy.deepcopy(coefs)
    clone(ours).fit(X, NUMBERS)
    ours.fit(X, NUMBERS)
    for expected, found in zip(right.coefs_, ours.coefs_, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    assert all(np.array_equal(a, b) for a, b in zip(given, coefs, strict=True))


def test_first_parameters_leave_the_order_of_samples():
    drawn = MLPRegressor(max_iter=1, learning_rate_init=1e-300, **OPTIONS).fit(X, NUMBERS)
    same = MLPRegressor(coefs_init=drawn.coefs_, max_iter=9, **OPTIONS).fit(X, NUMBERS)
    assert same_model(same, MLPRegressor(max_iter=9, **OPTIONS).fit(X, NUMBERS))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([np.zeros((4, 7))], "coefs_init: expected an array for each of 3 layers, got 1"),
        (
            [np.zeros((4, 7)), np.zeros((5, 7)), np.zeros((5, 1))],
            r"coefs_init\[1\]: expected shape \(7, 5\), got \(5, 7\)",
        ),
        (
            [np.zeros((4, 7)), np.zeros((7, 5)), np.full((5, 1), np.nan)],
            r"coefs_init\[2\]: expected finite numbers",
        ),
    ],
)
def test_first_parameters_that_do_not_fit(given, words):
    with pytest.raises(ValueError, match=words):
        MLPRegressor(coefs_init=given, **OPTIONS).fit(X, NUMBERS)


# ------------------------------------------------------------------------------------ scoring


def test_scorers_by_name():
    model = MLPClassifier(scoring="balanced_accuracy", max_iter=6, **OPTIONS)
    model.fit(X, CLASSES, X_val=X[:50], y_val=CLASSES[:50])
    right = balanced_accuracy_score(CLASSES[:50], model.predict(X[:50]))
    assert model.validation_scores_[-1] == right
    assert len(set(model.validation_scores_)) > 1


def test_scorers_weigh_samples():
    weights = np.arange(50.0)
    model = MLPRegressor(scoring="neg_mean_absolute_error", max_iter=3, **OPTIONS)
    model.fit(X, NUMBERS, X_val=X[:50], y_val=NUMBERS[:50], sample_weight_val=weights)
    right = -mean_absolute_error(NUMBERS[:50], model.predict(X[:50]), sample_weight=weights)
    assert model.validation_scores_[-1] == pytest.approx(right)


def test_scorers_see_frames_without_a_warning():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("pqrs"))
    model = MLPClassifier(scoring="neg_log_loss", early_stopping=True, max_iter=5, **OPTIONS)
    model.fit(frame, CLASSES)
    assert list(model.feature_names_in_) == list("pqrs")
    assert len(model.validation_scores_) == 5


def test_early_stopping_on_the_loss():
    model = MLPClassifier(
        scoring="loss", early_stopping=True, max_iter=400, learning_rate_init=0.05, **OPTIONS
    )
    X_val, y_val = X[100:], CLASSES[100:]
    model.fit(X[:100], CLASSES[:100], X_val=X_val, y_val=y_val)
    assert model.n_iter_ < 400
    assert model.validation_scores_ == [-loss for loss in model.validation_loss_curve_]
    best = log_loss(y_val, model.predict_proba(X_val))
    assert best == pytest.approx(min(model.validation_loss_curve_), rel=1e-12)
    assert best == pytest.approx(-model.best_validation_score_, rel=1e-12)


def test_scoring_needs_validation_samples():
    with pytest.raises(ValueError, match="scoring: there are no validation samples to score"):
        MLPRegressor(scoring="loss", **OPTIONS).fit(X, NUMBERS)
    with pytest.raises(ValueError, match="scoring: lbfgs knows no scoring"):
        MLPRegressor(scoring="loss", solver="lbfgs").fit(X, NUMBERS)


# ---------------------------------------------------------------------------------- callbacks


def test_functions_see_each_epoch_and_stop():
    seen = []

    def watch(epoch, logs):
        seen.append((epoch, dict(logs)))
        return epoch == 3

    model = MLPClassifier(callbacks=watch, **OPTIONS)
    model.fit(X, CLASSES, X_val=X[:50], y_val=CLASSES[:50])
    assert model.n_iter_ == 4
    assert [epoch for epoch, _ in seen] == [0, 1, 2, 3]
    assert [logs["loss"] for _, logs in seen] == model.loss_curve_
    assert [logs["val_loss"] for _, logs in seen] == model.validation_loss_curve_
    assert [logs["val_accuracy"] for _, logs in seen] == model.validation_scores_


def test_functions_see_the_epoch_that_ends_the_training():
    seen = []
    model = MLPRegressor(tol=100, n_iter_no_change=3, **OPTIONS)
    model.set_params(callbacks=lambda epoch, logs: seen.append(epoch)).fit(X, NUMBERS)
    assert seen == list(range(model.n_iter_))


@pytest.mark.parametrize("batch_size", [40, 150])
def test_callbacks_change_nothing(batch_size):
    options = OPTIONS | {"batch_size": batch_size, "max_iter": 6}
    watched = MLPRegressor(callbacks=lambda epoch, logs: None, **options).fit(X, NUMBERS)
    assert same_model(watched, MLPRegressor(**options).fit(X, NUMBERS))


def test_early_stopping_restores():
    stopper = EarlyStopping("val_loss", patience=5)
    model = MLPRegressor(callbacks=[stopper], max_iter=500, learning_rate_init=0.05, **OPTIONS)
    model.fit(X[:100], NUMBERS[:100], X_val=X[100:], y_val=NUMBERS[100:])
    curve = model.validation_loss_curve_
    assert model.n_iter_ == int(np.argmin(curve)) + 6
    right = 0.5 * ((model.predict(X[100:]) - NUMBERS[100:]) ** 2).mean()
    assert right == pytest.approx(min(curve), rel=1e-12)


def test_checkpoints_are_networks(tmp_path):
    path = tmp_path / "model.safetensors"
    saver = ModelCheckpoint(path, monitor="loss")
    model = MLPClassifier(callbacks=saver, max_iter=3, activation=["logistic", "gelu"], **OPTIONS)
    model.fit(X, CLASSES)
    network = nnc.Network.load(path)
    np.testing.assert_allclose(network.predict_proba(X), model.predict_proba(X), rtol=1e-12)


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_callbacks_see_a_network_that_predicts_as_the_model_will(dropout):
    seen = []

    class Watch(Callback):
        def on_epoch_end(self, epoch, logs):
            seen.append((self.network.predict_proba(X), self.network.input_gradients(X[:3])))

    options = OPTIONS | {"dropout": dropout, "activation": ["tanh", "logistic"]}
    MLPClassifier(callbacks=Watch(), max_iter=4, **options).fit(X, CLASSES)
    for epochs, (probabilities, _) in enumerate(seen, 1):
        model = MLPClassifier(max_iter=epochs, **options).fit(X, CLASSES)
        np.testing.assert_allclose(probabilities, model.predict_proba(X), rtol=1e-13)


def test_recorders_see_the_parameters_and_the_gradient_of_the_next_step():
    y = np.unique(CLASSES, return_inverse=True)[1]
    layers, weights = LayerRecorder(X, y), WeightRecorder()
    options = OPTIONS | {"alpha": 0, "solver": SGD(0.1), "batch_size": len(X)}
    model = MLPClassifier(callbacks=[layers, weights], max_iter=4, **options).fit(X, CLASSES)
    following = MLPClassifier(max_iter=5, **options).fit(X, CLASSES)
    for i, (before, after) in enumerate(zip(model.coefs_, following.coefs_, strict=True), 1):
        np.testing.assert_array_equal(weights.params[-1][f"W{i}"].T, before)
        right = np.sqrt(np.mean(((before - after) / 0.1) ** 2))
        assert layers.gradients[f"W{i}"][-1] == pytest.approx(right, rel=1e-9)


def test_a_live_plot_draws_the_boundary():
    pictures = []
    live = LivePlot(X[:, :2], CLASSES == "a", show=pictures.append)
    MLPClassifier(callbacks=live, max_iter=4, **OPTIONS).fit(X[:, :2], CLASSES == "a")
    assert len(pictures) >= 2
    assert pictures[0] != pictures[-1]


def test_plateaus_reduce_the_rates():
    plateau = ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=100)
    options = OPTIONS | {"shuffle": False, "max_iter": 5}
    model = MLPRegressor(solver=RMSprop(0.01), callbacks=plateau, **options).fit(X, NUMBERS)
    halved = lambda epoch: 0.01 * 0.5 ** max(epoch - 1, 0)  # noqa: E731
    assert same_model(model, MLPRegressor(solver=RMSprop(halved), **options).fit(X, NUMBERS))
    with pytest.raises(ValueError, match="this training has no learning rates to reduce"):
        MLPRegressor(callbacks=plateau, **options).fit(X, NUMBERS)


def test_logs_of_scorers_are_written(tmp_path):
    path = tmp_path / "log.csv"
    model = MLPClassifier(scoring="neg_log_loss", callbacks=CSVLogger(path), max_iter=3, **OPTIONS)
    model.fit(X, CLASSES, X_val=X[:50], y_val=CLASSES[:50])
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val_neg_log_loss"]) for row in rows] == model.validation_scores_


def test_bad_callbacks_are_refused():
    with pytest.raises(TypeError, match="callbacks: expected callbacks or functions, got 3"):
        MLPRegressor(callbacks=3, **OPTIONS).fit(X, NUMBERS)
    with pytest.raises(ValueError, match=r"monitor: .*val_loss"):
        MLPRegressor(callbacks=EarlyStopping("val_loss"), **OPTIONS).fit(X, NUMBERS)
    with pytest.raises(ValueError, match="callbacks: lbfgs knows no callbacks"):
        MLPRegressor(callbacks=print, solver="lbfgs", **OPTIONS).fit(X, NUMBERS)
