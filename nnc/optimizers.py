"""The optimizers, as data: their options, with defaults of Keras where not said otherwise.

An optimizer is a small frozen dataclass; `resolve` makes one of a name. The steps themselves are
in the engine, which knows them by `engine_name` and the numbers of `numbers()`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, fields
from typing import Any, ClassVar, TypeAlias

from nnc import _specs, schedules

# A number, or what gives one for each epoch: a schedule, or any function of the epoch.
Rate: TypeAlias = float | Callable[..., Any]


@_specs.frozen
class Optimizer(_specs.Spec):
    """The base of all optimizers.

    Attributes
    ----------
    engine_name : str
        What the engine calls it.
    full_batch : bool
        Whether a step needs all samples.
    """

    full_batch: ClassVar[bool] = False

    @property
    def engine_name(self) -> str:
        """What the engine calls it."""
        return self.kind

    def numbers(self) -> dict[str, float]:
        """Return the engine's numbers that this optimizer knows, by the engine's names."""
        known = {"momentum", "beta_1", "beta_2", "rho", "epsilon"}
        return {
            field.name: getattr(self, field.name) for field in fields(self) if field.name in known
        }


@_specs.frozen
class Gradient(Optimizer):
    """The base of those that step along gradients of batches.

    Parameters
    ----------
    learning_rate : float or callable
        Above 0; or a schedule, or a function of the epoch.
    weight_decay : float
        All parameters shrink by learning_rate * weight_decay of themselves in each step:
        decoupled, as in AdamW and all of Keras' optimizers. PyTorch's SGD and Adam add
        weight_decay * W to the gradient instead, which is the l2 of `nnc.layers.Dense`.
    clip_value : float
        Elements of the gradient are cut to plus or minus this; 0 for none.
    clip_norm : float
        Where the norm of the whole gradient is greater, it is scaled down to this; 0 for none.
    ema_decay : float
        Where not 0, an average of the parameters is kept beside them, of which each step keeps
        this part: `Network.average` copies it, `Network.use_average` takes it over.
    """

    learning_rate: Rate = 0.01
    _: KW_ONLY
    weight_decay: float = 0.0
    clip_value: float = 0.0
    clip_norm: float = 0.0
    ema_decay: float = 0.0

    def __post_init__(self) -> None:
        """Check the fields."""
        if not callable(self.learning_rate):
            self._read_number("learning_rate", _specs.POSITIVE)
        for name in ("weight_decay", "clip_value", "clip_norm"):
            self._read_number(name, _specs.NOT_NEGATIVE)
        for name in ("momentum", "beta_1", "beta_2", "rho", "ema_decay"):
            if hasattr(self, name):
                self._read_number(name, _specs.FRACTION)
        if hasattr(self, "epsilon"):
            self._read_number("epsilon", _specs.POSITIVE)


@_specs.frozen
class SGD(Gradient):
    """Gradient descent, with momentum where asked: v = momentum v + g, p -= learning_rate v.

    So does PyTorch. Keras keeps learning_rate v instead, which is the same as long as the learning
    rate is.

    Parameters
    ----------
    learning_rate : float or callable
        Above 0; or a schedule, or a function of the epoch.
    momentum : float
        At least 0, below 1.
    nesterov : bool
        Nesterov's momentum: p -= learning_rate (g + momentum v), with the new v.
    weight_decay, clip_value, clip_norm, ema_decay : float
        As in `Gradient`.

    Examples
    --------
    >>> from nnc import Network, SGD
    >>> network = Network.from_sizes(2, 8, 1, optimizer=SGD(0.1, momentum=0.9, nesterov=True))
    >>> history = network.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0], epochs=20)
    >>> history["loss"][-1] < history["loss"][0]
    True
    """

    learning_rate: Rate = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    kind: ClassVar[str] = "sgd"

    def __post_init__(self) -> None:
        """Check the fields."""
        super().__post_init__()
        self._read_flag("nesterov")
        if self.nesterov and not self.momentum:
            raise ValueError(
                f"{self._where('nesterov')}: needs a momentum; set momentum=0.9, or nesterov=False"
            )

    @property
    def engine_name(self) -> str:
        """What the engine calls it: one name for each of three steps."""
        if self.nesterov:
            return "nesterov"
        return "momentum" if self.momentum else "sgd"


@_specs.frozen
class Adagrad(Gradient):
    """Duchi, Hazan and Singer (2011): each step divided by the root of the sum of g^2 so far.

    The sum starts at 0, as in PyTorch, whose defaults these are. Keras starts it at 0.1.

    Parameters
    ----------
    learning_rate : float or callable
        Above 0; or a schedule, or a function of the epoch.
    epsilon : float
        Above 0, added to the root.
    weight_decay, clip_value, clip_norm, ema_decay : float
        As in `Gradient`.

    Examples
    --------
    >>> from nnc import Network, Adagrad
    >>> network = Network.from_sizes(2, 8, 1, optimizer=Adagrad(0.1))
    >>> history = network.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0], epochs=20)
    >>> history["loss"][-1] < history["loss"][0]
    True
    """

    learning_rate: Rate = 0.01
    epsilon: float = 1e-10
    kind: ClassVar[str] = "adagrad"


@_specs.frozen
class RMSprop(Gradient):
    """Tieleman and Hinton (2012): each step divided by the root of a running mean of g^2.

    Parameters
    ----------
    learning_rate : float or callable
        Above 0; or a schedule, or a function of the epoch.
    rho : float
        The part of the mean that a step keeps.
    momentum : float
        At least 0, below 1.
    epsilon : float
        Above 0, added to the root as in PyTorch, whose default is 1e-8; 1e-7 is that of Keras,
        where it is added under the root.
    weight_decay, clip_value, clip_norm, ema_decay : float
        As in `Gradient`.

    Examples
    --------
    >>> from nnc import Network, RMSprop
    >>> network = Network.from_sizes(2, 8, 1, optimizer=RMSprop(0.01, momentum=0.9))
    >>> history = network.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0], epochs=20)
    >>> history["loss"][-1] < history["loss"][0]
    True
    """

    learning_rate: Rate = 0.001
    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7
    kind: ClassVar[str] = "rmsprop"


@_specs.frozen
class Adam(Gradient):
    """Kingma and Ba, "Adam: a method for stochastic optimization" (2015), algorithm 1.

    Parameters
    ----------
    learning_rate : float or callable
        Above 0; or a schedule, or a function of the epoch.
    beta_1, beta_2 : float
        The parts of the running means of g and g^2 that a step keeps.
    epsilon : float
        Above 0, added to the root of the corrected mean of g^2, as in the paper and in PyTorch.
        1e-7 is Keras' default, where it is added before the correction; the paper's and PyTorch's
        is 1e-8.
    amsgrad : bool
        Whether the mean of g^2 counts as the greatest that it has been (Reddi, Kale and Kumar,
        2018).
    weight_decay, clip_value, clip_norm, ema_decay : float
        As in `Gradient`.

    Examples
    --------
    >>> from nnc import Network, Adam
    >>> network = Network.from_sizes(2, 8, 1, optimizer=Adam(0.01, clip_norm=1))
    >>> history = network.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0], epochs=20)
    >>> history["loss"][-1] < history["loss"][0]
    True
    """

    learning_rate: Rate = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    amsgrad: bool = False
    kind: ClassVar[str] = "adam"

    def __post_init__(self) -> None:
        """Check the fields."""
        super().__post_init__()
        self._read_flag("amsgrad")

    @property
    def engine_name(self) -> str:
        """What the engine calls it."""
        return "amsgrad" if self.amsgrad else "adam"


@_specs.frozen
class AdamW(Adam):
    """`Adam` with a weight decay of its own, Keras' default (PyTorch's is 0.01).

    Loshchilov and Hutter, "Decoupled weight decay regularization" (2019).

    Parameters
    ----------
    learning_rate : float or callable
        Above 0; or a schedule, or a function of the epoch.
    beta_1, beta_2, epsilon, amsgrad : optional
        As in `Adam`.
    weight_decay : float
        All parameters shrink by learning_rate * weight_decay of themselves in each step.
    clip_value, clip_norm, ema_decay : float
        As in `Gradient`.

    Examples
    --------
    >>> from nnc import Network, AdamW
    >>> network = Network.from_sizes(2, 8, 1, optimizer=AdamW(0.01, weight_decay=0.01))
    >>> history = network.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0], epochs=20)
    >>> history["loss"][-1] < history["loss"][0]
    True
    """

    _: KW_ONLY
    weight_decay: float = 0.004
    kind: ClassVar[str] = "adamw"


@_specs.frozen
class NAdam(Gradient):
    """Dozat, "Incorporating Nesterov momentum into Adam" (2016).

    Parameters
    ----------
    learning_rate : float or callable
        Above 0; or a schedule, or a function of the epoch.
    beta_1, beta_2 : float
        The parts of the running means of g and g^2 that a step keeps.
    epsilon : float
        Above 0; 1e-7 is Keras' default, PyTorch's is 1e-8.
    weight_decay, clip_value, clip_norm, ema_decay : float
        As in `Gradient`.

    Examples
    --------
    >>> from nnc import Network, NAdam
    >>> network = Network.from_sizes(2, 8, 1, optimizer=NAdam(0.01))
    >>> history = network.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0], epochs=20)
    >>> history["loss"][-1] < history["loss"][0]
    True
    """

    learning_rate: Rate = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    kind: ClassVar[str] = "nadam"


@_specs.frozen
class Lion(Gradient):
    """Chen et al., "Symbolic discovery of optimization algorithms" (2023): steps of one length.

    Parameters
    ----------
    learning_rate : float or callable
        Above 0; or a schedule, or a function of the epoch. The paper advises 3 to 10 times less
        than for Adam, and as many times more weight decay.
    beta_1, beta_2 : float
        The parts of the running mean of g that the direction and the mean keep.
    weight_decay, clip_value, clip_norm, ema_decay : float
        As in `Gradient`.

    Examples
    --------
    >>> from nnc import Network, Lion
    >>> network = Network.from_sizes(2, 8, 1, optimizer=Lion(0.003))
    >>> history = network.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0], epochs=20)
    >>> history["loss"][-1] < history["loss"][0]
    True
    """

    learning_rate: Rate = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.99
    kind: ClassVar[str] = "lion"


@_specs.frozen
class Rprop(Gradient):
    """Each parameter has a step of its own, led by the signs of gradients alone: iRprop-.

    A step grows by 1.2 while the sign stays, up to 50; where the sign turns, it halves, down to
    1e-6, and waits once. The numbers are those of PyTorch. For full batches, whose signs mean
    something. Igel and Hüsken, "Improving the Rprop learning algorithm" (2000).

    Parameters
    ----------
    learning_rate : float or callable
        The first step.
    weight_decay, clip_value, clip_norm, ema_decay : float
        As in `Gradient`.

    Examples
    --------
    >>> from nnc import Network, Rprop
    >>> network = Network.from_sizes(2, 8, 1, optimizer=Rprop())
    >>> history = network.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0], epochs=20)
    >>> history["loss"][-1] < history["loss"][0]
    True
    """

    learning_rate: Rate = 0.01
    kind: ClassVar[str] = "rprop"
    full_batch: ClassVar[bool] = True


@_specs.frozen
class Minimizer(Optimizer):
    """The base of those that minimize the loss of all samples, with no learning rate.

    Parameters
    ----------
    max_iter, max_evaluations : int
        Iterations, and evaluations of the loss, at most.
    gradient_tolerance : float
        It stops where no element of the gradient is greater.
    decrease_tolerance : float
        It stops where a step lowers the loss by at most this part of it; 0: never.
    """

    full_batch: ClassVar[bool] = True

    max_iter: int = 200
    _: KW_ONLY
    max_evaluations: int = 15_000
    gradient_tolerance: float = 1e-5
    decrease_tolerance: float = 2.2e-9

    def __post_init__(self) -> None:
        """Check the fields."""
        self._read_index("max_iter", 0)
        self._read_index("max_evaluations", 1)
        self._read_number("gradient_tolerance", _specs.NOT_NEGATIVE)
        self._read_number("decrease_tolerance", _specs.NOT_NEGATIVE)

    def numbers(self) -> dict[str, float]:
        """Return the engine's numbers that all minimizers know, by the engine's names."""
        return {
            "max_iter": self.max_iter,
            "max_evaluations": self.max_evaluations,
            "gradient_tolerance": self.gradient_tolerance,
            "decrease_tolerance": self.decrease_tolerance,
        }


@_specs.frozen
class LBFGS(Minimizer):
    """Limited-memory BFGS with a line search, for full batches of small problems.

    Nocedal and Wright, "Numerical optimization" (2006), algorithms 7.4 and 7.5. Limits and
    tolerances are those of SciPy and scikit-learn.

    Parameters
    ----------
    max_iter, max_evaluations : int
        Iterations, and evaluations of the loss, at most.
    history : int
        The pairs of steps and changes of the gradient that it remembers.
    gradient_tolerance : float
        It stops where no element of the gradient is greater.
    decrease_tolerance : float
        It stops where a step lowers the loss by at most this part of it; 0: never.

    Examples
    --------
    >>> from nnc import LBFGS, Network
    >>> network = Network.from_sizes(2, 8, 1, activation="tanh", optimizer=LBFGS(), seed=0)
    >>> history = network.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0], epochs=100)
    >>> history["loss"][-1] < 1e-6
    True
    """

    max_iter: int = 200
    history: int = 10
    kind: ClassVar[str] = "lbfgs"

    def __post_init__(self) -> None:
        """Check the fields."""
        super().__post_init__()
        self._read_index("history", 1)

    def numbers(self) -> dict[str, float]:
        """Return the engine's numbers that this optimizer knows, by the engine's names."""
        return super().numbers() | {"history": self.history}


@_specs.frozen
class LevenbergMarquardt(Minimizer):
    """Damped Gauss-Newton steps, for squared errors on full batches of very small networks.

    Hagan and Menhaj, "Training feedforward networks with the Marquardt algorithm" (1994).

    Parameters
    ----------
    max_iter, max_evaluations : int
        Iterations, and evaluations of the loss, at most.
    mu : float
        The damping at the start.
    mu_factor : float
        The damping is divided by this after a step that lowers the loss, and multiplied after one
        that does not, which is taken back.
    mu_max : float
        It stops where the damping is greater.
    gradient_tolerance : float
        It stops where no element of the gradient is greater.
    decrease_tolerance : float
        It stops where a step lowers the loss by at most this part of it; 0: never.

    Examples
    --------
    >>> from nnc import LevenbergMarquardt, Network
    >>> optimizer = LevenbergMarquardt()
    >>> network = Network.from_sizes(2, 8, 1, activation="tanh", optimizer=optimizer, seed=0)
    >>> history = network.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0], epochs=100)
    >>> history["loss"][-1] < 1e-6
    True
    """

    max_iter: int = 200
    mu: float = 1e-3
    _: KW_ONLY
    mu_factor: float = 10.0
    mu_max: float = 1e10
    kind: ClassVar[str] = "levenberg_marquardt"

    def __post_init__(self) -> None:
        """Check the fields."""
        super().__post_init__()
        self._read_number("mu", _specs.POSITIVE)
        self._read_number("mu_factor", _specs.Limits(1.0, open_low=True))
        self._read_number("mu_max", _specs.Limits(self.mu, 1e300))

    def numbers(self) -> dict[str, float]:
        """Return the engine's numbers that this optimizer knows, by the engine's names."""
        return super().numbers() | {
            "damping": self.mu,
            "damping_factor": self.mu_factor,
            "damping_most": self.mu_max,
        }


KINDS: dict[str, type[Optimizer]] = {
    cls.kind: cls
    for cls in (
        SGD, Adagrad, RMSprop, Adam, AdamW, NAdam, Lion, Rprop, LBFGS, LevenbergMarquardt,
    )
}  # fmt: skip
ALIASES = {"l_bfgs": "lbfgs", "lm": "levenberg_marquardt"}
NAMES: dict[str, type[Optimizer]] = KINDS | {a: KINDS[kind] for a, kind in ALIASES.items()}


def resolve(optimizer: object) -> Optimizer:
    """Return the optimizer that a name or an instance means.

    Parameters
    ----------
    optimizer : str or Optimizer
        A name such as "adam", with its defaults; or an instance such as ``SGD(0.1, 0.9)``.

    Returns
    -------
    Optimizer
        An instance.

    Raises
    ------
    ValueError, TypeError
        For an unknown name, with the known ones; for anything else.
    """
    found = _specs.resolve("optimizer", optimizer, Optimizer, NAMES)
    if found is None:
        _specs.refuse_name("optimizer", optimizer, NAMES)
    return found


def to_config(optimizer: Optimizer) -> dict[str, Any]:
    """Return an optimizer as a dict of JSON values.

    Raises
    ------
    TypeError
        Where its learning rate is a function, which is not data. The schedules of
        `nnc.schedules` are.
    """
    return _specs.to_config(optimizer)


def from_config(config: Mapping[str, Any]) -> Optimizer:
    """Return the optimizer of a dict that `to_config` made; surplus keys are refused."""
    nested = dict.fromkeys(("learning_rate", "schedule"), schedules.KINDS)
    return _specs.from_config("optimizer", config, KINDS, nested)
