"""Initial values of weights and biases, from a NumPy generator, a RandomState or a seed.

An int means ``numpy.random.default_rng(int)``. The tutorial's numbers need its own generator:
``numpy.random.RandomState(seed)`` with the initializer "tutorial" for weights and biases gives bit
for bit what `nnc.init_layers` draws.

Numbers are drawn as float64 and rounded to the dtype of the parameters, so a float32 network starts
from the float64 one's numbers. Distributions and variances are those of Keras, the streams are
NumPy's: the same seed gives other numbers than there.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from nnc import _specs
from nnc._arguments import Array, read_seed

if TYPE_CHECKING:  # numpy.random is slow to import, and not needed before the first numbers
    _Random: TypeAlias = np.random.Generator | np.random.RandomState

# The standard deviation of a standard normal number that is drawn again while beyond 2: with
# phi and Phi the density and the distribution function, sqrt(1 - 4 phi(2) / (2 Phi(2) - 1)).
TRUNCATED_STD = math.sqrt(
    1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2))
)  # fmt: skip


def read_random(seed: Any, name: str = "seed") -> _Random:
    """Return a Generator or RandomState as it is, and a new Generator for anything else.

    Parameters
    ----------
    seed : int, array_like of int, Generator, RandomState or None
        None draws fresh entropy.
    name : str, optional
        What error messages call it.

    Returns
    -------
    numpy.random.Generator or numpy.random.RandomState
        For an int, ``numpy.random.default_rng(int)``.

    Raises
    ------
    TypeError, ValueError
        For anything else, and for negative numbers.
    """
    if isinstance(seed, np.random.Generator | np.random.RandomState):
        return seed
    if seed is None:
        return np.random.default_rng()
    if not isinstance(seed, bool | str | bytes):
        try:
            number = operator.index(seed)
        except TypeError:
            if isinstance(seed, np.ndarray | list | tuple):
                return np.random.default_rng(read_seed(seed))
        else:
            if number < 0:
                raise ValueError(f"{name}: expected at least 0, got {number}")
            return np.random.default_rng(number)
    raise TypeError(
        f"{name}: expected an integer, a NumPy Generator or RandomState, or None, got {seed!r}"
    )


@_specs.frozen
class Initializer(_specs.Spec):
    """The base of all initializers.

    Attributes
    ----------
    needs_fans : bool
        Whether it depends on the numbers of inputs and outputs, and so fits weights only.
    """

    needs_fans: ClassVar[bool] = False

    def draw(self, random: _Random, shape: tuple[int, int]) -> Array:
        """Return float64 values of that shape, (n_out, n_in) for weights, (n_out, 1) for biases."""
        raise NotImplementedError


@_specs.frozen
class Zeros(Initializer):
    """All 0, Keras' default for biases."""

    kind: ClassVar[str] = "zeros"

    def draw(self, random: _Random, shape: tuple[int, int]) -> Array:
        """Return zeros; nothing is drawn."""
        return np.zeros(shape)


@_specs.frozen
class Ones(Initializer):
    """All 1."""

    kind: ClassVar[str] = "ones"

    def draw(self, random: _Random, shape: tuple[int, int]) -> Array:
        """Return ones; nothing is drawn."""
        return np.ones(shape)


@_specs.frozen
class Normal(Initializer):
    """Normal numbers around 0: stddev * standard_normal, Keras' RandomNormal."""

    stddev: float = 0.05
    kind: ClassVar[str] = "normal"

    def __post_init__(self) -> None:
        """Check the field."""
        self._read_number("stddev", _specs.NOT_NEGATIVE)

    def draw(self, random: _Random, shape: tuple[int, int]) -> Array:
        """Return numbers in row-major order."""
        return self.stddev * random.standard_normal(shape)


@_specs.frozen
class Tutorial(Normal):
    """The tutorial's start for weights and biases: 0.1 * randn."""

    stddev: float = 0.1
    kind: ClassVar[str] = "tutorial"


@_specs.frozen
class Uniform(Initializer):
    """Uniform numbers between -limit and limit, Keras' RandomUniform."""

    limit: float = 0.05
    kind: ClassVar[str] = "uniform"

    def __post_init__(self) -> None:
        """Check the field."""
        self._read_number("limit", _specs.NOT_NEGATIVE)

    def draw(self, random: _Random, shape: tuple[int, int]) -> Array:
        """Return numbers in row-major order."""
        return random.uniform(-self.limit, self.limit, shape)


@_specs.frozen
class VarianceScaling(Initializer):
    """Numbers whose variance is scale / fan: what Glorot, He and LeCun have in common.

    The normal ones are truncated as Keras' are: a number beyond two standard deviations is drawn
    again, and the rest is widened so that the variance is scale / fan. PyTorch's are not truncated.

    Attributes
    ----------
    scale : float
        The variance times fan.
    fan : str
        "in" or "average": the number of inputs, or its mean with that of the outputs.
    uniform : bool
        Whether numbers are uniform, between -sqrt(3 scale / fan) and its opposite.
    """

    needs_fans: ClassVar[bool] = True
    scale: ClassVar[float]
    fan: ClassVar[str]
    uniform: ClassVar[bool]

    def draw(self, random: _Random, shape: tuple[int, int]) -> Array:
        """Return numbers in row-major order."""
        n_out, n_in = shape
        fan = n_in if self.fan == "in" else (n_in + n_out) / 2
        if self.uniform:
            limit = math.sqrt(3 * self.scale / fan)
            return random.uniform(-limit, limit, shape)
        return math.sqrt(self.scale / fan) / TRUNCATED_STD * _truncated_normal(random, shape)


