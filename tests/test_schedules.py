"""Learning rates: values computed by hand, what `rates` makes of them, and what it refuses."""

import dataclasses
import math

import numpy as np
import pytest

from nnc.schedules import (
    Constant,
    Cosine,
    ExponentialDecay,
    InverseScaling,
    OneCycle,
    Schedule,
    StepDecay,
    Warmup,
    rates,
)

ALL = [
    Constant(0.5),
    StepDecay(0.5),
    ExponentialDecay(0.5),
    InverseScaling(0.5),
    Cosine(0.5, 4),
    Warmup(0.5),
    OneCycle(0.5, 4),
]


def almost(expected):
    return pytest.approx(expected, rel=1e-14, abs=1e-17)


@pytest.mark.parametrize(
    ("schedule", "epoch", "expected"),
    [
        (Constant(0.3), 17.5, 0.3),
        (StepDecay(0.8, 0.5, 3), 0, 0.8),
        (StepDecay(0.8, 0.5, 3), 2.99, 0.8),
        (StepDecay(0.8, 0.5, 3), 3, 0.4),
        (StepDecay(0.8, 0.5, 3), 8, 0.2),
        (StepDecay(0.8, 0.5, 0.5), 1.25, 0.2),
        (ExponentialDecay(0.8, 0.5), 3, 0.1),
        (ExponentialDecay(0.8, 0.25), 0.5, 0.4),
        (InverseScaling(0.8), 0, 0.8),
        (InverseScaling(0.8), 3, 0.4),
        (InverseScaling(0.8, 1), 3, 0.2),
        (Cosine(0.8, 4), 0, 0.8),
        (Cosine(0.8, 4), 2, 0.4),
        (Cosine(0.8, 4), 4, 0.8),
        (Cosine(0.8, 4, minimum=0.2), 2, 0.5),
        (Cosine(0.8, 4, minimum=0.2), 1, 0.5 + 0.3 * math.sqrt(0.5)),
        (Cosine(0.8, 2, multiplier=3), 2, 0.8),
        (Cosine(0.8, 2, multiplier=3), 5, 0.4),
        (Cosine(0.8, 2, multiplier=3), 8, 0.8),
        (Cosine(0.8, 2, multiplier=3), 17, 0.4),
        (Warmup(0.8, 4, 0.25), 0, 0.2),
        (Warmup(0.8, 4, 0.25), 2, 0.5),
        (Warmup(0.8, 4, 0.25), 4, 0.8),
        (Warmup(0.8, 4, 0.25), 100, 0.8),
        (Warmup(ExponentialDecay(0.8, 0.5), 4), 5, 0.4),
        (Warmup(ExponentialDecay(0.8, 0.5), 4), 5.9, 0.4),
        (Warmup(ExponentialDecay(0.8, 0.25, per_step=True), 4), 4.5, 0.4),
        (OneCycle(1, 10, 0.5, 4, 10), 0, 0.25),
        (OneCycle(1, 10, 0.5, 4, 10), 2.5, 0.625),
        (OneCycle(1, 10, 0.5, 4, 10), 5, 1),
        (OneCycle(1, 10, 0.5, 4, 10), 7.5, 0.5125),
        (OneCycle(1, 10, 0.5, 4, 10), 10, 0.025),
        (OneCycle(1, 10, 0.5, 4, 10), 11, 0.025),
        (OneCycle(1, 10, 1, 4, 10), 10, 1),
        (OneCycle(1, 10, 0, 4, 10), 5, 0.5125),
    ],
)
def test_values(schedule, epoch, expected):
    assert schedule(epoch) == almost(expected)
    assert type(schedule(epoch)) is float


@pytest.mark.parametrize("schedule", ALL, ids=lambda s: type(s).__name__)
def test_all_are_frozen_and_schedules(schedule):
    assert isinstance(schedule, Schedule)
    assert schedule == dataclasses.replace(schedule)
    assert schedule.per_step is isinstance(schedule, Warmup | OneCycle)
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.per_step = True


def test_rates_of_a_number():
    result = rates(0.25, 3, 7)
    assert result.dtype == np.float64
    assert result.tolist() == [[0.25]] * 3
    assert rates(0.25, 0).shape == (0, 1)
    assert rates(Cosine(0.1), 0, 4).shape == (0, 1)


def test_rates_by_epoch_and_by_step():
    decay = ExponentialDecay(1.0, 0.25)
    assert rates(decay, 3, 2).tolist() == [[1], [0.25], [0.0625]]
    by_step = dataclasses.replace(decay, per_step=True)
    np.testing.assert_allclose(rates(by_step, 2, 2), [[1, 0.5], [0.25, 0.125]], rtol=1e-15)
    assert rates(by_step, 2, 1).shape == (2, 1)


def test_rates_of_any_callable():
    assert rates(lambda epoch: np.float32(1 / (1 + epoch)), 2, 5).tolist() == [[1], [0.5]]

    def by_step(epoch):
        return 1 + epoch

    by_step.per_step = True
    assert rates(by_step, 2, 4).tolist() == [[1, 1.25, 1.5, 1.75], [2, 2.25, 2.5, 2.75]]


