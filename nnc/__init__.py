"""nnc: the neural networks of a NumPy tutorial, with kernels in C.

The tutorial's functions stand here under their names; `nnc.reference` holds the same in plain
NumPy, and `NeuralNetwork` is the class of its first chapter.
"""

import sys

from nnc import _build

_build.use_built_package(__path__)

from nnc import datasets, reference  # noqa: E402
from nnc._arguments import DivergenceError  # noqa: E402
from nnc._core import (  # noqa: E402
    convert_prob_into_class,
    cpu_info,
    get_accuracy_value,
    get_cost_value,
    relu,
    relu_backward,
    shutdown_threads,
    sigmoid,
    sigmoid_backward,
    single_layer_backward_propagation,
    single_layer_forward_propagation,
)
from nnc._threads import (  # noqa: E402
    get_num_threads,
    register_threadpoolctl,
    set_num_threads,
)
from nnc.chapter1 import NeuralNetwork  # noqa: E402
from nnc.tutorial import (  # noqa: E402
    full_backward_propagation,
    full_forward_propagation,
    init_layers,
    train,
    update,
)

__version__ = "0.1.0"

if hasattr(sys.modules.get("threadpoolctl"), "register"):
    register_threadpoolctl()

__all__ = [
    "DivergenceError",
    "NeuralNetwork",
    "convert_prob_into_class",
    "cpu_info",
    "datasets",
    "full_backward_propagation",
    "full_forward_propagation",
    "get_accuracy_value",
    "get_cost_value",
    "get_num_threads",
    "init_layers",
    "reference",
    "register_threadpoolctl",
    "relu",
    "relu_backward",
    "set_num_threads",
    "shutdown_threads",
    "sigmoid",
    "sigmoid_backward",
    "single_layer_backward_propagation",
    "single_layer_forward_propagation",
    "train",
    "update",
]
