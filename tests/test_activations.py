"""Activations, their derivatives, and classes: against mathematics and the reference."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support import KINKS

import nnc
from nnc import _core, reference

pytestmark = pytest.mark.usefixtures("isa")

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 36.8, -36.8, 709.0, -709.0, -745.0, 1e30]


def floats(dtype):
    width = np.dtype(dtype).itemsize * 8
    return hnp.arrays(
        dtype, hnp.array_shapes(max_dims=3, max_side=20), elements=st.floats(width=width)
    )


@pytest.mark.parametrize("name", ["sigmoid", "relu"])
def test_special_values(name, dtype):
    Z = np.array(SPECIAL, dtype)
    ours, theirs = getattr(nnc, name)(Z), getattr(reference, name)(Z)
    assert ours.dtype == dtype
    np.testing.assert_allclose(ours, theirs, rtol=4 * np.finfo(dtype).eps)
    assert np.isnan(ours[4])


def test_sigmoid_at_its_landmarks():
    assert nnc.sigmoid(0.0) == 0.5
    assert nnc.sigmoid(np.inf) == 1.0
    assert nnc.sigmoid(-np.inf) == 0.0
    assert nnc.sigmoid(np.log(3.0)) == pytest.approx(0.75, rel=1e-15)
    assert nnc.sigmoid(-700.0) == pytest.approx(np.exp(-700.0), rel=1e-15)


def test_sigmoid_of_float64_is_within_two_units_in_the_last_place():
    Z = np.concatenate([np.linspace(-40, 40, 801), np.linspace(-700, 700, 141)])
    for z, ours in zip(Z, nnc.sigmoid(Z), strict=True):
        with mpmath.workdps(40):
            exact = 1 / (1 + mpmath.exp(-mpmath.mpf(float(z))))
            error = abs(mpmath.mpf(float(ours)) - exact) / float(np.spacing(float(exact)))
        assert error <= 2, z


@given(Z=floats(np.float64) | floats(np.float32))
def test_forward_equals_the_reference(Z):
    eps = np.finfo(Z.dtype).eps
    np.testing.assert_array_equal(nnc.relu(Z), reference.relu(Z))
    np.testing.assert_allclose(
        nnc.sigmoid(Z), reference.sigmoid(Z), rtol=8 * eps, atol=np.finfo(Z.dtype).tiny
    )


@given(Z=floats(np.float64))
def test_backward_equals_the_reference(Z):
    dA = np.cos(np.arange(Z.size, dtype=Z.dtype)).reshape(Z.shape)
    np.testing.assert_array_equal(nnc.relu_backward(dA, Z), reference.relu_backward(dA, Z))
    np.testing.assert_allclose(
        nnc.sigmoid_backward(dA, Z), reference.sigmoid_backward(dA, Z), rtol=0, atol=1e-15
    )


def test_relu_backward_is_zero_at_the_kink_and_keeps_dA_where_Z_is_nan():
    Z = np.array([-1.0, -0.0, 0.0, 1.0, np.nan])
    np.testing.assert_array_equal(nnc.relu_backward(np.full(5, 7.0), Z), [0, 0, 0, 7, 7])


def test_backward_makes_new_arrays():
    dA, Z = np.ones((3, 4)), np.ones((3, 4))
    dZ = nnc.relu_backward(dA, Z)
    dZ[:] = 5
    assert (dA == 1).all()


def test_one_number_for_dA_stands_for_all():
    Z = np.linspace(-2, 2, 7)
    A = 1 / (1 + np.exp(-Z))
    np.testing.assert_allclose(nnc.sigmoid_backward(1, Z), A * (1 - A), rtol=1e-14)


@pytest.mark.parametrize("n", range(70))
def test_every_length_gives_the_same_elements(n, dtype):
    Z = np.sin(np.arange(70, dtype=dtype)) * 30
    np.testing.assert_array_equal(nnc.sigmoid(Z[:n]), nnc.sigmoid(Z)[:n])
    np.testing.assert_array_equal(nnc.relu(Z[:n]), nnc.relu(Z)[:n])


@pytest.mark.parametrize("position", range(35))
def test_nan_comes_out_where_it_went_in(position, dtype):
    Z = np.ones(35, dtype)
    Z[position] = np.nan
    for function in (nnc.sigmoid, nnc.relu, nnc.convert_prob_into_class):
        assert np.flatnonzero(np.isnan(function(Z))).tolist() == [position]


def test_sigmoid_is_monotone_and_symmetric_around_one_half(dtype):
    Z = np.linspace(-30, 30, 4001).astype(dtype)
    A = nnc.sigmoid(Z)
    assert (np.diff(A) >= 0).all()
    np.testing.assert_allclose(A + nnc.sigmoid(-Z), 1, rtol=0, atol=2 * np.finfo(dtype).eps)


def test_classes_change_just_above_one_half(dtype):
    above = np.nextafter(dtype(0.5), dtype(1))
    probs = np.array([0, 0.5, above, 1], dtype)
    np.testing.assert_array_equal(nnc.convert_prob_into_class(probs), [0, 0, 1, 1])
    assert Fraction(float(above)) > Fraction(1, 2)


def test_scalars_come_back_as_scalars():
    assert isinstance(nnc.sigmoid(0.0), np.float64)
    assert isinstance(nnc.relu(np.float32(2)), np.float32)


# ------------------------------------------------------------------------------ all of them

NAMES = sorted(reference.ACTIVATIONS)
EDGES = [
    0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 3.0, -3.0, 2.9999, -2.9999, 3.0001, -3.0001, 20.0,
    -20.0, 36.8, -36.8, 40.0, -40.0, 1e-8, -1e-8, 1e30, -1e30,
]  # fmt: skip


def apply(name, Z):
    """f(Z), by a layer that has one weight, 1."""
    A, _ = nnc.single_layer_forward_propagation(
        Z[None, :], np.ones((1, 1), Z.dtype), np.zeros((1, 1), Z.dtype), name
    )
    return A[0]


def slope(name, Z):
    """f'(Z), by the same layer."""
    dA, W = np.ones((1, Z.size), Z.dtype), np.ones((1, 1), Z.dtype)
    dZ, _, _ = nnc.single_layer_backward_propagation(dA, W, 0 * W, Z[None, :], 0 * dA, name)
    return dZ[0]


