"""The libraries that are compared, one module each.

A module imports its library at the top, so that a worker can time that, and has

    VERSION : str
    make(problem: Problem) -> Job, which raises Cannot for what the library cannot do
    FEWER : dict, optional       workloads, and by what their number of epochs is divided
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy.typing as npt


class Cannot(Exception):
    """The library cannot do this; the message says why."""


@dataclass
class History:
    """What a training recorded, an entry per epoch; empty where a library keeps none."""

    cost: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)


class Job(Protocol):
    """One network of one library.

    `note` says how it differs from the workload; `same_start` whether it began with the
    workload's parameters, so that its first costs must be those of NumPy.
    """

    note: str
    same_start: bool

    def reset(self) -> None:
        """Return to the initial parameters; not timed."""

    def run(self, epochs: int) -> History:
        """Train on; timed."""

    def predict(self, X: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the outputs for rows or for one row, as NumPy arrays; timed for inferences."""


# The names on the command line, in the order of the tables, and their modules.
PEERS = {
    "nnc": "nnc_engine",
    "nnc-network": "nnc_network",
    "numpy": "numpy_tutorial",
    "numpy-lean": "numpy_lean",
    "numba": "numba_loops",
    "sklearn": "sklearn_mlp",
    "torch": "torch_eager",
    "torch-compile": "torch_compile",
    "jax-jit": "jax_jit",
    "jax-scan": "jax_scan",
    "keras-jax": "keras_jax",
    "keras-tf": "keras_tf",
    "onnxruntime": "onnx_session",
    "fann": "fann_c",
}
