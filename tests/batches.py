"""Training in batches as NumPy would do it, in float64, for comparison with nnc._core.Engine."""

import numpy as np
from hypothesis import strategies as st
from support import HIDDEN

from nnc._core import Engine
from nnc.reference import ACTIVATIONS

BCE, CCE = "binary_cross_entropy", "categorical_cross_entropy"
MSE, SSE = "mean_squared_error", "sum_of_squares"
PAIRS = [(CCE, "softmax"), (CCE, "log_softmax"), (BCE, "sigmoid")] + [
    (loss, last) for loss in (MSE, SSE) for last in ("identity", "relu", "sigmoid", "gelu")
]
# Adam's epsilon: with the usual 1e-8 a gradient of rounding errors alone would make a whole step
ADAM = {"optimizer": "adam", "learning_rate": 0.01, "epsilon": 1e-3}
SGD = {"optimizer": "sgd", "learning_rate": 0.05}


def layers_of(sizes, last, bias=True, hidden=("relu", "sigmoid")):
    """(n_in, n_out, activation, has_bias) for each layer; hidden activations take turns."""
    count = len(sizes) - 1
    names = [hidden[i % len(hidden)] for i in range(count - 1)] + [last]
    return [
        (n_in, n_out, name, bias)
        for n_in, n_out, name in zip(sizes[:-1], sizes[1:], names, strict=True)
    ]


def problem(layers, loss, m, dtype=np.float64, seed=0):
    """X and Y, and parameters of ordinary size, for a network."""
    random = np.random.default_rng(seed)
    n_in, n_out = layers[0][0], layers[-1][1]
    X = random.normal(size=(m, n_in)).astype(dtype)
    if loss == CCE:
        Y = np.eye(n_out)[random.integers(0, n_out, m)]
    elif loss == BCE:
        Y = random.integers(0, 2, (m, n_out))
    else:
        Y = random.normal(size=(m, n_out))
    params = [
        part
        for n, width, _, bias in layers
        for part in (random.normal(size=n * width) / np.sqrt(n), random.normal(size=bias * width))
    ]
    return X, Y.astype(dtype), np.concatenate(params).astype(dtype)


def engine(layers, loss, params):
    result = Engine(layers, loss, params.dtype.name)
    result.params[:] = params
    return result


def unpack(params, layers):
    """[(W, b), …] as views; b is empty where a layer has none."""
    result, start = [], 0
    for n_in, n_out, _, bias in layers:
        end = start + n_in * n_out
        b = params[end : end + bias * n_out]
        result.append((params[start:end].reshape(n_out, n_in), b))
        start = end + bias * n_out
    return result


def log_softmax(Z):
    Z = Z - Z.max(axis=1, keepdims=True)
    return Z - np.log(np.exp(Z).sum(axis=1, keepdims=True))


def forward(X, params, layers):
    """The outputs of all layers, the input first, and what their activations were applied to."""
    A, Z = [X.astype(np.float64)], []
    for (W, b), (_, _, activation, bias) in zip(unpack(params, layers), layers, strict=True):
        Z.append(A[-1] @ W.T + (b if bias else 0))
        if activation == "log_softmax":
            A.append(log_softmax(Z[-1]))
        elif activation == "softmax":
            A.append(np.exp(log_softmax(Z[-1])))
        else:
            A.append(ACTIVATIONS[activation][0](Z[-1]))
    return A, Z


def outputs(X, params, layers):
    """The outputs of all layers, the input first."""
    return forward(X, params, layers)[0]


def score(P, Y, loss):
    """The loss summed over samples, and the number of samples that are right."""
    if loss == CCE:
        return -(Y * np.log(P)).sum(), (P.argmax(axis=1) == Y.argmax(axis=1)).sum()
    hits = ((P > 0.5) == Y).all(axis=1).sum()
    if loss == BCE:
        return -np.log(np.where(Y == 1, P, 1 - P)).sum(), hits
    return ((P - Y) ** 2).sum(), hits


def gradient(X, Y, params, layers, loss):
    """The gradient of the summed loss, and the outputs: probabilities after log_softmax too."""
    (A, Z), result = forward(X, params, layers), np.zeros_like(params)
    P = np.exp(A[-1]) if layers[-1][2] == "log_softmax" else A[-1]
    D = P - Y if loss in (BCE, CCE) else 2 * (P - Y)
    weights, grads = unpack(params, layers), unpack(result, layers)
    for i in reversed(range(len(layers))):
        if i < len(layers) - 1 or loss not in (BCE, CCE):
            D = ACTIVATIONS[layers[i][2]][1](D, Z[i])
        grads[i][0][:] = D.T @ A[i]
        if layers[i][3]:
            grads[i][1][:] = D.sum(axis=0)
        D = D @ weights[i][0]
    return result, P


def fit(params, layers, loss, X, Y, epochs=1, batch_size=32, optimizer="sgd", learning_rate=0.01,
        beta_1=0.9, beta_2=0.999, epsilon=1e-8, seed=None):  # fmt: skip
    """What Engine.fit makes of params (float64, in place): cost and accuracy of each epoch."""
    order, random = np.arange(len(X)), np.random.RandomState(seed)
    mean, square, step = np.zeros_like(params), np.zeros_like(params), 0
    per_sample = Y.shape[1] if loss == MSE else 1
    costs, accuracies = [], []
    for _ in range(epochs):
        if seed is not None:
            random.shuffle(order)
        cost = hits = 0
        for start in range(0, len(X), batch_size):
            rows = order[start : start + batch_size]
            g, P = gradient(X[rows], Y[rows], params, layers, loss)
            batch_cost, batch_hits = score(P, Y[rows], loss)
            cost, hits, step = cost + batch_cost, hits + batch_hits, step + 1
            if loss != SSE:
                g /= len(rows) * per_sample
            if optimizer == "adam":
                mean[:] = beta_1 * mean + (1 - beta_1) * g
                square[:] = beta_2 * square + (1 - beta_2) * g**2
                root = np.sqrt(square / (1 - beta_2**step))
                params -= learning_rate * (mean / (1 - beta_1**step)) / (root + epsilon)
            else:
                params -= learning_rate * g
        costs.append(cost if loss == SSE else cost / len(X) / per_sample)
        accuracies.append(hits / len(X))
    return np.array(costs), np.array(accuracies)


@st.composite
def networks(draw):
    """A random network and a loss that goes with it: layers, loss."""
    loss, last = draw(st.sampled_from(PAIRS))
    sizes = draw(st.lists(st.integers(1, 40), min_size=2, max_size=5))
    hidden = draw(st.permutations(HIDDEN))
    return layers_of(sizes, last, draw(st.booleans()), hidden), loss
