"""The C kernels and the training loop of nnc, on NumPy arrays."""

from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[Any]

ACTIVATIONS: tuple[str, ...]
MAX_THREADS: int
FUNCTIONS: tuple[str, ...]

def map(name: str, X: npt.ArrayLike, /) -> Any: ...
def sigmoid(Z: npt.ArrayLike) -> Any: ...
def relu(Z: npt.ArrayLike) -> Any: ...
def sigmoid_backward(dA: npt.ArrayLike, Z: npt.ArrayLike) -> Any: ...
def relu_backward(dA: npt.ArrayLike, Z: npt.ArrayLike) -> Any: ...
def activation_gradient(dA: npt.ArrayLike, A: npt.ArrayLike, activation: str) -> Any: ...
def single_layer_forward_propagation(
    A_prev: npt.ArrayLike, W_curr: npt.ArrayLike, b_curr: npt.ArrayLike, activation: str = "relu"
) -> tuple[_Array, _Array]: ...
def single_layer_backward_propagation(
    dA_curr: npt.ArrayLike,
    W_curr: npt.ArrayLike,
    b_curr: npt.ArrayLike,
    Z_curr: npt.ArrayLike,
    A_prev: npt.ArrayLike,
    activation: str = "relu",
) -> tuple[_Array, _Array, _Array]: ...
def layer_gradients(
    dZ: npt.ArrayLike, W: npt.ArrayLike, A_prev: npt.ArrayLike, divisor: float
) -> tuple[_Array, _Array, _Array]: ...
def get_cost_value(Y_hat: npt.ArrayLike, Y: npt.ArrayLike) -> float: ...
def get_accuracy_value(Y_hat: npt.ArrayLike, Y: npt.ArrayLike) -> float: ...
def output_gradient(
    Y_hat: npt.ArrayLike, Y: npt.ArrayLike, activation: str, Z: npt.ArrayLike | None = None
) -> _Array: ...
def convert_prob_into_class(probs: npt.ArrayLike) -> Any: ...
def update(
    params: list[_Array],
    grads: list[npt.ArrayLike],
    keys: list[str],
    learning_rate: float,
    /,
) -> None: ...
def train(
    params: _Array,
    X: npt.ArrayLike,
    Y: npt.ArrayLike,
    layers: Sequence[tuple[int, int, str, bool]],
    loss: str,
    epochs: int,
    learning_rate: float,
    n_threads: int,
    cost: _Array,
    accuracy: _Array | None,
    progress: Callable[[int, float], object] | None = None,
    at_epoch: Callable[[int, float, float, _Array], object] | None = None,
    every: int = 1,
    seed: int | npt.NDArray[np.uint32] | None = None,
    scale: float = 0.0,
) -> tuple[int, bool]: ...
def minimize(
    params: _Array,
    X: npt.ArrayLike,
    Y: npt.ArrayLike,
    layers: Sequence[
        tuple[int, int, str, bool] | tuple[int, int, str, bool, str, float, float, float]
    ],
    loss: str,
    method: str = "lbfgs",
    max_iter: int = 200,
    max_evaluations: int = 15000,
    gradient_tolerance: float = 1e-05,
    decrease_tolerance: float = 2.2e-09,
    history: int = 10,
    damping: float = 0.001,
    damping_factor: float = 10.0,
    damping_most: float = 10000000000.0,
    ranges: Sequence[tuple[int, int, bool, float]] = (),
    n_threads: int = 1,
    progress: Callable[[int, float], object] | None = None,
    at_iteration: Callable[[int, float, float, _Array], object] | None = None,
    every: int = 1,
    *,
    weights: npt.ArrayLike | None = None,
    loss_parameter: float = 0.0,
) -> dict[str, Any]: ...
def layout(
    layers: Sequence[tuple[int, int, str, bool]], /
) -> tuple[list[tuple[int, int]], int]: ...
def fill_normal(block: _Array, seed: int | npt.NDArray[np.uint32], scale: float, /) -> None: ...
def fill_uniform(block: _Array, seed: int | npt.NDArray[np.uint32], /) -> None: ...
def check_activation(name: object, argument: str, /) -> None: ...
def memory_fits(n_bytes: int, /) -> bool: ...
def read_matrix(value: npt.ArrayLike, name: str, dtype: str, rows: int, cols: int, /) -> _Array: ...
def first_nonfinite(X: npt.ArrayLike, /) -> int: ...
def cpu_info() -> dict[str, Any]: ...
def select_isa(name: str, /) -> None: ...
def get_num_threads() -> int: ...
def set_num_threads(n: int, /) -> None: ...
def shutdown_threads() -> bool: ...

@final
class Engine:
    def __new__(
        cls,
        layers: Sequence[
            tuple[int, int, str, bool] | tuple[int, int, str, bool, str, float, float, float]
        ],
        loss: str,
        dtype: str,
    ) -> Engine: ...
    @property
    def params(self) -> _Array: ...
    @property
    def average(self) -> _Array | None: ...
    @property
    def steps(self) -> int: ...
    def layout(self) -> tuple[list[tuple[int, int, int]], int]: ...
    def optimizer_state(self, optimizer: str, /) -> _Array: ...
    def resume(
        self,
        optimizer: str,
        state: npt.ArrayLike,
        steps: int,
        average: npt.ArrayLike | None,
        /,
    ) -> None: ...
    def forget(self) -> None: ...
    def fit(
        self,
        X: npt.ArrayLike,
        Y: npt.ArrayLike,
        epochs: int = 1,
        batch_size: int = 32,
        optimizer: str = "sgd",
        learning_rate: float = 0.01,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        seed: int | npt.NDArray[np.uint32] | None = None,
        n_threads: int = 1,
        callback: Callable[[int, float, float], object] | None = None,
        *,
        momentum: float = 0.0,
        rho: float = 0.9,
        clip_value: float = 0.0,
        clip_norm: float = 0.0,
        average_decay: float = 0.0,
        loss_parameter: float = 0.0,
        smoothing: float = 0.0,
        x_scale: float = 0.0,
        ranges: Sequence[tuple[int, int, bool, float, float, float, float, int]] = (),
        rates: _Array | None = None,
        weights: npt.ArrayLike | None = None,
        outputs: _Array | None = None,
        dropout_seed: int = 0,
        first_epoch: int = 0,
        progress: Callable[[int, float], object] | None = None,
        custom: Callable[[_Array, _Array], tuple[float, npt.ArrayLike]] | None = None,
        before: _Array | None = None,
    ) -> tuple[_Array, _Array]: ...
    def predict(self, X: npt.ArrayLike, /, n_threads: int = 1, x_scale: float = 0.0) -> _Array: ...
    def evaluate(
        self,
        X: npt.ArrayLike,
        Y: npt.ArrayLike,
        *,
        weights: npt.ArrayLike | None = None,
        smoothing: float = 0.0,
        loss_parameter: float = 0.0,
        x_scale: float = 0.0,
        outputs: _Array | None = None,
        n_threads: int = 1,
    ) -> tuple[float, float]: ...
