"""A small network trained by plain NumPy in float64, for the tests of nnc.Network."""

import numpy as np
from sample_networks import blobs, circles
from support import EPS

import nnc
from nnc import Dense, Network

RATE = 0.3


class Plain:
    """tanh, then sigmoid or softmax with cross-entropy, or nothing with squares, trained by SGD."""

    def __init__(self, network):
        self.params = {k: v.astype(np.float64).copy() for k, v in network.params.items()}
        self.last = network.layers[-1].activation

    def outputs(self, X):
        self.hidden = np.tanh(X @ self.params["W1"].T + self.params["b1"][:, 0])
        z = self.hidden @ self.params["W2"].T + self.params["b2"][:, 0]
        if self.last == "sigmoid":
            return 1 / (1 + np.exp(-z))
        if self.last == "softmax":
            e = np.exp(z - z.max(axis=1, keepdims=True))
            return e / e.sum(axis=1, keepdims=True)
        return z

    def losses(self, P, Y):
        """The loss of each sample."""
        if self.last == "sigmoid":
            return -np.where(Y == 1, np.log(P), np.log(1 - P)).sum(axis=1)
        if self.last == "softmax":
            return -(Y * np.log(P)).sum(axis=1)
        return ((P - Y) ** 2).mean(axis=1)

    def right(self, P, Y):
        if self.last == "sigmoid":
            return ((P > 0.5) == (Y == 1)).all(axis=1)
        return P.argmax(axis=1) == Y.argmax(axis=1)

    def gradients(self, X, Y, w):
        """Outputs, and the gradient of the weighted mean loss."""
        P = self.outputs(X)
        D = (P - Y) * (1 if self.last != "identity" else 2 / Y.shape[1]) * (w / w.sum())[:, None]
        back = D @ self.params["W2"] * (1 - self.hidden**2)
        return P, {
            "W1": back.T @ X, "b1": back.sum(axis=0)[:, None],
            "W2": D.T @ self.hidden, "b2": D.sum(axis=0)[:, None],
        }  # fmt: skip

    def step(self, X, Y, w, rate):
        P, gradients = self.gradients(X, Y, w)
        for name, gradient in gradients.items():
            self.params[name] -= rate * gradient
        return P

    def fit(self, X, Y, epochs, batch_size=None, w=None, seed=None, rate=RATE):
        """Loss, accuracy and outputs of each epoch; rate may be a function of epoch and step."""
        w = np.ones(len(X)) if w is None else w
        order, random = np.arange(len(X)), np.random.RandomState(seed)
        result = []
        for epoch in range(epochs):
            if seed is not None:
                random.shuffle(order)
            P = np.empty(Y.shape)
            for step, start in enumerate(range(0, len(X), batch_size or len(X))):
                rows = order[start : start + (batch_size or len(X))]
                r = rate(epoch, step) if callable(rate) else rate
                P[rows] = self.step(X[rows], Y[rows], w[rows], r)
            mean = (w * self.losses(P, Y)).sum() / w.sum()
            result.append((mean, (w * self.right(P, Y)).sum() / w.sum(), P))
        return result


def make(last="sigmoid", n_out=1, features=2, **options):
    options = {"seed": 1, "dtype": "float64", "optimizer": nnc.SGD(RATE)} | options
    return Network([Dense(6, "tanh"), Dense(n_out, last)], features, **options)


def one_hot(y, k):
    return np.eye(k)[y]


def binary(m=53):
    X, y = circles(m)
    return X, y, y[:, None].astype(float)


def several(m=53, k=4):
    X, y = blobs(m, classes=k)
    return X, y, one_hot(y, k)


def same_params(network, plain, units=2000):
    for name, array in network.params.items():
        np.testing.assert_allclose(array, plain.params[name], atol=units * EPS[array.dtype])


def same_bits(a, b):
    for name, array in a.params.items():
        assert (array == b.params[name]).all(), name
