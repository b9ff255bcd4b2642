"""The core's functions against mpmath; oracle_math.py takes many more points."""

import numpy as np
import oracle_math
import pytest

from nnc import _core

pytestmark = pytest.mark.usefixtures("isa")

POINTS = 2000
NAMES = list(oracle_math.EXACT)


@pytest.fixture(scope="module")
def exact_values():
    """(X, exact values) by name and dtype, computed once for all ISAs."""
    known = {}

    def look_up(name, dtype):
        if (name, dtype) not in known:
            X = oracle_math.points(name, POINTS, dtype)
            known[name, dtype] = X, oracle_math.exact_values(name, X)
        return known[name, dtype]

    return look_up


def test_the_oracle_knows_every_function():
    assert set(_core.FUNCTIONS) == set(oracle_math.EXACT)


@pytest.mark.parametrize("name", NAMES)
def test_functions_are_within_their_bounds(name, dtype, exact_values):
    X, exact = exact_values(name, dtype)
    Y = _core.map(name, X)
    assert Y.dtype == dtype
    error, where = oracle_math.worst_error(Y, exact, dtype)
    assert error <= oracle_math.MOST_ULPS[name], X[where]


def test_the_bounds_are_those_of_the_header():
    assert oracle_math.MOST_ULPS == {name: 1 if name == "exp" else 2 for name in NAMES}


@pytest.mark.parametrize("name", ["tanh", "erf"])
def test_odd_functions_are_odd(name, dtype):
    X = oracle_math.points(name, POINTS, dtype)
    np.testing.assert_array_equal(_core.map(name, -X), -_core.map(name, X))


@pytest.mark.parametrize("name", NAMES)
def test_nan_stays_nan(name, dtype):
    assert np.isnan(_core.map(name, np.full(3, np.nan, dtype))).all()


@pytest.mark.parametrize("name", ["expm1", "log1p", "tanh", "erf", "gelu", "silu"])
def test_zeros_keep_their_sign(name, dtype):
    zeros = np.array([0.0, -0.0], dtype)
    np.testing.assert_array_equal(np.signbit(_core.map(name, zeros)), [False, True])


def test_arrays_of_any_kind_are_read():
    X = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(_core.map("tanh", X.T), _core.map("tanh", X).T)
    np.testing.assert_array_equal(_core.map("tanh", X.astype(int)), _core.map("tanh", X))
    assert isinstance(_core.map("exp", 0), np.float64)
    assert _core.map("exp", np.float32(0)).dtype == np.float32


@pytest.mark.parametrize("name", ["Exp", "", "identity", 7, None])
def test_unknown_names_are_an_error(name):
    with pytest.raises(ValueError, match=r"Non-supported function .* in name: known are exp, "):
        _core.map(name, [1.0])


def test_what_is_not_a_number_is_an_error():
    with pytest.raises(TypeError, match="X"):
        _core.map("exp", ["one"])
