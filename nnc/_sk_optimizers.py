"""The steps of the estimators' stochastic solvers: scikit-learn's sgd and adam, and nnc's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nnc import _core, optimizers
from nnc._arguments import Array
from nnc._rates import Rates

# So many steps the engine's adam is told it has done: its own corrections of the means are 1 then,
# and the rates hold scikit-learn's, which has epsilon where the correction is outside.
LATE = 1 << 62

# So many of adam's rates are computed at a time.
RATES = 1024

LEAST_RATE = np.finfo(np.float64).tiny


@dataclass
class Optimizer:
    """The base: what an optimizer remembers between the engine's calls.

    Attributes
    ----------
    steps : int
        So many have been done.
    state : numpy.ndarray or None
        What the engine remembers, a multiple of the parameters; None for zeros.
    """

    steps: int = field(init=False, default=0)
    state: Array | None = field(init=False, default=None)

    @property
    def engine_name(self) -> str:
        """What the engine calls it."""
        raise NotImplementedError

    @property
    def keeps_its_rate(self) -> bool:
        """Whether nothing that happens in an epoch changes the rates of later ones."""
        return True

    @property
    def full_batch(self) -> bool:
        """Whether a step needs all samples."""
        return False

    def decay(self, slope: float) -> float:
        """Return the engine's weight decay; slope as for `numbers`."""
        return 0.0

    def begin(self, epochs: int, n_steps: int) -> None:
        """Prepare for at most so many epochs of so many steps."""

    def go_on_from(self, other: Optimizer) -> None:
        """Take over the state of another one of the same kind."""
        if other.engine_name != self.engine_name:
            raise ValueError(
                f"warm_start: 'resume' needs the optimizer of the fit before, {other.engine_name}, "
                f"got {self.engine_name}; pass warm_start=True to begin with a new one"
            )
        self.steps, self.state = other.steps, other.state

    def install(self, engine: _core.Engine) -> None:
        """Let an engine go on with this state."""
        if self.state is not None:
            engine.resume(self.engine_name, self.state, self.steps, None)

    def take_out(self, engine: _core.Engine) -> None:
        """Keep the state of an engine."""
        self.state = engine.optimizer_state(self.engine_name)

    def numbers(
        self, n_steps: int, slope: float, epochs: int = 1, first_step: int = 0
    ) -> dict[str, Any]:
        """Return the engine's numbers for epochs of so many steps, or for some of an epoch.

        slope: the engine's gradients are so many times scikit-learn's. first_step: of the epoch.
        """
        raise NotImplementedError

    def end_epoch(self, samples: int, engine: _core.Engine) -> None:
        """Be told that an epoch has ended; samples: all that have been seen."""

    def divides(self, message: str, verbose: Any, engine: _core.Engine) -> bool:
        """Say what happens where nothing improves; lower the rate, or return False to stop."""
        _say(verbose, message + " Stopping.")
        return False


def _say(verbose: Any, message: str) -> None:
    if verbose:
        print(message)


# ---------------------------------------------------------------------- those of scikit-learn


@dataclass
class ScikitOptimizer(Optimizer):
    """scikit-learn's sgd or adam, as it was when the training began.

    Attributes
    ----------
    learning_rate : float
        That of the next epoch, of sgd.
    state_rate : float
        Of sgd: velocities are -state_rate times the engine's.
    """

    solver: str
    learning_rate_init: float
    schedule: str
    power_t: float
    momentum: float
    nesterov: bool
    beta_1: float
    beta_2: float
    epsilon: float
    clip_value: float = 0.0
    clip_norm: float = 0.0
    learning_rate: float = field(init=False)
    state_rate: float = field(init=False)
    _rates: Array | None = field(init=False, default=None)  # of adam, from step _rates_start on
    _rates_start: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        """Begin with the initial rate."""
        self.learning_rate = self.state_rate = float(self.learning_rate_init)

    @property
    def engine_name(self) -> str:
        """What the engine calls it."""
        if self.solver == "adam":
            return "adam"
        if not self.momentum:
            return "sgd"
        return "nesterov" if self.nesterov else "momentum"

    @property
    def keeps_its_rate(self) -> bool:
        """Whether nothing that happens changes the rate."""
        return self.solver == "adam" or self.schedule == "constant"

    def go_on_from(self, other: Optimizer) -> None:
        """Take over the state of another one, and its rate where the first one is the same."""
        super().go_on_from(other)
        if isinstance(other, ScikitOptimizer):
            self.state_rate = other.state_rate
            if other.learning_rate_init == self.learning_rate_init:
                self.learning_rate = other.learning_rate

    def install(self, engine: _core.Engine) -> None:
        """Let an engine go on with this state, at this rate."""
        name = self.engine_name
        state = self.state
        if state is None:
            state = np.zeros_like(engine.optimizer_state(name))
        if name in ("momentum", "nesterov"):
            state = state * (self.state_rate / self.learning_rate)
            self.state_rate = self.learning_rate
        self.state = state
        engine.resume(name, state, LATE + self.steps, None)

    def take_out(self, engine: _core.Engine) -> None:
        """Keep the state of an engine."""
        super().take_out(engine)
        self._rates = None  # may be large, and is computed again

    def numbers(
        self, n_steps: int, slope: float, epochs: int = 1, first_step: int = 0
    ) -> dict[str, Any]:
        """Return the engine's numbers."""
        options: dict[str, Any] = {
            "optimizer": self.engine_name,
            "clip_value": self.clip_value * slope,
            "clip_norm": self.clip_norm * slope,
        }
        if self.solver == "sgd":
            # a momentum of 1 is legal in scikit-learn only
            options["momentum"] = min(self.momentum, float(np.nextafter(1, 0)))
            options["learning_rate"] = max(self.learning_rate / slope, LEAST_RATE)
            return options
        options["rates"] = self._adam_rates(epochs * n_steps).reshape(epochs, n_steps)
        options |= {
            "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon * slope,
        }  # fmt: skip
        return options

    def _adam_rates(self, n_steps: int) -> Array:
        """Return the rates of the next steps."""
        first = self.steps - self._rates_start
        if self._rates is None or first + n_steps > len(self._rates):
            first, self._rates_start = 0, self.steps
            t = self.steps + np.arange(1, max(n_steps, RATES) + 1, dtype=np.float64)
            corrections = np.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
            self._rates = self.learning_rate_init * corrections
        return self._rates[first : first + n_steps]

    def end_epoch(self, samples: int, engine: _core.Engine) -> None:
        """Change the rate of sgd as invscaling does."""
        if self.solver == "sgd" and self.schedule == "invscaling":
            self._set_rate(float(self.learning_rate_init) / (samples + 1) ** self.power_t, engine)

    def divides(self, message: str, verbose: Any, engine: _core.Engine) -> bool:
        """Say what happens where nothing improves; lower the rate, or return False to stop."""
        if self.solver != "sgd" or self.schedule != "adaptive":
            return super().divides(message, verbose, engine)
        if self.learning_rate <= 1e-6:
            _say(verbose, message + " Learning rate too small. Stopping.")
            return False
        self._set_rate(self.learning_rate / 5, engine)
        _say(verbose, message + f" Setting learning rate to {self.learning_rate:f}")
        return True

    def _set_rate(self, rate: float, engine: _core.Engine) -> None:
        """Change the rate, and with it what the engine remembers: velocities stay."""
        self.learning_rate = max(rate, LEAST_RATE)
        if self.engine_name != "sgd":
            self.take_out(engine)
            self.install(engine)


