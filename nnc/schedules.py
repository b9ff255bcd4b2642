"""Learning rates that change while a network trains.

A schedule is anything that can be called with the epoch and returns the rate for it. The epoch
counts from 0. With the attribute ``per_step`` true it is asked before each step, with fractions of
epochs (epoch 2.5 is half-way through the third), else once for each epoch.

>>> from nnc.schedules import Cosine, Warmup, rates
>>> rates(Warmup(Cosine(0.1), epochs=2, per_step=False), epochs=6).ravel().round(4).tolist()
[0.01, 0.055, 0.1, 0.0854, 0.05, 0.0146]
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from nnc._arguments import read_flag, read_index, read_real
from nnc._rates import Rates

__all__ = [
    "Constant",
    "Cosine",
    "ExponentialDecay",
    "InverseScaling",
    "OneCycle",
    "Schedule",
    "StepDecay",
    "Warmup",
    "rates",
]


@runtime_checkable
class Schedule(Protocol):
    """What the schedules of this module have in common; `rates` takes any callable."""

    @property
    def per_step(self) -> bool:
        """Whether it is asked before each step."""

    def __call__(self, epoch: float) -> float:
        """Return the learning rate at that epoch."""


@dataclass(frozen=True)
class Constant:
    """The same rate always.

    Parameters
    ----------
    initial : float
        The rate.
    """

    initial: float

    def __post_init__(self) -> None:
        """Check the arguments."""
        read_real("initial", self.initial, 0, above=True)

    @property
    def per_step(self) -> bool:
        """Whether it is asked before each step: never."""
        return False

    def __call__(self, epoch: float) -> float:
        """Return the learning rate at that epoch."""
        return float(self.initial)


@dataclass(frozen=True)
class StepDecay:
    """``initial * factor ** floor(epoch / every)``: torch.optim.lr_scheduler.StepLR.

    Parameters
    ----------
    initial : float
        The rate of the first epochs.
    factor : float
        What the rate is multiplied with.
    every : float
        The number of epochs from one multiplication to the next.
    """

    initial: float
    factor: float = 0.1
    every: float = 10
    _: KW_ONLY
    per_step: bool = False

    def __post_init__(self) -> None:
        """Check the arguments."""
        read_flag("per_step", self.per_step)
        read_real("initial", self.initial, 0, above=True)
        read_real("factor", self.factor, 0, above=True)
        read_real("every", self.every, 0, above=True)

    def __call__(self, epoch: float) -> float:
        """Return the learning rate at that epoch."""
        return float(self.initial * self.factor ** math.floor(epoch / self.every))


@dataclass(frozen=True)
class ExponentialDecay:
    """``initial * factor ** epoch``: torch.optim.lr_scheduler.ExponentialLR.

    Parameters
    ----------
    initial : float
        The rate at epoch 0.
    factor : float
        What an epoch multiplies the rate with.
    per_step : bool
        Whether the rate falls with each step, along the same curve.
    """

    initial: float
    factor: float = 0.95
    _: KW_ONLY
    per_step: bool = False

    def __post_init__(self) -> None:
        """Check the arguments."""
        read_flag("per_step", self.per_step)
        read_real("initial", self.initial, 0, above=True)
        read_real("factor", self.factor, 0, above=True)

    def __call__(self, epoch: float) -> float:
        """Return the learning rate at that epoch."""
        return float(self.initial * self.factor**epoch)


@dataclass(frozen=True)
class InverseScaling:
    """``initial / (epoch + 1) ** power``.

    The formula of scikit-learn's ``learning_rate="invscaling"``, where time counts the samples
    seen so far; here it counts epochs, so that the rate does not depend on the size of the data.

    Parameters
    ----------
    initial : float
        The rate at epoch 0.
    power : float
        How fast it falls.
    per_step : bool
        Whether the rate falls with each step, along the same curve.
    """

    initial: float
    power: float = 0.5
    _: KW_ONLY
    per_step: bool = False

    def __post_init__(self) -> None:
        """Check the arguments."""
        read_flag("per_step", self.per_step)
        read_real("initial", self.initial, 0, above=True)
        read_real("power", self.power, 0)

    def __call__(self, epoch: float) -> float:
        """Return the learning rate at that epoch."""
        return float(self.initial / (epoch + 1) ** self.power)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from `initial` down to `minimum`, once or again and again.

    ``minimum + (initial - minimum) * (1 + cos(pi * t / T)) / 2``, where t is the time since the
    last restart and T that period: Loshchilov and Hutter, "SGDR: stochastic gradient descent with
    warm restarts" (2017), equation 5; torch.optim.lr_scheduler.CosineAnnealingWarmRestarts.

    Parameters
    ----------
    initial : float
        The rate at epoch 0 and after each restart.
    period : float, optional
        The number of epochs to the first restart; by default all there are.
    multiplier : float
        Each period is that many times as long as the one before.
    minimum : float
        The rate at the end of a period.
    per_step : bool
        Whether the rate changes with each step.
    """

    initial: float
    period: float | None = None
    multiplier: float = 1
    minimum: float = 0
    _: KW_ONLY
    per_step: bool = False

    def __post_init__(self) -> None:
        """Check the arguments."""
        read_flag("per_step", self.per_step)
        read_real("initial", self.initial, 0, above=True)
        if self.period is not None:
            read_real("period", self.period, 0, above=True)
        read_real("multiplier", self.multiplier, 1)
        read_real("minimum", self.minimum, 0, self.initial)

    def for_training(self, epochs: float, steps_per_epoch: int) -> Cosine:
        """Return the schedule with the period that is not given: all the epochs."""
        return self if self.period is not None else dataclasses.replace(self, period=epochs)

    def __call__(self, epoch: float) -> float:
        """Return the learning rate at that epoch."""
        if self.period is None:
            raise ValueError("period: expected a number of epochs, got None")
        time, period = epoch, self.period
        if self.multiplier == 1:
            time = math.fmod(time, period)
        while time >= period:
            time -= period
            period *= self.multiplier
        swing = (1 + math.cos(math.pi * time / period)) / 2
        return float(self.minimum + (self.initial - self.minimum) * swing)


