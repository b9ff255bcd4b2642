"""The losses, as data: names, parameters, the outputs and labels that each is made for.

A loss is a small frozen dataclass; `resolve` makes one of a name. The losses themselves are in the
engine, which knows them by `engine_name` and one `parameter`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np

from nnc import _specs
from nnc._arguments import Array
from nnc.layers import ACTIVATIONS, OUTPUT_ONLY

# (y_true, y_pred) -> (loss, gradient by y_pred), for the rows of one batch.
Function: TypeAlias = Callable[[Array, Array], tuple[float, Array]]

# Outputs that share a probability of 1 among them, that lie between 0 and 1, that are above 0, and
# that may have either sign.
CLASSES = OUTPUT_ONLY
PROBABILITIES = ("sigmoid", "hard_sigmoid")
POSITIVE = ("exponential", "softplus")
SIGNED = (
    "identity", "tanh", "softsign", "leaky_relu", "elu", "selu", "gelu", "silu", "mish",
    "hard_swish",
)  # fmt: skip
ELEMENTWISE = tuple(name for name in ACTIVATIONS if name not in CLASSES)
BINARY = (PROBABILITIES, ("sigmoid",))  # the outputs of losses of yes or no


@_specs.frozen
class Loss(_specs.Spec):
    """The base of all losses.

    Attributes
    ----------
    activations : tuple of str
        The output activations that it is made for, the usual one first; empty where all do but
        softmax and log_softmax.
    classes : bool
        Whether labels are the numbers of classes, one per sample, instead of rows of outputs.
    parameter : float
        What the engine calls so: delta, q, gamma; 0 where there is none.
    smoothing : float
        Of the labels in training, 0 where there is none. Losses of evaluations, and so val_loss,
        are without it.
    has_accuracy : bool
        Whether labels are classes, so that there is a part of them that is right.
    """

    activations: ClassVar[tuple[str, ...]] = ()
    classes: ClassVar[bool] = False
    has_accuracy: ClassVar[bool] = False

    @property
    def engine_name(self) -> str:
        """What the engine calls it."""
        return self.kind

    @property
    def classifies(self) -> bool:
        """Whether outputs are probabilities: of classes, or of yes or no."""
        return self.activations in (CLASSES, *BINARY)

    @property
    def parameter(self) -> float:
        """The engine's parameter of the loss; 0 where it has none."""
        return 0.0

    @property
    def smoothing(self) -> float:
        """The label smoothing; 0 where there is none."""
        return 0.0


@_specs.frozen
class MeanSquaredError(Loss):
    """Mean of (y_hat - y)^2, over samples and outputs."""

    kind: ClassVar[str] = "mean_squared_error"


@_specs.frozen
class SumOfSquares(Loss):
    """Sum of (y_hat - y)^2, over samples and outputs: the loss of the tutorial's first chapter."""

    kind: ClassVar[str] = "sum_of_squares"


@_specs.frozen
class MeanAbsoluteError(Loss):
    """Mean of abs(y_hat - y), over samples and outputs."""

    kind: ClassVar[str] = "mean_absolute_error"


@_specs.frozen
class Huber(Loss):
    """Half the squared error up to delta, and linear beyond: delta * (abs(error) - delta / 2).

    Parameters
    ----------
    delta : float
        Above 0.
    """

    delta: float = 1.0
    kind: ClassVar[str] = "huber"

    def __post_init__(self) -> None:
        """Check the field."""
        self._read_number("delta", _specs.POSITIVE)

    @property
    def parameter(self) -> float:
        """The value of delta."""
        return self.delta


@_specs.frozen
class Quantile(Loss):
    """The pinball loss, which the q-th quantile makes least: max(q e, (q - 1) e), e = y - y_hat.

    Parameters
    ----------
    q : float
        Between 0 and 1; 0.5 gives half the absolute error, and so the median.
    """

    q: float = 0.5
    kind: ClassVar[str] = "quantile"

    def __post_init__(self) -> None:
        """Check the field."""
        self._read_number("q", _specs.BETWEEN_0_AND_1)

    @property
    def parameter(self) -> float:
        """The value of q."""
        return self.q


@_specs.frozen
class Poisson(Loss):
    """Mean of y_hat - y log(y_hat), for counts y and expected counts y_hat."""

    kind: ClassVar[str] = "poisson"
    activations: ClassVar[tuple[str, ...]] = POSITIVE


