"""MLPClassifier and MLPRegressor train as scikit-learn's do, step for step."""

import inspect
import itertools
import pickle
import re
import warnings

import numpy as np
import pytest
import scipy.sparse
from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import nnc

rng = np.random.RandomState(20181013)
X = rng.randn(230, 6)
NUMBERS = np.column_stack([np.sin(X[:, 0]) + X[:, 1] ** 2, X[:, 2] * X[:, 3], X[:, 0]])
CLASSES = np.array([10, 20, 30, 40])[(X[:, 0] * X[:, 1] > 0) + 2 * (X[:, 2] > 1)]
WEIGHTS = rng.rand(230) + 0.1

# name, options, y: the tasks there are
TASKS = {
    "binary": ("MLPClassifier", {}, CLASSES == 10),
    "multiclass": ("MLPClassifier", {}, CLASSES),
    "multilabel": ("MLPClassifier", {}, (NUMBERS > 0).astype(int)),
    "one": ("MLPRegressor", {}, NUMBERS[:, 0]),
    "several": ("MLPRegressor", {}, NUMBERS),
    "poisson": ("MLPRegressor", {"loss": "poisson"}, np.abs(NUMBERS)),
}

LISTS = ["loss_curve_", "validation_scores_"]
NUMBERS_FITTED = [
    "loss_", "best_loss_", "best_validation_score_", "t_", "n_iter_", "n_layers_", "n_outputs_",
    "n_features_in_", "out_activation_",
]  # fmt: skip


def both(task, **options):
    name, more, y = TASKS[task]
    options = {"random_state": 3, "hidden_layer_sizes": (9, 5), "alpha": 0.1} | more | options
    return getattr(theirs, name)(**options), getattr(nnc, name)(**options), y


def assert_same(expected, found, rtol=1e-6):
    for name in LISTS + NUMBERS_FITTED:
        value = getattr(expected, name, None)
        if isinstance(value, str) or value is None:
            assert getattr(found, name, None) == value, name
        else:
            np.testing.assert_allclose(getattr(found, name), value, rtol=rtol, err_msg=name)
    for name in ("coefs_", "intercepts_"):
        for right, ours in zip(getattr(expected, name), getattr(found, name), strict=True):
            assert ours.dtype == right.dtype
            np.testing.assert_allclose(ours, right, rtol=rtol, atol=rtol * np.abs(right).max())


def fit_both(task, sample_weight=None, **options):
    expected, found, y = both(task, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        expected.fit(X, y, sample_weight)
        found.fit(X, y, sample_weight)
    assert_same(expected, found)
    return expected, found


# -------------------------------------------------------------------------------- trajectories

LONG = {"max_iter": 50, "tol": 0.0, "n_iter_no_change": 1000}


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize(("solver", "rate"), [("sgd", 0.02), ("adam", 0.01)])
@pytest.mark.parametrize("task", TASKS)
def test_50_epochs(task, solver, rate, activation):
    for batch_size, shuffle in (
        ("auto", True), (32, True), (230, True), (230, False), (46, False), (50, False),
    ):  # fmt: skip
        expected, found = fit_both(
            task, solver=solver, learning_rate_init=rate, activation=activation,
            batch_size=batch_size, shuffle=shuffle, **LONG,
        )  # fmt: skip
        assert len(found.loss_curve_) == 50
        np.testing.assert_allclose(found.loss_curve_, expected.loss_curve_, rtol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"nesterovs_momentum": False},
        {"momentum": 0},
        {"momentum": 1, "learning_rate_init": 1e-4, "nesterovs_momentum": False},
        {"learning_rate": "invscaling", "learning_rate_init": 0.5},
        {"learning_rate": "invscaling", "power_t": 0.1, "momentum": 0},
        {"learning_rate": "invscaling", "nesterovs_momentum": False, "learning_rate_init": 0.1},
        {"alpha": 0},
        {"alpha": 30, "learning_rate_init": 1e-3},
        {"hidden_layer_sizes": ()},
        {"hidden_layer_sizes": 40},
        {"early_stopping": True},
        {"early_stopping": True, "validation_fraction": 0.3, "solver": "adam"},
        {"solver": "adam", "beta_1": 0.0, "beta_2": 0.5, "epsilon": 0.1},
        {"solver": "adam", "epsilon": 1e-4},
        {"solver": "adam", "beta_2": 0.99999999},
        {"solver": "adam", "beta_2": 1 - 2.0**-53},
    ],
    ids=str,
)
@pytest.mark.parametrize("task", TASKS)
def test_50_epochs_of_other_options(task, options):
    options = {"solver": "sgd", "learning_rate_init": 0.01} | LONG | options
    for weights in (None, WEIGHTS):
        fit_both(task, weights, **options)


