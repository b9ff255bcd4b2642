"""Pictures of data, networks and trainings, with matplotlib.

Each function draws into the axes that it is given as ``ax``, or into a new figure, and returns
axes. They suit light and dark styles, and colour-blind eyes: signs and classes differ in more than
their colour, or in lightness. Samples are rows, as for `nnc.Network`; pass ``X.T`` of the
tutorial's arrays.

`data` and `decision_boundary` draw samples and what a model says between them, `animate` how that
came about. `history` and `gradients` draw a training, `network`, `weights` and `activations` what
is inside a model, and `confusion` its mistakes.
"""

from nnc._plot_animation import Animation, animate
from nnc._plot_inside import activations, confusion, network, weights
from nnc._plot_samples import data, decision_boundary
from nnc._plot_training import gradients, history

__all__ = [
    "Animation",
    "activations",
    "animate",
    "confusion",
    "data",
    "decision_boundary",
    "gradients",
    "history",
    "network",
    "weights",
]
