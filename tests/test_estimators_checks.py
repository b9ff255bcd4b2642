"""scikit-learn's own checks of estimators, of which none may be expected to fail."""

import pytest
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from nnc import MLPClassifier, MLPRegressor

ESTIMATORS = [
    estimator(solver=solver, max_iter=40)
    for estimator in (MLPClassifier, MLPRegressor)
    for solver in ("adam", "sgd", "lbfgs")
]

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@parametrize_with_checks(ESTIMATORS)
def test_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", [MLPClassifier(max_iter=5), MLPRegressor(max_iter=5)])
@pytest.mark.parametrize(
    "name",
    [
        "check_param_validation",
        "check_dataframe_column_names_consistency",
        "check_parameters_default_constructible",
    ],
)
def test_beyond_the_default_list(estimator, name):
    check = getattr(estimator_checks, name, None)
    assert check is not None
    check(type(estimator).__name__, estimator)
