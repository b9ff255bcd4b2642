"""The layers of a network, as data: what each is, how shapes pass through them, how they are named.

A layer is a small frozen dataclass. `compile_layers` checks a list of them against the shape of a
sample, and returns what the engine computes: flat features, layer by layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY
from typing import Any, ClassVar, NamedTuple

from nnc import _specs, initializers
from nnc._arguments import Array, read_architecture, read_integer
from nnc.initializers import Initializer

ACTIVATIONS = (
    "identity", "sigmoid", "hard_sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu",
    "silu", "mish", "softplus", "softsign", "hard_swish", "exponential", "softmax", "log_softmax",
)  # fmt: skip
ALIASES = {"linear": "identity", "logistic": "sigmoid", "swish": "silu"}

# These need all outputs of a sample, and so belong to the output layer.
OUTPUT_ONLY = ("softmax", "log_softmax")


def read_activation(name: str, value: object) -> str:
    """Return the engine's name of an activation; an unknown one is refused with the nearest.

    Parameters
    ----------
    name : str
        What error messages call it.
    value : str
        One of `ACTIVATIONS`, or one of their `ALIASES`.

    Returns
    -------
    str
        One of `ACTIVATIONS`.

    Raises
    ------
    ValueError, TypeError
        For an unknown name, with the known ones; for anything but a string.
    """
    if not isinstance(value, str) or (value not in ACTIVATIONS and value not in ALIASES):
        _specs.refuse_name(name, value, (*ACTIVATIONS, *ALIASES))
    return ALIASES.get(value, value)


@_specs.frozen
class Layer(_specs.Spec):
    """The base of all layers.

    Parameters
    ----------
    name : str, optional
        What messages and drawings call it, unique in its network.
    """

    _: KW_ONLY
    name: str | None = None

    def __post_init__(self) -> None:
        """Check the fields."""
        if self.name is None:
            return
        if not isinstance(self.name, str):
            raise TypeError(f"{self._where('name')}: expected a name or None, got {self.name!r}")
        if not (self.name.strip() and self.name.isprintable()):
            raise ValueError(
                f"{self._where('name')}: expected printable characters, got {self.name!r}"
            )


@_specs.frozen
class Dense(Layer):
    """A fully connected layer: activation(W x + b).

    Parameters
    ----------
    units : int
        The number of outputs.
    activation : str
        One of `ACTIVATIONS`; "linear", "logistic" and "swish" are other names of "identity",
        "sigmoid" and "silu".
    bias : bool
        Whether it has biases.
    kernel_initializer, bias_initializer : Initializer
        What weights and biases start from: names, such as "he_normal", or instances. Without them,
        Keras' defaults: "glorot_uniform", and "zeros".
    l1, l2 : float
        What the loss gets for the weights W: l1 * sum abs(W) + l2 * sum W^2 / 2. Keras' l2 is twice
        this one.
    max_norm : float, optional
        After each step, rows of W (the weights of one output) are scaled down to this length.
    trainable : bool
        Whether training changes it.
    name : str, optional
        What messages and drawings call it.

    Examples
    --------
    >>> from nnc import Dense, Network
    >>> network = Network([Dense(25, "relu"), Dense(1, "sigmoid")], input_dim=2)
    """

    units: int
    activation: str = "identity"
    _: KW_ONLY
    bias: bool = True
    kernel_initializer: Initializer | str | None = None
    bias_initializer: Initializer | str | None = None
    l1: float = 0.0
    l2: float = 0.0
    max_norm: float | None = None
    trainable: bool = True
    kind: ClassVar[str] = "dense"

    def __post_init__(self) -> None:
        """Check the fields."""
        super().__post_init__()
        self._read_index("units", 1)
        self._set("activation", read_activation(self._where("activation"), self.activation))
        self._read_flag("bias", "trainable")
        if self.kernel_initializer is not None:
            where = self._where("kernel_initializer")
            self._set("kernel_initializer", initializers.resolve(self.kernel_initializer, where))
        if self.bias_initializer is not None:
            where = self._where("bias_initializer")
            if not self.bias:
                raise ValueError(f"{where}: expected None without biases (bias=False)")
            self._set("bias_initializer", initializers.resolve_bias(self.bias_initializer, where))
        self._read_number("l1", _specs.NOT_NEGATIVE)
        self._read_number("l2", _specs.NOT_NEGATIVE)
        if self.max_norm is not None:
            self._read_number("max_norm", _specs.POSITIVE)


@_specs.frozen
class Dropout(Layer):
    """While training, each element is 0 with probability `rate`, or else divided by 1 - rate.

    Parameters
    ----------
    rate : float
        At least 0, below 1.
    name : str, optional
        What messages and drawings call it.

    Examples
    --------
    >>> from nnc import Dense, Dropout, Network
    >>> network = Network([Dense(32, "relu"), Dropout(0.1), Dense(1)], input_dim=2)
    """

    rate: float
    kind: ClassVar[str] = "dropout"

    def __post_init__(self) -> None:
        """Check the fields."""
        super().__post_init__()
        self._read_number("rate", _specs.FRACTION)


@_specs.frozen
class LayerNorm(Layer):
    """Each sample's features: (x - mean) / sqrt(variance + epsilon) * gamma + beta.

    Parameters
    ----------
    epsilon : float
        Above 0; 1e-3 is Keras' default, PyTorch's is 1e-5.
    trainable : bool
        Whether training changes gamma and beta.
    name : str, optional
        What messages and drawings call it.

    Examples
    --------
    >>> from nnc import Dense, LayerNorm, Network
    >>> network = Network([LayerNorm(), Dense(1)], input_dim=2)
    """

    epsilon: float = 1e-3
    _: KW_ONLY
    trainable: bool = True
    kind: ClassVar[str] = "layer_norm"

    def __post_init__(self) -> None:
        """Check the fields."""
        super().__post_init__()
        self._read_number("epsilon", _specs.POSITIVE)
        self._read_flag("trainable")


@_specs.frozen
class BatchNorm(Layer):
    """Each feature over the samples of a batch, normalised as in `LayerNorm`.

    Predictions use a running mean and variance, which each step of training moves to
    momentum * old + (1 - momentum) * the batch's.

    Parameters
    ----------
    momentum : float
        At least 0, below 1. 0.99 is Keras' default; PyTorch's 0.1 would be written 0.9 here.
    epsilon : float
        Above 0; 1e-3 is Keras' default, PyTorch's is 1e-5.
    trainable : bool
        Whether training changes gamma and beta.
    name : str, optional
        What messages and drawings call it.

    Examples
    --------
    >>> from nnc import BatchNorm, Dense, Network
    >>> network = Network([Dense(8, "relu"), BatchNorm(), Dense(1)], input_dim=2)
    >>> list(network.params)
    ['W1', 'b1', 'gamma2', 'beta2', 'mean2', 'variance2', 'W3', 'b3']
    """

    momentum: float = 0.99
    epsilon: float = 1e-3
    _: KW_ONLY
    trainable: bool = True
    kind: ClassVar[str] = "batch_norm"

    def __post_init__(self) -> None:
        """Check the fields."""
        super().__post_init__()
        self._read_number("momentum", _specs.FRACTION)
        self._read_number("epsilon", _specs.POSITIVE)
        self._read_flag("trainable")


@_specs.frozen
class Flatten(Layer):
    """All features of a sample in one row, in row-major order.

    Parameters
    ----------
    name : str, optional
        What messages and drawings call it.

    Examples
    --------
    >>> from nnc import Dense, Flatten, Network
    >>> network = Network([Flatten(), Dense(10, "softmax")], input_shape=(28, 28))
    """

    kind: ClassVar[str] = "flatten"


@_specs.frozen
class Reshape(Layer):
    """The same features in another shape.

    Parameters
    ----------
    shape : tuple of int
        The shape of a sample; one -1 stands for what is left.
    name : str, optional
        What messages and drawings call it.

    Examples
    --------
    >>> from nnc import Dense, Network, Reshape
    >>> network = Network([Dense(6), Reshape((2, 3))], input_dim=4)
    """

    shape: tuple[int, ...]
    kind: ClassVar[str] = "reshape"

    def __post_init__(self) -> None:
        """Check the fields."""
        super().__post_init__()
        where = self._where("shape")
        shape = _specs.read_shape(where, self.shape, least=-1)
        if not shape or 0 in shape or shape.count(-1) > 1 or min(shape) < -1:
            raise ValueError(
                f"{where}: expected positive integers, at most one of them -1, got {shape}"
            )
        self._set("shape", shape)

    def of(self, shape: tuple[int, ...], where: str) -> tuple[int, ...]:
        """Return the shape that a sample of that shape gets."""
        size = math.prod(shape)
        known = math.prod(n for n in self.shape if n != -1)
        if size % known or (-1 not in self.shape and size != known):
            raise ValueError(
                f"{where}: {size} features, of shape {shape}, do not fit the shape {self.shape}"
            )
        return tuple(size // known if n == -1 else n for n in self.shape)


KINDS: dict[str, type[Layer]] = {
    cls.kind: cls for cls in (Dense, Dropout, LayerNorm, BatchNorm, Flatten, Reshape)
}


class LayerSpec(NamedTuple):
    """One layer as the engine computes it, on flat features.

    Parameters
    ----------
    kind : str
        "dense", "dropout", "layer_norm" or "batch_norm".
    n_in, n_out : int
        Features before and after.
    activation : str
        Of a dense layer; "identity" for the others.
    has_bias : bool
        Of a dense layer; False for the others.
    rate : float
        Of dropout, else 0.
    epsilon, momentum : float
        Of normalisation, else 0.
    source : Layer
        The dataclass that it was compiled from.
    key : int
        The number in the names of its parameters, from 1; 0 where it has none.
    """

    kind: str
    n_in: int
    n_out: int
    activation: str
    has_bias: bool
    rate: float
    epsilon: float
    momentum: float
    source: Layer
    key: int

    @property
    def parameters(self) -> dict[str, tuple[int, int]]:
        """Names and shapes of the parameters: W1 and b1, or gamma2 and beta2."""
        if self.kind == "dense":
            names = {f"W{self.key}": (self.n_out, self.n_in)}
            return names | {f"b{self.key}": (self.n_out, 1)} if self.has_bias else names
        if self.key:
            return {f"{name}{self.key}": (self.n_out, 1) for name in ("gamma", "beta")}
        return {}

    @property
    def n_params(self) -> int:
        """The number of parameters."""
        return sum(math.prod(shape) for shape in self.parameters.values())


def read_input_shape(input_shape: object) -> tuple[int, ...]:
    """Return the shape of a sample: a tuple of positive integers, or one integer alone."""
    shape = _specs.read_shape("input_shape", input_shape)
    if not shape or min(shape) < 1:
        raise ValueError(f"input_shape: expected positive integers, got {shape}")
    return shape


def read_layers(layers: object) -> list[Layer]:
    """Return a list of layers, after checking that it is one and that names are unique."""
    if isinstance(layers, Layer | str | Mapping) or not isinstance(layers, Iterable):
        raise TypeError(
            f"layers: expected a list such as [Dense(25, 'relu'), Dense(1)], got {layers!r}"
        )
    found = list(layers)
    if not found:
        raise ValueError("layers: expected at least one Dense layer, got none")
    names: dict[str, int] = {}
    for i, layer in enumerate(found):
        if isinstance(layer, type) and issubclass(layer, Layer):
            raise TypeError(
                f"layers[{i}]: expected a layer, got a class: write {layer.__name__}(…)"
            )
        if not isinstance(layer, Layer):
            known = ", ".join(cls.__name__ for cls in KINDS.values())
            raise TypeError(f"layers[{i}]: expected one of {known}, got {layer!r}")
        if layer.name is not None:
            if layer.name in names:
                raise ValueError(
                    f"layers[{i}]: the name {layer.name!r} belongs to layers[{names[layer.name]}]; "
                    "give it another one"
                )
            names[layer.name] = i
    return found


def shapes(layers: Sequence[Layer], input_shape: int | tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the shape of a sample before the first layer, and after each.

    Parameters
    ----------
    layers : list of Layer
        As `compile_layers` takes them.
    input_shape : int or tuple of int
        The shape of one sample.

    Returns
    -------
    list of tuple of int
        One more than there are layers. The last is the shape of an output.

    Raises
    ------
    ValueError, TypeError
        As `compile_layers`.
    """
    shape = read_input_shape(input_shape)
    result = [shape]
    for i, layer in enumerate(read_layers(layers)):
        if isinstance(layer, Flatten):
            shape = (math.prod(shape),)
        elif isinstance(layer, Reshape):
            shape = layer.of(shape, f"layers[{i}]")
        elif not isinstance(layer, Dropout) and len(shape) != 1:
            raise ValueError(
                f"layers[{i}]: {type(layer).__name__} takes a row of features, got shape {shape}: "
                "put Flatten() before it"
            )
        if isinstance(layer, Dense):
            shape = (layer.units,)
        result.append(shape)
    return result


