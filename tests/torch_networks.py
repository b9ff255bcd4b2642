"""Trainings of nnc.Network written again with PyTorch's own layers, losses and optimizers.

Imported only where PyTorch is.
"""

import contextlib

import numpy as np
import torch
from test_activations_peers import THEIRS

import nnc
from nnc import BatchNorm, Dense, LayerNorm

functional = torch.nn.functional
torch.set_num_threads(1)


class Model:
    """The layers of a network, and its parameters as tensors of their own."""

    def __init__(self, network):
        self.layers = network.layers
        self.loss = network.loss
        self.tensors = {
            name: torch.tensor(array.copy(), requires_grad=name[0] in "Wbg")
            for name, array in network.params.items()
        }

    def parameters(self):
        return [tensor for tensor in self.tensors.values() if tensor.requires_grad]

    def logits(self, X):
        """What the output activation is applied to, in training."""
        a = X
        for key, layer in enumerate(self.layers, 1):
            if isinstance(layer, Dense):
                z = a @ self.tensors[f"W{key}"].T
                z = z + self.tensors[f"b{key}"][:, 0] if layer.bias else z
                a = z if layer is self.layers[-1] else THEIRS[layer.activation](z)
                continue
            gamma, beta = self.tensors[f"gamma{key}"][:, 0], self.tensors[f"beta{key}"][:, 0]
            if isinstance(layer, LayerNorm):
                a = functional.layer_norm(a, gamma.shape, gamma, beta, layer.epsilon)
            elif isinstance(layer, BatchNorm):
                self._move_statistics(key, layer, a)
                a = functional.batch_norm(
                    a, None, None, gamma, beta, training=True, eps=layer.epsilon
                )
        return a

    def _move_statistics(self, key, layer, a):
        """Keras' rule: PyTorch's own has the unbiased variance."""
        with torch.no_grad():
            found = {"mean": a.mean(0), "variance": a.var(0, unbiased=False)}
            for name, now in found.items():
                running = self.tensors[f"{name}{key}"]
                running.mul_(layer.momentum).add_(now[:, None], alpha=1 - layer.momentum)

    def value(self, z, y, weights):
        """The loss of a batch."""
        each = LOSSES[self.loss.kind](self.loss, self.layers[-1].activation, z, y)
        if each.ndim == 2:
            each = each.mean(1) if self.loss.kind in MEANS else each.sum(1)
        if self.loss.kind == "sum_of_squares":
            return (each * weights).sum()
        return (each * weights).sum() / weights.sum()


def binary(loss, activation, z, y):
    y = y * (1 - loss.smoothing) + loss.smoothing / 2
    if activation == "sigmoid":
        return functional.binary_cross_entropy_with_logits(z, y, reduction="none")
    p = THEIRS[activation](z)
    # PyTorch's own binary_cross_entropy cuts logarithms off at -100, nnc where p and 1 - p end
    log_p, log_q = torch.log(p.clamp(min=2.0**-1022)), torch.log((1 - p).clamp(min=2.0**-53))
    return -(y * log_p + (1 - y) * log_q)


def focal(loss, activation, z, y):
    p = torch.sigmoid(z)
    each = functional.binary_cross_entropy_with_logits(z, y, reduction="none")
    return each * (1 - (y * p + (1 - y) * (1 - p))) ** loss.gamma


def of_outputs(function):
    return lambda loss, activation, z, y: function(loss, THEIRS[activation](z), y)


def categorical(loss, activation, z, y):
    return functional.cross_entropy(z, y, reduction="none", label_smoothing=loss.smoothing)


LOSSES = {
    "mean_squared_error": of_outputs(
        lambda loss, p, y: functional.mse_loss(p, y, reduction="none")
    ),
    "sum_of_squares": of_outputs(lambda loss, p, y: functional.mse_loss(p, y, reduction="none")),
    "mean_absolute_error": of_outputs(
        lambda loss, p, y: functional.l1_loss(p, y, reduction="none")
    ),
    "huber": of_outputs(
        lambda loss, p, y: functional.huber_loss(p, y, reduction="none", delta=loss.delta)
    ),
    "quantile": of_outputs(
        lambda loss, p, y: torch.maximum(loss.q * (y - p), (loss.q - 1) * (y - p))
    ),
    "poisson": of_outputs(
        lambda loss, p, y: functional.poisson_nll_loss(
            p, y, log_input=False, eps=0, reduction="none"
        )
    ),
    "binary_cross_entropy": binary,
    "categorical_cross_entropy": categorical,
    "sparse_categorical_cross_entropy": categorical,
    "binary_focal_cross_entropy": focal,
    "hinge": of_outputs(
        lambda loss, p, y: functional.hinge_embedding_loss(p * y, -torch.ones(()), reduction="none")
    ),
}
MEANS = (
    "mean_squared_error", "mean_absolute_error", "huber", "quantile", "poisson",
    "binary_focal_cross_entropy", "hinge",
)  # fmt: skip