@dataclass(frozen=True)
class Warmup:
    """A straight line up to the first rate of another schedule, which then begins.

    ``schedule(0) * (start + (1 - start) * epoch / epochs)``, then ``schedule(epoch - epochs)``:
    torch.optim.lr_scheduler.SequentialLR of LinearLR and that schedule.

    Parameters
    ----------
    schedule : float or callable
        What comes after.
    epochs : float
        How long the line is.
    start : float
        Where it begins, as a part of the schedule's first rate.
    per_step : bool
        Whether the line rises with each step.
    """

    schedule: float | Callable[[float], float]
    epochs: float = 5
    start: float = 0.1
    _: KW_ONLY
    per_step: bool = True

    def __post_init__(self) -> None:
        """Check the arguments."""
        read_flag("per_step", self.per_step)
        if not callable(self.schedule):
            read_real("schedule", self.schedule, 0, above=True)
        read_real("epochs", self.epochs, 0, above=True)
        read_real("start", self.start, 0, 1, above=True)

    def for_training(self, epochs: float, steps_per_epoch: int) -> Warmup:
        """Return the schedule where what comes after knows how many epochs are left for it."""
        if not hasattr(self.schedule, "for_training"):
            return self
        left = max(epochs - self.epochs, 1)  # where none is left, its first rate is still needed
        rest = self.schedule.for_training(left, steps_per_epoch)
        return dataclasses.replace(self, schedule=rest)

    def __call__(self, epoch: float) -> float:
        """Return the learning rate at that epoch."""
        if epoch >= self.epochs:
            return self._after(epoch - self.epochs)
        return self._after(0.0) * (self.start + (1 - self.start) * epoch / self.epochs)

    def _after(self, epoch: float) -> float:
        if not callable(self.schedule):
            return float(self.schedule)
        per_step = getattr(self.schedule, "per_step", False)
        return float(self.schedule(epoch if per_step else math.floor(epoch)))


