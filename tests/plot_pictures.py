"""Small pictures of all plots, of networks whose parameters are written down.

`python tests/plot_pictures.py` draws them anew into tests/pictures: look at them before they are
committed.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot
from PIL import Image

import nnc
from nnc import BatchNorm, Dense, Dropout, Network

FOLDER = Path(__file__).parent / "pictures"
STYLES = {"light": "default", "dark": "dark_background"}


def waves(*shape):
    """Numbers between -1 and 1 that look random."""
    return np.sin(np.arange(1, 1 + np.prod(shape)) ** 2.0).reshape(shape)


CENTRES = np.array([[-1.0, 0.0], [1.0, 0.2], [0.1, 1.5]])


def points(m=60):
    """m points of three classes in the plane."""
    y = np.arange(m) % 3
    return CENTRES[y] + 0.7 * waves(m, 2), y


def nearest():
    """A network that says which of the centres is nearest: |x - c|^2 / 2 without |x|^2 / 2."""
    network = Network([Dense(3, "softmax")], 2, dtype="float64")
    network.set_weights([3 * CENTRES, -1.5 * np.square(CENTRES).sum(axis=1, keepdims=True)])
    return network


def make_network(*layers, n_in=2):
    network = Network(list(layers), n_in, dtype="float64", seed=0)
    network.set_weights(
        {
            name: 1.0 + 0 * array if name.startswith(("gamma", "variance")) else waves(*array.shape)
            for name, array in network.params.items()
        }
    )
    return network


def triangle():
    """A network that says 1 inside of a triangle with soft edges."""
    network = Network([Dense(3, "relu"), Dense(1, "sigmoid")], 2, dtype="float64")
    network.set_weights(
        {
            "W1": [[2, 0], [-1, 1.7], [-1, -1.7]], "b1": [[-0.6]] * 3, "W2": [[-4, -4, -4]],
            "b2": [[3]],
        }
    )  # fmt: skip
    return network


def recorded():
    recorder = nnc.callbacks.LayerRecorder(None, None)
    recorder.epoch = list(range(20))
    falls = 0.5 ** np.arange(20.0)
    recorder.gradients = {f"W{i}": (10.0**i * (falls + 1e-3)).tolist() for i in (1, 2, 3)}
    recorder.dead = {"W1": [0.0] * 20, "W2": (np.arange(20) / 40).tolist()}
    return recorder


def draw_data(ax):
    nnc.plot.data(*points(), ax=ax)
    ax.get_legend().set_loc("upper left")  # the best place differs between versions


def draw_history(ax):
    epochs = np.arange(30)
    lists = {
        "loss": 1 / (1 + epochs), "val_loss": 0.3 + (epochs - 20.0) ** 2 / 900,
        "accuracy": 1 - 0.5 / (1 + epochs),
    }  # fmt: skip
    history = nnc.History()
    history.extend(range(30), {key: values.tolist() for key, values in lists.items()})
    nnc.plot.history(history, ax=ax)


def draw_three(ax):
    X, y = points()
    nnc.plot.decision_boundary(nearest(), X, y, ax=ax, resolution=60, class_names=["a", "b", "c"])


def draw_two(ax):
    X, _ = points()
    inside = np.hypot(X[:, 0], X[:, 1] - 0.2) < 0.8
    nnc.plot.decision_boundary(triangle(), X, inside, ax=ax, resolution=60)


def draw_values(ax):
    X, _ = points()
    network = make_network(Dense(8, "tanh"), Dense(1))
    nnc.plot.decision_boundary(network, X, X[:, 0], ax=ax, resolution=60)


def draw_activations(ax):
    network = make_network(Dense(12, "relu"), Dense(6, "tanh"), Dense(1, "sigmoid"))
    nnc.plot.activations(network, points(200)[0], ax=ax)


def draw_network(ax):
    layers = Dropout(0.5), Dense(12, "relu"), BatchNorm(), Dense(3, "softmax")
    nnc.plot.network(make_network(*layers, n_in=4), ax=ax)


PICTURES = {
    "activations": draw_activations,
    "confusion": lambda ax: nnc.plot.confusion(list("aabbbcccc"), list("aabbacccb"), ax=ax),
    "data": draw_data,
    "gradients": lambda ax: nnc.plot.gradients(recorded(), ax=ax),
    "history": draw_history,
    "network": draw_network,
    "three_classes": draw_three,
    "two_classes": draw_two,
    "values": draw_values,
    "weights": lambda ax: nnc.plot.weights({"W1": waves(6, 9)}, "W1", ax=ax),
    "weight_images": lambda ax: nnc.plot.weights(
        {"W1": waves(5, 9)}, "W1", ax=ax, image_shape=(3, 3)
    ),
}


def draw(name, style, path):
    """Draw a picture into a PNG file."""
    with pyplot.style.context([STYLES[style], {"font.size": 7}]):
        figure, ax = pyplot.subplots(figsize=(3.2, 2.4), dpi=60)
        figure.subplots_adjust(0.16, 0.18, 0.96, 0.9)  # other layouts differ between versions
        PICTURES[name](ax)
        figure.canvas.draw()
        rgba = np.asarray(figure.canvas.buffer_rgba())
        pyplot.close(figure)
    Image.fromarray(rgba[..., :3].copy()).quantize(64).save(path, optimize=True)


if __name__ == "__main__":
    for name in PICTURES:
        for style in STYLES:
            draw(name, style, FOLDER / f"{name}_{style}.png")