class Lion(torch.optim.Optimizer):
    """Algorithm 2 of Chen et al. (2023), which PyTorch lacks; with decoupled weight decay."""

    def __init__(self, params, lr, betas, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta_1, beta_2 = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                way = (beta_1 * m + (1 - beta_1) * p.grad).sign()
                p -= group["lr"] * (way + group["weight_decay"] * p)
                m.copy_(beta_2 * m + (1 - beta_2) * p.grad)


def optimizer_for(ours, params):
    """PyTorch's optimizer that nnc's should equal; weight decay but for AdamW's is apart."""
    rate = ours.learning_rate if not callable(ours.learning_rate) else 1.0
    optim = torch.optim
    if isinstance(ours, nnc.SGD):
        return optim.SGD(params, rate, momentum=ours.momentum, nesterov=ours.nesterov)
    if isinstance(ours, nnc.Adagrad):
        return optim.Adagrad(params, rate, eps=ours.epsilon)
    if isinstance(ours, nnc.RMSprop):
        return optim.RMSprop(params, rate, ours.rho, ours.epsilon, momentum=ours.momentum)
    if isinstance(ours, nnc.Rprop):
        return optim.Rprop(params, rate)
    betas = (ours.beta_1, ours.beta_2)
    if isinstance(ours, nnc.Lion):
        return Lion(params, rate, betas, ours.weight_decay)
    if isinstance(ours, nnc.NAdam):
        return optim.NAdam(params, rate, betas, ours.epsilon)
    decay = {"weight_decay": ours.weight_decay} if isinstance(ours, nnc.AdamW) else {}
    cls = optim.AdamW if decay else optim.Adam
    return cls(params, rate, betas, ours.epsilon, amsgrad=ours.amsgrad, **decay)


@contextlib.contextmanager
def doubles():
    """PyTorch keeps some numbers of its optimizers in the default dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@doubles()
def train(network, X, y, epochs, batch_size, weights=None, at_step=None, rates=None, penalty=None):
    """Train a copy of the network with PyTorch, samples in their order.

    Returns the model, and the mean loss of each epoch. at_step(model) is called after each step;
    rates are learning rates (epochs, 1 or steps of an epoch); penalty(model) is added to the loss.
    """
    model, ours, losses = Model(network), network.optimizer, []
    optimizer = optimizer_for(ours, model.parameters())
    X = torch.tensor(np.asarray(X, np.float64))
    whole = network.loss.kind == "sparse_categorical_cross_entropy"
    y = torch.tensor(np.asarray(y, np.int64 if whole else np.float64))
    w = torch.ones(len(X), dtype=torch.float64) if weights is None else torch.tensor(weights)
    for epoch in range(epochs):
        total = 0.0
        for step, start in enumerate(range(0, len(X), batch_size)):
            rows = slice(start, start + batch_size)
            if rates is not None:
                optimizer.param_groups[0]["lr"] = float(rates[epoch, step % rates.shape[1]])
            optimizer.zero_grad()
            value = model.value(model.logits(X[rows]), y[rows], w[rows])
            if penalty:
                value = value + penalty(model)
            value.backward()
            total += value.item() * (
                1 if network.loss.kind == "sum_of_squares" else w[rows].sum().item()
            )
            clip(ours, model.parameters())
            decay(ours, model.parameters(), optimizer)
            optimizer.step()
            if at_step:
                at_step(model)
        losses.append(total if network.loss.kind == "sum_of_squares" else total / w.sum().item())
    return model, losses


def clip(ours, params):
    """PyTorch's clip_grad_value_; and its clip_grad_norm_, without the 1e-6 that it adds."""
    if ours.clip_value:
        torch.nn.utils.clip_grad_value_(params, ours.clip_value)
    if ours.clip_norm:
        norm = torch.nn.utils.get_total_norm([p.grad for p in params])
        if norm > ours.clip_norm:
            for p in params:
                p.grad *= ours.clip_norm / norm


@torch.no_grad()
def decay(ours, params, optimizer):
    """What AdamW and Lion do themselves, for the others: Keras' decoupled weight decay."""
    if ours.weight_decay and not isinstance(ours, nnc.AdamW | nnc.Lion):
        for p in params:
            p *= 1 - optimizer.param_groups[0]["lr"] * ours.weight_decay


def deviation(network, model):
    """The greatest difference of parameters and statistics, over the greatest of each array."""
    return max(
        np.abs(array - model.tensors[name].detach().numpy()).max() / np.abs(array).max()
        for name, array in network.params.items()
    )
