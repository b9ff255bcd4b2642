"""Small data sets, and a network's forward pass in plain NumPy, for the tests of nnc.Network."""

import math

import numpy as np


def circles(m, seed=0):
    """Two rings around each other: X (m, 2), y (m,) of 0 and 1."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 2, m)
    angle = random.uniform(0, 2 * np.pi, m)
    radius = 1 + y + random.normal(0, 0.1, m)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]), y


def blobs(m, features=2, classes=3, seed=0):
    """Clouds around random centres: X (m, features), y (m,) of classes."""
    random = np.random.default_rng(seed)
    centres = random.normal(0, 2, (classes, features))
    y = random.integers(0, classes, m)
    return centres[y] + random.normal(0, 0.7, (m, features)), y


SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
FUNCTIONS = {
    "identity": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "hard_sigmoid": lambda z: np.clip(z / 6 + 0.5, 0, 1),
    "tanh": np.tanh,
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(z)),
    "selu": lambda z: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(z)),
    "gelu": lambda z: z * (1 + np.vectorize(math.erf)(z / np.sqrt(2))) / 2,
    "silu": lambda z: z / (1 + np.exp(-z)),
    "mish": lambda z: z * np.tanh(np.log1p(np.exp(z))),
    "softplus": lambda z: np.log1p(np.exp(z)),
    "softsign": lambda z: z / (1 + np.abs(z)),
    "hard_swish": lambda z: z * np.clip(z / 6 + 0.5, 0, 1),
    "exponential": np.exp,
    "softmax": lambda z: np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True),
}


def numpy_forward(network, X):
    """The outputs of Dense and LayerNorm layers in float64; rows are samples."""
    params = {name: array.astype(np.float64) for name, array in network.params.items()}
    A = np.asarray(X, np.float64)
    for key, layer in enumerate(network.layers, 1):
        if layer.kind == "dense":
            A = FUNCTIONS[layer.activation](A @ params[f"W{key}"].T + params[f"b{key}"][:, 0])
        else:
            mean, variance = A.mean(axis=1, keepdims=True), A.var(axis=1, keepdims=True)
            A = (A - mean) / np.sqrt(variance + layer.epsilon)
            A = A * params[f"gamma{key}"][:, 0] + params[f"beta{key}"][:, 0]
    return A
