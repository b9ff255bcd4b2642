"""One training step of a network, opened: all its matrices on a page to click through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nnc import _core, _data, _page, _trace
from nnc._arguments import Array, read_integer, read_rate
from nnc._data import Data
from nnc._page import Page
from nnc.layers import Dense, LayerSpec
from nnc.losses import SumOfSquares
from nnc.network import Network
from nnc.optimizers import SGD, Gradient
from nnc.reference import ACTIVATIONS

MAX_SAMPLES = 1024
TUTORIAL_RATE = 0.01


def microscope(
    net: Network | tuple[Mapping[str, Any], Any],
    X: Any,
    y: Any,
    *,
    learning_rate: float | None = None,
    limit: int = 64,
) -> Page:
    """Open one training step: every matrix of it, on a page to click through.

    The page shows, layer by layer and with the formulas of the tutorial, the way forward (Z, A),
    the chain rule on the way back (dA, dZ, dW, db) and the parameters before and after the update.
    Pointing at a number shows what it is computed from. The step is the one that ``net.step(X, y)``
    or the tutorial's functions would take, with all of X as its batch; `net` stays as it is.

    As in the tutorial, matrices have one sample per column here, and dA and dZ belong to the sum of
    the samples' losses: 1/m enters in dW and db.

    Parameters
    ----------
    net : Network, or (params_values, nn_architecture)
        The network; or the tutorial's dicts of one whose output is a sigmoid.
    X : array_like, shape (m, n_inputs), or (m, …) of `input_shape`
        At most 1024 samples, one per row: ``X.T`` of the tutorial's arrays.
    y : array_like
        Their labels, as `Network.fit` takes them.
    learning_rate : float, optional
        Of the tutorial's `update`, by default 0.01. A Network has its optimizer instead.
    limit : int
        Of larger matrices the page holds so many of the first rows and columns, and says so.

    Returns
    -------
    Page
        A notebook shows it as the value of a cell; ``save(path)`` writes it to an HTML file, which
        any browser opens, without a network; `html` is its text.

    Raises
    ------
    ValueError, TypeError
        For a `net` that is none, a learning rate beside a Network, no samples or too many, and data
        that does not fit.
    DivergenceError
        Where the step ends in parameters that are not finite.

    Examples
    --------
    >>> import nnc
    >>> moons = nnc.datasets.tutorial_moons()
    >>> X, y = moons.X_train.T[:5], moons.Y_train.T[:5]
    >>> net = nnc.Network([nnc.Dense(4, "relu"), nnc.Dense(1, "sigmoid")], input_dim=2)
    >>> nnc.microscope(net, X, y).save("step.html")

    The tutorial's parameters and architecture:

    >>> nn_architecture = nnc.datasets.tutorial_architecture(2, 4, 1)
    >>> params_values = nnc.init_layers(nn_architecture, seed=2)
    >>> page = nnc.microscope((params_values, nn_architecture), X, y, learning_rate=0.1)
    """
    net = _read_network(net, learning_rate)
    most = read_integer("limit", limit, 1)
    m = len(_data.read_inputs("X", X, net.input_shape))
    if not 1 <= m <= MAX_SAMPLES:
        raise ValueError(
            f"X: expected 1 to {MAX_SAMPLES} samples for one step, got {m}: pass a batch, such as "
            "X[:32] and y[:32]"
        )
    before, after = net.copy(), net.copy()
    data = before.read_data(("X", "y", ""), X, y, None)
    gradients = before.backward(X, y)
    after.step(X, y)

    matrices = _forward_and_back(before, data) | gradients | _labels(before, data)
    for name, array in before.params.items():
        matrices[name] = array
        matrices[f"{name} after"] = after.params[name]
    losses = np.array([trained.evaluate(X, y)["loss"] for trained in (before, after)])
    return _page.render(
        "microscope",
        {
            "network": repr(before).strip("<>"),
            "samples": m,
            "divisor": _divisor(before, m),
            "loss": {
                "kind": before.loss.kind,
                "smoothing": before.loss.smoothing,
                "values": _page.numbers(losses),
            },
            "optimizer": {"kind": before.optimizer.engine_name, "text": repr(before.optimizer)},
            "layers": [_layer(before, i) for i in range(len(before.specs))],
            "matrices": {name: _shown(array, most) for name, array in matrices.items()},
        },
        title=f"One training step of {before!r}",
        height=720,
    )


def _read_network(net: Any, learning_rate: Any) -> Network:
    """Return a network as it is, or one of the tutorial's dicts."""
    if isinstance(net, Network):
        if learning_rate is not None:
            raise ValueError("learning_rate: leave it out beside a Network, whose optimizer has it")
        return net
    if not (isinstance(net, tuple) and len(net) == 2 and isinstance(net[0], Mapping)):
        raise TypeError(
            f"net: expected a Network or (params_values, nn_architecture), got {type(net).__name__}"
        )
    params_values, nn_architecture = net
    single = all(np.asarray(array).dtype == np.float32 for array in params_values.values())
    network = Network.from_architecture(
        nn_architecture,
        loss="binary_cross_entropy",
        optimizer=SGD(TUTORIAL_RATE if learning_rate is None else read_rate(learning_rate)),
        dtype="float32" if single else "float64",
        seed=0,
    )
    network.set_weights(params_values)
    return network


