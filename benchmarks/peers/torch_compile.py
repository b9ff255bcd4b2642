"""PyTorch with `torch.compile` around the forward pass and the loss."""

from __future__ import annotations

from typing import Any

import torch
from workloads import Array, Problem

from peers import History, Job
from peers.torch_eager import VERSION, Network

__all__ = ["VERSION", "make"]


class Compiled(Network):
    """The same loop; forward, loss and the backward pass that belongs to them are compiled."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.compiled = torch.compile(super().forward, dynamic=False)
        self.compiled_predict = torch.compile(self._probabilities, dynamic=False)

    def forward(self, X: Any, Y: Any) -> tuple[Any, Any]:
        """Return the logits and the loss."""
        Z, cost = self.compiled(X, Y)
        return Z, cost

    def _probabilities(self, X: Any) -> Any:
        return torch.softmax(self.model(X), -1)

    def run(self, epochs: int) -> History:
        """Train on."""
        return super().run(epochs)

    def predict(self, X: Array) -> Array:
        """Return the outputs."""
        if self.workload.trains:
            return super().predict(X)
        with torch.inference_mode():
            outputs: Array = self.compiled_predict(torch.from_numpy(X)).numpy()
            return outputs


def make(problem: Problem) -> Job:
    """Build the network."""
    return Compiled(problem)
