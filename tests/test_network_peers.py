"""Trainings of nnc.Network against PyTorch in float64: layers, activations, losses, optimizers."""

import dataclasses
import itertools
import random

import numpy as np
import pytest
import torch
import torch_networks as theirs

import nnc
from nnc import BatchNorm, Dense, LayerNorm, Network
from nnc.layers import ACTIVATIONS, OUTPUT_ONLY

pytestmark = pytest.mark.peers

TOLERANCE = 1e-10
N_IN, N_OUT = 6, 3
HIDDEN = [name for name in ACTIVATIONS if name not in OUTPUT_ONLY]
STACKS = {
    "dense": lambda f, g: [Dense(9, f), Dense(7, f), Dense(N_OUT, g)],
    "no bias": lambda f, g: [Dense(9, f, bias=False), Dense(N_OUT, g, bias=False)],
    "layer norm": lambda f, g: [LayerNorm(), Dense(9, f), LayerNorm(1e-2), Dense(N_OUT, g)],
    # no bias before batch norm: its gradient would be rounding errors alone where f is a line
    "batch norm": lambda f, g: [
        Dense(9, f, bias=False), BatchNorm(0.8, 1e-2), Dense(8, "tanh"), BatchNorm(),
        Dense(N_OUT, g),
    ],
    "mixed": lambda f, g: [Dense(33, f), LayerNorm(), Dense(35, "tanh"), Dense(N_OUT, g)],
}  # fmt: skip
# Epsilons are larger than usual, or tiny gradients would take a whole step in the direction of
# their rounding errors.
OPTIMIZERS = {
    "sgd": nnc.SGD(0.02),
    "momentum": nnc.SGD(0.004, 0.9),
    "nesterov": nnc.SGD(0.004, 0.9, nesterov=True),
    "adagrad": nnc.Adagrad(0.05, 1e-3),
    "rmsprop": nnc.RMSprop(0.002, epsilon=1e-3),
    "rmsprop momentum": nnc.RMSprop(0.001, 0.95, 0.8, 1e-3),
    "adam": nnc.Adam(0.005, epsilon=1e-3),
    "amsgrad": nnc.Adam(0.005, epsilon=1e-3, amsgrad=True),
    "adamw": nnc.AdamW(0.005, epsilon=1e-3, weight_decay=0.05),
    "nadam": nnc.NAdam(0.005, epsilon=1e-3),
    "lion": nnc.Lion(0.001, weight_decay=0.1),
    "rprop": nnc.Rprop(0.002),
}
PAIRS = [
    (kind, output)
    for kind, cls in nnc.losses.KINDS.items()
    for output in (cls.activations or nnc.losses.ELEMENTWISE)
]


def make_loss(kind, smoothed):
    numbers = {"huber": 0.7, "quantile": 0.3, "binary_focal_cross_entropy": 1.7}
    cls = nnc.losses.KINDS[kind]
    if kind in numbers:
        return cls(numbers[kind])
    return cls(label_smoothing=0.1) if smoothed and hasattr(cls, "label_smoothing") else cls()


def data_for(loss, m, seed):
    source = np.random.default_rng(seed)
    X = source.normal(size=(m, N_IN))
    classes = source.integers(0, N_OUT, m)
    y = source.normal(size=(m, N_OUT))
    if loss.activations == OUTPUT_ONLY:
        y = classes if loss.classes else np.eye(N_OUT)[classes]
    elif loss.kind == "poisson":
        y = source.poisson(2.0, (m, N_OUT))
    elif loss.kind == "hinge":
        y = source.choice([-1, 1], (m, N_OUT))
    elif "binary" in loss.kind:
        y = source.integers(0, 2, (m, N_OUT))
    return X, y


def cases():
    """Combinations of loss, output, stack, hidden activation and optimizer in which each two meet.

    Whatever two have not met yet are put together with the best of some random others.
    """
    choice = random.Random(5)
    parts = [PAIRS, list(STACKS), HIDDEN, list(OPTIMIZERS)]

    def draw():
        pair, *rest = map(choice.choice, parts)
        return (*pair, *rest)

    def meetings(combination):
        return set(itertools.combinations(enumerate(combination), 2))

    left = set().union(*(meetings((*pair, *rest)) for pair, *rest in itertools.product(*parts)))
    while left:
        first, second = min(left)
        best, most = None, 0
        for _ in range(60):
            combination = list(draw())
            for place, value in (first, second):
                combination[place] = value
            if tuple(combination[:2]) not in PAIRS:
                continue
            count = len(meetings(combination) & left)
            if count > most:
                best, most = tuple(combination), count
        if best:
            left -= meetings(best)
            yield best


@pytest.mark.parametrize(
    ("n", "kind", "output", "stack", "hidden", "optimizer"),
    [(n, *combination) for n, combination in enumerate(cases())],
)
def test_100_steps(n, kind, output, stack, hidden, optimizer):
    loss = make_loss(kind, smoothed=n % 2 == 0)
    chosen = OPTIMIZERS[optimizer]
    if kind == "sum_of_squares":  # steeper by the size of a batch and the number of outputs
        chosen = dataclasses.replace(chosen, learning_rate=chosen.learning_rate / 36)
    network = Network(
        STACKS[stack](hidden, output), N_IN, loss=loss, optimizer=chosen, seed=n, dtype="float64"
    )
    X, y = data_for(loss, 47, seed=n)
    if hidden == "exponential":  # e^e^z: large inputs would overflow
        X *= 0.3
    weights = np.random.default_rng(n).uniform(0.1, 2, len(X)) if n % 3 == 0 else None
    epochs, size = (100, len(X)) if chosen.full_batch else (25, 12)
    model, losses = theirs.train(network, X, y, epochs, size, weights)
    history = network.fit(
        X, y, epochs=epochs, batch_size=size, shuffle=False, sample_weight=weights, verbose=0
    )
    assert theirs.deviation(network, model) < TOLERANCE
    np.testing.assert_allclose(history["loss"], losses, rtol=TOLERANCE, atol=1e-15)