@pytest.mark.parametrize("alpha", [0, 0.1])
@pytest.mark.parametrize("batch_size", [1, 32, 115, 230])
@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_outputs_that_are_saturated(task, batch_size, alpha, monkeypatch):
    """scikit-learn cuts probabilities off at 2e-16: a loss is at most 36."""
    monkeypatch.setitem(globals(), "X", X * 100)
    for weights in (None, WEIGHTS):
        expected, _ = fit_both(
            task, weights, solver="sgd", learning_rate_init=1e-5, alpha=alpha, max_iter=5,
            activation="relu", batch_size=batch_size, shuffle=batch_size != 115,
        )  # fmt: skip
        assert expected.loss_curve_[0] > 5


@pytest.mark.parametrize("task", ["multiclass", "several"])
def test_adaptive_rates_and_the_end(task, capsys):
    """Until the rate is too small; what is printed on the way is equal, too."""
    expected, found, y = both(
        task, solver="sgd", learning_rate="adaptive", learning_rate_init=0.2, tol=1e-3,
        max_iter=400, n_iter_no_change=3, verbose=True,
    )  # fmt: skip
    expected.fit(X, y)
    printed = capsys.readouterr().out
    found.fit(X, y)
    assert capsys.readouterr().out == printed
    assert "Setting learning rate to" in printed
    assert "Learning rate too small. Stopping." in printed
    assert_same(expected, found)


@pytest.mark.parametrize("batch_size", ["auto", 207, 230])
@pytest.mark.parametrize("options", [{}, {"early_stopping": True}], ids=str)
@pytest.mark.parametrize("task", TASKS)
def test_the_end_where_nothing_improves(task, options, batch_size, capsys):
    expected, found, y = both(
        task, tol=0.01, n_iter_no_change=4, learning_rate_init=0.02, max_iter=1000, verbose=True,
        batch_size=min(batch_size, 207) if batch_size != "auto" and options else batch_size,
        **options,
    )  # fmt: skip
    expected.fit(X, y)
    printed = capsys.readouterr().out
    found.fit(X, y)
    assert capsys.readouterr().out == printed
    assert expected.n_iter_ < 1000
    assert_same(expected, found)
    np.testing.assert_allclose(found.score(X, y), expected.score(X, y), rtol=1e-12)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["", "weights"])
@pytest.mark.parametrize("task", TASKS)
def test_lbfgs(task, weights):
    expected, found, y = both(task, solver="lbfgs", max_iter=15)
    for model in (expected, found):
        with pytest.warns(ConvergenceWarning) as caught:
            model.fit(X, y, weights)
        model.message = str(caught[0].message)
    assert found.message == expected.message
    assert found.n_iter_ == expected.n_iter_ == 15
    np.testing.assert_allclose(found.loss_, expected.loss_, rtol=1e-6)
    assert not hasattr(found, "loss_curve_")
    np.testing.assert_allclose(
        found._outputs(X), expected._forward_pass_fast(X), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("container", [scipy.sparse.csr_matrix, scipy.sparse.csc_array])
@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"solver": "lbfgs"}], ids=str)
@pytest.mark.parametrize("task", TASKS)
def test_sparse_data(task, options, container, monkeypatch):
    monkeypatch.setattr("nnc._sk_engine.GATHERED", 6 * 32 * 2)  # in several parts
    holes = container(np.where(np.abs(X) > 0.5, X, 0))
    expected, found, y = both(task, max_iter=8, batch_size=32, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        expected.fit(holes, y)
        found.fit(holes, y)
    assert_same(expected, found, 1e-5)
    np.testing.assert_allclose(
        found._outputs(holes), expected._forward_pass_fast(holes), rtol=1e-4, atol=1e-6
    )


def test_many_features_are_gathered_in_parts(monkeypatch):
    monkeypatch.setattr("nnc._sk_engine.GATHERED", 6 * 32 * 2)
    for task in TASKS:
        fit_both(task, batch_size=32, **LONG)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("task", TASKS)
def test_dtypes_are_those_of_the_data(task, dtype):
    expected, found, y = both(task, max_iter=20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        expected.fit(X.astype(dtype), y)
        found.fit(X.astype(dtype), y)
    assert_same(expected, found, 1e-3 if dtype == np.float32 else 1e-6)
    method = "predict_proba" if hasattr(expected, "predict_proba") else "predict"
    right, ours = (getattr(model, method)(X.astype(dtype)) for model in (expected, found))
    assert ours.dtype == right.dtype == dtype


# ----------------------------------------------------------------------- going on from there


def partial(model, y, first):
    options = {}
    if first and hasattr(model, "predict_proba"):
        options = {"classes": np.unique(y) if y.ndim == 1 else np.arange(y.shape[1])}
    return model.partial_fit(X[:100], y[:100], **options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"solver": "sgd"},
        {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.3},
        {"batch_size": 32},
    ],
    ids=str,
)
@pytest.mark.parametrize("task", TASKS)
def test_partial_fit_goes_on(task, options):
    expected, found, y = both(task, **options)
    for i in range(12):
        partial(expected, y, i == 0)
        partial(found, y, i == 0)
        if i == 5:  # a copy goes on, too
            found = pickle.loads(pickle.dumps(found))
    assert_same(expected, found)
    assert len(found.loss_curve_) == 12


