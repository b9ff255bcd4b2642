"""ONNX Runtime: inference from a file."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
from workloads import Array, Problem

from peers import Cannot, History, Job

VERSION = onnxruntime.__version__


class Session:
    """An inference session on the CPU."""

    note = ""
    same_start = True

    def __init__(self, problem: Problem) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = problem.threads
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            problem.model, options, providers=["CPUExecutionProvider"]
        )

    def reset(self) -> None:
        """Nothing changes."""

    def run(self, epochs: int) -> History:
        """Train nothing."""
        raise Cannot("inference only")

    def predict(self, X: Array) -> Array:
        """Return the outputs."""
        outputs: Array
        if X.ndim == 1:
            outputs = self.session.run(None, {"x": X[None]})[0][0]
        else:
            outputs = self.session.run(None, {"x": X})[0]
        return outputs


def make(problem: Problem) -> Job:
    """Open the model."""
    if problem.workload.trains:
        raise Cannot("inference only")
    if not Path(problem.model).exists():
        raise Cannot("the package onnx, which writes the model, is not installed")
    return Session(problem)