def softplus(z):
    return mpmath.log1p(mpmath.exp(-abs(z))) + max(z, 0)


def hard_sigmoid(z):
    return min(max((z + 3) / 6, mpmath.mpf(0)), mpmath.mpf(1))


EXACT = {
    "identity": lambda z: z,
    "relu": lambda z: max(z, mpmath.mpf(0)),
    "sigmoid": lambda z: 1 / (1 + mpmath.exp(-z)),
    "hard_sigmoid": hard_sigmoid,
    "tanh": mpmath.tanh,
    "leaky_relu": lambda z: z if z > 0 else z / 100,
    "elu": lambda z: z if z > 0 else mpmath.expm1(z),
    "selu": lambda z: (
        mpmath.mpf("1.0507009873554804934193349852946")
        * (z if z > 0 else mpmath.mpf("1.6732632423543772848170429916717") * mpmath.expm1(z))
    ),
    "gelu": lambda z: z * mpmath.ncdf(z),
    "silu": lambda z: z / (1 + mpmath.exp(-z)),
    "mish": lambda z: z * mpmath.tanh(softplus(z)),
    "softplus": softplus,
    "softsign": lambda z: z / (1 + abs(z)),
    "hard_swish": lambda z: z * hard_sigmoid(z),
    "exponential": mpmath.exp,
}


def test_every_activation_is_tested():
    assert set(_core.ACTIVATIONS) == set(EXACT) == set(reference.ACTIVATIONS)


@pytest.mark.parametrize("name", NAMES)
def test_values_equal_mathematics(name):
    Z = np.concatenate([np.linspace(-30, 30, 241), [z for z in EDGES if abs(z) < 50]])
    for z, ours in zip(Z, apply(name, Z), strict=True):
        with mpmath.workdps(50):
            exact = EXACT[name](mpmath.mpf(float(z)))
            error = abs(mpmath.mpf(float(ours)) - exact) / float(np.spacing(float(abs(exact))))
        assert error <= 6, z


@pytest.mark.parametrize("name", NAMES)
def test_slopes_equal_differences(name):
    """With 50 digits the error of a central difference is about the square of its step."""
    Z = np.linspace(-8, 8, 401) + 0.003
    for z, ours in zip(Z, slope(name, Z), strict=True):
        if any(abs(z - kink) < 1e-3 for kink in KINKS.get(name, [])):
            continue
        with mpmath.workdps(50):
            z, h = mpmath.mpf(float(z)), mpmath.mpf("1e-12")
            exact = (EXACT[name](z + h) - EXACT[name](z - h)) / (2 * h)
        assert float(ours) == pytest.approx(float(exact), rel=1e-7, abs=1e-15), z


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:overflow")
def test_edges_equal_the_reference(name, dtype):
    Z = np.array(EDGES, dtype)
    forward, backward = reference.ACTIVATIONS[name]
    tolerance = {"rtol": 32 * np.finfo(dtype).eps, "atol": 4 * np.finfo(dtype).eps}
    ours = apply(name, Z)
    assert ours.dtype == forward(Z).dtype == dtype
    np.testing.assert_allclose(ours, forward(Z), **tolerance)
    assert np.flatnonzero(np.isnan(ours)).tolist() == [3]
    known = ~np.isnan(Z)  # without NaN, whose derivative is nobody's business
    ours, theirs = slope(name, Z[known]), backward(np.ones_like(Z[known]), Z[known])
    assert ours.dtype == theirs.dtype == dtype
    np.testing.assert_allclose(ours, theirs, **tolerance)


@pytest.mark.parametrize("name", NAMES)
@given(Z=hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(-50, 50)))
def test_random_arguments_equal_the_reference(name, Z):
    forward, backward = reference.ACTIVATIONS[name]
    tolerance = {"rtol": 1e-13, "atol": 1e-15}
    np.testing.assert_allclose(apply(name, Z), forward(Z), **tolerance)
    np.testing.assert_allclose(slope(name, Z), backward(np.ones_like(Z), Z), **tolerance)
