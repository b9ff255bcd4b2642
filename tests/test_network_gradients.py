"""Network.backward against central differences of losses in plain NumPy.

Every loss meets every output activation that it is made for, and each such pair every hidden
activation; the kinds of layers, weights of samples, and label smoothing take turns, so that each of
them meets every activation and every loss. L1 and L2 are no part of `backward`.
"""

import numpy as np
import pytest
from sample_networks import FUNCTIONS
from support import KINKS

import nnc
from nnc import BatchNorm, Dense, Dropout, LayerNorm, Network
from nnc.layers import ACTIVATIONS, OUTPUT_ONLY

HIDDEN = [name for name in ACTIVATIONS if name not in OUTPUT_ONLY]
N_OUT = 3
STEP = 2e-6  # of the differences
CLEARANCE = 1e-3  # between whatever has a kink and the kink

# Arrangements of layers: n units, a hidden activation f, an output activation g.
STACKS = {
    "one layer": lambda n, f, g: [Dense(N_OUT, g)],
    "dense": lambda n, f, g: [Dense(n, f), Dense(n - 1, f), Dense(N_OUT, g)],
    "no bias": lambda n, f, g: [Dense(n, f, bias=False), Dense(N_OUT, g, bias=False)],
    "layer norm": lambda n, f, g: [LayerNorm(), Dense(n, f), LayerNorm(1e-2), Dense(N_OUT, g)],
    "batch norm": lambda n, f, g: [
        BatchNorm(), Dense(n, f), BatchNorm(epsilon=1e-2), Dense(N_OUT, g),
    ],
    "dropout": lambda n, f, g: [Dropout(0.25), Dense(n, f), Dropout(0.4), Dense(N_OUT, g)],
    "all": lambda n, f, g: [
        Dense(n, f), BatchNorm(epsilon=0.1), Dropout(0.3), LayerNorm(0.1), Dense(n, f),
        Dropout(0.2), BatchNorm(epsilon=0.1), Dense(N_OUT, g),
    ],
}  # fmt: skip

# ------------------------------------------------------------------------------------ formulas
# Losses of each sample by outputs p and labels y, both (…, m, n_out), c the loss's parameter:
# summed or averaged over outputs as the documentation of `nnc.losses` says.


def focal(p, y, c):
    right = y * p + (1 - y) * (1 - p)
    return (1 - right) ** c * -np.log(right)


MEANS = {
    "mean_squared_error": lambda p, y, c: (p - y) ** 2,
    "mean_absolute_error": lambda p, y, c: np.abs(p - y),
    "huber": lambda p, y, c: np.where(
        np.abs(p - y) <= c, (p - y) ** 2 / 2, c * (np.abs(p - y) - c / 2)
    ),
    "quantile": lambda p, y, c: np.maximum(c * (y - p), (c - 1) * (y - p)),
    "poisson": lambda p, y, c: p - y * np.log(p),
    "binary_focal_cross_entropy": focal,
    "hinge": lambda p, y, c: np.maximum(0, 1 - y * p),
}
SUMS = {
    "sum_of_squares": lambda p, y, c: (p - y) ** 2,
    "binary_cross_entropy": lambda p, y, c: -(y * np.log(p) + (1 - y) * np.log(1 - p)),
    "categorical_cross_entropy": lambda p, y, c: -y * np.log(p),
}
SUMS["sparse_categorical_cross_entropy"] = SUMS["categorical_cross_entropy"]


def loss_of(loss, p, y, weights):
    """The loss of the whole batch: a mean weighted by samples, but for the sum of squares."""
    if loss.kind in MEANS:
        each = MEANS[loss.kind](p, y, loss.parameter).mean(axis=-1)
    else:
        each = SUMS[loss.kind](p, y, loss.parameter).sum(axis=-1)
    total = (each * weights).sum(axis=-1)
    return total if loss.kind == "sum_of_squares" else total / weights.sum()


def smooth(loss, y):
    """The labels that count; 1 / n_out is the share of each class, and 1/2 of yes and no."""
    share = 2 if loss.kind == "binary_cross_entropy" else N_OUT
    return y * (1 - loss.smoothing) + loss.smoothing / share


