"""Train the tutorial's network on two moons and draw docs/moons.png for the README.

Needs matplotlib: `pip install '.[plot]'`, then `python docs/make_figure.py`.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

import nnc
from nnc import datasets

EPOCHS, LEARNING_RATE = 10_000, 0.01


def main() -> None:
    """Write moons.png next to this script."""
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
    figure.savefig(Path(__file__).with_name("moons.png"), metadata={"Software": None})


if __name__ == "__main__":
    main()