@dataclass(frozen=True)
class OneCycle:
    """Half a cosine up to a large rate, and a longer one down to almost nothing, step by step.

    Smith and Topin, "Super-convergence: very fast training of neural networks using large learning
    rates" (2018), in the form of torch.optim.lr_scheduler.OneCycleLR: from ``maximum / divisor`` at
    the first step to ``maximum`` after `rise` of all steps, to ``maximum / divisor /
    final_divisor`` at the last step.

    Parameters
    ----------
    maximum : float
        The largest rate.
    epochs : float, optional
        The length of the cycle; by default all there are.
    rise : float
        The part of the cycle in which the rate rises.
    divisor, final_divisor : float
        How far below the largest rate it starts, and how far below that it ends.
    steps_per_epoch : int, optional
        The first and the last step of the cycle get exactly the first and the last rate. By default
        the number of steps there are; called without it, the schedule is the limit of many steps.
    """

    maximum: float
    epochs: float | None = None
    rise: float = 0.3
    divisor: float = 25
    final_divisor: float = 1e4
    steps_per_epoch: int | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        read_real("maximum", self.maximum, 0, above=True)
        if self.epochs is not None:
            read_real("epochs", self.epochs, 0, above=True)
        read_real("rise", self.rise, 0, 1)
        read_real("divisor", self.divisor, 1)
        read_real("final_divisor", self.final_divisor, 1)
        if self.steps_per_epoch is not None:
            read_index("steps_per_epoch", self.steps_per_epoch, 1)

    @property
    def per_step(self) -> bool:
        """Whether it is asked before each step: always."""
        return True

    def for_training(self, epochs: float, steps_per_epoch: int) -> OneCycle:
        """Return the schedule with the epochs and steps per epoch that are not given."""
        return dataclasses.replace(
            self,
            epochs=epochs if self.epochs is None else self.epochs,
            steps_per_epoch=self.steps_per_epoch or steps_per_epoch,
        )

    def __call__(self, epoch: float) -> float:
        """Return the learning rate at that epoch."""
        if self.epochs is None:
            raise ValueError("epochs: expected a number of epochs, got None")
        step = 1 / self.steps_per_epoch if self.steps_per_epoch else 0.0
        top, end = self.rise * self.epochs - step, self.epochs - step
        first = self.maximum / self.divisor
        last = first / self.final_divisor
        if epoch <= top and top > 0:
            return _between(first, self.maximum, epoch / top)
        if end <= top:
            return float(self.maximum)
        return _between(self.maximum, last, min(1.0, max(0.0, (epoch - top) / (end - top))))


def _between(start: float, end: float, part: float) -> float:
    """Return the value of half a cosine from start to end."""
    return float(end + (start - end) / 2 * (1 + math.cos(math.pi * part)))


# What files call those that are data.
KINDS: dict[str, type[Any]] = {
    "constant": Constant,
    "step_decay": StepDecay,
    "exponential_decay": ExponentialDecay,
    "inverse_scaling": InverseScaling,
    "cosine": Cosine,
    "warmup": Warmup,
    "one_cycle": OneCycle,
}


def rates(
    learning_rate: float | Callable[[float], float], epochs: int, steps_per_epoch: int = 1
) -> npt.NDArray[np.float64]:
    """Return the learning rates of a training.

    Parameters
    ----------
    learning_rate : float or callable
        A number, a schedule of this module, or any callable of the epoch. Where it has a true
        attribute ``per_step`` it is asked for each step. Where it has a method
        ``for_training(epochs, steps_per_epoch)`` what that returns is asked.
    epochs, steps_per_epoch : int
        How many there are.

    Returns
    -------
    numpy.ndarray of float64, shape (epochs, n_rates)
        With n_rates 1, or `steps_per_epoch`.

    Raises
    ------
    ValueError
        If a rate is not finite or not positive. Rates of 0 are fine at the end: there a schedule
        has run out.
    TypeError
        If `learning_rate` or what it returns is not a number.
    """
    return Rates(learning_rate, epochs, steps_per_epoch).keep()
