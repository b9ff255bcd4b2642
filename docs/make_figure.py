"""Train the tutorial's network on two moons and draw docs/moons.png for the README.

Needs matplotlib: `pip install '.[notebooks]'`, then `python docs/make_figure.py`.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap

import nnc
from nnc import datasets

BLUE, ORANGE = "#0072B2", "#D55E00"
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

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), dpi=100, layout="constrained")
    left.plot(accuracy, "--", color=ORANGE, linewidth=2, label="accuracy")
    left.plot(cost, color=BLUE, linewidth=2, label="cost")
    left.set(
        xlabel="epoch", ylabel="cost, accuracy", ylim=(0, 1.02), title="Training on 900 points"
    )
    left.grid(alpha=0.3)
    left.spines[["top", "right"]].set_visible(False)
    left.legend(loc="center right")

    x1, x2 = np.meshgrid(np.linspace(-1.7, 2.7, 221), np.linspace(-1.3, 1.8, 156))
    grid = np.stack([x1.ravel(), x2.ravel()])
    answer = nnc.full_forward_propagation(grid, params, architecture)[0].reshape(x1.shape)
    shades = LinearSegmentedColormap.from_list("moons", ["#8FC3E3", "white", "#F2B48C"])
    right.contourf(x1, x2, answer, np.linspace(0, 1, 11), cmap=shades)
    right.contour(x1, x2, answer, [0.5], colors="black", linewidths=1.5)
    for label, color, marker in ((0, BLUE, "o"), (1, ORANGE, "^")):
        points = data.X_test[:, data.Y_test[0] == label]
        right.scatter(
            *points, s=26, color=color, marker=marker, edgecolor="white", linewidth=0.6,
            label=f"class {label}",
        )  # fmt: skip
    wrong = (nnc.convert_prob_into_class(Y_hat) != data.Y_test)[0]
    right.scatter(*data.X_test[:, wrong], s=100, facecolor="none", edgecolor="black", label="wrong")
    right.set(
        xlabel="$x_1$", ylabel="$x_2$", title=f"100 test points, accuracy {test_accuracy:.2f}"
    )
    right.legend(loc="lower right")
    figure.savefig(Path(__file__).with_name("moons.png"), metadata={"Software": None})


if __name__ == "__main__":
    main()
