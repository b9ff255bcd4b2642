"""scikit-learn's callbacks on the estimators: its own ScoringMonitor is the witness."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnc import MLPClassifier, MLPRegressor

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9 has none")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.RandomState(3)
X = rng.randn(120, 4)
y = np.array(["a", "b", "c"])[(X[:, 0] > 1).astype(int) + (X[:, 1] * X[:, 2] > 0)]
OPTIONS = {"hidden_layer_sizes": (6,), "random_state": 2, "learning_rate_init": 0.02}


class Witness:
    """A callback that counts, and stops after some tasks."""

    def __init__(self, most=None):
        self.most = most
        self.seen = []

    def setup(self, estimator, context):
        self.seen.append("setup")

    def teardown(self, estimator, context):
        self.seen.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.seen.append(("begin", context.task_name))

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.seen.append(("end", context.task_name))
        if context.task_name == "fit":
            self.last = fitted_estimator
        return self.most is not None and self.seen.count(("end", context.task_name)) >= self.most


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_monitor_scores_after_every_epoch(solver):
    """What it scores is what a shorter training ends with."""
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = MLPClassifier(solver=solver, max_iter=6, **OPTIONS).set_callbacks(monitor).fit(X, y)
    logs = monitor.get_logs().data
    assert [entry["task_name"] for entry in logs].count("fit") == 1
    whole, *scores = [entry["accuracy"] for entry in logs]
    assert whole == scores[-1] == accuracy_score(y, model.predict(X))
    for n in range(1, 7):
        short = MLPClassifier(solver=solver, max_iter=n, **OPTIONS).fit(X, y)
        assert scores[n - 1] == pytest.approx(short.score(X, y), abs=1e-12)
    assert len(scores) == 6


@pytest.mark.parametrize(("solver", "name"), [("adam", "epoch"), ("lbfgs", "iteration")])
def test_a_callback_stops(solver, name):
    witness = Witness(4)
    model = MLPRegressor(solver=solver, **OPTIONS).set_callbacks(witness)
    model.fit(X, X[:, 0])
    assert model.n_iter_ == 4
    assert witness.seen == [
        "setup", ("begin", "fit"), *[("begin", name), ("end", name)] * 4, ("end", "fit"),
        "teardown",
    ]  # fmt: skip
    short = MLPRegressor(solver=solver, max_iter=4, **OPTIONS).fit(X, X[:, 0])
    np.testing.assert_allclose(model.predict(X), short.predict(X), rtol=1e-12)
    np.testing.assert_array_equal(witness.last.predict(X), model.predict(X))


def test_every_task_that_begins_ends():
    for options in ({"tol": 1.0, "n_iter_no_change": 2}, {"solver": "lbfgs", "max_iter": 5}):
        witness = Witness()
        MLPRegressor(**OPTIONS | options).set_callbacks(witness).fit(X, X[:, 0])
        names = [entry[0] for entry in witness.seen if isinstance(entry, tuple)]
        assert names.count("begin") == names.count("end") > 2


def test_callbacks_change_nothing():
    plain = MLPClassifier(max_iter=5, **OPTIONS).fit(X, y)
    watched = MLPClassifier(max_iter=5, **OPTIONS).set_callbacks(Witness()).fit(X, y)
    assert watched.loss_curve_ == plain.loss_curve_
    assert watched.partial_fit(X, y).loss_curve_[-1] < plain.loss_curve_[0]


@pytest.mark.parametrize("options", [{}, {"batch_size": 32}, {"solver": "lbfgs"}], ids=str)
@pytest.mark.parametrize("error", [FloatingPointError, KeyError])
def test_an_error_in_a_callback_comes_out(options, error):
    class Failing(Witness):
        def on_fit_task_end(self, estimator, context):
            if context.task_id == 2:
                raise error("as it is")

    model = MLPRegressor(**OPTIONS, **options).set_callbacks(Failing())
    with pytest.raises(error, match="as it is"):
        model.fit(X, X[:, 0])


def test_what_diverges_is_not_scored():
    monitor = callback.ScoringMonitor(scoring="r2")
    options = {"solver": "sgd", "learning_rate_init": 1e30, "activation": "identity"}
    model = MLPRegressor(**OPTIONS | options, batch_size=30).set_callbacks(monitor)
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        model.fit(X, X[:, 0])


class HandedDown(Witness):
    max_propagation_depth = None


def test_in_a_pipeline_and_a_search():
    """They hand such callbacks down to the estimators in them."""
    witness = HandedDown()
    pipe = make_pipeline(StandardScaler(), MLPClassifier(max_iter=3, **OPTIONS))
    search = GridSearchCV(pipe, {"mlpclassifier__alpha": [0.1, 10]}, cv=2)
    search.set_callbacks(witness).fit(X, y)
    assert witness.seen.count(("begin", "epoch")) == 3 * (2 * 2 + 1)
    assert witness.seen.count(("end", "epoch")) == 3 * (2 * 2 + 1)
    assert witness.seen.count("setup") == witness.seen.count("teardown") == 1
