"""References and memory: nothing leaks, on success or on error."""

import subprocess
import sys

import numpy as np
import pytest
from support import architecture, check_counts, data

import nnc
from nnc import _core

NET = architecture([3, 4, 2], ["relu", "sigmoid"])
X, Y, PARAMS = data(NET, 37)
Y_HAT, MEMORY = nnc.full_forward_propagation(X, PARAMS, NET)
GRADS = nnc.full_backward_propagation(Y_HAT, Y, MEMORY, PARAMS, NET)
F32 = X.astype(np.float32)
# made once: in NumPy 2.4 each numpy.zeros keeps a reference to its dtype
PARAMETERS, SHORT, EMPTY = np.zeros(26), np.zeros(3), np.zeros(0)
COST = np.zeros(1)
LAYERS = [(3, 4, "relu", True), (4, 2, "sigmoid", True)]


def failing(function, *args, **kwargs):
    def call():  # pytest.raises keeps memory of its own
        try:
            function(*args, **kwargs)
        except (ValueError, TypeError, MemoryError):
            return
        raise AssertionError("did not raise")

    return call


def stopped():
    nnc.train(X, Y, NET, 5, 0.1, callback=lambda *_: True)


def fail(*_):
    raise ValueError


def core_train(**changes):
    arguments = {
        "params": PARAMETERS, "X": X, "Y": Y, "layers": LAYERS, "loss": "binary_cross_entropy",
        "epochs": 1, "learning_rate": 0.1, "n_threads": 1, "cost": COST, "accuracy": None,
    }  # fmt: skip
    return _core.train(**arguments | changes)


CALLS = {
    "sigmoid": lambda: nnc.sigmoid(X),
    "sigmoid of a list": lambda: nnc.sigmoid([1.0, 2.0]),
    "sigmoid of a scalar": lambda: nnc.sigmoid(1.0),
    "sigmoid error": failing(nnc.sigmoid, "text"),
    "relu strided": lambda: nnc.relu(X[:, ::2]),
    "sigmoid_backward": lambda: nnc.sigmoid_backward(X, X),
    "sigmoid_backward scalar": lambda: nnc.sigmoid_backward(1, X),
    "sigmoid_backward error": failing(nnc.sigmoid_backward, X, X.T),
    "relu_backward": lambda: nnc.relu_backward(F32, X),
    "relu_backward error": failing(nnc.relu_backward, X, 1j * X),
    "activation_gradient": lambda: _core.activation_gradient(X, X, "relu"),
    "activation_gradient error": failing(_core.activation_gradient, X, X, "rel"),
    "forward": lambda: nnc.full_forward_propagation(X, PARAMS, NET),
    "forward error": failing(nnc.single_layer_forward_propagation, X, X, X, "sigmoid"),
    "backward": lambda: nnc.full_backward_propagation(Y_HAT, Y, MEMORY, PARAMS, NET),
    "backward error": failing(nnc.single_layer_backward_propagation, X, X, X, X, X),
    "layer_gradients error": failing(_core.layer_gradients, X, X, X, 1.0),
    "cost": lambda: nnc.get_cost_value(Y_HAT, Y),
    "cost error": failing(nnc.get_cost_value, Y_HAT, Y.T),
    "accuracy": lambda: nnc.get_accuracy_value(Y_HAT, Y),
    "output_gradient": lambda: _core.output_gradient(Y_HAT, Y, "sigmoid"),
    "output_gradient of Z": lambda: _core.output_gradient(Y_HAT, Y, "gelu", Y_HAT),
    "output_gradient without Z": failing(_core.output_gradient, Y_HAT, Y, "gelu"),
    "output_gradient error": failing(_core.output_gradient, Y_HAT, X, "sigmoid"),
    "classes": lambda: nnc.convert_prob_into_class(Y_HAT),
    "update": lambda: nnc.update(PARAMS, GRADS, NET, 1e-9),
    "update error": failing(nnc.update, PARAMS, GRADS | {"db2": X}, NET, 0.1),
    "init": lambda: nnc.init_layers(NET, [1, 2]),
    "init error": failing(_core.fill_normal, SHORT, "seed", 1.0),
    "train": lambda: nnc.train(X, Y, NET, 2, 0.1, callback=lambda *_: None),
    "train stopped": stopped,
    "train raising": failing(nnc.train, X, Y, NET, 5, 0.1, callback=fail),
    "train bad layers": failing(core_train, layers=[(3, 4, "relu")]),
    "train bad chain": failing(core_train, layers=[(3, 4, "relu", True), (5, 2, "relu", True)]),
    "train bad size": failing(core_train, params=SHORT),
    "train bad X": failing(core_train, X=X.T),
    "train bad cost": failing(core_train, cost=EMPTY),
    "train bad accuracy": failing(core_train, accuracy=COST.astype("f")),
    "train bad loss": failing(core_train, loss="cosine"),
    "train bad seed": failing(core_train, seed="seed"),
    "train seeded": lambda: core_train(seed=3, scale=0.1),
    "layout": lambda: _core.layout(LAYERS),
    "layout error": failing(_core.layout, [(0, 1, "relu", True)]),
    "chapter 1": lambda: nnc.NeuralNetwork(X.T, Y[:1].T, seed=1).train(3),
    "cpu_info": nnc.cpu_info,
    "select_isa error": failing(_core.select_isa, "avx9"),
    "read_matrix error": failing(_core.read_matrix, X, "X", "", 9, 9),
}