def compile_layers(layers: Sequence[Layer], input_shape: int | tuple[int, ...]) -> list[LayerSpec]:
    """Check that layers fit together, and return what the engine computes.

    Flatten and Reshape vanish. Layers with parameters are numbered from 1.

    Parameters
    ----------
    layers : list of Layer
        The last one that computes anything is a Dense layer, and it alone may have the activations
        softmax and log_softmax.
    input_shape : int or tuple of int
        The shape of one sample, (n,) or n for a row of n features.

    Returns
    -------
    list of LayerSpec
        One for each layer that computes something.

    Raises
    ------
    ValueError, TypeError
        Where a shape does not fit, no Dense layer is last, softmax is not last, names are not
        unique, or something is no layer; the message names the layer.
    """
    found = read_layers(layers)
    passed = shapes(found, input_shape)
    computing = [i for i, layer in enumerate(found) if not isinstance(layer, Flatten | Reshape)]
    last = computing[-1] if computing else -1
    if not isinstance(found[last], Dense):
        raise ValueError(
            f"layers: the last one that computes must be Dense, got {type(found[last]).__name__}: "
            "add Dense with as many units as there are outputs"
        )
    specs: list[LayerSpec] = []
    key = 0
    for i in computing:
        layer = found[i]
        n_in, n_out = math.prod(passed[i]), math.prod(passed[i + 1])
        activation = layer.activation if isinstance(layer, Dense) else "identity"
        if activation in OUTPUT_ONLY and i != last:
            raise ValueError(
                f"layers[{i}]: {activation} belongs to the last Dense layer, which is "
                f"layers[{last}]; use 'relu' or another elementwise activation here"
            )
        has_params = not isinstance(layer, Dropout)
        key += has_params
        specs.append(
            LayerSpec(
                kind=layer.kind,
                n_in=n_in,
                n_out=n_out,
                activation=activation,
                has_bias=isinstance(layer, Dense) and layer.bias,
                rate=layer.rate if isinstance(layer, Dropout) else 0.0,
                epsilon=layer.epsilon if isinstance(layer, LayerNorm | BatchNorm) else 0.0,
                momentum=layer.momentum if isinstance(layer, BatchNorm) else 0.0,
                source=layer,
                key=key if has_params else 0,
            )
        )
    return specs


