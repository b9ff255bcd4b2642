"""The flat block of all parameters of a network, and the tutorial's dictionary of views on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnc import _core
from nnc._arguments import Array, Layer


def new_block(size: int, dtype: np.dtype[Any], argument: str) -> Array:
    """Return `size` uninitialised elements that start on a cache line.

    Raises
    ------
    MemoryError
        Where so much memory is not to be had; the message names the argument that asks for it.
    """
    n_bytes = size * dtype.itemsize
    if not _core.memory_fits(n_bytes):
        raise MemoryError(
            f"{argument}: asks for {size} numbers, which need {n_bytes >> 30} GiB of memory"
        )
    raw = np.empty(n_bytes + 63, np.uint8)
    start = -raw.ctypes.data % 64
    block: Array = raw[start : start + n_bytes].view(dtype)
    return block


def new_parameters(layers: Sequence[Layer], dtype: np.dtype[Any]) -> Array:
    """Return an uninitialised block for W1, b1, W2 and so on."""
    size = sum(layer.n_out * (layer.n_in + layer.has_bias) for layer in layers)
    return new_block(size, dtype, "nn_architecture")


def views(block: Array, layers: Sequence[Layer]) -> dict[str, Array]:
    """Return {"W1": (n_out, n_in), "b1": (n_out, 1), …}: live views on the block."""
    values: dict[str, Array] = {}
    offsets, _ = _core.layout(layers)
    for i, (layer, (w, b)) in enumerate(zip(layers, offsets, strict=True), 1):
        values[f"W{i}"] = block[w:b].reshape(layer.n_out, layer.n_in)
        if layer.has_bias:
            values[f"b{i}"] = block[b : b + layer.n_out].reshape(layer.n_out, 1)
    return values
