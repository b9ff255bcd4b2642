"""Draw docs/moons.png for the README, and docs/plots.png for the page on pictures.

Needs matplotlib: `pip install '.[plot]'`, then `python docs/make_figure.py`.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

import nnc
from nnc import datasets

EPOCHS, LEARNING_RATE = 10_000, 0.01


def draw_tutorial() -> None:
    """Write moons.png: the tutorial's training, and what came of it."""
    data = datasets.tutorial_moons()
    architecture = datasets.tutorial_architecture()
    params, cost, accuracy = nnc.train(
        data.X_train, data.Y_train, architecture, EPOCHS, LEARNING_RATE
    )
    Y_hat, _ = nnc.full_forward_propagation(data.X_test, params, architecture)
    test_accuracy = nnc.get_accuracy_value(Y_hat, data.Y_test)

    figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), dpi=90, layout="constrained")
    nnc.plot.history({"cost": cost, "accuracy": accuracy}, ax=axes)
    nnc.plot.decision_boundary((params, architecture), data.X_test.T, data.Y_test, ax=axes[2])
    axes[0].set(title="cost on 900 points")
    axes[1].set(title="accuracy on 900 points")
    axes[2].set(title=f"100 test points, accuracy {test_accuracy:.2f}")
    save(figure, "moons.png")


def draw_gallery() -> None:
    """Write plots.png: what nnc.plot draws, of one small network."""
    moons = datasets.tutorial_moons()
    X, y = moons.X_train.T, moons.Y_train.T
    network = nnc.Network.from_sizes(
        2, 16, 12, 1, output_activation="sigmoid", optimizer=nnc.Adam(0.01), seed=0
    )
    recorder = nnc.callbacks.LayerRecorder(X[:200], y[:200])
    history = network.fit(X, y, epochs=60, validation_split=0.2, callbacks=recorder, verbose=0)

    figure, axes = plt.subplots(2, 4, figsize=(15, 7), dpi=70, layout="constrained")
    nnc.plot.data(X, y, ax=axes[0, 0])
    nnc.plot.decision_boundary(network, moons.X_test.T, moons.Y_test, ax=axes[0, 1])
    nnc.plot.history(history, ax=axes[0, 2])
    nnc.plot.gradients(recorder, ax=axes[0, 3])
    nnc.plot.network(network, ax=axes[1, 0])
    nnc.plot.weights(network, "W2", ax=axes[1, 1])
    nnc.plot.activations(network, X, ax=axes[1, 2])
    nnc.plot.confusion(moons.Y_test, network.predict(moons.X_test.T), ax=axes[1, 3])
    names = "data", "decision_boundary", "history", "gradients"
    names += "network", "weights", "activations", "confusion"
    for ax, name in zip(axes.flat, names, strict=True):
        ax.set_title(name)
    save(figure, "plots.png")


def save(figure: Figure, name: str) -> None:
    """Write a figure beside this script."""
    figure.savefig(Path(__file__).with_name(name), metadata={"Software": None})


if __name__ == "__main__":
    draw_tutorial()
    draw_gallery()
