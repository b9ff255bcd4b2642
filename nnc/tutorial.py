"""Chapter 2 of the tutorial: the functions that work on dictionaries of arrays.

Layouts are the tutorial's: one sample per column, biases of shape (n, 1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any, SupportsFloat, SupportsIndex, TypeVar

import numpy as np
import numpy.typing as npt

from nnc import _core
from nnc._arguments import (
    Array,
    DivergenceError,
    Layer,
    check_keys,
    parameter_keys,
    read_architecture,
    read_data,
    read_dtype,
    read_index,
    read_matrix,
    read_params,
    read_rate,
    read_seed,
    read_threads,
)
from nnc._block import new_block, new_parameters, views

Architecture = Sequence[Mapping[str, Any]]
Params = TypeVar("Params", bound=MutableMapping[str, Any])
Callback = Callable[[int, dict[str, Array]], object]

# The tutorial's initial weights and biases are so many times standard normal numbers.
INITIAL_SCALE = 0.1

# The tutorial's notebook reports every so many epochs.
REPORT_EVERY = 50


def init_layers(
    nn_architecture: Architecture, seed: Any = 99, *, dtype: npt.DTypeLike = np.float64
) -> dict[str, Array]:
    """Draw initial weights and biases: 0.1 * randn, W1, b1, W2, b2, … from one stream.

    The numbers are bit for bit those that the tutorial gets from ``np.random.seed(seed)`` and
    ``np.random.randn``. Unlike there, NumPy's global random state is neither used nor changed.

    Parameters
    ----------
    nn_architecture : list of dict
        One dict per layer, with ``input_dim``, ``output_dim`` and ``activation``.
    seed : int or array_like of int, optional
        What ``np.random.seed`` takes: 0 to 2**32 - 1, or a 1-D array of such; None draws fresh
        entropy.
    dtype : dtype, optional
        float64, or float32: the same numbers, rounded.

    Returns
    -------
    dict of str to numpy.ndarray
        ``W1`` (output_dim, input_dim), ``b1`` (output_dim, 1), …: views on one contiguous block.

    Raises
    ------
    ValueError, TypeError, MemoryError
        For an architecture that is empty, does not chain or is too large, and for a bad seed.

    Examples
    --------
    >>> import nnc
    >>> nn_architecture = nnc.datasets.tutorial_architecture(2, 4, 1)
    >>> params_values = nnc.init_layers(nn_architecture, seed=2)
    >>> [(name, array.shape) for name, array in params_values.items()]
    [('W1', (4, 2)), ('b1', (4, 1)), ('W2', (1, 4)), ('b2', (1, 1))]
    """
    layers = read_architecture(nn_architecture)
    words = read_seed(seed)
    block = new_parameters(layers, read_dtype(dtype) or np.dtype(np.float64))
    _core.fill_normal(block, words, INITIAL_SCALE)
    return views(block, layers)


def full_forward_propagation(
    X: npt.ArrayLike, params_values: Mapping[str, npt.ArrayLike], nn_architecture: Architecture
) -> tuple[Array, dict[str, Array]]:
    """Run all layers forward, and keep what the backward pass needs.

    Parameters
    ----------
    X : array_like, shape (input_dim, m)
        Inputs, one sample per column.
    params_values : dict of str to array_like
        ``W1``, ``b1``, … as `init_layers` gives them.
    nn_architecture : list of dict
        One dict per layer.

    Returns
    -------
    Y_hat : numpy.ndarray, shape (output_dim, m)
        float32 where X and all parameters are, else float64.
    memory : dict of str to numpy.ndarray
        ``A0`` (the input), ``Z1``, ``A1``, ``Z2``, … up to ``Z`` of the last layer.

    Raises
    ------
    ValueError, TypeError
        For shapes that don't chain, missing or surplus keys, and anything but real numbers.

    Examples
    --------
    >>> import nnc
    >>> nn_architecture = nnc.datasets.tutorial_architecture(2, 4, 1)
    >>> params_values = nnc.init_layers(nn_architecture, seed=2)
    >>> moons = nnc.datasets.tutorial_moons()
    >>> Y_hat, memory = nnc.full_forward_propagation(moons.X_train, params_values, nn_architecture)
    >>> Y_hat.shape, list(memory)
    ((1, 900), ['A0', 'Z1', 'A1', 'Z2'])
    """
    layers = read_architecture(nn_architecture)
    A = read_matrix("X", X, layers[0].n_in, -1)
    memory: dict[str, Array] = {}
    for i, (layer, (W, b)) in enumerate(
        zip(layers, read_params(params_values, layers), strict=True), 1
    ):
        memory[f"A{i - 1}"] = A
        A, memory[f"Z{i}"] = _core.single_layer_forward_propagation(A, W, b, layer.activation)
    return A, memory


def full_backward_propagation(
    Y_hat: npt.ArrayLike,
    Y: npt.ArrayLike,
    memory: Mapping[str, npt.ArrayLike],
    params_values: Mapping[str, npt.ArrayLike],
    nn_architecture: Architecture,
) -> dict[str, Array]:
    """Compute the gradients of the cross-entropy cost by all weights and biases.

    After a sigmoid output the gradient starts at ``Y_hat - Y``, which is exact where the
    tutorial's quotient becomes 0 / 0. For other outputs it starts at
    ``-(Y / Y_hat - (1 - Y) / (1 - Y_hat))``, with the limits of `get_cost_value` at 0 and 1.

    Parameters
    ----------
    Y_hat, Y : array_like, shape (output_dim, m)
        Predicted probabilities and labels.
    memory : dict of str to array_like
        What `full_forward_propagation` kept.
    params_values : dict of str to array_like
        The parameters it used.
    nn_architecture : list of dict
        One dict per layer.

    Returns
    -------
    dict of str to numpy.ndarray
        ``dW1``, ``db1`` and so on, in the shapes of ``W1``, ``b1`` and so on.

    Raises
    ------
    ValueError, TypeError
        For shapes that don't chain, missing or surplus keys, and anything but real numbers.

    Examples
    --------
    >>> import nnc
    >>> nn_architecture = nnc.datasets.tutorial_architecture(2, 4, 1)
    >>> params_values = nnc.init_layers(nn_architecture, seed=2)
    >>> moons = nnc.datasets.tutorial_moons()
    >>> Y_hat, memory = nnc.full_forward_propagation(moons.X_train, params_values, nn_architecture)
    >>> grads_values = nnc.full_backward_propagation(
    ...     Y_hat, moons.Y_train, memory, params_values, nn_architecture
    ... )
    >>> grads_values["dW1"].shape
    (4, 2)
    """
    layers = read_architecture(nn_architecture)
    params = read_params(params_values, layers)
    keys = [f"{letter}{i + (letter == 'Z')}" for i in range(len(layers)) for letter in "AZ"]
    check_keys("memory", memory, keys)
    Y_hat = read_matrix("Y_hat", Y_hat, layers[-1].n_out, -1)
    m = Y_hat.shape[1]
    Y = read_matrix("Y", Y, layers[-1].n_out, m, Y_hat.dtype)
    inputs = [
        read_matrix(f"memory['A{i}']", memory[f"A{i}"], layer.n_in, m)
        for i, layer in enumerate(layers)
    ]
    logits = [
        read_matrix(f"memory['Z{i}']", memory[f"Z{i}"], layer.n_out, m)
        for i, layer in enumerate(layers, 1)
    ]

    grads_values: dict[str, Array] = {}
    last = len(layers) - 1
    dZ = _core.output_gradient(Y_hat, Y, layers[last].activation, logits[last])
    W, _ = params[last]
    dA, dW, db = _core.layer_gradients(dZ, W, inputs[last], m)
    for i in range(last, -1, -1):
        if i < last:
            W, b = params[i]
            dA, dW, db = _core.single_layer_backward_propagation(
                dA, W, b, logits[i], inputs[i], layers[i].activation
            )
        grads_values[f"dW{i + 1}"] = dW
        grads_values[f"db{i + 1}"] = db
    return grads_values


def update(
    params_values: Params,
    grads_values: Mapping[str, npt.ArrayLike],
    nn_architecture: Architecture,
    learning_rate: SupportsFloat,
) -> Params:
    """Take one step of gradient descent, in place: W -= learning_rate * dW, b likewise.

    Everything is checked before the first element is written.

    Parameters
    ----------
    params_values : dict of str to numpy.ndarray
        ``W1``, ``b1``, …: writeable, C-ordered, float32 or float64. Other names for the same
        arrays change with them.
    grads_values : dict of str to array_like
        ``dW1``, ``db1``, … of the same shapes.
    nn_architecture : list of dict
        One dict per layer.
    learning_rate : float
        Finite and positive.

    Returns
    -------
    dict of str to numpy.ndarray
        `params_values` itself.

    Raises
    ------
    ValueError, TypeError
        For missing or surplus keys, shapes that differ, and arrays that can't be written in place.

    Examples
    --------
    >>> import nnc
    >>> nn_architecture = nnc.datasets.tutorial_architecture(2, 4, 1)
    >>> params_values = nnc.init_layers(nn_architecture, seed=2)
    >>> moons = nnc.datasets.tutorial_moons()
    >>> Y_hat, memory = nnc.full_forward_propagation(moons.X_train, params_values, nn_architecture)
    >>> grads_values = nnc.full_backward_propagation(
    ...     Y_hat, moons.Y_train, memory, params_values, nn_architecture
    ... )
    >>> params_values = nnc.update(params_values, grads_values, nn_architecture, learning_rate=0.1)
    """
    layers = read_architecture(nn_architecture)
    keys = parameter_keys(layers)
    check_keys("params_values", params_values, keys)
    check_keys("grads_values", grads_values, ["d" + key for key in keys])
    for i, layer in enumerate(layers, 1):
        read_matrix(f"params_values['W{i}']", params_values[f"W{i}"], layer.n_out, layer.n_in)
        read_matrix(f"params_values['b{i}']", params_values[f"b{i}"], layer.n_out, 1)
    _core.update(
        [params_values[key] for key in keys],
        [grads_values["d" + key] for key in keys],
        keys,
        read_rate(learning_rate),
    )
    return params_values


def train(
    X: npt.ArrayLike,
    Y: npt.ArrayLike,
    nn_architecture: Architecture,
    epochs: SupportsIndex,
    learning_rate: SupportsFloat,
    *,
    seed: Any = 2,
    dtype: npt.DTypeLike | None = None,
    n_threads: SupportsIndex | None = None,
    verbose: bool = False,
    callback: Callback | None = None,
) -> tuple[dict[str, Array], list[float], list[float]]:
    """Train a network by full-batch gradient descent on the cross-entropy cost.

    The whole loop is one call into C. The result is the same, bit for bit, for every number of
    threads, and on every CPU with fused multiply-add.

    Parameters
    ----------
    X : array_like, shape (input_dim, m)
        Inputs, one sample per column. Finite.
    Y : array_like, shape (output_dim, m)
        Labels from 0 to 1.
    nn_architecture : list of dict
        One dict per layer.
    epochs : int
        Number of steps, at least 0.
    learning_rate : float
        Finite and positive.
    seed : int or array_like of int, optional
        Of the initial parameters, see `init_layers`.
    dtype : dtype, optional
        float32 or float64; by default float32 where X is, else float64.
    n_threads : int, optional
        At most so many threads, where more than one pays; by default `get_num_threads`. A training
        that runs while another has the threads runs on its own thread alone.
    verbose : bool, optional
        Print cost and accuracy every 50 epochs.
    callback : callable, optional
        ``callback(epoch, params_values)`` after each epoch, with parameters that it may keep. The
        training stops where it returns True.

    Returns
    -------
    params_values : dict of str to numpy.ndarray
        The trained parameters.
    cost_history, accuracy_history : list of float
        One entry per epoch, of the parameters before its update. NaN where there are no samples.

    Raises
    ------
    ValueError, TypeError, MemoryError
        For bad arguments, before anything is computed.
    DivergenceError
        A FloatingPointError, where the training diverges: `epoch` is the first one without a
        finite cost, and `params_values`, `cost_history` and `accuracy_history` are what there was
        before it.
    KeyboardInterrupt
        Within 100 ms of Ctrl-C.

    Examples
    --------
    >>> import nnc
    >>> nn_architecture = nnc.datasets.tutorial_architecture(2, 4, 1)
    >>> moons = nnc.datasets.tutorial_moons()
    >>> params_values, cost, accuracy = nnc.train(
    ...     moons.X_train, moons.Y_train, nn_architecture, epochs=1000, learning_rate=0.1
    ... )
    >>> cost[-1] < cost[0], len(accuracy)
    (True, 1000)
    """
    return train_with_progress(
        X,
        Y,
        nn_architecture,
        epochs,
        learning_rate,
        seed=seed,
        dtype=dtype,
        n_threads=n_threads,
        verbose=verbose,
        callback=callback,
    )


def train_with_progress(
    X: npt.ArrayLike,
    Y: npt.ArrayLike,
    nn_architecture: Architecture,
    epochs: SupportsIndex,
    learning_rate: SupportsFloat,
    *,
    seed: Any = 2,
    dtype: npt.DTypeLike | None = None,
    n_threads: SupportsIndex | None = None,
    verbose: bool = False,
    callback: Callback | None = None,
    progress: Callable[[int, float], object] | None = None,
) -> tuple[dict[str, Array], list[float], list[float]]:
    """Do what `train` does; ``progress(epoch, cost)`` is called about every 30 ms."""
    layers = read_architecture(nn_architecture)
    n_epochs = read_index("epochs", epochs, 0)
    rate = read_rate(learning_rate)
    threads = read_threads(n_threads)
    X = read_data("X", X, layers[0].n_in, -1, read_dtype(dtype))
    Y = read_data("Y", Y, layers[-1].n_out, X.shape[1], X.dtype)
    _check_labels(Y)
    if callback is not None and not callable(callback):
        raise TypeError(f"callback: expected a callable, got {callback!r}")

    words = read_seed(seed)
    history = np.dtype(np.float64)
    cost, accuracy = (new_block(n_epochs, history, "epochs") for _ in range(2))
    block = new_parameters(layers, X.dtype)
    done, diverged = _core.train(
        block,
        X,
        Y,
        layers,
        "binary_cross_entropy",
        n_epochs,
        rate,
        threads,
        cost,
        accuracy,
        progress=progress,
        at_epoch=_epoch_hook(layers, verbose, callback),
        every=REPORT_EVERY if callback is None else 1,
        seed=words,
        scale=INITIAL_SCALE,
    )
    result = views(block, layers), cost[:done].tolist(), accuracy[:done].tolist()
    if diverged:
        raise _divergence(layers[-1].activation, rate, *result)
    return result


def _check_labels(Y: Array) -> None:
    wrong = (Y < 0) | (Y > 1)
    if wrong.any():
        row, col = np.argwhere(wrong)[0]
        raise ValueError(
            f"Y: expected labels from 0 to 1, got {Y[row, col]} in row {row}, column {col}"
        )


def _epoch_hook(
    layers: Sequence[Layer], verbose: bool, callback: Callback | None
) -> Callable[[int, float, float, Array], bool] | None:
    if not verbose and callback is None:
        return None

    def hook(epoch: int, cost: float, accuracy: float, block: Array) -> bool:
        if verbose and epoch % REPORT_EVERY == 0:
            print(f"Iteration: {epoch:05} - cost: {cost:.5f} - accuracy: {accuracy:.5f}")
        if callback is None:
            return False
        answer = callback(epoch, views(block, layers))
        return isinstance(answer, bool | np.bool_) and bool(answer)

    return hook


def _divergence(
    output: str,
    learning_rate: float,
    params_values: dict[str, Array],
    cost_history: list[float],
    accuracy_history: list[float],
) -> DivergenceError:
    epoch = len(cost_history)
    text = f"training diverged: the cost is not finite at epoch {epoch}; "
    if output not in ("sigmoid", "hard_sigmoid"):
        text += f"the output's activation {output!r} gives values outside [0, 1]: use 'sigmoid'"
    elif epoch == 0:
        text += "X or the initial parameters are too large"
    else:
        text += f"try a learning_rate below {learning_rate:g}. The last good parameters are "
        text += "this exception's params_values"
    error = DivergenceError(text)
    error.epoch = epoch
    error.params_values = params_values
    error.cost_history = cost_history
    error.accuracy_history = accuracy_history
    return error
