"""The tutorial in plain NumPy, errata mended: the readable specification of nnc.

Each function has a twin of the same name in `nnc`, on C kernels; their steps can be mixed on the
same arrays. Samples are columns: X (n_0, m), W (n, n_prev), b (n, 1), Z and A (n, m).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Arrays = dict[str, Array]
Architecture = Sequence[Mapping[str, Any]]

# Activations, and their derivatives given the gradient dA by A = f(Z): dZ = dA * f'(Z).


def identity(Z: Array) -> Array:
    """Return A = Z."""
    return np.array(Z)


def identity_backward(dA: Array, Z: Array) -> Array:
    """Return dZ = dA."""
    return np.array(dA)


def sigmoid(Z: Array) -> Array:
    """Return A = 1 / (1 + e^-Z), from e^-|Z| so that nothing overflows."""
    e = np.exp(-np.abs(Z))
    A: Array = np.where(Z < 0, e, 1) / (1 + e)
    return A


def sigmoid_backward(dA: Array, Z: Array) -> Array:
    """Return dZ = dA * A (1 - A)."""
    A = sigmoid(Z)
    dZ: Array = dA * A * (1 - A)
    return dZ


def relu(Z: Array) -> Array:
    """Return A = max(0, Z)."""
    return np.maximum(0, Z)


def relu_backward(dA: Array, Z: Array) -> Array:
    """Return dZ: dA where Z > 0, else 0."""
    return np.where(Z <= 0, 0, dA)


Activation = tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]
ACTIVATIONS: dict[str, Activation] = {
    "identity": (identity, identity_backward),
    "relu": (relu, relu_backward),
    "sigmoid": (sigmoid, sigmoid_backward),
}


# Forward.


def init_layers(
    nn_architecture: Architecture, seed: Any = 99, *, dtype: npt.DTypeLike = np.float64
) -> Arrays:
    """Draw W, b = 0.1 * randn, from a generator of our own rather than NumPy's global one."""
    random = np.random.RandomState(seed)
    params_values = {}
    for i, layer in enumerate(nn_architecture, 1):
        n_in, n_out = layer["input_dim"], layer["output_dim"]
        params_values[f"W{i}"] = (random.randn(n_out, n_in) * 0.1).astype(dtype)
        params_values[f"b{i}"] = (random.randn(n_out, 1) * 0.1).astype(dtype)
    return params_values


def single_layer_forward_propagation(
    A_prev: Array, W_curr: Array, b_curr: Array, activation: str = "relu"
) -> tuple[Array, Array]:
    """Return A = f(Z) and Z = W A_prev + b."""
    Z_curr = W_curr @ A_prev + b_curr
    return ACTIVATIONS[activation][0](Z_curr), Z_curr


def full_forward_propagation(
    X: Array, params_values: Arrays, nn_architecture: Architecture
) -> tuple[Array, Arrays]:
    """Run all layers; memory keeps A0, Z1, A1, Z2, … for the way back."""
    memory = {}
    A_curr = X
    for i, layer in enumerate(nn_architecture, 1):
        memory[f"A{i - 1}"] = A_curr
        A_curr, memory[f"Z{i}"] = single_layer_forward_propagation(
            A_curr, params_values[f"W{i}"], params_values[f"b{i}"], layer["activation"]
        )
    return A_curr, memory


# Cost: J = 1/m sum over samples of L, with L = -(Y log Y_hat + (1 - Y) log(1 - Y_hat)) summed
# over outputs.


def _limited(Y_hat: Array) -> tuple[Array, Array]:
    """Return Y_hat and 1 - Y_hat, with the nearest numbers that are not saturated instead of 0."""
    limits = np.finfo(Y_hat.dtype)
    P, Q = Y_hat, 1 - Y_hat
    P = np.where(np.abs(P) < limits.tiny, limits.tiny, P)
    Q = np.where(np.abs(Q) < limits.epsneg, limits.epsneg, Q)
    return P, Q


def get_cost_value(Y_hat: Array, Y: Array) -> float:
    """Return J from probabilities."""
    P, Q = _limited(Y_hat)
    return float(-np.sum(Y * np.log(P) + (1 - Y) * np.log(Q)) / Y_hat.shape[1])


def get_cost_from_logits(Z: Array, Y: Array) -> float:
    """Return J for Y_hat = sigmoid(Z): L = log(1 + e^Z) - Y Z, which no saturation spoils."""
    return float(np.sum(np.logaddexp(0, Z) - Y * Z) / Z.shape[1])


def convert_prob_into_class(probs: Array) -> Array:
    """Return 1 where p > 0.5, else 0."""
    return np.where(np.isnan(probs), probs, probs > 0.5).astype(probs.dtype)


def get_accuracy_value(Y_hat: Array, Y: Array) -> float:
    """Return the fraction of samples whose outputs are all of the right class."""
    return float((convert_prob_into_class(Y_hat) == Y).all(axis=0).mean())


# Backward. dA and dZ belong to the sum of L; the 1/m of the mean enters in dW and db.


def _layer_gradients(dZ_curr: Array, W_curr: Array, A_prev: Array) -> tuple[Array, Array, Array]:
    """Return dA_prev = W^T dZ; dW = dZ A_prev^T / m; db = row sums of dZ / m."""
    m = A_prev.shape[1]
    dW_curr = dZ_curr @ A_prev.T / m
    db_curr = np.sum(dZ_curr, axis=1, keepdims=True) / m
    return W_curr.T @ dZ_curr, dW_curr, db_curr