def initialize(params: Mapping[str, Array], specs: Sequence[LayerSpec], seed: Any = None) -> None:
    """Write initial values into parameters, layer by layer, W before b, from one stream.

    Parameters
    ----------
    params : dict of str to numpy.ndarray
        A writable array of each name and shape in `LayerSpec.parameters`.
    specs : list of LayerSpec
        What `compile_layers` returned.
    seed : int, array_like of int, Generator, RandomState or None, optional
        As `nnc.initializers.read_random` takes it.
    """
    random = initializers.read_random(seed)
    for spec in specs:
        layer = spec.source
        if isinstance(layer, Dense):
            weights = initializers.resolve(layer.kernel_initializer or "glorot_uniform")
            biases = initializers.resolve(layer.bias_initializer or "zeros")
        else:
            weights, biases = initializers.Ones(), initializers.Zeros()
        for i, (name, shape) in enumerate(spec.parameters.items()):
            params[name][...] = (weights, biases)[i].draw(random, shape)


def from_architecture(nn_architecture: Sequence[Mapping[str, Any]]) -> tuple[list[Layer], int]:
    """Return the layers of the tutorial's list of dicts, and the number of inputs.

    Weights and biases start as the tutorial's do, 0.1 * randn.

    Parameters
    ----------
    nn_architecture : list of dict
        One dict per layer, with ``input_dim``, ``output_dim`` and ``activation``.

    Returns
    -------
    layers : list of Layer
        A Dense layer for each dict.
    input_dim : int
        The ``input_dim`` of the first.

    Raises
    ------
    ValueError, TypeError
        For an architecture that is empty or does not chain, and for unknown activations.
    """
    read = read_architecture(nn_architecture)
    layers: list[Layer] = [
        Dense(
            layer.n_out,
            layer.activation,
            kernel_initializer="tutorial",
            bias_initializer="tutorial",
        )
        for layer in read
    ]
    return layers, read[0].n_in