@pytest.mark.parametrize("options", [{}, {"solver": "sgd"}, {"early_stopping": True}], ids=str)
@pytest.mark.parametrize("task", TASKS)
def test_warm_start_goes_on(task, options):
    expected, found, y = both(task, warm_start=True, max_iter=7, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for _ in range(3):
            expected.fit(X, y)
            found.fit(X, y)
    assert_same(expected, found)
    assert len(found.loss_curve_) > 7


def test_a_random_state_goes_on():
    """From one generator, the second model is another, and the same as scikit-learn's second."""
    models = []
    for library in (theirs, nnc):
        state = np.random.RandomState(4)
        for _ in range(2):
            model = library.MLPRegressor(
                hidden_layer_sizes=9, random_state=state, max_iter=5, batch_size=230
            )
            with pytest.warns(ConvergenceWarning):
                models.append(model.fit(X, NUMBERS))
    assert_same(models[0], models[2])
    assert_same(models[1], models[3])
    assert models[2].loss_ != models[3].loss_


# ------------------------------------------------------------------------------- predictions


@pytest.mark.parametrize("task", TASKS)
def test_predictions(task):
    expected, found = fit_both(task, max_iter=60)
    y = TASKS[task][2]
    methods = ["predict"]
    if hasattr(expected, "classes_"):
        methods += ["predict_proba", "predict_log_proba"]
        np.testing.assert_array_equal(found.classes_, expected.classes_)
    for method in methods:
        right, ours = getattr(expected, method)(X), getattr(found, method)(X)
        assert ours.shape == right.shape
        assert ours.dtype == right.dtype
        if right.dtype.kind == "f":
            np.testing.assert_allclose(ours, right, rtol=1e-6)
        else:
            np.testing.assert_array_equal(ours, right)
    assert found.score(X, y, WEIGHTS) == pytest.approx(expected.score(X, y, WEIGHTS))


def test_predictions_use_the_coefficients_that_are_shown():
    _, found = fit_both("several", max_iter=3)
    found.coefs_[-1][...] = 0
    found.intercepts_[-1][:] = [1, 2, 3]
    np.testing.assert_array_equal(found.predict(X[:2]), [[1, 2, 3]] * 2)


# ---------------------------------------------------------------------------- texts and faces


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_parameters_are_those_of_scikit_learn(name):
    right = inspect.signature(getattr(theirs, name)).parameters
    ours = inspect.signature(getattr(nnc, name)).parameters
    assert list(ours)[: len(right)] == list(right)
    for parameter in right.values():
        assert ours[parameter.name].default == parameter.default
        assert ours[parameter.name].kind == parameter.kind
    for parameter in itertools.islice(ours.values(), len(right), None):
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
    for method in ("fit", "partial_fit", "predict", "score"):
        right = inspect.signature(getattr(getattr(theirs, name), method)).parameters
        ours = inspect.signature(getattr(getattr(nnc, name), method)).parameters
        assert list(ours)[: len(right)] == list(right)
    documented = re.findall(r"^    (\w[\w, ]*) : ", getattr(nnc, name).__doc__, re.MULTILINE)
    documented = [name for names in documented for name in names.split(", ")]
    parameters = list(inspect.signature(getattr(nnc, name)).parameters)
    assert documented[: len(parameters)] == parameters


def refusal(model, call):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        call(model)
    return caught.value


def fits(**options):
    return lambda model: model.set_params(**options).fit(X, NUMBERS[:, 0].round() % 3)


REFUSED = {
    "hidden_layer_sizes": fits(hidden_layer_sizes=(3, 0)),
    "a float": fits(hidden_layer_sizes=(3.5,)),
    "alpha": fits(alpha=-1),
    "solver": fits(solver="newton"),
    "validation_fraction": fits(early_stopping=True, validation_fraction=0.001),
    "nan": lambda model: model.fit(np.where(X > 2, np.nan, X), CLASSES == 10),
    "lengths": lambda model: model.fit(X, NUMBERS[1:, 0]),
    "unfitted": lambda model: model.predict(X),
    "features": lambda model: fits(max_iter=1000, tol=1)(model).predict(X[:, 1:]),
    "weights": lambda model: model.fit(X, CLASSES == 10, WEIGHTS[1:]),
    "early": lambda model: model.set_params(early_stopping=True).partial_fit(
        X, CLASSES == 10, **({"classes": [False, True]} if hasattr(model, "classes") else {})
    ),
    "lbfgs": lambda model: model.set_params(solver="lbfgs").partial_fit,
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_refusals_have_the_words_of_scikit_learn(name, what):
    if (name, what) == ("MLPRegressor", "lbfgs"):
        assert not hasattr(nnc.MLPRegressor(solver="lbfgs"), "partial_fit")
        return  # scikit-learn's runs lbfgs
    right, ours = (refusal(getattr(library, name)(), REFUSED[what]) for library in (theirs, nnc))
    assert type(ours) is type(right)
    # of sets, whose order differs, and with what ours may be besides
    names = re.compile("(?<={).*(?=})|,? or (an instance of 'nnc[^']*'|a callable)")
    assert names.sub("", str(ours)).startswith(names.sub("", str(right)))


def test_warnings_have_the_words_of_scikit_learn():
    for options in ({"max_iter": 2}, {"batch_size": 1000, "tol": 10, "max_iter": 100}):
        texts = []
        for library in (theirs, nnc):
            with pytest.warns() as caught:
                library.MLPRegressor(**options).fit(X, NUMBERS)
            texts.append([(w.category, str(w.message)) for w in caught])
        assert texts[0] == texts[1]
        assert texts[0]


def test_classes_that_are_not_those_of_before():
    texts = []
    for library in (theirs, nnc):
        model = library.MLPClassifier(warm_start=True, tol=1).fit(X, CLASSES)
        refused = [refusal(model, lambda model: model.fit(X, CLASSES == 10))]
        model = library.MLPClassifier().partial_fit(X, CLASSES, classes=[10, 20, 30, 40])
        refused.append(refusal(model, lambda model: model.partial_fit(X, CLASSES + 1)))
        refused.append(
            refusal(library.MLPClassifier(), lambda model: model.partial_fit(X, CLASSES))
        )
        texts.append([(type(error), str(error)) for error in refused])
    assert texts[0] == texts[1]


@pytest.mark.parametrize("batch_size", [32, 230])
@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_what_diverges(name, batch_size):
    y = CLASSES if name == "MLPClassifier" else NUMBERS
    options = {"solver": "sgd", "learning_rate_init": 1e30, "max_iter": 20, "random_state": 0}
    options |= {"activation": "identity", "alpha": 1e6, "batch_size": batch_size}
    errors = []
    for library in (theirs, nnc):
        model = getattr(library, name)(**options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            errors.append(refusal(model, lambda model: model.fit(X, y)))
    assert type(errors[0]) is type(errors[1])
    assert str(errors[1]).startswith(str(errors[0]))


def test_a_training_that_is_interrupted_keeps_what_it_has(monkeypatch):
    from nnc._sk_solvers import Training

    epoch, count = Training.epoch, iter(range(100))

    def interrupted(self, *args):
        if next(count) == 3:
            raise KeyboardInterrupt
        return epoch(self, *args)

    monkeypatch.setattr(Training, "epoch", interrupted)
    expected, found, y = both("multiclass", max_iter=3)
    with pytest.warns(ConvergenceWarning):
        expected.fit(X, y)
    with pytest.warns(UserWarning, match=r"^Training interrupted by user\.$"):
        found.set_params(max_iter=10).fit(X, y)
    assert_same(expected, found)


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_looks_copies_and_clones(name):
    model = getattr(nnc, name)(alpha=0.5, dropout=0.1)
    assert repr(model) == f"{name}(alpha=0.5, dropout=0.1)"
    assert name in model._repr_html_()
    assert clone(model).get_params() == model.get_params()