def _forward_and_back(net: Network, data: Data) -> dict[str, Array]:
    """Return A0, Z1, A1, … and dZ1, dA1, …, and what is needed between them."""
    specs, params = net.specs, net.params
    kept = _kept(net, len(data.X))
    _, memory = _trace.forward(specs, params, net._columns(data.X), kept)
    last = len(specs)
    dZ = _output_gradient(net, data, memory[f"Z{last}"])
    # that is behind the last activation already
    behind = [*specs[:-1], specs[-1]._replace(activation="identity")]
    slopes = _trace.backward(behind, params, memory, dZ, kept)
    del slopes["dA0"]
    found = memory | slopes
    for i, spec in enumerate(specs, 1):
        A_prev = memory[f"A{i - 1}"]
        if spec.kind == "dropout":
            found[f"M{i}"] = kept[i]
        elif spec.kind != "dense":
            found[f"Â{i}"] = _trace.standardised(spec, params, A_prev, training=True)[0]
        elif i < last:
            Z = memory[f"Z{i}"]
            found[f"g′(Z{i})"] = ACTIVATIONS[spec.activation][1](np.ones_like(Z), Z)
    return found


def _kept(net: Network, m: int) -> dict[int, Array]:
    """Return what dropout multiplies by in the next step, (n, m) by the layer's place from 1.

    It is a function of seed, step and place: layers that pass ones on show it.
    """
    kept = {}
    for place, spec in enumerate(net.specs):
        if spec.kind != "dropout":
            continue
        n = spec.n_out
        through = (n, n, "identity", False, "dense", 0.0, 0.0, 0.0)
        layers = [*[through] * place, net.engine_layers()[place], through]
        engine = _core.Engine(layers, "sum_of_squares", net.dtype.name)
        engine.params[:] = np.tile(np.eye(n, dtype=net.dtype).ravel(), place + 1)
        engine.resume("sgd", engine.optimizer_state("sgd"), net.engine.steps, None)
        ones, outputs = np.ones((m, n), net.dtype), np.empty((m, n), net.dtype)
        engine.fit(ones, ones, 1, m, dropout_seed=net.seeds[1], outputs=outputs)
        kept[place + 1] = outputs.T
    return kept


def _output_gradient(net: Network, data: Data, Z: Array) -> Array:
    """Return dZ of the output layer, for any loss.

    A layer whose weights are Z, and whose inputs are a 1 for each sample, has that as its gradient.
    """
    n, m = Z.shape
    layer = Dense(n, net.specs[-1].activation, bias=False)
    probe = Network([layer], m, loss=net.loss, dtype=net.dtype)
    probe.set_weights([Z])
    gradient = probe.backward(np.eye(m), data.Y)["dW1"]
    dZ: Array = gradient * net.dtype.type(_divisor(net, m))
    return dZ


def _divisor(net: Network, m: int) -> int:
    """Return what the sum of the samples' losses is divided by: it is a mean, or the sum itself."""
    return 1 if isinstance(net.loss, SumOfSquares) else m


def _labels(net: Network, data: Data) -> dict[str, Array]:
    """Return Y (n_out, m), with a 1 for each class."""
    if data.Y.ndim == 1:
        return {"Y": np.eye(net.n_outputs)[data.Y].T}
    return {"Y": data.Y.astype(net.dtype).T}


def _layer(net: Network, place: int) -> dict[str, Any]:
    """Return what the page says of a layer."""
    spec = net.specs[place]
    return {
        "kind": spec.kind,
        "text": _words(spec),
        "activation": spec.activation,
        "key": spec.key,
        "bias": spec.has_bias,
        "momentum": spec.momentum,
        "frozen": place in net.frozen,
        "rate": _plain_rate(net, spec),
        "penalties": [f"{name}={value:g}" for name, value in _penalties(spec).items()],
    }


def _words(spec: LayerSpec) -> str:
    """Return a layer as a title."""
    text = type(spec.source).__name__
    if spec.kind == "dense":
        text += f", {spec.n_in} to {spec.n_out}, {spec.activation}"
    elif spec.kind == "dropout":
        text += f" of {spec.rate:g}"
    return f"{spec.source.name} ({text})" if spec.source.name else text


def _plain_rate(net: Network, spec: LayerSpec) -> float | None:
    """Return the learning rate where the update is W - rate * dW and nothing else."""
    optimizer = net.optimizer
    if not isinstance(optimizer, Gradient) or optimizer.engine_name != "sgd":
        return None
    rate = optimizer.learning_rate
    changes = (optimizer.weight_decay, optimizer.clip_value, optimizer.clip_norm)
    return None if callable(rate) or any(changes) or _penalties(spec) else float(rate)


def _penalties(spec: LayerSpec) -> dict[str, float]:
    """Return what else changes a layer's weights in a step."""
    values = {name: getattr(spec.source, name, None) for name in ("l1", "l2", "max_norm")}
    return {name: value for name, value in values.items() if value}


def _shown(array: Array, limit: int) -> dict[str, Any]:
    """Return a matrix for the page: its shape, its first rows and columns, its largest element."""
    return {
        "shape": list(array.shape),
        "values": _page.numbers(array[:limit, :limit]),
        "largest": _page.numbers(np.abs(array).max(keepdims=True).ravel())[0],
    }
