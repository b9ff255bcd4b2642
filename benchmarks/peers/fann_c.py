"""FANN, through the C driver beside this package, compiled when it is first asked for."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from workloads import Array, Problem

from peers import Cannot, History, Job

SOURCE = Path(__file__).parent.parent / "fann_driver.c"

# FANN learns from the squared error, whose gradient is smaller than that of cross-entropy; its
# rate applies to half the mean over rows, where chapter 1 takes the sum.
RATES = {"W1": 2.0, "W1b": 1.0, "W2": 8.0, "W3": 1.0}


def build(double: bool) -> ctypes.CDLL:
    """Compile and load the driver; ImportError where FANN is missing."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "driver.so"
        library = ["-DFANN_DOUBLE", "-ldoublefann"] if double else ["-lfloatfann"]
        command = ["cc", "-O2", "-shared", "-fPIC", str(SOURCE), "-o", str(target), *library, "-lm"]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            if "fann.h" in result.stderr or "cannot find" in result.stderr:
                raise ImportError("FANN (Debian: libfann-dev) is not installed")
            raise ImportError(f"the driver does not compile: {result.stderr[-500:]}")
        return ctypes.CDLL(str(target))


LIBRARIES = {"float32": build(False), "float64": build(True)}
VERSION = "2.2"


def pointer(array: Array) -> ctypes.c_void_p:
    """Return the address of an array."""
    return ctypes.c_void_p(array.ctypes.data)


class Network:
    """A network of FANN."""

    same_start = False

    def __init__(self, problem: Problem, rate: float) -> None:
        self.problem, workload = problem, problem.workload
        self.library = LIBRARIES[problem.dtype]
        self.library.fann_driver_create.restype = ctypes.c_void_p
        logistic = workload.hidden == "sigmoid"
        self.note = "squared error, biases" if logistic else "tanh and squared error: has no relu"
        sizes = np.array(workload.sizes, dtype=np.uint32)
        self.driver = ctypes.c_void_p(
            self.library.fann_driver_create(
                pointer(sizes), len(sizes), pointer(problem.X), pointer(problem.Y), len(problem.X),
                workload.batch, ctypes.c_float(rate), ctypes.c_bool(logistic),
            )
        )  # fmt: skip
        if not self.driver:
            raise MemoryError("FANN")

    def reset(self) -> None:
        """Return to the initial weights."""
        self.library.fann_driver_reset(self.driver)

    def run(self, epochs: int) -> History:
        """Train on."""
        history = np.zeros((2, epochs))
        cost, accuracy = history
        self.library.fann_driver_train(self.driver, epochs, pointer(cost), pointer(accuracy))
        kept = self.problem.workload.classifies and self.problem.Y.shape[1] == 1
        return History(cost.tolist(), accuracy.tolist() if kept else [])

    def predict(self, X: Array) -> Array:
        """Return the outputs."""
        X = np.ascontiguousarray(X)
        outputs = np.empty((len(X), self.problem.Y.shape[1]), X.dtype)
        self.library.fann_driver_predict(self.driver, pointer(X), pointer(outputs), len(X))
        return outputs


def make(problem: Problem) -> Job:
    """Build the network."""
    if problem.workload.name not in RATES:
        raise Cannot("no softmax, no Adam, and minutes for a step of a wide network")
    return Network(problem, RATES[problem.workload.name])
