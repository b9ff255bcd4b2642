"""PyTorch: `nn.Sequential`, autograd and `torch.optim`; batches are slices of a permutation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from workloads import Array, Problem

from peers import History, Job

VERSION = torch.__version__


def sequential(problem: Problem) -> nn.Sequential:
    """Build the network up to its logits."""
    dtype = getattr(torch, problem.dtype)
    modules: list[nn.Module] = []
    for n_in, n_out, activation, bias in problem.workload.layers:
        modules += [nn.Linear(n_in, n_out, bias=bias, dtype=dtype)]
        modules += [nn.ReLU() if activation == "relu" else nn.Sigmoid()]
    return nn.Sequential(*modules[:-1])


def criterion(problem: Problem) -> Callable[[Any, Any], Any]:
    """Return the loss, from logits."""
    return {
        "binary_cross_entropy": F.binary_cross_entropy_with_logits,
        "categorical_cross_entropy": F.cross_entropy,
        "sum_of_squares": lambda Z, Y: F.mse_loss(torch.sigmoid(Z), Y, reduction="sum"),
        "mean_squared_error": F.mse_loss,
        "": F.cross_entropy,
    }[problem.workload.loss]


class Network:
    """A training loop as in PyTorch's own tutorials, without a DataLoader."""

    note = ""
    same_start = True

    def __init__(self, problem: Problem) -> None:
        torch.set_num_threads(problem.threads)
        torch.set_num_interop_threads(1)
        torch.manual_seed(0)
        self.problem, self.workload = problem, problem.workload
        self.X = torch.from_numpy(problem.X)
        categorical = problem.workload.output == "softmax"
        self.Y = torch.from_numpy(problem.labels if categorical else problem.Y)
        self.model = sequential(problem)
        self.loss = criterion(problem)
        self.reset()

    def reset(self) -> None:
        """Return to the initial parameters."""
        with torch.no_grad():
            for parameter, start in zip(self.model.parameters(), self.problem.params, strict=True):
                parameter.copy_(torch.from_numpy(start))
        rate = self.workload.learning_rate
        parameters = self.model.parameters()
        self.optimizer: Any = (
            torch.optim.Adam(parameters, lr=rate)
            if self.workload.optimizer == "adam"
            else torch.optim.SGD(parameters, lr=rate)
        )

    def forward(self, X: Any, Y: Any) -> tuple[Any, Any]:
        """Return the logits and the loss."""
        Z = self.model(X)
        return Z, self.loss(Z, Y)

    def step(self, X: Any, Y: Any) -> tuple[float, float]:
        """Take one step; return cost and accuracy before it."""
        Z, cost = self.forward(X, Y)
        self.optimizer.zero_grad()
        cost.backward()
        self.optimizer.step()
        if not self.workload.classifies:
            return cost.item(), 0.0
        with torch.no_grad():
            right = (Z.argmax(1) == Y) if Z.shape[1] > 1 else ((Z > 0) == (Y > 0.5))
            return cost.item(), right.float().mean().item()

    def run(self, epochs: int) -> History:
        """Train on."""
        history = History()
        m, batch = len(self.X), self.workload.batch
        for _ in range(epochs):
            cost = accuracy = 0.0
            for chosen in torch.randperm(m).split(batch) if batch else [slice(None)]:
                x, y = self.X[chosen], self.Y[chosen]
                batch_cost, batch_accuracy = self.step(x, y)
                cost += batch_cost * len(x)
                accuracy += batch_accuracy * len(x)
            history.cost.append(cost / m)
            if self.workload.classifies:
                history.accuracy.append(accuracy / m)
        return history

    def predict(self, X: Array) -> Array:
        """Return the outputs."""
        with torch.inference_mode():
            Z = self.model(torch.from_numpy(X))
            if self.workload.output == "softmax":
                Z = torch.softmax(Z, -1)
            elif self.workload.output == "sigmoid":
                Z = torch.sigmoid(Z)
            outputs: Array = Z.numpy()
            return outputs


def make(problem: Problem) -> Job:
    """Build the network."""
    return Network(problem)