def from_sizes(
    sizes: Sequence[int], activation: str = "relu", output_activation: str = "identity"
) -> tuple[list[Layer], int]:
    """Return Dense layers of the given sizes, and the number of inputs.

    Parameters
    ----------
    sizes : sequence of int
        Inputs, units of each layer, outputs: (2, 25, 50, 1).
    activation, output_activation : str, optional
        Of the hidden layers, and of the last.

    Returns
    -------
    layers : list of Layer
        One fewer than there are sizes.
    input_dim : int
        The first size.

    Raises
    ------
    ValueError, TypeError
        For fewer than two sizes, sizes below 1, and unknown activations.
    """
    if isinstance(sizes, str | bytes) or not isinstance(sizes, Iterable):
        raise TypeError(f"sizes: expected integers such as (2, 25, 1), got {sizes!r}")
    read = [read_integer(f"sizes[{i}]", n, 1) for i, n in enumerate(sizes)]
    if len(read) < 2:
        raise ValueError(f"sizes: expected at least inputs and outputs, got {read}")
    hidden = read_activation("activation", activation)
    output = read_activation("output_activation", output_activation)
    layers: list[Layer] = [Dense(units, hidden) for units in read[1:-1]]
    return [*layers, Dense(read[-1], output)], read[0]


def to_config(layer: Layer) -> dict[str, Any]:
    """Return a layer as a dict of JSON values: its kind, and all of its fields."""
    return _specs.to_config(layer)


def from_config(config: Mapping[str, Any]) -> Layer:
    """Return the layer of a dict that `to_config` made.

    Raises
    ------
    ValueError, TypeError
        For unknown kinds, surplus keys, and values that the layer itself would refuse.
    """
    nested = dict.fromkeys(("kernel_initializer", "bias_initializer"), initializers.KINDS)
    return _specs.from_config("layer", config, KINDS, nested)
