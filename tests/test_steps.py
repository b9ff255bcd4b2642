"""The single steps against the reference: random architectures and shapes, mixed freely."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import EPS, KINKS, architecture, assert_close, data, networks

import nnc
from nnc import _core, reference

pytestmark = pytest.mark.usefixtures("isa")

SAMPLES = st.integers(0, 200)
DTYPES = st.sampled_from([np.float64, np.float32])


@given(networks(), SAMPLES, DTYPES)
def test_forward(nn_architecture, m, dtype):
    X, _, params = data(nn_architecture, m, dtype=dtype)
    Y_hat, memory = nnc.full_forward_propagation(X, params, nn_architecture)
    expected, expected_memory = reference.full_forward_propagation(X, params, nn_architecture)
    assert_close(Y_hat, expected)
    assert list(memory) == list(expected_memory)
    for key, value in expected_memory.items():
        assert_close(memory[key], value, units=64)


@given(networks(), SAMPLES.filter(bool), DTYPES)
def test_backward(nn_architecture, m, dtype):
    X, Y, params = data(nn_architecture, m, dtype=dtype)
    Y_hat, memory = reference.full_forward_propagation(X, params, nn_architecture)
    args = (Y_hat, Y, memory, params, nn_architecture)
    ours, theirs = nnc.full_backward_propagation(*args), reference.full_backward_propagation(*args)
    assert sorted(ours) == sorted(theirs)
    for key, value in theirs.items():
        assert_close(ours[key], value, units=64)


@given(st.integers(1, 40), st.integers(1, 40), SAMPLES.filter(bool), DTYPES,
       st.sampled_from(sorted(reference.ACTIVATIONS)))  # fmt: skip
def test_single_layers(n_in, n_out, m, dtype, activation):
    A_prev, _, params = data(architecture([n_in, n_out], ["sigmoid"]), m, dtype=dtype)
    W, b = params["W1"], params["b1"]
    ours = nnc.single_layer_forward_propagation(A_prev, W, b, activation)
    theirs = reference.single_layer_forward_propagation(A_prev, W, b, activation)
    for mine, other in zip(ours, theirs, strict=True):
        assert_close(mine, other, units=64)
    Z = theirs[1]
    dA = np.cos(np.arange(Z.size)).reshape(Z.shape).astype(dtype)
    ours = nnc.single_layer_backward_propagation(dA, W, b, Z, A_prev, activation)
    theirs = reference.single_layer_backward_propagation(dA, W, b, Z, A_prev, activation)
    for mine, other in zip(ours, theirs, strict=True):
        assert_close(mine, other, units=64)


def test_the_default_activation_is_relu():
    A_prev, _, params = data(architecture([3, 4], ["relu"]), 5)
    A, Z = nnc.single_layer_forward_propagation(A_prev, params["W1"], params["b1"])
    np.testing.assert_array_equal(A, np.maximum(0, Z))


@given(networks(max_layers=3, max_width=6, last=("sigmoid", "identity")), st.integers(1, 40))
def test_gradients_equal_finite_differences(nn_architecture, m):
    """Central differences of the reference's cost, in float64: error about h^2 and eps / h."""
    X, Y, params = data(nn_architecture, m, seed=m)
    if nn_architecture[-1]["activation"] == "identity":  # probabilities around one half
        last = len(nn_architecture)
        params[f"W{last}"] *= 0.02
        params[f"b{last}"] = params[f"b{last}"] * 0.02 + 0.5

    def cost():
        Y_hat, memory = reference.full_forward_propagation(X, params, nn_architecture)
        if nn_architecture[-1]["activation"] == "sigmoid":
            return reference.get_cost_from_logits(memory[f"Z{len(nn_architecture)}"], Y)
        return reference.get_cost_value(Y_hat, Y)

    Y_hat, memory = nnc.full_forward_propagation(X, params, nn_architecture)
    distances = [
        np.abs(memory[f"Z{i}"] - kink).min()
        for i, layer in enumerate(nn_architecture, 1)
        for kink in KINKS.get(layer["activation"], [])
    ]
    if min(distances, default=1) < 1e-4:
        return  # a difference across a kink is no derivative
    grads = nnc.full_backward_propagation(Y_hat, Y, memory, params, nn_architecture)
    h = 6e-6
    for key, value in params.items():
        index = (value.shape[0] // 2, value.shape[1] // 2)
        start = value[index]
        value[index] = start + h
        above = cost()
        value[index] = start - h
        below = cost()
        value[index] = start
        numeric = (above - below) / (2 * h)
        assert grads["d" + key][index] == pytest.approx(numeric, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("last", sorted(reference.ACTIVATIONS))
def test_every_activation_at_the_output(last):
    nn_architecture = architecture([3, 5, 2], ["tanh", last])
    X, Y, params = data(nn_architecture, 40)
    params["W2"] *= 0.05  # outputs around one half, where the cross-entropy wants them
    params["b2"][:] = {"exponential": -0.7, "softplus": -0.4, "hard_sigmoid": 0.1}.get(last, 0.6)
    Y_hat, memory = nnc.full_forward_propagation(X, params, nn_architecture)
    args = (Y_hat, Y, memory, params, nn_architecture)
    ours, theirs = nnc.full_backward_propagation(*args), reference.full_backward_propagation(*args)
    for key, value in theirs.items():
        assert_close(ours[key], value, units=64)


@pytest.mark.parametrize("activation", ["gelu", "silu", "mish", "hard_swish"])
def test_derivatives_of_z_want_z(activation):
    A = np.full((2, 3), 0.5)
    with pytest.raises(ValueError, match=f"Z: the derivative of '{activation}' .* pass Z too"):
        _core.output_gradient(A, A, activation)
    with pytest.raises(ValueError, match=r"Z.*shape"):
        _core.output_gradient(A, A, activation, A.T)
    with pytest.raises(ValueError, match=f"activation: the derivative of '{activation}'"):
        _core.activation_gradient(A, A, activation)


def test_cost_and_accuracy(dtype, rng):
    for shape in [(1, 1), (1, 17), (3, 100), (2, 2000)]:
        Y_hat = rng.uniform(0.01, 0.99, shape).astype(dtype)
        Y = rng.integers(0, 2, shape)
        cost = nnc.get_cost_value(Y_hat, Y)
        assert isinstance(cost, float)
        assert cost == pytest.approx(reference.get_cost_value(Y_hat, Y), rel=64 * EPS[Y_hat.dtype])
        assert nnc.get_accuracy_value(Y_hat, Y) == reference.get_accuracy_value(Y_hat, Y)


def test_the_cost_of_several_outputs_is_the_sum_of_their_costs(rng):
    Y_hat, Y = rng.uniform(0.1, 0.9, (3, 50)), rng.integers(0, 2, (3, 50))
    rows = [nnc.get_cost_value(Y_hat[[i]], Y[[i]]) for i in range(3)]
    assert nnc.get_cost_value(Y_hat, Y) == pytest.approx(sum(rows), rel=1e-14)


def test_accuracy_counts_a_sample_only_if_all_its_outputs_are_right():
    Y_hat = np.array([[0.9, 0.9, 0.1], [0.2, 0.8, 0.3]])
    assert nnc.get_accuracy_value(Y_hat, [[1, 1, 1], [0, 0, 0]]) == pytest.approx(1 / 3)


def test_update_rounds_as_numpy_does(dtype, rng):
    nn_architecture = architecture([3, 50, 1], ["relu", "sigmoid"])
    params = nnc.init_layers(nn_architecture, dtype=dtype)
    grads = {"d" + k: rng.normal(size=v.shape).astype(dtype) for k, v in params.items()}
    expected = {k: v - 0.3 * grads["d" + k] for k, v in params.items()}
    aliases = dict(params)
    assert nnc.update(params, grads, nn_architecture, 0.3) is params
    for key, value in expected.items():
        assert params[key].tobytes() == value.tobytes()
        assert aliases[key] is params[key]


def test_update_with_gradients_that_are_the_parameters():
    nn_architecture = architecture([2, 2, 2], ["relu", "sigmoid"])
    params = nnc.init_layers(nn_architecture)
    grads = {"dW1": params["W2"], "db1": params["b2"], "dW2": params["W1"], "db2": params["b1"]}
    before = {key: value.copy() for key, value in params.items()}
    nnc.update(params, grads, nn_architecture, 0.5)
    for key, partner in [("W1", "W2"), ("W2", "W1"), ("b1", "b2"), ("b2", "b1")]:
        np.testing.assert_array_equal(params[key], before[key] - 0.5 * before[partner])


def test_update_with_gradients_that_overlap_the_parameters_by_part():
    nn_architecture = architecture([1, 8], ["sigmoid"])
    memory = np.arange(17.0)
    params = {"W1": memory[1:9].reshape(8, 1), "b1": np.zeros((8, 1))}
    grads = {"dW1": memory[0:8].reshape(8, 1), "db1": np.zeros((8, 1))}
    nnc.update(params, grads, nn_architecture, 1.0)
    np.testing.assert_array_equal(memory[1:9], np.ones(8))


def test_steps_of_both_sides_mix_on_the_same_arrays():
    nn_architecture = architecture([2, 6, 5, 1], ["relu", "sigmoid", "sigmoid"])
    X, Y, ours = data(nn_architecture, 60)
    theirs = {key: value.copy() for key, value in ours.items()}
    for epoch in range(20):
        first, second = (nnc, reference) if epoch % 2 else (reference, nnc)
        Y_hat, memory = first.full_forward_propagation(X, ours, nn_architecture)
        grads = second.full_backward_propagation(Y_hat, Y, memory, ours, nn_architecture)
        first.update(ours, grads, nn_architecture, 0.1)
        Y_hat, memory = reference.full_forward_propagation(X, theirs, nn_architecture)
        grads = reference.full_backward_propagation(Y_hat, Y, memory, theirs, nn_architecture)
        reference.update(theirs, grads, nn_architecture, 0.1)
    for key, value in theirs.items():
        np.testing.assert_allclose(ours[key], value, rtol=0, atol=1e-13)


def test_no_samples(dtype):
    nn_architecture = architecture([2, 3, 1], ["relu", "sigmoid"])
    X, Y, params = data(nn_architecture, 0, dtype=dtype)
    Y_hat, memory = nnc.full_forward_propagation(X, params, nn_architecture)
    assert Y_hat.shape == (1, 0)
    grads = nnc.full_backward_propagation(Y_hat, Y, memory, params, nn_architecture)
    assert all((value == 0).all() for value in grads.values())
    assert np.isnan(nnc.get_cost_value(Y_hat, Y))
    assert np.isnan(nnc.get_accuracy_value(Y_hat, Y))
    assert nnc.sigmoid(np.zeros((0, 3))).shape == (0, 3)
    assert nnc.convert_prob_into_class(Y_hat).shape == (1, 0)
