"""Learning rates against PyTorch's schedulers."""

import math

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as schedulers

from nnc.schedules import (
    Cosine,
    ExponentialDecay,
    InverseScaling,
    OneCycle,
    StepDecay,
    Warmup,
    rates,
)

pytestmark = pytest.mark.peers


def optimizer(initial):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=initial, momentum=0.9)


def theirs(make, initial, n):
    """The first n rates of a scheduler."""
    of = optimizer(initial)
    scheduler = make(of)
    result = []
    for _ in range(n):
        result.append(of.param_groups[0]["lr"])
        of.step()
        scheduler.step()
    return np.array(result)


def check(ours, expected):
    np.testing.assert_allclose(np.ravel(ours), expected, rtol=1e-11, atol=1e-16)


def test_step_decay():
    expected = theirs(lambda of: schedulers.StepLR(of, 7, 0.3), 0.1, 40)
    check(rates(StepDecay(0.1, 0.3, 7), 40), expected)


def test_exponential_decay():
    expected = theirs(lambda of: schedulers.ExponentialLR(of, 0.9), 0.1, 40)
    check(rates(ExponentialDecay(0.1, 0.9), 40), expected)


def test_inverse_scaling():
    expected = theirs(lambda of: schedulers.LambdaLR(of, lambda e: 1 / (e + 1) ** 0.7), 0.1, 40)
    check(rates(InverseScaling(0.1, 0.7), 40), expected)


def test_cosine_without_restarts():
    expected = theirs(lambda of: schedulers.CosineAnnealingLR(of, 40, 0.003), 0.1, 40)
    check(rates(Cosine(0.1, minimum=0.003), 40), expected)


@pytest.mark.parametrize("multiplier", [1, 2, 3])
def test_cosine_with_restarts(multiplier):
    def make(of):
        return schedulers.CosineAnnealingWarmRestarts(of, 5, multiplier, 0.003)

    check(rates(Cosine(0.1, 5, multiplier, 0.003), 60), theirs(make, 0.1, 60))


def test_cosine_by_step():
    of = optimizer(0.1)
    scheduler = schedulers.CosineAnnealingWarmRestarts(of, 3, 2)
    expected = []
    for epoch in range(10):
        for step in range(4):
            scheduler.step(epoch + step / 4)
            expected.append(of.param_groups[0]["lr"])
    check(rates(Cosine(0.1, 3, 2, per_step=True), 10, 4), expected)


def test_warmup():
    def make(of):
        line = schedulers.LinearLR(of, 0.1, 1.0, 6)
        rest = schedulers.ExponentialLR(of, 0.9)
        return schedulers.SequentialLR(of, [line, rest], [6])

    ours = rates(Warmup(ExponentialDecay(0.1, 0.9), 6, 0.1, per_step=False), 30)
    check(ours, theirs(make, 0.1, 30))


@pytest.mark.filterwarnings("ignore")  # it warns of the step after the last
@pytest.mark.parametrize("rise", [0.05, 0.3, 0.5])
@pytest.mark.parametrize(("epochs", "steps"), [(12, 7), (30, 1), (1, 50)])
def test_one_cycle(rise, epochs, steps):
    of = optimizer(0.1)
    scheduler = schedulers.OneCycleLR(
        of, 0.4, epochs=epochs, steps_per_epoch=steps, pct_start=rise, div_factor=20,
        final_div_factor=500, anneal_strategy="cos",
    )  # fmt: skip
    expected = []
    for i in range(epochs * steps):
        expected.append(of.param_groups[0]["lr"])
        of.step()
        if i + 1 < epochs * steps:
            scheduler.step()
    assert math.isclose(max(expected), 0.4, rel_tol=0.2)
    check(rates(OneCycle(0.4, rise=rise, divisor=20, final_divisor=500), epochs, steps), expected)
