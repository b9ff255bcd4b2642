"""scikit-learn's own tests of its perceptrons, run on nnc's.

They are read from the installed scikit-learn, with another import.
"""

from pathlib import Path

import pytest
from sklearn.neural_network.tests import test_mlp

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

IMPORT = "from sklearn.neural_network import MLPClassifier, MLPRegressor\n"
SOURCE = Path(test_mlp.__file__).read_text(encoding="utf-8")
assert IMPORT in SOURCE

exec(
    compile(
        SOURCE.replace(IMPORT, "from nnc import MLPClassifier, MLPRegressor\n"), "theirs", "exec"
    )
)

del test_gradient  # noqa: F821 - of a private method that is not here


@pytest.fixture
def global_random_seed():
    """As in scikit-learn's conftest."""
    return 42


def test_they_are_there():
    assert sum(name.startswith("test_") for name in globals()) > 35
