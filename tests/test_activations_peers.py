"""Every activation against PyTorch: values, derivatives, and trainings."""

import batches
import numpy as np
import pytest
import torch
from batches import CCE, MSE, engine, layers_of, problem, unpack

import nnc
from nnc import reference

pytestmark = pytest.mark.peers
functional = torch.nn.functional

THEIRS = {
    "identity": lambda z: z,
    "relu": functional.relu,
    "sigmoid": torch.sigmoid,
    # the derivatives of their own hardsigmoid and hardswish have a 1/6 in single precision
    "hard_sigmoid": lambda z: torch.clamp(z + 3, 0, 6) / 6,
    "tanh": torch.tanh,
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "selu": functional.selu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "mish": functional.mish,
    # theirs is the identity above a threshold, 20 by default
    "softplus": lambda z: functional.softplus(z, threshold=1000),
    "softsign": functional.softsign,
    "hard_swish": lambda z: z * torch.clamp(z + 3, 0, 6) / 6,
    "exponential": torch.exp,
    "softmax": lambda z: torch.softmax(z, 1),
    "log_softmax": lambda z: torch.log_softmax(z, 1),
}


@pytest.mark.parametrize("name", sorted(reference.ACTIVATIONS))
def test_values_and_slopes(name):
    Z = np.concatenate([np.linspace(-20, 20, 2001) + 1e-4, [0.0]])
    z = torch.tensor(Z, requires_grad=True)
    a = THEIRS[name](z)
    a.sum().backward()
    one = np.ones((1, 1))
    A, _ = nnc.single_layer_forward_propagation(Z[None, :], one, 0 * one, name)
    dZ, _, _ = nnc.single_layer_backward_propagation(
        np.ones((1, Z.size)), one, 0 * one, Z[None, :], 0 * Z[None, :], name
    )
    np.testing.assert_allclose(A[0], a.detach().numpy(), rtol=1e-12, atol=1e-15)
    if name in ("hard_sigmoid", "hard_swish"):
        own = getattr(functional, name.replace("_", ""))(z).detach().numpy()
        np.testing.assert_allclose(A[0], own, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(dZ[0], z.grad.numpy(), rtol=1e-12, atol=1e-14)


def train(layers, loss, params, X, Y, epochs, batch_size, rate):
    """What PyTorch makes of params, and its outputs."""
    weights = [
        [torch.tensor(part.copy(), requires_grad=True) for part in pair]
        for pair in unpack(params, layers)
    ]

    def forward(rows):
        a = torch.tensor(rows)
        for (W, b), (_, _, name, _) in zip(weights, layers, strict=True):
            z = a @ W.T + b
            a = THEIRS[name](z)
        return a, z

    optimizer = torch.optim.SGD([part for pair in weights for part in pair], lr=rate)
    for _ in range(epochs):
        for start in range(0, len(X), batch_size):
            rows = slice(start, start + batch_size)
            a, z = forward(X[rows])
            target = torch.tensor(Y[rows])
            optimizer.zero_grad()
            judge = functional.cross_entropy if loss == CCE else functional.mse_loss
            judge(z if loss == CCE else a, target).backward()
            optimizer.step()
    flat = np.concatenate([part.detach().numpy().ravel() for pair in weights for part in pair])
    return flat, forward(X)[0].detach().numpy()


@pytest.mark.parametrize("name", [*sorted(reference.ACTIVATIONS), "softmax", "log_softmax"])
def test_trainings(name):
    loss, hidden, last = MSE, name, name
    if name == "exponential":  # e^e^z would overflow
        last = "tanh"
    if "softmax" in name:
        loss, hidden = CCE, "tanh"
    layers = layers_of([5, 9, 7, 3], last, hidden=[hidden, "tanh"])
    X, Y, params = problem(layers, loss, 96)
    ours = engine(layers, loss, params)
    ours.fit(X, Y, epochs=34, batch_size=32, learning_rate=0.05)
    theirs, outputs = train(layers, loss, params, X, Y, 34, 32, 0.05)
    np.testing.assert_allclose(ours.params, theirs, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(ours.predict(X), outputs, rtol=1e-9, atol=1e-9)
    expected = params.astype(np.float64)
    batches.fit(expected, layers, loss, X, Y, epochs=34, batch_size=32, learning_rate=0.05)
    np.testing.assert_allclose(ours.params, expected, rtol=1e-10, atol=1e-10)
