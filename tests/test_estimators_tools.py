"""The estimators in scikit-learn's tools: each finds what it finds with scikit-learn's own."""

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from sklearn import neural_network as theirs
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import BaggingClassifier, StackingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    cross_val_predict,
    cross_validate,
    learning_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import nnc

VERSION = tuple(int(part) for part in sklearn.__version__.split(".")[:2])
# scikit-learn before 1.9 knows no names of polars' columns, and 1.7 routes no weights to the scores
# of pipelines, whatever estimator there is.
FRAMES = [pd, pl] if VERSION >= (1, 9) else [pd]

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.RandomState(6)
X = rng.randn(160, 5)
y = np.array(["no", "maybe", "yes"])[(X[:, 0] > 0).astype(int) + (X[:, 1] * X[:, 2] > 0.3)]
NUMBERS = X @ [1.0, 2, 0, -1, 0] + 0.1 * rng.randn(160)


def classifier(library, **options):
    return library.MLPClassifier(
        **{"hidden_layer_sizes": (8,), "max_iter": 15, "random_state": 1,
           "learning_rate_init": 0.02} | options
    )  # fmt: skip


def regressor(library, **options):
    return library.MLPRegressor(
        hidden_layer_sizes=(8,), max_iter=15, random_state=1, learning_rate_init=0.02, **options
    )


def of_both(compute):
    """What `compute` makes of either library, and check that it is the same."""
    right, ours = compute(theirs), compute(nnc)
    for expected, found in zip(right, ours, strict=True):
        expected, found = np.asarray(expected), np.asarray(found)
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
        else:
            np.testing.assert_array_equal(found, expected)


def test_grid_search_in_two_processes():
    grid = {"alpha": [1e-4, 1.0], "hidden_layer_sizes": [(4,), (8, 3)], "solver": ["sgd", "adam"]}

    def search(library):
        found = GridSearchCV(classifier(library), grid, cv=3, n_jobs=2).fit(X, y)
        return found.cv_results_["mean_test_score"], found.predict(X), [str(found.best_params_)]

    of_both(search)


