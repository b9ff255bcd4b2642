"""The tutorial in plain NumPy, errata mended: the readable specification of nnc.

Each function has a twin of the same name in `nnc`, on C kernels; their steps can be mixed on the
same arrays. Samples are columns: X (n_0, m), W (n, n_prev), b (n, 1), Z and A (n, m).
"""

import numpy as np


# Activations, and their derivatives given the gradient dA by A = f(Z): dZ = dA * f'(Z).


def identity(Z):
    """A = Z."""
    return np.array(Z)


def identity_backward(dA, Z):
    """DZ = dA."""
    return np.array(dA)


def sigmoid(Z):
    """A = 1 / (1 + e^-Z), from e^-|Z| so that nothing overflows."""
    e = np.exp(-np.abs(Z))
    return np.where(Z < 0, e, 1) / (1 + e)


def sigmoid_backward(dA, Z):
    """DZ = dA * A (1 - A)."""
    A = sigmoid(Z)
    return dA * A * (1 - A)


def relu(Z):
    """A = max(0, Z)."""
    return np.maximum(0, Z)


def relu_backward(dA, Z):
    """DZ = dA where Z > 0, else 0."""
    return np.where(Z <= 0, 0, dA)


ACTIVATIONS = {
    "identity": (identity, identity_backward),
    "relu": (relu, relu_backward),
    "sigmoid": (sigmoid, sigmoid_backward),
}


# Forward.


def init_layers(nn_architecture, seed=99, *, dtype=np.float64):
    """W, b = 0.1 * randn, from a generator of our own rather than NumPy's global one."""
    random = np.random.RandomState(seed)
    params_values = {}
    for i, layer in enumerate(nn_architecture, 1):
        n_in, n_out = layer["input_dim"], layer["output_dim"]
        params_values[f"W{i}"] = (random.randn(n_out, n_in) * 0.1).astype(dtype)
        params_values[f"b{i}"] = (random.randn(n_out, 1) * 0.1).astype(dtype)
    return params_values


def single_layer_forward_propagation(A_prev, W_curr, b_curr, activation="relu"):
    """Z = W A_prev + b; A = f(Z)."""
    Z_curr = W_curr @ A_prev + b_curr
    return ACTIVATIONS[activation][0](Z_curr), Z_curr


def full_forward_propagation(X, params_values, nn_architecture):
    """All layers; memory keeps A0, Z1, A1, Z2, … for the way back."""
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


def _limited(Y_hat):
    """Y_hat and 1 - Y_hat, with the nearest numbers that are not saturated instead of 0."""
    limits = np.finfo(Y_hat.dtype)
    P, Q = Y_hat, 1 - Y_hat
    P = np.where(np.abs(P) < limits.tiny, limits.tiny, P)
    Q = np.where(np.abs(Q) < limits.epsneg, limits.epsneg, Q)
    return P, Q


def get_cost_value(Y_hat, Y):
    """J from probabilities."""
    P, Q = _limited(Y_hat)
    return float(-np.sum(Y * np.log(P) + (1 - Y) * np.log(Q)) / Y_hat.shape[1])


def get_cost_from_logits(Z, Y):
    """J for Y_hat = sigmoid(Z): L = log(1 + e^Z) - Y Z, which no saturation spoils."""
    return float(np.sum(np.logaddexp(0, Z) - Y * Z) / Z.shape[1])


def convert_prob_into_class(probs):
    """1 where p > 0.5, else 0."""
    return np.where(np.isnan(probs), probs, probs > 0.5).astype(probs.dtype)


def get_accuracy_value(Y_hat, Y):
    """The fraction of samples whose outputs are all of the right class."""
    return float((convert_prob_into_class(Y_hat) == Y).all(axis=0).mean())


# Backward. dA and dZ belong to the sum of L; the 1/m of the mean enters in dW and db.


def _layer_gradients(dZ_curr, W_curr, A_prev):
    """DA_prev = W^T dZ; dW = dZ A_prev^T / m; db = row sums of dZ / m."""
    m = A_prev.shape[1]
    dW_curr = dZ_curr @ A_prev.T / m
    db_curr = np.sum(dZ_curr, axis=1, keepdims=True) / m
    return W_curr.T @ dZ_curr, dW_curr, db_curr


def single_layer_backward_propagation(
    dA_curr, W_curr, b_curr, Z_curr, A_prev, activation="relu"
):
    """DZ = dA * f'(Z), then the layer's gradients."""
    dZ_curr = ACTIVATIONS[activation][1](dA_curr, Z_curr)
    return _layer_gradients(dZ_curr, W_curr, A_prev)


def full_backward_propagation(Y_hat, Y, memory, params_values, nn_architecture):
    """All layers in reverse.

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


def update(params_values, grads_values, nn_architecture, learning_rate):
    """W -= learning_rate * dW, in place; layers count from 1."""
    for i in range(1, len(nn_architecture) + 1):
        params_values[f"W{i}"] -= learning_rate * grads_values[f"dW{i}"]
        params_values[f"b{i}"] -= learning_rate * grads_values[f"db{i}"]
    return params_values


def train(X, Y, nn_architecture, epochs, learning_rate, *, seed=2, dtype=np.float64):
    """Full-batch gradient descent; histories belong to the parameters before each update."""
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


def sigmoid_derivative(s):
    """The derivative of the sigmoid where its value is s: s (1 - s)."""
    return s * (1 - s)


class NeuralNetwork:
    """Output = sigmoid(sigmoid(x W1) W2); loss = sum((y - output)^2); learning rate 1."""

    def __init__(self, x, y, *, seed=None):
        random = np.random if seed is None else np.random.RandomState(seed)
        self.input = x
        self.weights1 = random.rand(x.shape[1], 4)
        self.weights2 = random.rand(4, 1)
        self.y = y
        self.output = np.zeros(y.shape)

    def feedforward(self):
        """Compute the activations of both layers."""
        self.layer1 = sigmoid(self.input @ self.weights1)
        self.output = sigmoid(self.layer1 @ self.weights2)

    def backprop(self):
        """Chain rule: for C = A B and G = dL/dC, dL/dA = G B^T and dL/dB = A^T G."""
        d_z2 = 2 * (self.output - self.y) * sigmoid_derivative(self.output)
        d_z1 = (d_z2 @ self.weights2.T) * sigmoid_derivative(self.layer1)
        self.weights1 -= self.input.T @ d_z1
        self.weights2 -= self.layer1.T @ d_z2

    def train(self, iterations):
        """Return the loss before each update; the output is that of the final weights."""
        loss_history = []
        for _ in range(iterations):
            self.feedforward()
            loss_history.append(float(np.sum((self.y - self.output) ** 2)))
            self.backprop()
        self.feedforward()
        return loss_history