def _truncated_normal(random: _Random, shape: tuple[int, int]) -> Array:
    """Return standard normal numbers; those beyond 2 are drawn again, all at once."""
    values: Array = random.standard_normal(shape).ravel()
    (beyond,) = np.nonzero(np.abs(values) > 2)
    while beyond.size:
        values[beyond] = random.standard_normal(beyond.size)
        beyond = beyond[np.abs(values[beyond]) > 2]
    return values.reshape(shape)


@_specs.frozen
class GlorotUniform(VarianceScaling):
    """Uniform, limit sqrt(6 / (n_in + n_out)): Keras' default for weights."""

    kind: ClassVar[str] = "glorot_uniform"
    scale, fan, uniform = 1.0, "average", True


@_specs.frozen
class GlorotNormal(VarianceScaling):
    """Truncated normal, standard deviation sqrt(2 / (n_in + n_out))."""

    kind: ClassVar[str] = "glorot_normal"
    scale, fan, uniform = 1.0, "average", False


@_specs.frozen
class HeUniform(VarianceScaling):
    """Uniform, limit sqrt(6 / n_in): for relu and its kin."""

    kind: ClassVar[str] = "he_uniform"
    scale, fan, uniform = 2.0, "in", True


@_specs.frozen
class HeNormal(VarianceScaling):
    """Truncated normal, standard deviation sqrt(2 / n_in): for relu and its kin."""

    kind: ClassVar[str] = "he_normal"
    scale, fan, uniform = 2.0, "in", False


@_specs.frozen
class LecunUniform(VarianceScaling):
    """Uniform, limit sqrt(3 / n_in)."""

    kind: ClassVar[str] = "lecun_uniform"
    scale, fan, uniform = 1.0, "in", True


@_specs.frozen
class LecunNormal(VarianceScaling):
    """Truncated normal, standard deviation sqrt(1 / n_in): for selu."""

    kind: ClassVar[str] = "lecun_normal"
    scale, fan, uniform = 1.0, "in", False


@_specs.frozen
class Orthogonal(Initializer):
    """gain times a matrix whose rows, or columns where they are fewer, are orthonormal.

    Uniform among all such matrices: Q of a normal matrix, with the signs that make the diagonal of
    R positive (Saxe, McClelland and Ganguli, 2013; Mezzadri, 2007). LAPACK computes it, so that the
    last bits may differ between builds of NumPy.
    """

    gain: float = 1.0
    kind: ClassVar[str] = "orthogonal"
    needs_fans: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the field."""
        self._read_number("gain", _specs.ANY)

    def draw(self, random: _Random, shape: tuple[int, int]) -> Array:
        """Return the matrix."""
        q, r = np.linalg.qr(random.standard_normal((max(shape), min(shape))))
        q = self.gain * (q * np.where(np.diag(r) < 0, -1.0, 1.0))
        return q if q.shape == shape else np.ascontiguousarray(q.T)


KINDS: dict[str, type[Initializer]] = {
    cls.kind: cls
    for cls in (
        Tutorial, Zeros, Ones, Normal, Uniform, GlorotUniform, GlorotNormal, HeUniform, HeNormal,
        LecunUniform, LecunNormal, Orthogonal,
    )
}  # fmt: skip

# Keras' names.
ALIASES = {"random_normal": "normal", "random_uniform": "uniform"}
NAMES: dict[str, type[Initializer]] = KINDS | {a: KINDS[kind] for a, kind in ALIASES.items()}


def resolve(initializer: object, name: str = "initializer") -> Initializer:
    """Return the initializer that a name or an instance means.

    Parameters
    ----------
    initializer : str or Initializer
        A name such as "he_normal", or an instance such as ``Normal(0.01)``.
    name : str, optional
        What error messages call it.

    Returns
    -------
    Initializer
        An instance.

    Raises
    ------
    ValueError, TypeError
        For an unknown name, with the known ones; for anything else.
    """
    found = _specs.resolve(name, initializer, Initializer, NAMES)
    if found is None:
        _specs.refuse_name(name, initializer, NAMES)
    return found


def resolve_bias(initializer: object, name: str = "bias_initializer") -> Initializer:
    """Return what `resolve` returns, unless it needs a number of inputs, which biases have not."""
    found = resolve(initializer, name)
    if found.needs_fans:
        fits = ", ".join(sorted(kind for kind, cls in KINDS.items() if not cls.needs_fans))
        raise ValueError(
            f"{name}: {found.kind} depends on a number of inputs, which biases have not; "
            f"use one of {fits}"
        )
    return found


def to_config(initializer: Initializer) -> dict[str, Any]:
    """Return an initializer as a dict of JSON values."""
    return _specs.to_config(initializer)


def from_config(config: Mapping[str, Any]) -> Initializer:
    """Return the initializer of a dict that `to_config` made; surplus keys are refused."""
    return _specs.from_config("initializer", config, KINDS)
