"""Bad input: each raises before anything is written, names the argument, what it got, expected."""

import os
import resource
import time

import numpy as np
import pytest
from support import architecture, data

import nnc

NET = architecture([2, 3, 1], ["relu", "sigmoid"])
X, Y, PARAMS = data(NET, 10)


def layer(**changes):
    return {"input_dim": 2, "output_dim": 1, "activation": "sigmoid"} | changes


@pytest.mark.parametrize(
    ("nn_architecture", "error", "message"),
    [
        ([], ValueError, "nn_architecture: expected at least one layer"),
        (None, TypeError, "nn_architecture: expected a list of dicts"),
        ("relu", TypeError, "nn_architecture: expected a list of dicts"),
        (layer(), TypeError, "nn_architecture: expected a list of dicts.*got dict"),
        ([(2, 1, "relu")], TypeError, r"nn_architecture\[0\]: expected a dict, got tuple"),
        ([{"input_dim": 2}], KeyError, r"nn_architecture\[0\]: missing output_dim, activation"),
        ([layer(input_dim=0)], ValueError, r"\['input_dim'\]: expected at least 1, got 0"),
        ([layer(output_dim=-3)], ValueError, r"\['output_dim'\]: expected at least 1, got -3"),
        ([layer(output_dim=2.0)], TypeError, r"\['output_dim'\]: expected an integer, got 2.0"),
        ([layer(output_dim="4")], TypeError, r"\['output_dim'\]: expected an integer, got '4'"),
        ([layer(output_dim=3), layer()], ValueError, r"\[1\]\['input_dim'\] is 2, but.*3"),
        ([layer(activation="rely")], ValueError, "Non-supported activation function 'rely'.*'relu'"),
        ([layer(activation="ReLU")], ValueError, r"'ReLU' in nn_architecture\[0\]\['activation'\].*'relu'"),
        ([layer(activation=3)], ValueError, "Non-supported activation function 3"),
        ([layer(activation=["relu"])], ValueError, "Non-supported activation function"),
        ([layer(activation=np.zeros(2))], ValueError, "Non-supported activation function"),
    ],
)  # fmt: skip
def test_architectures(nn_architecture, error, message):
    calls = [
        lambda: nnc.init_layers(nn_architecture),
        lambda: nnc.full_forward_propagation(X, PARAMS, nn_architecture),
        lambda: nnc.full_backward_propagation(Y, Y, {}, PARAMS, nn_architecture),
        lambda: nnc.update(PARAMS, {}, nn_architecture, 0.1),
        lambda: nnc.train(X, Y, nn_architecture, 1, 0.1),
    ]
    for call in calls:
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize("n", [10**10, 2**31, 2**40, 2**62, 2**63 - 1, 2**63, 2**64, 10**30])
@pytest.mark.parametrize("where", ["hidden", "input"])
def test_huge_dimensions_fail_at_once(n, where):
    start, memory = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if where == "hidden":
        net = [layer(output_dim=n, activation="relu"), layer(input_dim=n)]
    else:
        net = [layer(input_dim=n, output_dim=2, activation="relu"), layer()]
    with pytest.raises((ValueError, MemoryError), match="nn_architecture"):
        nnc.init_layers(net)
    with pytest.raises((ValueError, MemoryError), match=r"nn_architecture|X: expected shape"):
        nnc.train(X, Y, net, 1, 0.1)
    assert time.perf_counter() - start < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 64 * 1024


def test_a_network_whose_work_space_does_not_fit_fails_at_once():
    """Its parameters alone would fit: a sixteenth of the machine's memory."""
    bytes_of_machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    units = bytes_of_machine // 16 // 8 // 4
    net = [layer(output_dim=units, activation="relu"), layer(input_dim=units)]
    start, memory = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(MemoryError):
        nnc.train(np.ones((2, 64)), np.ones((1, 64)), net, 1, 0.1)
    assert time.perf_counter() - start < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 64 * 1024


@pytest.mark.parametrize("text", ["0", "-1", "many", "99999999999999999999", "9" * 5000, "1.5"])
def test_the_environments_number_of_threads(text, monkeypatch):
    monkeypatch.setenv("NNC_NUM_THREADS", text)
    with pytest.raises(ValueError, match="NNC_NUM_THREADS: expected 1 to 1024, got"):
        nnc.train(X, Y, NET, 1, 0.1)
    monkeypatch.delenv("NNC_NUM_THREADS")
    monkeypatch.setenv("OMP_NUM_THREADS", text)  # not ours: what makes no sense is passed over
    nnc.train(X, Y, NET, 1, 0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"W2": None}, "params_values: missing W2"),
        ({"W9": np.zeros((1, 1))}, "params_values: surplus W9"),
        ({"W2": None, "W0": np.zeros((1, 1))}, "params_values: missing W2; surplus W0"),
    ],
)
def test_keys(changes, message):
    params = {k: v for k, v in (PARAMS | changes).items() if v is not None}
    grads = {"d" + key: value for key, value in PARAMS.items()}
    Y_hat, memory = nnc.full_forward_propagation(X, PARAMS, NET)
    for call in (
        lambda: nnc.full_forward_propagation(X, params, NET),
        lambda: nnc.full_backward_propagation(Y_hat, Y, memory, params, NET),
        lambda: nnc.update(params, grads, NET, 0.1),
    ):
        with pytest.raises(KeyError) as as_key:
            call()
        assert str(as_key.value) == f"{message}; expected W1, b1, W2, b2"
        with pytest.raises(ValueError, match=message):
            call()