# -------------------------------------------------------------------- optimizers, 1000 steps

# With the usual small epsilons: on noise that cannot be learned, gradients stay large.
LONG = OPTIMIZERS | {
    "adagrad": nnc.Adagrad(0.05),
    "rmsprop": nnc.RMSprop(0.001),
    "rmsprop momentum": nnc.RMSprop(0.0002, 0.95, 0.8),
    "adam": nnc.Adam(0.002),
    "adam, other betas": nnc.Adam(0.002, 0.8, 0.95, 1e-8),
    "amsgrad": nnc.Adam(0.002, amsgrad=True),
    "adamw": nnc.AdamW(0.002, weight_decay=0.05),
    "nadam": nnc.NAdam(0.002),
}
EXTRAS = {
    "alone": {},
    "weight decay": {"weight_decay": 0.03},
    "clip value": {"clip_value": 0.02},
    "clip norm": {"clip_norm": 0.1},
    "cosine": {"learning_rate": nnc.schedules.Cosine(0.004, 7, 2, minimum=0.0005)},
    "everything": {
        "weight_decay": 0.02,
        "clip_value": 0.05,
        "clip_norm": 0.1,
        "ema_decay": 0.98,
    },
}
WITH_ALL = ("alone", "everything")


def noise(m=40):
    source = np.random.default_rng(7)
    return source.normal(size=(m, N_IN)), source.normal(size=(m, 2))


@pytest.mark.parametrize(
    ("name", "extra"),
    [(name, extra) for name in LONG for extra in WITH_ALL]
    + [(name, extra) for name in ("sgd", "adam") for extra in EXTRAS if extra not in WITH_ALL],
)
def test_1000_steps(name, extra):
    optimizer = dataclasses.replace(LONG[name], **EXTRAS[extra])
    if extra == "everything" and name != "rprop":  # its rate is that of the first step alone
        falling = nnc.schedules.ExponentialDecay(optimizer.learning_rate, 0.99)
        optimizer = dataclasses.replace(
            optimizer, learning_rate=nnc.schedules.Warmup(falling, 3, per_step=True)
        )
    X, y = noise()
    layers = [Dense(12, "tanh"), Dense(8, "silu"), Dense(2)]
    network = Network(layers, N_IN, optimizer=optimizer, seed=0, dtype="float64")
    epochs, size = (1000, len(X)) if optimizer.full_batch else (100, 4)
    rates = None
    if callable(optimizer.learning_rate):
        rates = nnc.schedules.rates(optimizer.learning_rate, epochs, len(X) // size)
    average = torch.optim.swa_utils.get_ema_avg_fn(optimizer.ema_decay)
    means = {name: torch.tensor(array.copy()) for name, array in network.params.items()}

    def follow(model):
        for name, tensor in model.tensors.items():
            means[name] = average(means[name], tensor.detach(), None)

    model, losses = theirs.train(
        network, X, y, epochs, size, rates=rates, at_step=follow if optimizer.ema_decay else None
    )
    history = network.fit(X, y, epochs=epochs, batch_size=size, shuffle=False, verbose=0)
    assert network.engine.steps == 1000
    assert theirs.deviation(network, model) < TOLERANCE
    np.testing.assert_allclose(history["loss"], losses, rtol=TOLERANCE, atol=1e-15)
    if optimizer.ema_decay:
        ours = network.engine.average
        expected = np.concatenate([mean.numpy().ravel() for mean in means.values()])
        np.testing.assert_allclose(ours, expected, rtol=0, atol=TOLERANCE)


def test_max_norm():
    """PyTorch's renorm, of the rows of weights after each step."""
    layers = [Dense(12, "tanh", max_norm=0.7), Dense(2, max_norm=0.5)]
    network = Network(layers, N_IN, optimizer=nnc.SGD(0.05, 0.9), seed=0, dtype="float64")
    X, y = noise()

    def shorten(model):
        with torch.no_grad():
            for name, most in (("W1", 0.7), ("W2", 0.5)):
                lengths = model.tensors[name].norm(dim=1, keepdim=True)
                model.tensors[name] *= torch.clamp(most / lengths, max=1)

    model, _ = theirs.train(network, X, y, 100, 4, at_step=shorten)
    network.fit(X, y, epochs=100, batch_size=4, shuffle=False, verbose=0)
    assert theirs.deviation(network, model) < TOLERANCE
    assert np.linalg.norm(network.params["W2"], axis=1).max() <= 0.5 * (1 + 1e-15)


def test_l1_and_l2():
    """Sums that PyTorch differentiates itself; they are in the loss of the history."""
    layers = [Dense(12, "tanh", l1=0.003, l2=0.02), Dense(2, l2=0.1)]
    network = Network(layers, N_IN, optimizer=nnc.SGD(0.05, 0.9), seed=0, dtype="float64")
    X, y = noise()

    def penalty(model):
        W1, W2 = model.tensors["W1"], model.tensors["W2"]
        return 0.003 * W1.abs().sum() + 0.01 * (W1**2).sum() + 0.05 * (W2**2).sum()

    model, losses = theirs.train(network, X, y, 100, 4, penalty=penalty)
    history = network.fit(X, y, epochs=100, batch_size=4, shuffle=False, verbose=0)
    assert theirs.deviation(network, model) < TOLERANCE
    np.testing.assert_allclose(history["loss"], losses, rtol=TOLERANCE, atol=1e-15)