def test_schedules_learn_how_long_the_training_is():
    np.testing.assert_allclose(rates(Cosine(1.0), 4).ravel(), rates(Cosine(1.0, 4), 4).ravel())
    warm = rates(Warmup(Cosine(1.0), 2, 0.5, per_step=False), 6).ravel()
    cosine = [(1 + math.cos(math.pi * i / 4)) / 2 for i in range(4)]
    np.testing.assert_allclose(warm, [0.5, 0.75, *cosine], rtol=1e-15)
    short = rates(Warmup(Cosine(1.0), 4, 0.5, per_step=False), 2).ravel()
    np.testing.assert_allclose(short, [0.5, 0.625], rtol=1e-15)
    cycle = rates(OneCycle(1.0, rise=0.5, divisor=10, final_divisor=10), 4, 5)
    assert cycle.shape == (4, 5)
    assert cycle[0, 0] == almost(0.1)
    assert cycle[1, 4] == almost(1)  # the last of the first 10 steps
    assert cycle[3, 4] == almost(0.01)
    for schedule in (Cosine(1.0), OneCycle(1.0)):
        with pytest.raises(ValueError, match="expected a number of epochs, got None"):
            schedule(1.0)


def test_rates_may_be_zero_at_the_end_alone():
    assert rates(lambda epoch: max(0, 2 - epoch), 4).ravel().tolist() == [2, 1, 0, 0]
    with pytest.raises(ValueError, match=r"learning_rate: expected .* got 0\.0 for epoch 1;"):
        rates(lambda epoch: abs(epoch - 1), 3)
    with pytest.raises(ValueError, match=r"got 0\.0 for epoch 0"):
        rates(lambda epoch: 0, 3)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -1e-300])
@pytest.mark.parametrize("where", [0, 2])
def test_rates_must_be_finite_and_positive(bad, where):
    with pytest.raises(ValueError, match=rf"learning_rate: expected .* for epoch {where}"):
        rates(lambda epoch: bad if epoch == where else 0.1, 3)

    def by_step(epoch):
        return bad if epoch == where + 0.5 else 0.1

    by_step.per_step = True
    with pytest.raises(ValueError, match=rf"for epoch {where}, step 1"):
        rates(by_step, 3, 2)


@pytest.mark.parametrize("bad", [None, "0.1", True, [1, 2], 1j])
def test_a_schedule_must_return_a_number(bad):
    with pytest.raises(TypeError, match="learning_rate: expected the schedule to return a number"):
        rates(lambda epoch: bad, 3)


@pytest.mark.parametrize("bad", [None, "0.1", [0.1]])
def test_a_rate_must_be_a_number(bad):
    with pytest.raises(TypeError, match="learning_rate: expected a number"):
        rates(bad, 3)


@pytest.mark.parametrize("bad", [0, -1, math.inf, math.nan])
def test_a_rate_must_be_finite_and_positive(bad):
    with pytest.raises(ValueError, match="learning_rate: expected a finite positive number"):
        rates(bad, 3)


def test_errors_of_a_schedule_pass_through():
    with pytest.raises(ZeroDivisionError):
        rates(lambda epoch: 1 / epoch, 3)


@pytest.mark.parametrize(
    ("kind", "arguments", "name"),
    [
        (Constant, {"initial": 0}, "initial"),
        (StepDecay, {"initial": -1}, "initial"),
        (StepDecay, {"initial": 1, "factor": 0}, "factor"),
        (StepDecay, {"initial": 1, "every": 0}, "every"),
        (ExponentialDecay, {"initial": 1, "factor": math.nan}, "factor"),
        (InverseScaling, {"initial": 1, "power": -0.5}, "power"),
        (Cosine, {"initial": math.inf}, "initial"),
        (Cosine, {"initial": 1, "period": 0}, "period"),
        (Cosine, {"initial": 1, "multiplier": 0.5}, "multiplier"),
        (Cosine, {"initial": 1, "minimum": 2}, "minimum"),
        (Warmup, {"schedule": 0}, "schedule"),
        (Warmup, {"schedule": 1, "epochs": 0}, "epochs"),
        (Warmup, {"schedule": 1, "start": 0}, "start"),
        (Warmup, {"schedule": 1, "start": 1.5}, "start"),
        (OneCycle, {"maximum": 0}, "maximum"),
        (OneCycle, {"maximum": 1, "epochs": -1}, "epochs"),
        (OneCycle, {"maximum": 1, "rise": 1.5}, "rise"),
        (OneCycle, {"maximum": 1, "divisor": 0.5}, "divisor"),
        (OneCycle, {"maximum": 1, "final_divisor": 0.5}, "final_divisor"),
        (OneCycle, {"maximum": 1, "steps_per_epoch": 0}, "steps_per_epoch"),
    ],
)
def test_bad_arguments_are_named(kind, arguments, name):
    with pytest.raises(ValueError, match=rf"^{name}: expected .*got"):
        kind(**arguments)
    with pytest.raises(TypeError, match=rf"^{name}: expected .*got '1'"):
        kind(**{**arguments, name: "1"})