def forward(layers, params, X, masks):
    """Outputs (…, m, n_out), and each (activation, its argument); params have leading axes."""
    A, seen = X, []
    for place, layer in enumerate(layers):
        if isinstance(layer, Dense):
            Z = A @ np.swapaxes(params[place]["W"], -1, -2)
            if layer.bias:
                Z = Z + np.swapaxes(params[place]["b"], -1, -2)
            seen.append((layer.activation, Z))
            # the outputs count as probabilities
            A = FUNCTIONS[layer.activation.removeprefix("log_")](Z)
        elif isinstance(layer, Dropout):
            A = A * masks[place]
        else:
            axis = -1 if isinstance(layer, LayerNorm) else -2
            centred = A - A.mean(axis=axis, keepdims=True)
            A = centred / np.sqrt((centred**2).mean(axis=axis, keepdims=True) + layer.epsilon)
            gamma, beta = (np.swapaxes(params[place][name], -1, -2) for name in ("gamma", "beta"))
            A = A * gamma + beta
    return A, seen


def named(network):
    """[{"W": array, "b": array}, …] for each layer, and the names in `params`, in its order."""
    result, keys, key = [], [], 0
    for layer in network.layers:
        key += not isinstance(layer, Dropout)
        names = () if isinstance(layer, Dropout) else ("gamma", "beta")
        names = (("W", "b") if layer.bias else ("W",)) if isinstance(layer, Dense) else names
        result.append({name: network.params[f"{name}{key}"] for name in names})
        keys += [f"{name}{key}" for name in names]
    return result, keys


def differences(network, X, y, weights, masks, directions):
    """Central differences along directions (k, n_params), in the order of `named`: a vector.

    All the moved networks pass at once, along the first axis.
    """
    params, _ = named(network)
    ways, start, moved = np.concatenate([directions, -directions]) * STEP, 0, []
    for layer in params:
        moved.append({})
        for name, array in layer.items():
            way = ways[:, start : start + array.size]
            moved[-1][name] = array + way.reshape(-1, *array.shape)
            start += array.size
    p, _ = forward(network.layers, moved, X, masks)
    losses = loss_of(network.loss, p, y, weights)
    return (losses[: len(directions)] - losses[len(directions) :]) / (2 * STEP)


def masks_of(network, m):
    """What each dropout multiplies in the first step, by its place: seen from outside.

    A network with dropout in the same place and the same seed passes a 1 of each unit on.
    """
    masks = {}
    for place, layer in enumerate(network.layers):
        if not isinstance(layer, Dropout):
            continue
        width = nnc.layers.shapes(network.layers, network.input_shape)[place][0]
        before = [Dense(width, bias=False) for _ in range(place)]
        probe = Network([*before, layer, Dense(width, bias=False)], width, dtype="float64")
        probe.seeds = list(network.seeds)
        probe.set_weights([np.eye(width)] * (place + 1))
        seen = []

        def keep(y_true, y_pred, seen=seen):
            seen.append(np.array(y_pred))
            return 0.0

        ones = np.ones((m, width))
        probe.fit(ones, ones, epochs=1, batch_size=None, metrics=keep, verbose=0)
        masks[place] = seen[0]
        assert np.isin(seen[0], [0, 1 / (1 - layer.rate)]).all()
    return masks


# --------------------------------------------------------------------------------------- cases


def losses_of(kind, smoothed):
    """The loss with a parameter that is not the default."""
    numbers = {"huber": 0.7, "quantile": 0.3, "binary_focal_cross_entropy": 1.7}
    cls = nnc.losses.KINDS[kind]
    if kind in numbers:
        return cls(numbers[kind])
    return cls(label_smoothing=0.1) if smoothed and hasattr(cls, "label_smoothing") else cls()


PAIRS = [
    (kind, output)
    for kind, cls in nnc.losses.KINDS.items()
    for output in (cls.activations or nnc.losses.ELEMENTWISE)
]


