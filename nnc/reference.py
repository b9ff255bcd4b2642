"""The tutorial in plain NumPy, errata mended: the readable specification of nnc.

Each function has a twin of the same name in `nnc`, on C kernels; their steps can be mixed on the
same arrays. Samples are columns: X (n_0, m), W (n, n_prev), b (n, 1), Z and A (n, m).
"""

from __future__ import annotations

import math
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
    """Return A = 1 / (1 + e^-Z), from e^-abs(Z) so that nothing overflows."""
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


def hard_sigmoid(Z: Array) -> Array:
    """Return A = Z / 6 + 1/2, clipped to [0, 1]."""
    A: Array = np.clip(Z + 3, 0, 6) / 6
    return A


def hard_sigmoid_backward(dA: Array, Z: Array) -> Array:
    """Return dZ: dA / 6 where abs(Z) < 3, else 0."""
    dZ: Array = np.where(np.abs(Z) < 3, dA / 6, 0)
    return dZ


def tanh(Z: Array) -> Array:
    """Return A = (e^Z - e^-Z) / (e^Z + e^-Z)."""
    return np.tanh(Z)


def tanh_backward(dA: Array, Z: Array) -> Array:
    """Return dZ = dA * (1 - A^2)."""
    A = tanh(Z)
    dZ: Array = dA * (1 - A) * (1 + A)
    return dZ


LEAK = 0.01


def leaky_relu(Z: Array) -> Array:
    """Return A: Z where Z > 0, else 0.01 Z, as in PyTorch; Keras has 0.2."""
    return np.where(Z > 0, Z, LEAK * Z)


def leaky_relu_backward(dA: Array, Z: Array) -> Array:
    """Return dZ: dA where Z > 0, else 0.01 dA."""
    return np.where(Z > 0, dA, LEAK * dA)


def elu(Z: Array) -> Array:
    """Return A: Z where Z > 0, else e^Z - 1."""
    return np.where(Z > 0, Z, np.expm1(np.minimum(Z, 0)))


def elu_backward(dA: Array, Z: Array) -> Array:
    """Return dZ: dA where Z > 0, else dA * e^Z."""
    return np.where(Z > 0, dA, dA * np.exp(np.minimum(Z, 0)))


SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def selu(Z: Array) -> Array:
    """Return A: scale * Z where Z > 0, else scale * alpha (e^Z - 1)."""
    return np.where(Z > 0, SELU_SCALE * Z, SELU_SCALE * SELU_ALPHA * np.expm1(np.minimum(Z, 0)))


def selu_backward(dA: Array, Z: Array) -> Array:
    """Return dZ: scale * dA where Z > 0, else scale * alpha * dA * e^Z."""
    slope = np.where(Z > 0, SELU_SCALE, SELU_SCALE * SELU_ALPHA * np.exp(np.minimum(Z, 0)))
    dZ: Array = dA * slope.astype(Z.dtype)
    return dZ


def _normal(Z: Array) -> Array:
    """Return P(Z), the standard normal distribution."""
    erfc = np.vectorize(math.erfc, otypes=[np.float64])
    P: Array = erfc(-np.asarray(Z, np.float64) / math.sqrt(2)) / 2
    return P


def gelu(Z: Array) -> Array:
    """Return A = Z P(Z), the limit 0 where Z is -infinity."""
    A: Array = np.where(Z == -np.inf, 0, Z) * _normal(Z)
    return A.astype(Z.dtype)


def gelu_backward(dA: Array, Z: Array) -> Array:
    """Return dZ = dA * (P(Z) + Z p(Z)), with the density p = P'."""
    z = np.clip(np.asarray(Z, np.float64), -40, 40)
    dZ: Array = dA * (_normal(Z) + z * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)).astype(Z.dtype)
    return dZ


def silu(Z: Array) -> Array:
    """Return A = Z sigmoid(Z), the limit 0 where Z is -infinity."""
    A: Array = np.where(Z == -np.inf, 0, Z) * sigmoid(Z)
    return A


def silu_backward(dA: Array, Z: Array) -> Array:
    """Return dZ = dA * S (1 + Z (1 - S)) with S = sigmoid(Z), 1 - S = sigmoid(-Z)."""
    z = np.clip(Z, -800, 800)
    dZ: Array = dA * sigmoid(z) * (1 + z * sigmoid(-z))
    return dZ


def softplus(Z: Array) -> Array:
    """Return A = log(1 + e^Z), from e^-abs(Z) so that nothing overflows."""
    A: Array = np.maximum(Z, 0) + np.log1p(np.exp(-np.abs(Z)))
    return A


def softplus_backward(dA: Array, Z: Array) -> Array:
    """Return dZ = dA * sigmoid(Z)."""
    return dA * sigmoid(Z)


def mish(Z: Array) -> Array:
    """Return A = Z tanh(softplus(Z)), the limit 0 where Z is -infinity."""
    A: Array = np.where(Z == -np.inf, 0, Z) * np.tanh(softplus(Z))
    return A


def mish_backward(dA: Array, Z: Array) -> Array:
    """Return dZ = dA * (T + Z (1 - T^2) sigmoid(Z)) with T = tanh(softplus(Z))."""
    z = np.clip(Z, -800, 800)
    T = np.tanh(softplus(z))
    dZ: Array = dA * (T + z * (1 - T) * (1 + T) * sigmoid(z))
    return dZ


def softsign(Z: Array) -> Array:
    """Return A = Z / (1 + abs(Z)), the limits where Z is infinite."""
    z = np.clip(Z, -1e30, 1e30)
    A: Array = z / (1 + np.abs(z))
    return A


def softsign_backward(dA: Array, Z: Array) -> Array:
    """Return dZ = dA / (1 + abs(Z))^2."""
    dZ: Array = dA / (1 + np.abs(Z)) ** 2
    return dZ


def hard_swish(Z: Array) -> Array:
    """Return A = Z hard_sigmoid(Z), the limit 0 where Z is -infinity."""
    A: Array = np.where(Z == -np.inf, 0, Z) * hard_sigmoid(Z)
    return A


def hard_swish_backward(dA: Array, Z: Array) -> Array:
    """Return dZ: dA * (Z / 3 + 1/2) where abs(Z) < 3, dA above, 0 below."""
    return np.where(np.abs(Z) < 3, dA * (2 * Z + 3) / 6, np.where(Z > 0, dA, 0))


def exponential(Z: Array) -> Array:
    """Return A = e^Z."""
    return np.exp(Z)


def exponential_backward(dA: Array, Z: Array) -> Array:
    """Return dZ = dA * A."""
    return dA * np.exp(Z)


Activation = tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]
ACTIVATIONS: dict[str, Activation] = {
    "identity": (identity, identity_backward),
    "relu": (relu, relu_backward),
    "sigmoid": (sigmoid, sigmoid_backward),
    "hard_sigmoid": (hard_sigmoid, hard_sigmoid_backward),
    "tanh": (tanh, tanh_backward),
    "leaky_relu": (leaky_relu, leaky_relu_backward),
    "elu": (elu, elu_backward),
    "selu": (selu, selu_backward),
    "gelu": (gelu, gelu_backward),
    "silu": (silu, silu_backward),
    "mish": (mish, mish_backward),
    "softplus": (softplus, softplus_backward),
    "softsign": (softsign, softsign_backward),
    "hard_swish": (hard_swish, hard_swish_backward),
    "exponential": (exponential, exponential_backward),
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