def test_processes_share_the_cpus(monkeypatch):
    """joblib tells its processes how many threads each may have, and nnc listens."""
    monkeypatch.delenv("NNC_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with joblib.parallel_config("loky", n_jobs=2):
        found = joblib.Parallel()(joblib.delayed(nnc.get_num_threads)() for _ in range(4))
    assert max(found) <= max(1, joblib.cpu_count() // 2)


def test_halving_search_over_epochs():
    def search(library):
        found = HalvingGridSearchCV(
            classifier(library), {"alpha": [1e-4, 1e-2, 1.0, 10.0]}, resource="max_iter",
            min_resources=2, max_resources=16, cv=3, random_state=0,
        ).fit(X, y)  # fmt: skip
        return found.cv_results_["mean_test_score"], [found.best_params_["alpha"]]

    of_both(search)


def test_pipeline():
    def use(library):
        pipe = make_pipeline(StandardScaler(), classifier(library))
        pipe.fit(X, y, mlpclassifier__sample_weight=np.abs(X[:, 0]))
        return pipe.predict(X), pipe.predict_proba(X), [pipe.score(X, y)]

    of_both(use)


def frame(library):
    return library.DataFrame(
        {"a": X[:, 0], "b": X[:, 1], "kind": np.where(X[:, 2] > 0, "x", "z"), "c": X[:, 3]}
    )


@pytest.mark.parametrize("frames", FRAMES, ids=lambda module: module.__name__)
def test_column_transformer_and_frames(frames):
    data = frame(frames)

    def use(library):
        columns = ColumnTransformer(
            [("numbers", StandardScaler(), ["a", "b", "c"]), ("kind", OneHotEncoder(), ["kind"])]
        )
        pipe = make_pipeline(columns, classifier(library)).fit(data, y)
        return pipe.predict(data), pipe.predict_proba(data)

    of_both(use)


@pytest.mark.parametrize("frames", FRAMES, ids=lambda module: module.__name__)
def test_names_of_features(frames):
    data = frames.DataFrame({"a": X[:, 0], "b": X[:, 1]})
    target = frames.Series(NUMBERS)
    other = frames.DataFrame({"b": X[:, 1], "a": X[:, 0]})
    texts = []
    for library in (theirs, nnc):
        model = regressor(library, early_stopping=True).fit(data, target)
        assert list(model.feature_names_in_) == ["a", "b"]
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            model.predict(X[:, :2])
        with pytest.raises(ValueError, match="feature names should match") as caught:
            model.predict(other)
        texts.append(str(caught.value))
    assert texts[0] == texts[1]


def test_set_output():
    pipe = make_pipeline(StandardScaler(), classifier(nnc)).set_output(transform="pandas")
    pipe.fit(frame(pd)[["a", "b", "c"]], y)
    assert list(pipe[-1].feature_names_in_) == ["a", "b", "c"]


def test_metadata_routing():
    weights = np.abs(X[:, 0])

    def use(library):
        with sklearn.config_context(enable_metadata_routing=True):
            model = classifier(library).set_fit_request(sample_weight=True)
            model = model.set_score_request(sample_weight=True)
            scaler = StandardScaler().set_fit_request(sample_weight=False)
            pipe = make_pipeline(scaler, model) if VERSION >= (1, 8) else model
            found = cross_validate(pipe, X, y, cv=3, params={"sample_weight": weights})
            return found["test_score"], [model.fit(X, y, weights).loss_]

    of_both(use)
    with sklearn.config_context(enable_metadata_routing=True):
        request = classifier(nnc).set_fit_request(X_val=True, y_val=True).get_metadata_routing()
    assert request.fit.requests["X_val"] is True


def test_validation_data_in_a_pipeline_is_transformed_too():
    """The pipeline's transform_input, for which scikit-learn's MLP has no argument."""
    scaler = StandardScaler().fit(X[:100])
    alone = classifier(nnc, early_stopping=True).fit(
        scaler.transform(X[:100]), y[:100], X_val=scaler.transform(X[100:]), y_val=y[100:]
    )
    with sklearn.config_context(enable_metadata_routing=True):
        model = classifier(nnc, early_stopping=True).set_fit_request(X_val=True, y_val=True)
        pipe = make_pipeline(StandardScaler(), model, transform_input=["X_val"])
        pipe.fit(X[:100], y[:100], X_val=X[100:], y_val=y[100:])
    assert pipe[-1].validation_scores_ == alone.validation_scores_
    np.testing.assert_array_equal(pipe[-1].coefs_[0], alone.coefs_[0])


def test_stacking_bagging_calibration_and_one_against_the_rest():
    def use(library):
        models = [
            StackingClassifier(
                [("mlp", classifier(library)), ("line", LogisticRegression())], cv=3
            ),
            BaggingClassifier(classifier(library), n_estimators=4, random_state=0, n_jobs=2),
            CalibratedClassifierCV(classifier(library), cv=3),
            OneVsRestClassifier(classifier(library)),
        ]
        return [model.fit(X, y).predict_proba(X) for model in models]

    of_both(use)


def test_inspection_and_curves():
    def use(library):
        model = classifier(library).fit(X, y)
        importance = permutation_importance(model, X, y, n_repeats=3, random_state=0)
        curve = learning_curve(classifier(library), X, y, cv=3, train_sizes=[0.3, 1.0])
        dependence = partial_dependence(regressor(library).fit(X, NUMBERS), X, [0])
        folds = cross_val_predict(classifier(library), X, y, cv=3, method="predict_proba")
        return importance.importances, curve[1], curve[2], dependence["average"], folds

    of_both(use)


def test_transformed_target():
    def use(library):
        model = TransformedTargetRegressor(regressor(library), transformer=StandardScaler())
        return [model.fit(X, NUMBERS).predict(X)]

    of_both(use)


def test_joblib_files(tmp_path):
    model = classifier(nnc).partial_fit(X, y, classes=np.unique(y))
    joblib.dump(model, tmp_path / "model.joblib")
    for mode in (None, "r"):
        again = joblib.load(tmp_path / "model.joblib", mmap_mode=mode)
        np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
        again.partial_fit(X, y)
    model.partial_fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