def labels_for(loss, m, random):
    """What fit gets, and the rows that the formulas take."""
    classes = random.integers(0, N_OUT, m)
    if loss.classes:
        return classes, np.eye(N_OUT)[classes]
    if loss.kind == "categorical_cross_entropy":
        return (np.eye(N_OUT)[classes],) * 2
    if loss.kind == "poisson":
        return (random.poisson(2.0, (m, N_OUT)),) * 2
    if loss.kind == "hinge":
        return (random.choice([-1, 1], (m, N_OUT)),) * 2
    if loss.kind in ("binary_cross_entropy", "binary_focal_cross_entropy"):
        return (random.integers(0, 2, (m, N_OUT)),) * 2
    return (random.normal(size=(m, N_OUT)),) * 2


def is_smooth(network, seen, p, y):
    """Whether nothing is so near a kink that the differences would meet it, or too steep."""
    for activation, Z in seen:
        if any(np.abs(Z - kink).min() < CLEARANCE for kink in KINKS.get(activation, [])):
            return False
        if activation == "exponential" and Z.max() > 2:  # e^e^z: too steep for differences
            return False
    loss, e = network.loss, p - y
    if loss.kind in ("mean_absolute_error", "quantile"):
        return np.abs(e).min() > CLEARANCE
    if loss.kind == "huber":
        return np.abs(np.abs(e) - loss.delta).min() > CLEARANCE
    if loss.kind == "hinge":
        return np.abs(1 - y * p).min() > CLEARANCE
    return loss.kind != "binary_cross_entropy" or (0.01 < p.min() and p.max() < 0.99)


def case(stack, hidden, output, loss, weighted=False, m=9, n_in=4, width=5):
    """A network, data where its loss is smooth, and what the formulas need."""
    for seed in range(200):
        random = np.random.default_rng(seed)
        layers = STACKS[stack](width, hidden, output)
        network = Network(layers, n_in, loss=loss, seed=seed, dtype="float64")
        for name, array in network.params.items():
            if name[0] in "bg":
                array += random.normal(0, 0.3, array.shape)
        X = random.normal(size=(m, n_in))
        y, rows = labels_for(loss, m, random)
        masks = masks_of(network, m)
        with np.errstate(all="ignore"):  # what overflows is not taken
            p, seen = forward(layers, named(network)[0], X, masks)
        if is_smooth(network, seen, p, rows):
            weights = random.uniform(0, 2, m) if weighted else None
            return network, X, y, weights, smooth(loss, rows), masks
    raise AssertionError("no smooth case")


def deviation(network, X, y, weights, rows, masks, directions=None):
    """The greatest difference along some directions, by default all axes, over the greatest."""
    grads = network.backward(X, y, sample_weight=weights)
    _, keys = named(network)
    assert {f"d{key}" for key in keys} == set(grads)
    ours = np.concatenate([grads[f"d{key}"].ravel() for key in keys])
    if directions is None:
        directions = np.eye(len(ours))
    else:
        random = np.random.default_rng(directions)
        directions = random.normal(size=(directions, len(ours))) / np.sqrt(len(ours))
    weights = np.ones(len(X)) if weights is None else weights
    expected = differences(network, X, rows, weights, masks, directions)
    return np.abs(directions @ ours - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize(("kind", "output"), PAIRS)
def test_gradients(kind, output):
    turn = PAIRS.index((kind, output))
    for i, hidden in enumerate(HIDDEN, turn):
        stack = list(STACKS)[i % len(STACKS)]
        loss = losses_of(kind, smoothed=i % 2 == 0)
        found = deviation(*case(stack, hidden, output, loss, weighted=i % 3 == 0))
        assert found < 1e-7, (stack, hidden)


@pytest.mark.parametrize("stack", STACKS)
def test_gradients_of_wide_networks(stack):
    """More units and samples than fit into a vector or a panel, along random directions."""
    for hidden, output, kind, m in [
        ("tanh", "softmax", "sparse_categorical_cross_entropy", 70),
        ("gelu", "identity", "mean_squared_error", 33),
        ("mish", "sigmoid", "binary_cross_entropy", 128),
    ]:
        loss = losses_of(kind, smoothed=True)
        found = case(stack, hidden, output, loss, True, m=m, n_in=37, width=41)
        assert deviation(*found, directions=12) < 1e-7, hidden