def test_keys_of_gradients_and_memory():
    Y_hat, memory = nnc.full_forward_propagation(X, PARAMS, NET)
    with pytest.raises(ValueError, match="grads_values: missing db1"):
        nnc.update(PARAMS, {"dW1": 0, "dW2": 0, "db2": 0}, NET, 0.1)
    del memory["Z2"]
    with pytest.raises(ValueError, match="memory: missing Z2"):
        nnc.full_backward_propagation(Y_hat, Y, memory, PARAMS, NET)
    with pytest.raises(TypeError, match="params_values: expected a dict, got list"):
        nnc.full_forward_propagation(X, [], NET)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nnc.train(X.T, Y, NET, 1, 0.1), r"X: expected shape \(2, any\), got \(10, 2\): pass X.T"),
        (lambda: nnc.train(X[0], Y, NET, 1, 0.1), r"X: expected shape \(2, any\), got \(10,\)"),
        (lambda: nnc.train(X[None], Y, NET, 1, 0.1), r"X: expected shape \(2, any\), got \(1, 2, 10\)"),
        (lambda: nnc.train(X, Y.T, NET, 1, 0.1), r"Y: expected shape \(1, 10\), got \(10, 1\): pass Y.T"),
        (lambda: nnc.train(X, Y[0], NET, 1, 0.1), r"Y: .*got \(10,\): pass Y.reshape\(1, -1\)"),
        (lambda: nnc.train(X, Y[:, :9], NET, 1, 0.1), r"Y: expected shape \(1, 10\), got \(1, 9\)"),
        (lambda: nnc.train(X, 1.0, NET, 1, 0.1), r"Y: expected shape \(1, 10\), got \(\)"),
        (lambda: nnc.full_forward_propagation(X.T, PARAMS, NET), r"X: expected .*pass X.T"),
        (lambda: nnc.full_forward_propagation(X, PARAMS | {"W1": PARAMS["W1"].T}, NET),
         r"params_values\['W1'\]: expected shape \(3, 2\), got \(2, 3\): pass params_values\['W1'\].T"),
        (lambda: nnc.full_forward_propagation(X, PARAMS | {"b1": np.zeros(3)}, NET),
         r"params_values\['b1'\]: expected shape \(3, 1\), got \(3,\): pass .*reshape\(-1, 1\)"),
        (lambda: nnc.single_layer_forward_propagation(X.T, PARAMS["W1"], PARAMS["b1"]),
         r"A_prev: expected shape \(2, any\), got \(10, 2\): pass A_prev.T"),
        (lambda: nnc.single_layer_forward_propagation(X, PARAMS["W1"], np.zeros((1, 3))),
         r"b_curr: expected shape \(3, 1\), got \(1, 3\): pass b_curr.T"),
        (lambda: nnc.single_layer_forward_propagation(X, np.zeros(3), np.zeros((1, 3))),
         r"W_curr: expected shape \(any, any\), got \(3,\)"),
        (lambda: nnc.single_layer_backward_propagation(
            np.zeros((3, 9)), PARAMS["W1"], PARAMS["b1"], np.zeros((3, 10)), X),
         r"dA_curr: expected shape \(3, 10\), got \(3, 9\)"),
        (lambda: nnc.single_layer_backward_propagation(
            np.zeros((3, 10)), PARAMS["W1"], PARAMS["b1"], np.zeros((10, 3)), X),
         r"Z_curr: expected shape \(3, 10\), got \(10, 3\): pass Z_curr.T"),
        (lambda: nnc.sigmoid_backward(np.zeros((2, 3)), np.zeros((3, 2))), r"dA: .*pass dA.T"),
        (lambda: nnc.relu_backward(np.zeros(2), np.zeros(3)), r"dA: expected the shape of Z, \(3,\), got \(2,\)"),
        (lambda: nnc.get_cost_value(Y, Y[:, :9]), r"Y: expected shape \(1, 10\), got \(1, 9\)"),
        (lambda: nnc.get_cost_value(Y[0], Y[0]), r"Y_hat: expected shape \(any, any\), got \(10,\): pass Y_hat.reshape"),
        (lambda: nnc.get_accuracy_value(Y, Y.T), r"Y: .*pass Y.T"),
    ],
)  # fmt: skip
def test_shapes(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("order", "CF")
def test_non_finite_data_is_named_by_row_and_column(bad, dtype, order):
    spoiled = np.ones((2, 300), dtype, order=order)
    spoiled[1, 257] = bad
    labels = np.ones((1, 300))
    with pytest.raises(ValueError, match=f"X: .*got {bad} in row 1, column 257"):
        nnc.train(spoiled, labels, NET, 1, 0.1)
    labels[0, 3] = bad
    with pytest.raises(ValueError, match=f"Y: .*got {bad} in row 0, column 3"):
        nnc.train(np.ones((2, 300)), labels, NET, 1, 0.1)


def test_numbers_too_large_for_float32_are_named():
    spoiled = X.copy()
    spoiled[0, 4] = 1e300
    with pytest.raises(ValueError, match=r"X: .*got inf in row 0, column 4"):
        nnc.train(spoiled, Y, NET, 1, 0.1, dtype=np.float32)


def test_labels_outside_the_unit_interval_are_named():
    with pytest.raises(ValueError, match=r"Y: expected labels from 0 to 1, got 2.0 in row 0, col"):
        nnc.train(X, Y + 1, NET, 1, 0.1)
    with pytest.raises(ValueError, match=r"Y: expected labels from 0 to 1, got -1.0 in row 0"):
        nnc.train(X, Y * 2 - 1, NET, 1, 0.1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epochs": -1}, ValueError, "epochs: expected at least 0, got -1"),
        ({"epochs": 2.0}, TypeError, "epochs: expected an integer, got 2.0"),
        ({"epochs": "3"}, TypeError, "epochs: expected an integer"),
        ({"epochs": None}, TypeError, "epochs: expected an integer"),
        ({"epochs": 2**45}, MemoryError, "epochs: asks for 35184372088832 numbers"),
        ({"epochs": 10**400}, ValueError, "epochs: expected at most"),
        ({"learning_rate": 0}, ValueError, "learning_rate: expected a finite positive .*got 0"),
        ({"learning_rate": -0.1}, ValueError, "learning_rate: .*got -0.1"),
        ({"learning_rate": np.nan}, ValueError, "learning_rate: .*got nan"),
        ({"learning_rate": np.inf}, ValueError, "learning_rate: .*got inf"),
        ({"learning_rate": 10**400}, ValueError, "learning_rate: .*got inf"),
        ({"learning_rate": "0.1"}, TypeError, "learning_rate: expected a number, got '0.1'"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate: expected a number, got 'fast'"),
        ({"learning_rate": None}, TypeError, "learning_rate"),
        ({"n_threads": 0}, ValueError, "n_threads: expected at least 1, got 0"),
        ({"n_threads": 10**6}, ValueError, "n_threads: expected at most 1024"),
        ({"n_threads": 1.5}, TypeError, "n_threads: expected an integer"),
        ({"dtype": np.float16}, ValueError, "dtype: expected float32 or float64, got float16"),
        ({"dtype": complex}, ValueError, "dtype: expected float32 or float64, got complex128"),
        ({"dtype": "fast"}, TypeError, "dtype: expected float32 or float64, got 'fast'"),
        ({"callback": 3}, TypeError, "callback: expected a callable, got 3"),
        ({"seed": -1}, ValueError, "Seed must be between"),
    ],
)  # fmt: skip
def test_options_of_train(options, error, message):
    options = {"epochs": 1, "learning_rate": 0.1} | options
    with pytest.raises(error, match=message):
        nnc.train(X, Y, NET, **options)


@pytest.mark.parametrize("rate", [0, -1.0, np.nan, np.inf])
def test_the_learning_rate_of_update(rate):
    params = {key: value.copy() for key, value in PARAMS.items()}
    with pytest.raises(ValueError, match="learning_rate"):
        nnc.update(params, {"d" + k: v for k, v in PARAMS.items()}, NET, rate)
    for key, value in PARAMS.items():
        np.testing.assert_array_equal(params[key], value)


def test_update_writes_nothing_when_the_last_gradient_is_wrong():
    params = {key: value.copy() for key, value in PARAMS.items()}
    grads = {"d" + key: np.ones_like(value) for key, value in PARAMS.items()}
    for bad, error in [(np.ones((2, 1)), ValueError), (np.ones((1, 1), complex), TypeError)]:
        with pytest.raises(error, match=r"grads_values\['db2'\]"):
            nnc.update(params, grads | {"db2": bad}, NET, 0.1)
        for key, value in PARAMS.items():
            np.testing.assert_array_equal(params[key], value)
