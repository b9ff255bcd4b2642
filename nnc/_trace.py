"""One pass through a network step by step, on NumPy arrays: for looking inside, not for speed.

`forward` and `backward` compute what the engine computes for a prediction, or in a step of
training, in the tutorial's layout, one sample per column. The memory of a network of Dense layers
is what `nnc.full_backward_propagation` takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nnc._arguments import Array
from nnc.layers import OUTPUT_ONLY, LayerSpec
from nnc.reference import ACTIVATIONS

Memory = dict[str, Array]
Kept = Mapping[int, Array]  # what dropout multiplies its inputs (n, m) by, by the layer's place


def forward(
    specs: Sequence[LayerSpec], params: Mapping[str, Array], A: Array, kept: Kept | None = None
) -> tuple[Array, Memory]:
    """Run layers on A (n_in, m); return the output, and A0, Z1, A1, Z2, … by the layers' places.

    With `kept` the pass is one of training: dropout is at work, and batch norm uses the statistics
    of A.
    """
    memory: Memory = {"A0": A}
    for i, spec in enumerate(specs, 1):
        Z = _linear(spec, params, A, kept, i)
        A = _activate(spec.activation, Z)
        memory[f"Z{i}"], memory[f"A{i}"] = Z, A
    return A, memory


def backward(
    specs: Sequence[LayerSpec],
    params: Mapping[str, Array],
    memory: Memory,
    dA: Array,
    kept: Kept | None = None,
) -> Memory:
    """Return dZ and dA of each layer, from the gradient by the output: …, dZ2, dA1, dZ1, dA0."""
    slopes: Memory = {}
    for i, spec in reversed(list(enumerate(specs, 1))):
        dZ = _activate_backward(spec.activation, dA, memory[f"Z{i}"], memory[f"A{i}"])
        dA = _linear_backward(spec, params, memory[f"A{i - 1}"], dZ, kept, i)
        slopes[f"dZ{i}"], slopes[f"dA{i - 1}"] = dZ, dA
    return slopes


def standardised(
    spec: LayerSpec, params: Mapping[str, Array], A: Array, *, training: bool
) -> tuple[Array, Array]:
    """Return what a norm makes of A before gamma and beta, and the reciprocal of the deviation."""
    if spec.kind == "batch_norm" and not training:
        mean, variance = params[f"mean{spec.key}"], params[f"variance{spec.key}"]
    else:
        axis = _axis(spec)
        mean, variance = A.mean(axis=axis, keepdims=True), A.var(axis=axis, keepdims=True)
    scale = 1 / np.sqrt(variance + A.dtype.type(spec.epsilon))
    return (A - mean) * scale, scale


def _axis(spec: LayerSpec) -> int:
    """Return along which axis a norm takes its means: over features, or over samples."""
    return 0 if spec.kind == "layer_norm" else 1


def _linear(
    spec: LayerSpec, params: Mapping[str, Array], A: Array, kept: Kept | None, place: int
) -> Array:
    if spec.kind == "dropout":
        return A if kept is None else A * kept[place]
    if spec.kind == "dense":
        Z: Array = params[f"W{spec.key}"] @ A
        return Z + params[f"b{spec.key}"] if spec.has_bias else Z
    x_hat, _ = standardised(spec, params, A, training=kept is not None)
    scaled: Array = params[f"gamma{spec.key}"] * x_hat + params[f"beta{spec.key}"]
    return scaled


def _linear_backward(
    spec: LayerSpec,
    params: Mapping[str, Array],
    A: Array,
    dZ: Array,
    kept: Kept | None,
    place: int,
) -> Array:
    if spec.kind == "dropout":
        return dZ if kept is None else dZ * kept[place]
    if spec.kind == "dense":
        dA: Array = params[f"W{spec.key}"].T @ dZ
        return dA
    x_hat, scale = standardised(spec, params, A, training=kept is not None)
    d_hat = params[f"gamma{spec.key}"] * dZ
    if spec.kind == "layer_norm" or kept is not None:  # the statistics depend on A, too
        axis = _axis(spec)
        mean, slope = (d.mean(axis=axis, keepdims=True) for d in (d_hat, d_hat * x_hat))
        d_hat = d_hat - mean - x_hat * slope
    scaled: Array = d_hat * scale
    return scaled


def _activate(name: str, Z: Array) -> Array:
    if name not in OUTPUT_ONLY:
        return ACTIVATIONS[name][0](Z)
    shifted = Z - Z.max(axis=0)
    logs: Array = shifted - np.log(np.exp(shifted).sum(axis=0))
    return logs if name == "log_softmax" else np.exp(logs)


def _activate_backward(name: str, dA: Array, Z: Array, A: Array) -> Array:
    if name not in OUTPUT_ONLY:
        return ACTIVATIONS[name][1](dA, Z)
    if name == "softmax":
        weighted: Array = A * (dA - (A * dA).sum(axis=0))
        return weighted
    total: Array = dA - np.exp(A) * dA.sum(axis=0)
    return total
