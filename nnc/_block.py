"""The flat block of all parameters of a network, and the tutorial's dictionary of views on it."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from nnc import _core
from nnc._arguments import Array, Layer


def new_block(size: int, dtype: np.dtype[Any]) -> Array:
    """Return `size` uninitialised elements that start on a cache line.

    Raises
    ------
    MemoryError
        Where the machine has less memory. Systems that overcommit would grant it, and kill the
        process at its first use.
    """
    n_bytes = size * dtype.itemsize
    if n_bytes > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
        raise MemoryError(f"{size} numbers of {dtype} need {n_bytes / 2**30:.0f} GiB")
    raw = np.empty(n_bytes + 63, np.uint8)
    start = -raw.ctypes.data % 64
    block: Array = raw[start : start + n_bytes].view(dtype)
    return block


def new_parameters(layers: Sequence[Layer], dtype: np.dtype[Any], seed: Any) -> Array:
    """Return a block of the layers' size, filled with 0.1 * randn in the order W1, b1, W2."""
    block = new_block(_core.layout(layers)[1], dtype)
    _core.fill_normal(block, seed, 0.1)
    return block


def views(block: Array, layers: Sequence[Layer]) -> dict[str, Array]:
    """Return {"W1": (n_out, n_in), "b1": (n_out, 1), …}: live views on the block."""
    values: dict[str, Array] = {}
    offsets, _ = _core.layout(layers)
    for i, (layer, (w, b)) in enumerate(zip(layers, offsets, strict=True), 1):
        values[f"W{i}"] = block[w:b].reshape(layer.n_out, layer.n_in)
        if layer.has_bias:
            values[f"b{i}"] = block[b : b + layer.n_out].reshape(layer.n_out, 1)
    return values
