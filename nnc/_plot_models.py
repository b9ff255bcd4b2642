"""What plots ask of models: a network of the same parameters, or answers for rows of samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from nnc._arguments import Array
from nnc._sk_engine import ACTIVATIONS
from nnc.layers import OUTPUT_ONLY, Dense, Layer
from nnc.network import Network


def as_network(model: Any) -> Network:
    """Return a network with the layers and parameters of a model.

    Parameters
    ----------
    model : Network, NeuralNetwork, fitted estimator, or (params_values, nn_architecture)
        Of scikit-learn's estimators, those with ``coefs_`` and ``intercepts_``.

    Raises
    ------
    TypeError
        For anything else.
    """
    if isinstance(model, Network):
        return model
    if isinstance(model, tuple) and len(model) == 2 and isinstance(model[0], Mapping):
        network = Network.from_architecture(model[1], dtype="float64", seed=0)
        network.set_weights(model[0])
        return network
    if hasattr(model, "weights1") and hasattr(model, "weights2"):
        matrices = [np.asarray(model.weights1), np.asarray(model.weights2)]
        return _from_matrices(matrices, None, ["sigmoid", "sigmoid"])
    if hasattr(model, "coefs_") and hasattr(model, "intercepts_"):
        hidden = model.activation
        names = [hidden] * (len(model.coefs_) - 1) if isinstance(hidden, str) else list(hidden)
        return _from_matrices(model.coefs_, model.intercepts_, [*names, model.out_activation_])
    raise TypeError(
        "model: expected a Network, a NeuralNetwork, a fitted estimator or (params_values, "
        f"nn_architecture), got {type(model).__name__}"
    )


def _from_matrices(matrices: Any, biases: Any, activations: list[str]) -> Network:
    """Return a network of W (n_in, n_out), as chapter 1 and scikit-learn have them."""
    layers: list[Layer] = [
        Dense(W.shape[1], ACTIVATIONS.get(name, name), bias=biases is not None)
        for W, name in zip(matrices, activations, strict=True)
    ]
    network = Network(layers, len(matrices[0]), dtype="float64", seed=0)
    values = {f"W{i}": W.T for i, W in enumerate(matrices, 1)}
    if biases is not None:
        values |= {f"b{i}": b.reshape(-1, 1) for i, b in enumerate(biases, 1)}
    network.set_weights(values)
    return network


class Answers(NamedTuple):
    """What a model says of rows.

    `probabilities` (m, k) of k classes, 0 or 1 where the model only names classes; or else
    `values` (m,). `classes` are the names.
    """

    classes: Array
    probabilities: Array
    values: Array | None = None


def ask(model: Any, rows: Any, labels: Array | None) -> Answers:
    """Return what a model says of rows; `labels` are the true ones of some samples, if known.

    Models are those of `as_network`, whatever has predict_proba or predict, and functions that
    take rows and return probabilities.
    """
    if hasattr(model, "predict_proba") and not isinstance(model, Network):
        outputs = np.asarray(model.predict_proba(rows))
        return _probabilities(outputs, getattr(model, "classes_", None))
    if hasattr(model, "predict") and not isinstance(model, Network):
        return _predictions(model, rows, labels)
    if callable(model):
        return _probabilities(np.asarray(model(rows)), None)
    network = as_network(model)
    outputs = network.predict_proba(rows)
    if not network.loss.classifies:
        if outputs.shape[1] > 1:
            raise ValueError(f"model: expected one output to draw, got {outputs.shape[1]}")
        return Answers(np.empty(0), np.empty(0), outputs[:, 0])
    last = network.specs[-1].activation
    if outputs.shape[1] > 1 and last not in OUTPUT_ONLY:
        raise ValueError(
            f"model: expected one class for a sample, got {outputs.shape[1]} {last} outputs, of "
            "which several may be true: pass a function that returns one column of predict_proba"
        )
    return _probabilities(np.exp(outputs) if last == "log_softmax" else outputs, None)


def _probabilities(outputs: Array, classes: Any) -> Answers:
    """Return answers from probabilities; one column is that of class 1."""
    if outputs.ndim == 1 or (outputs.ndim == 2 and outputs.shape[1] == 1):
        flat = outputs.ravel()
        outputs = np.stack([1 - flat, flat], axis=1)
    if outputs.ndim != 2:
        raise ValueError(
            f"model: expected probabilities of shape (m, classes), got {outputs.shape}"
        )
    return Answers(np.arange(outputs.shape[1]) if classes is None else np.asarray(classes), outputs)


def _predictions(model: Any, rows: Any, labels: Array | None) -> Answers:
    """Return answers from predict alone: classes, or quantities where they are floats."""
    said = np.asarray(model.predict(rows)).ravel()
    classes = getattr(model, "classes_", None)
    if classes is None and said.dtype.kind == "f":
        return Answers(np.empty(0), np.empty(0), said)
    if classes is None:
        classes = np.unique(said if labels is None else np.concatenate([said, labels]))
    return Answers(np.asarray(classes), (said[:, None] == np.asarray(classes)).astype(float))
