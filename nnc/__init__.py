"""nnc: the neural networks of a NumPy tutorial, with kernels in C, and a class to work with.

The tutorial's functions stand here under their names; `nnc.reference` holds the same in plain
NumPy, and `NeuralNetwork` is the class of its first chapter. `Network` is what one trains other
networks with: it and what belongs to it are imported when they are first asked for.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from nnc import (
        callbacks,
        files,
        initializers,
        layers,
        losses,
        metrics,
        optimizers,
        plot,
        schedules,
    )
    from nnc._microscope import microscope
    from nnc._playground import playground
    from nnc.callbacks import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau, TimeLimit
    from nnc.estimators import MLPClassifier as MLPClassifier
    from nnc.estimators import MLPRegressor as MLPRegressor
    from nnc.files import FormatError
    from nnc.history import History
    from nnc.layers import BatchNorm, Dense, Dropout, Flatten, LayerNorm, Reshape
    from nnc.liveplot import LivePlot
    from nnc.network import Network
    from nnc.optimizers import (
        LBFGS,
        SGD,
        Adagrad,
        Adam,
        AdamW,
        LevenbergMarquardt,
        Lion,
        NAdam,
        RMSprop,
        Rprop,
    )

__version__ = "0.1.0"

# What is imported when it is first asked for, by module.
_LAZY = {
    "_microscope": ("microscope",),
    "_playground": ("playground",),
    "callbacks": ("EarlyStopping", "ModelCheckpoint", "ReduceLROnPlateau", "TimeLimit"),
    "estimators": ("MLPClassifier", "MLPRegressor"),
    "files": ("FormatError",),
    "history": ("History",),
    "initializers": (),
    "layers": ("BatchNorm", "Dense", "Dropout", "Flatten", "LayerNorm", "Reshape"),
    "liveplot": ("LivePlot",),
    "losses": (),
    "metrics": (),
    "network": ("Network",),
    "optimizers": (
        "LBFGS", "SGD", "Adagrad", "Adam", "AdamW", "LevenbergMarquardt", "Lion", "NAdam",
        "RMSprop", "Rprop",
    ),
    "plot": (),
    "schedules": (),
}  # fmt: skip


def __getattr__(name: str) -> Any:
    for module, names in _LAZY.items():
        if name == module:
            return importlib.import_module(f"nnc.{module}")
        if name in names:
            return getattr(importlib.import_module(f"nnc.{module}"), name)
    raise AttributeError(f"module 'nnc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_LAZY["estimators"]})


if hasattr(sys.modules.get("threadpoolctl"), "register"):
    register_threadpoolctl()

__all__ = [
    "LBFGS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "BatchNorm",
    "Dense",
    "DivergenceError",
    "Dropout",
    "EarlyStopping",
    "Flatten",
    "FormatError",
    "History",
    "LayerNorm",
    "LevenbergMarquardt",
    "Lion",
    "LivePlot",
    "ModelCheckpoint",
    "NAdam",
    "Network",
    "NeuralNetwork",
    "RMSprop",
    "ReduceLROnPlateau",
    "Reshape",
    "Rprop",
    "TimeLimit",
    "callbacks",
    "convert_prob_into_class",
    "cpu_info",
    "datasets",
    "files",
    "full_backward_propagation",
    "full_forward_propagation",
    "get_accuracy_value",
    "get_cost_value",
    "get_num_threads",
    "init_layers",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "microscope",
    "optimizers",
    "playground",
    "plot",
    "reference",
    "register_threadpoolctl",
    "relu",
    "relu_backward",
    "schedules",
    "set_num_threads",
    "shutdown_threads",
    "sigmoid",
    "sigmoid_backward",
    "single_layer_backward_propagation",
    "single_layer_forward_propagation",
    "train",
    "update",
]