# --------------------------------------------------------------------------------------- nnc's


class _From:
    """A schedule that has already run for some epochs."""

    def __init__(self, schedule: Callable[[float], float], epoch: int) -> None:
        self.schedule, self.epoch = schedule, epoch
        self.per_step = getattr(schedule, "per_step", False)

    def __call__(self, epoch: float) -> float:
        return self.schedule(self.epoch + epoch)


@dataclass
class EngineOptimizer(Optimizer):
    """One of `nnc.optimizers`.

    Attributes
    ----------
    spec : nnc.optimizers.Gradient
        It.
    epochs : int
        So many have been done.
    rates : Rates or None
        Of the present fit.
    rates_may_change : bool
        Whether a callback may change `rates`.
    """

    spec: optimizers.Gradient
    epochs: int = field(init=False, default=0)
    rates: Rates | None = field(init=False, default=None)
    rates_may_change: bool = field(init=False, default=False)
    _schedule: Any = field(init=False, default=None)  # laid over the epochs of the first fit
    _start: int = field(init=False, default=0)  # the epochs before the present fit

    @property
    def engine_name(self) -> str:
        """What the engine calls it."""
        return self.spec.engine_name

    @property
    def keeps_its_rate(self) -> bool:
        """Whether all rates are known from the start."""
        return not self.rates_may_change

    @property
    def full_batch(self) -> bool:
        """Whether a step needs all samples."""
        return self.spec.full_batch

    def _scale(self, slope: float) -> float:
        """Return what rates are multiplied with; most steps have the length of the rate anyway."""
        return 1 / slope if self.spec.kind == "sgd" else 1.0

    def decay(self, slope: float) -> float:
        """Return the engine's weight decay, which it multiplies with the rate."""
        return self.spec.weight_decay / self._scale(slope)

    def begin(self, epochs: int, n_steps: int) -> None:
        """Lay the schedule over the epochs of the first fit, and go on with it after them."""
        rate = self.spec.learning_rate
        if callable(rate):
            if self._schedule is None:
                prepare = getattr(rate, "for_training", None)
                self._schedule = rate if prepare is None else prepare(epochs, n_steps)
            rate = _From(self._schedule, self.epochs)
        self._start, self.rates_may_change = self.epochs, False
        self.rates = Rates(rate, epochs, n_steps)

    def go_on_from(self, other: Optimizer) -> None:
        """Take over the state of another one, and the place in the schedule."""
        super().go_on_from(other)
        if isinstance(other, EngineOptimizer):
            self.epochs = other.epochs
            if other.spec.learning_rate == self.spec.learning_rate:
                self._schedule = other._schedule

    def take_out(self, engine: _core.Engine) -> None:
        """Keep the state of an engine."""
        super().take_out(engine)
        self.steps = engine.steps
        self.rates = None

    def numbers(
        self, n_steps: int, slope: float, epochs: int = 1, first_step: int = 0
    ) -> dict[str, Any]:
        """Return the engine's numbers."""
        assert self.rates is not None
        options: dict[str, Any] = {"optimizer": self.engine_name, **self.spec.numbers()}
        options["clip_value"] = self.spec.clip_value * slope
        options["clip_norm"] = self.spec.clip_norm * slope
        if "epsilon" in options:
            options["epsilon"] *= slope
        scale = self._scale(slope)
        if self.rates.constant is not None:
            return options | {"learning_rate": self.rates.constant * scale}
        first = self.epochs - self._start
        rows = self.rates.part(first, first + epochs) if epochs > 1 else self.rates.row(first)
        rows = np.atleast_2d(rows)
        if rows.shape[1] > 1:
            rows = rows[:, first_step : first_step + n_steps]
        return options | {"rates": np.ascontiguousarray(rows * scale)}

    def end_epoch(self, samples: int, engine: _core.Engine) -> None:
        """Count the epoch."""
        self.epochs += 1
