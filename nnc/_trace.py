"""One pass through a network step by step, on NumPy arrays: for looking inside, not for speed.

`forward` and `backward` compute what the engine computes for a prediction, in the tutorial's
layout, one sample per column. The memory of a network of Dense layers is what
`nnc.full_backward_propagation` takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nnc._arguments import Array
from nnc.layers import OUTPUT_ONLY, LayerSpec
from nnc.reference import ACTIVATIONS

Memory = dict[str, Array]


def forward(
    specs: Sequence[LayerSpec], params: Mapping[str, Array], A: Array
) -> tuple[Array, Memory]:
    """Run layers on A (n_in, m); return the output, and A0, Z1, A1, Z2, … by the layers' places."""
    memory: Memory = {"A0": A}
    for i, spec in enumerate(specs, 1):
        Z = _linear(spec, params, A)
        A = _activate(spec.activation, Z)
        memory[f"Z{i}"], memory[f"A{i}"] = Z, A
    return A, memory


def backward(
    specs: Sequence[LayerSpec], params: Mapping[str, Array], memory: Memory, dA: Array
) -> Array:
    """Return the gradient by A0 (n_in, m), from that by the output."""
    for i, spec in reversed(list(enumerate(specs, 1))):
        dZ = _activate_backward(spec.activation, dA, memory[f"Z{i}"], memory[f"A{i}"])
        dA = _linear_backward(spec, params, memory[f"A{i - 1}"], dZ)
    return dA


def _linear(spec: LayerSpec, params: Mapping[str, Array], A: Array) -> Array:
    if spec.kind == "dropout":
        return A
    if spec.kind == "dense":
        Z: Array = params[f"W{spec.key}"] @ A
        return Z + params[f"b{spec.key}"] if spec.has_bias else Z
    mean, scale = _statistics(spec, params, A)
    scaled: Array = params[f"gamma{spec.key}"] * ((A - mean) * scale) + params[f"beta{spec.key}"]
    return scaled


def _linear_backward(spec: LayerSpec, params: Mapping[str, Array], A: Array, dZ: Array) -> Array:
    if spec.kind == "dropout":
        return dZ
    if spec.kind == "dense":
        dA: Array = params[f"W{spec.key}"].T @ dZ
        return dA
    mean, scale = _statistics(spec, params, A)
    d_hat = params[f"gamma{spec.key}"] * dZ
    if spec.kind == "layer_norm":
        x_hat = (A - mean) * scale
        d_hat = d_hat - d_hat.mean(axis=0) - x_hat * (d_hat * x_hat).mean(axis=0)
    scaled: Array = d_hat * scale
    return scaled


def _statistics(spec: LayerSpec, params: Mapping[str, Array], A: Array) -> tuple[Array, Array]:
    """Return the mean, and the reciprocal of the deviation."""
    if spec.kind == "layer_norm":
        mean, variance = A.mean(axis=0), A.var(axis=0)
    else:
        mean, variance = params[f"mean{spec.key}"], params[f"variance{spec.key}"]
    return mean, 1 / np.sqrt(variance + A.dtype.type(spec.epsilon))


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
