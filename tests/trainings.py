"""Trainings for the tests of checkpoints. As a script: run one, print what it leaves as JSON."""

import hashlib
import json
import sys

import numpy as np
from sample_networks import blobs, circles

import nnc
from nnc import BatchNorm, Dense, Dropout, LayerNorm, Network, callbacks, schedules

EPOCHS = 12


def tutorial(**options):
    X, y = circles(150, seed=1)
    network = Network([Dense(25, "relu"), Dense(1, "sigmoid")], 2, seed=3, optimizer=nnc.Adam(0.02))
    return network, {"X": X, "y": y, "batch_size": 16}


def everything():
    """Dropout, both norms, an average, weights, schedule, metrics, validation, callbacks."""
    X, y = blobs(180, features=5, classes=3, seed=2)
    layers = [
        BatchNorm(), Dense(16, "gelu", l2=1e-3, max_norm=2.0), Dropout(0.3), LayerNorm(),
        Dense(12, "tanh", trainable=False), Dense(3, "softmax"),
    ]  # fmt: skip
    optimizer = nnc.AdamW(
        schedules.Cosine(0.05, per_step=True), weight_decay=0.01, ema_decay=0.9, clip_norm=1.0
    )
    network = Network(layers, 5, seed=4, optimizer=optimizer)
    return network, {
        "X": X.astype(np.float32),
        "y": y,
        "batch_size": 32,
        "class_weight": "balanced",
        "validation_split": 0.25,
        "metrics": ["f1", "precision"],
        "early_stopping": nnc.callbacks.EarlyStopping(patience=50),
        "callbacks": [callbacks.ReduceLROnPlateau(factor=0.7, patience=2, min_delta=0.05)],
    }


def stopping():
    """Early stopping, long before the end, with reductions on the way."""
    X, y = circles(90, seed=5)
    network = Network(
        [Dense(8, "tanh"), Dense(1, "sigmoid")], 2, seed=6, optimizer=nnc.SGD(3.0, 0.9)
    )
    return network, {
        "X": X,
        "y": y,
        "validation_split": 0.3,
        "early_stopping": callbacks.EarlyStopping(patience=4),
        "callbacks": [callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=0.02)],
        "epochs": 60,
    }


def function_rate():
    X, y = circles(64, seed=7)
    network = Network(
        [Dense(9, "elu"), Dense(1, "sigmoid")], 2, seed=8, dtype="float64",
        optimizer=nnc.SGD(lambda epoch: 0.5 / (1 + epoch), 0.9, nesterov=True),
    )  # fmt: skip
    return network, {"X": X, "y": y, "shuffle": False, "batch_size": 7}


def full_batch():
    X, y = blobs(70, features=3, seed=9)
    network = Network([Dense(6, "mish"), Dense(3)], 3, seed=10, optimizer="rprop")
    return network, {"X": X, "y": np.eye(3)[y], "batch_size": None}


def second_fit():
    """A training of a network that was trained before."""
    network, arguments = tutorial()
    network.fit(arguments["X"], arguments["y"], epochs=3, verbose=0)
    return network, arguments


TRAININGS = {
    function.__name__: function
    for function in (tutorial, everything, stopping, function_rate, full_batch, second_fit)
}


def run(name, path=None, extra=None, **options):
    """Run a training, and return all that it leaves."""
    network, arguments = TRAININGS[name]()
    arguments = {"epochs": EPOCHS, "verbose": 0, "checkpoint": path} | arguments | options
    if extra is not None:
        arguments["callbacks"] = [*arguments.get("callbacks", []), extra]
    history = network.fit(**arguments)
    return left_by(network, history)


def left_by(network, history):
    """Return all that a training leaves; floats as hexadecimal text, where NaN equals NaN."""
    engine = network.engine
    arrays = network.params | {"state": engine.optimizer_state(network.optimizer.engine_name)}
    if engine.average is not None:
        arrays["average"] = engine.average
    return {
        "arrays": {
            name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in arrays.items()
        },
        "counts": [engine.steps, network.epochs_trained, *network.seeds],
        "history": {key: [value.hex() for value in values] for key, values in history.items()},
        "epochs": history.epoch,
        "ending": [history.stopped_by, history.best_epoch, history.monitor],
    }


if __name__ == "__main__":
    training, file, settings = sys.argv[1:]
    print(json.dumps(run(training, file or None, **json.loads(settings))))