@_specs.frozen
class CrossEntropy(Loss):
    """The base of those whose labels may be smoothed.

    Parameters
    ----------
    label_smoothing : float
        At least 0, below 1.
    """

    label_smoothing: float = 0.0
    has_accuracy: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the field."""
        self._read_number("label_smoothing", _specs.FRACTION)

    @property
    def smoothing(self) -> float:
        """The label smoothing."""
        return self.label_smoothing


@_specs.frozen
class BinaryCrossEntropy(CrossEntropy):
    """Cross-entropy of yes-or-no outputs: mean over samples, sum over outputs.

    Parameters
    ----------
    label_smoothing : float
        At least 0, below 1: labels count as y (1 - label_smoothing) + label_smoothing / 2.
    """

    kind: ClassVar[str] = "binary_cross_entropy"
    activations: ClassVar[tuple[str, ...]] = PROBABILITIES


@_specs.frozen
class CategoricalCrossEntropy(CrossEntropy):
    """Cross-entropy of one class among several, a mean over samples.

    Labels are rows with a probability for each class.

    Parameters
    ----------
    label_smoothing : float
        At least 0, below 1: labels count as y (1 - label_smoothing) + label_smoothing / n_out.
    """

    kind: ClassVar[str] = "categorical_cross_entropy"
    activations: ClassVar[tuple[str, ...]] = CLASSES


@_specs.frozen
class SparseCategoricalCrossEntropy(CategoricalCrossEntropy):
    """`CategoricalCrossEntropy` where labels are the numbers of classes, from 0."""

    kind: ClassVar[str] = "sparse_categorical_cross_entropy"
    classes: ClassVar[bool] = True

    @property
    def engine_name(self) -> str:
        """What the engine calls it: labels say which of the two is meant."""
        return CategoricalCrossEntropy.kind


@_specs.frozen
class BinaryFocal(Loss):
    """Binary cross-entropy times (1 - p)^gamma, where p is the probability of the right answer.

    A mean over samples and outputs. Lin, Goyal, Girshick, He and Dollár, "Focal loss for dense
    object detection" (2017), without the factor alpha, which is what class weights are for.

    Parameters
    ----------
    gamma : float
        At least 0; 0 gives the binary cross-entropy over the number of outputs.
    """

    gamma: float = 2.0
    kind: ClassVar[str] = "binary_focal_cross_entropy"
    has_accuracy: ClassVar[bool] = True
    activations: ClassVar[tuple[str, ...]] = ("sigmoid",)

    def __post_init__(self) -> None:
        """Check the field."""
        self._read_number("gamma", _specs.NOT_NEGATIVE)

    @property
    def parameter(self) -> float:
        """The value of gamma."""
        return self.gamma


@_specs.frozen
class Hinge(Loss):
    """Mean of max(0, 1 - t y_hat), where t is 1 for labels above 0, else -1."""

    kind: ClassVar[str] = "hinge"
    has_accuracy: ClassVar[bool] = True
    activations: ClassVar[tuple[str, ...]] = SIGNED


@_specs.frozen
class Custom(Loss):
    """A function in Python.

    Parameters
    ----------
    function : callable
        (y_true, y_pred) -> (loss, gradient): rows are samples; the loss of the batch is a number,
        the gradient its derivative by y_pred, of the same shape.
    """

    function: Function
    kind: ClassVar[str] = "custom"

    def __post_init__(self) -> None:
        """Check the field."""
        if not callable(self.function):
            raise TypeError(
                f"{self._where('function')}: expected a callable, got {self.function!r}"
            )

    @property
    def engine_name(self) -> str:
        """What the engine is told: the loss whose place the function takes."""
        return SumOfSquares.kind

    def of(self, Y: Array, y_hat: Array) -> float:
        """Return the loss of all samples, whose outputs the function may change."""
        loss, _ = self.on(Y)(np.arange(len(Y)), y_hat)
        return loss

    def on(self, Y: Array) -> Callable[[Array, Array], tuple[float, Array]]:
        """Return what the engine calls: the same function of places in Y, and of outputs."""

        def judge(samples: Array, y_hat: Array) -> tuple[float, Array]:
            answer = self.function(Y[samples], y_hat)
            if not isinstance(answer, tuple) or len(answer) != 2:
                raise TypeError(
                    "loss: expected the function to return (loss, gradient), got "
                    f"{type(answer).__name__}"
                )
            return float(answer[0]), answer[1]

        return judge


KINDS: dict[str, type[Loss]] = {
    cls.kind: cls
    for cls in (
        MeanSquaredError, SumOfSquares, MeanAbsoluteError, Huber, Quantile, Poisson,
        BinaryCrossEntropy, CategoricalCrossEntropy, SparseCategoricalCrossEntropy, BinaryFocal,
        Hinge,
    )
}  # fmt: skip

# Short names, and Keras' spellings.
ALIASES = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "pinball": "quantile",
    "bce": "binary_cross_entropy",
    "binary_crossentropy": "binary_cross_entropy",
    "categorical_crossentropy": "categorical_cross_entropy",
    "sparse_categorical_crossentropy": "sparse_categorical_cross_entropy",
    "binary_focal": "binary_focal_cross_entropy",
    "binary_focal_crossentropy": "binary_focal_cross_entropy",
}
NAMES: dict[str, type[Loss]] = KINDS | {alias: KINDS[kind] for alias, kind in ALIASES.items()}


def resolve(loss: Any) -> Loss:
    """Return the loss that a name, an instance or a function means.

    Parameters
    ----------
    loss : str, Loss or callable
        A name or alias such as "mse" or "binary_crossentropy"; an instance such as
        ``Huber(0.5)``; or a function (y_true, y_pred) -> (loss, gradient).

    Returns
    -------
    Loss
        An instance.

    Raises
    ------
    ValueError, TypeError
        For an unknown name, with the known ones; for anything else.
    """
    found = _specs.resolve("loss", loss, Loss, NAMES)
    if found is not None:
        return found
    if callable(loss) and not isinstance(loss, type):
        return Custom(loss)
    _specs.refuse_name("loss", loss, NAMES)


def suits(loss: Loss, output_activation: str, n_out: int) -> str | None:
    """Return what is wrong with a loss for such outputs and the remedy, or None.

    Parameters
    ----------
    loss : Loss
        What `resolve` returned.
    output_activation : str
        The activation of the last Dense layer.
    n_out : int
        Its units.

    Returns
    -------
    str or None
        A message for a ValueError; None where loss and outputs fit.
    """
    if loss.activations == CLASSES and n_out == 1:
        return (
            f"loss: {loss.kind} needs one unit for each of at least two classes, got one in all; "
            'end with Dense(2, "softmax"), or with Dense(1, "sigmoid") and the loss '
            '"binary_cross_entropy"'
        )
    if output_activation in (loss.activations or ELEMENTWISE):
        return None
    wanted = loss.activations[0] if loss.activations else "identity"
    remedy = f'end with Dense({n_out}, "{wanted}")'
    if output_activation not in CLASSES or n_out > 1:
        remedy += f', or use the loss "{default_loss(output_activation, n_out).kind}"'
    fitting = f"the output activation {' or '.join(loss.activations[:2])}"
    if not loss.activations:
        fitting = "an elementwise output activation"
    return f"loss: {loss.kind} needs {fitting}, got {output_activation}; {remedy}"


def default_loss(output_activation: str, n_out: int) -> Loss:
    """Return the loss for a network whose user names none.

    Parameters
    ----------
    output_activation : str
        The activation of the last Dense layer.
    n_out : int
        Its units.

    Returns
    -------
    Loss
        The categorical cross-entropy after softmax and log_softmax, the binary one after sigmoid
        and hard_sigmoid, else the mean squared error.

    Raises
    ------
    ValueError
        For softmax over one unit, which is 1 whatever its input, so that no loss fits.
    """
    loss: Loss = MeanSquaredError()
    if output_activation in CLASSES:
        loss = CategoricalCrossEntropy()
    elif output_activation in PROBABILITIES:
        loss = BinaryCrossEntropy()
    problem = suits(loss, output_activation, n_out)
    if problem:
        raise ValueError(problem)
    return loss


def to_config(loss: Loss) -> dict[str, Any]:
    """Return a loss as a dict of JSON values; a function is refused, as it is not data."""
    return _specs.to_config(loss)


def from_config(config: Mapping[str, Any]) -> Loss:
    """Return the loss of a dict that `to_config` made; surplus keys are refused."""
    return _specs.from_config("loss", config, KINDS)