@pytest.mark.parametrize("name", CALLS)
def test_no_call_changes_the_count_of_blocks_or_references(name):
    call = CALLS[name]
    shared = [X, Y, *PARAMS.values(), Y_HAT, F32, PARAMETERS, COST]
    if name != "chapter 1":  # which calls numpy.zeros
        shared += [np.dtype(np.float64), np.dtype(np.float32)]
    check_counts(call, shared)


def test_memory_stays_flat_over_many_calls():
    code = """
import resource, numpy as np, nnc
from nnc import datasets
d, net = datasets.tutorial_moons(), datasets.tutorial_architecture()
def work(n):
    for i in range(n):
        p, _, _ = nnc.train(d.X_train, d.Y_train, net, 1, .1)
        y, memory = nnc.full_forward_propagation(d.X_train, p, net)
        nnc.full_backward_propagation(y, d.Y_train, memory, p, net)
        try: nnc.train(d.X_train, d.Y_train.T, net, 1, .1)
        except ValueError: pass
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
work(50)
before = peak()
work(300)
print(peak() - before)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) < 2048  # KiB; one leaked work space an iteration would be 500 MiB


def test_a_failed_allocation_of_python_is_a_memory_error():
    """_testcapi makes the n-th allocation of the interpreter fail, for n = 1, 2, …"""
    code = """
import numpy as np, nnc
from nnc import _core
import _testcapi
X, dA, W, b = np.ones((3, 8)), np.ones((4, 8)), np.ones((4, 3)), np.ones((4, 1))
P, C = np.zeros(16), np.zeros(2)
layers = [(3, 4, "relu", True)]
calls = [lambda: nnc.sigmoid(X), lambda: nnc.sigmoid([1., 2.]),
         lambda: nnc.single_layer_forward_propagation(X, W, b),
         lambda: nnc.single_layer_backward_propagation(dA, W, b, dA, X),
         lambda: nnc.cpu_info(), lambda: _core.layout(layers),
         lambda: _core.update([W], [W], ["W1"], .1),
         lambda: _core.train(P, X, dA, layers, "sum_of_squares", 2, .1, 2, C, None)]
for call in calls:
    call()
    failed = 0
    for n in range(1, 200):
        _testcapi.set_nomemory(n, n + 1)
        try:
            call()
        except MemoryError:
            failed += 1
        finally:
            _testcapi.remove_mem_hooks()
    call()
print("survived")
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "survived\n", result.stderr
