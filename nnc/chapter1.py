"""Chapter 1 of the tutorial: a network of two layers, in one class.

Layouts are the tutorial's: one sample per row, no biases.
"""

from __future__ import annotations

from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from nnc import _core
from nnc._arguments import Array, Layer, read_data, read_index, read_seed
from nnc._block import new_block

HIDDEN = 4
FLOAT64 = np.dtype(np.float64)


class NeuralNetwork:
    """A network n-4-1 of sigmoid units, trained on the sum of squared errors.

    Its learning rate is 1, as in the tutorial.

    Parameters
    ----------
    x : array_like, shape (m, n)
        Inputs, one sample per row.
    y : array_like, shape (m, 1)
        Targets.
    seed : int or array_like of int, optional
        What ``np.random.seed`` takes. Without it the weights come from NumPy's global random
        state, as in the tutorial.

    Attributes
    ----------
    input, y : numpy.ndarray
        The data, float64.
    weights1 : numpy.ndarray, shape (n, 4)
        Weights of the hidden layer, at first uniform on [0, 1).
    weights2 : numpy.ndarray, shape (4, 1)
        Weights of the output.
    layer1 : numpy.ndarray, shape (m, 4)
        Activations of the hidden layer, after `feedforward`.
    output : numpy.ndarray, shape (m, 1)
        Predictions, after `feedforward`; zeros before.

    Raises
    ------
    ValueError, TypeError
        Where x or y is not a matrix of finite real numbers, or their rows differ in number.

    Examples
    --------
    >>> import numpy as np
    >>> from nnc import NeuralNetwork
    >>> x = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
    >>> y = np.array([[0], [1], [1], [0]])
    >>> network = NeuralNetwork(x, y, seed=0)
    >>> loss = network.train(1500)
    >>> network.output.round().ravel()
    array([0., 1., 1., 0.])
    """

    def __init__(self, x: npt.ArrayLike, y: npt.ArrayLike, *, seed: Any = None) -> None:
        self.input = read_data("x", x, -1, -1, FLOAT64)
        m, n = self.input.shape
        if n == 0:
            raise ValueError(f"x: expected at least one column, got shape {self.input.shape}")
        self.y = read_data("y", y, m, 1, FLOAT64)
        if seed is None:
            self.weights1 = np.random.rand(n, HIDDEN)
            self.weights2 = np.random.rand(HIDDEN, 1)
        else:
            block = new_block((n + 1) * HIDDEN, FLOAT64, "x")
            _core.fill_uniform(block, read_seed(seed))
            self.weights1 = block[: n * HIDDEN].reshape(n, HIDDEN)
            self.weights2 = block[n * HIDDEN :].reshape(HIDDEN, 1)
        self.layer1 = np.zeros((m, HIDDEN))
        self.output = np.zeros((m, 1))

    def _read(self) -> tuple[Array, Array, Array, Array]:
        """Return input, y and the weights as float64: the user may have replaced any of them."""
        x = read_data("input", self.input, -1, -1, FLOAT64)
        y = read_data("y", self.y, x.shape[0], 1, FLOAT64)
        weights1 = np.require(
            read_data("weights1", self.weights1, x.shape[1], -1, FLOAT64), requirements="W"
        )
        weights2 = np.require(
            read_data("weights2", self.weights2, weights1.shape[1], 1, FLOAT64), requirements="W"
        )
        return x, y, weights1, weights2

    def feedforward(self) -> None:
        """Compute `layer1` = sigmoid(input weights1) and `output` = sigmoid(layer1 weights2)."""
        x, _, weights1, weights2 = self._read()
        self._forward(x, weights1, weights2)

    def _forward(self, x: Array, weights1: Array, weights2: Array) -> None:
        self.layer1 = _forward(x, weights1)
        self.output = _forward(self.layer1, weights2)

    def backprop(self) -> None:
        """Take one step down the gradient of sum((y - output)**2), from the last `feedforward`.

        With the chain rule, d loss / d output = 2 (output - y), and the derivative of a sigmoid
        whose value is s is s (1 - s). The weights change in place.
        """
        x, y, weights1, weights2 = self._read()
        layer1 = read_data("layer1", self.layer1, x.shape[0], weights1.shape[1], FLOAT64)
        output = read_data("output", self.output, x.shape[0], 1, FLOAT64)
        d_output = _core.activation_gradient(2 * (output - y), output, "sigmoid")
        d_layer1, d_weights2 = _backward(d_output, weights2, layer1)
        d_layer1 = _core.activation_gradient(d_layer1, layer1, "sigmoid")
        _, d_weights1 = _backward(d_layer1, weights1, x)
        weights1 -= d_weights1
        weights2 -= d_weights2
        self.weights1, self.weights2 = weights1, weights2

    def train(self, iterations: SupportsIndex) -> list[float]:
        """Repeat `feedforward` and `backprop`, in one call into C, then `feedforward` once more.

        Parameters
        ----------
        iterations : int
            At least 0.

        Returns
        -------
        list of float
            sum((y - output)**2) before the update of each iteration.

        Raises
        ------
        FloatingPointError
            Where the loss is no longer finite; the weights are then the last good ones.
        KeyboardInterrupt
            Within 100 ms of Ctrl-C, with the weights after the last whole iteration.
        """
        n_iterations = read_index("iterations", iterations, 0)
        x, y, weights1, weights2 = self._read()
        n, hidden = weights1.shape
        layers = [Layer(n, hidden, "sigmoid", False), Layer(hidden, 1, "sigmoid", False)]
        block = new_block((n + 1) * hidden, FLOAT64, "weights1")
        loss = new_block(n_iterations, FLOAT64, "iterations")
        ours1, ours2 = block[: n * hidden].reshape(hidden, n).T, block[n * hidden :].reshape(-1, 1)
        ours1[:], ours2[:] = weights1, weights2
        try:
            done, diverged = _core.train(
                block, x.T, y.T, layers, "sum_of_squares", n_iterations, 1.0, 1, loss, None
            )
        finally:
            weights1[:], weights2[:] = ours1, ours2
            self.weights1, self.weights2 = weights1, weights2
        self._forward(x, weights1, weights2)
        if diverged:
            raise FloatingPointError(f"the loss is not finite at iteration {done}")
        history: list[float] = loss[:done].tolist()
        return history


def _forward(rows: Array, weights: Array) -> Array:
    """Return sigmoid(rows weights), for samples in rows."""
    no_bias = np.zeros((weights.shape[1], 1))
    A, _ = _core.single_layer_forward_propagation(rows.T, weights.T, no_bias, "sigmoid")
    return np.ascontiguousarray(A.T)


def _backward(d_z: Array, weights: Array, rows: Array) -> tuple[Array, Array]:
    """Return the gradients by the rows and by the weights of z = rows weights."""
    d_rows, d_weights, _ = _core.layer_gradients(d_z.T, weights.T, rows.T, 1.0)
    return d_rows.T, d_weights.T