def single_layer_backward_propagation(
    dA_curr: Array,
    W_curr: Array,
    b_curr: Array,
    Z_curr: Array,
    A_prev: Array,
    activation: str = "relu",
) -> tuple[Array, Array, Array]:
    """Compute dZ = dA * f'(Z), then the layer's gradients."""
    dZ_curr = ACTIVATIONS[activation][1](dA_curr, Z_curr)
    return _layer_gradients(dZ_curr, W_curr, A_prev)


def full_backward_propagation(
    Y_hat: Array, Y: Array, memory: Arrays, params_values: Arrays, nn_architecture: Architecture
) -> Arrays:
    """Run all layers in reverse.

    At the output dL/dY_hat = -(Y / Y_hat - (1 - Y) / (1 - Y_hat)); times the derivative of the
    sigmoid, Y_hat (1 - Y_hat), that is Y_hat - Y, which has no quotient to go wrong.
    """
    grads_values = {}
    last = len(nn_architecture)
    activation = nn_architecture[-1]["activation"]
    if activation == "sigmoid":
        dZ = Y_hat - Y
    else:
        P, Q = _limited(Y_hat)
        dZ = ACTIVATIONS[activation][1]((1 - Y) / Q - Y / P, memory[f"Z{last}"])
    dA, grads_values[f"dW{last}"], grads_values[f"db{last}"] = _layer_gradients(
        dZ, params_values[f"W{last}"], memory[f"A{last - 1}"]
    )
    for i in range(last - 1, 0, -1):
        dA, grads_values[f"dW{i}"], grads_values[f"db{i}"] = single_layer_backward_propagation(
            dA,
            params_values[f"W{i}"],
            params_values[f"b{i}"],
            memory[f"Z{i}"],
            memory[f"A{i - 1}"],
            nn_architecture[i - 1]["activation"],
        )
    return grads_values


# Training.


def update(
    params_values: Arrays, grads_values: Arrays, nn_architecture: Architecture, learning_rate: float
) -> Arrays:
    """Step W -= learning_rate * dW, in place; layers count from 1."""
    for i in range(1, len(nn_architecture) + 1):
        params_values[f"W{i}"] -= learning_rate * grads_values[f"dW{i}"]
        params_values[f"b{i}"] -= learning_rate * grads_values[f"db{i}"]
    return params_values


def train(
    X: Array,
    Y: Array,
    nn_architecture: Architecture,
    epochs: int,
    learning_rate: float,
    *,
    seed: Any = 2,
    dtype: npt.DTypeLike = np.float64,
) -> tuple[Arrays, list[float], list[float]]:
    """Descend the full-batch gradient; histories belong to the parameters before each update."""
    X, Y = X.astype(dtype), Y.astype(dtype)
    params_values = init_layers(nn_architecture, seed, dtype=dtype)
    cost_history = []
    accuracy_history = []
    for _ in range(epochs):
        Y_hat, memory = full_forward_propagation(X, params_values, nn_architecture)
        if nn_architecture[-1]["activation"] == "sigmoid":
            cost = get_cost_from_logits(memory[f"Z{len(nn_architecture)}"], Y)
        else:
            cost = get_cost_value(Y_hat, Y)
        cost_history.append(cost)
        accuracy_history.append(get_accuracy_value(Y_hat, Y))
        grads_values = full_backward_propagation(Y_hat, Y, memory, params_values, nn_architecture)
        update(params_values, grads_values, nn_architecture, learning_rate)
    return params_values, cost_history, accuracy_history


# Chapter 1: two layers of sigmoids without biases, samples in rows, sum of squared errors.


def sigmoid_derivative(s: Array) -> Array:
    """Return the derivative of the sigmoid where its value is s: s (1 - s)."""
    slope: Array = s * (1 - s)
    return slope


class NeuralNetwork:
    """A network: output = sigmoid(sigmoid(x W1) W2), loss = sum((y - output)^2), rate 1."""

    def __init__(self, x: Array, y: Array, *, seed: Any = None) -> None:
        random = np.random if seed is None else np.random.RandomState(seed)
        self.input = x
        self.weights1 = random.rand(x.shape[1], 4)
        self.weights2 = random.rand(4, 1)
        self.y = y
        self.output = np.zeros(y.shape)

    def feedforward(self) -> None:
        """Compute the activations of both layers."""
        self.layer1 = sigmoid(self.input @ self.weights1)
        self.output = sigmoid(self.layer1 @ self.weights2)

    def backprop(self) -> None:
        """Step down the gradient: for C = A B and G = dL/dC, dL/dA = G B^T, dL/dB = A^T G."""
        d_z2 = 2 * (self.output - self.y) * sigmoid_derivative(self.output)
        d_z1 = (d_z2 @ self.weights2.T) * sigmoid_derivative(self.layer1)
        self.weights1 -= self.input.T @ d_z1
        self.weights2 -= self.layer1.T @ d_z2

    def train(self, iterations: int) -> list[float]:
        """Return the loss before each update; the output is that of the final weights."""
        loss_history = []
        for _ in range(iterations):
            self.feedforward()
            loss_history.append(float(np.sum((self.y - self.output) ** 2)))
            self.backprop()
        self.feedforward()
        return loss_history
