"""Optimizers as data: names, defaults, what the engine gets, plain dicts."""

import json
import math
import pickle

import numpy as np
import pytest

from nnc import optimizers
from nnc.optimizers import (
    LBFGS,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    LevenbergMarquardt,
    Lion,
    NAdam,
    RMSprop,
    Rprop,
)

GRADIENT = [SGD, Adagrad, RMSprop, Adam, AdamW, NAdam, Lion, Rprop]
EACH = [cls() for cls in optimizers.KINDS.values()] + [
    SGD(0.1, 0.9, True, weight_decay=1e-4),
    Adam(1e-2, 0.8, 0.99, 1e-8, True, clip_norm=1, ema_decay=0.99),
    AdamW(weight_decay=0.01, clip_value=np.float32(0.5)),
    LBFGS(5, 3, gradient_tolerance=0),
    LevenbergMarquardt(7, 1, mu_max=1),
]


def schedule(epoch):
    return 0.1 / (1 + epoch)


@pytest.mark.parametrize("optimizer", EACH, ids=repr)
def test_plain_dicts_and_back(optimizer):
    config = json.loads(json.dumps(optimizers.to_config(optimizer), allow_nan=False))
    assert optimizers.from_config(config) == optimizer
    assert type(optimizers.from_config(config)) is type(optimizer)
    assert pickle.loads(pickle.dumps(optimizer)) == optimizer
    assert eval(repr(optimizer), vars(optimizers)) == optimizer
    assert optimizers.resolve(optimizer) is optimizer
    with pytest.raises(ValueError, match=f"key of {optimizer.kind}"):
        optimizers.from_config(config | {"lr": 0.1})


@pytest.mark.parametrize("name", optimizers.KINDS)
def test_names(name):
    cls = optimizers.KINDS[name]
    assert optimizers.resolve(name) == optimizers.resolve(cls) == cls()
    assert name in (cls.__name__.lower(), "levenberg_marquardt")


def test_aliases():
    assert optimizers.resolve("lm") == LevenbergMarquardt()
    assert optimizers.resolve("l_bfgs") == LBFGS()


@pytest.mark.parametrize(
    ("optimizer", "name", "numbers"),
    [
        (SGD(0.1), "sgd", {"momentum": 0.0}),
        (SGD(0.1, 0.9), "momentum", {"momentum": 0.9}),
        (SGD(0.1, momentum=0.9, nesterov=True), "nesterov", {"momentum": 0.9}),
        (Adagrad(), "adagrad", {"epsilon": 1e-10}),
        (RMSprop(), "rmsprop", {"rho": 0.9, "momentum": 0.0, "epsilon": 1e-7}),
        (Adam(), "adam", {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}),
        (Adam(amsgrad=True), "amsgrad", {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}),
        (AdamW(), "adam", {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}),
        (NAdam(), "nadam", {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}),
        (Lion(), "lion", {"beta_1": 0.9, "beta_2": 0.99}),
        (Rprop(), "rprop", {}),
        (
            LBFGS(5, 3, max_evaluations=9),
            "lbfgs",
            {
                "max_iter": 5,
                "history": 3,
                "max_evaluations": 9,
                "gradient_tolerance": 1e-5,
                "decrease_tolerance": 2.2e-9,
            },
        ),
        (
            LevenbergMarquardt(5, 2, mu_factor=3, mu_max=4),
            "levenberg_marquardt",
            {
                "max_iter": 5,
                "max_evaluations": 15000,
                "gradient_tolerance": 1e-5,
                "decrease_tolerance": 2.2e-9,
                "damping": 2.0,
                "damping_factor": 3.0,
                "damping_most": 4.0,
            },
        ),
    ],
    ids=repr,
)
def test_what_the_engine_gets(optimizer, name, numbers):
    assert optimizer.engine_name == name
    assert optimizer.numbers() == numbers


def test_defaults():
    assert AdamW().weight_decay == 0.004
    assert {cls().learning_rate for cls in (RMSprop, Adam, AdamW, NAdam, Lion)} == {0.001}
    assert {cls().learning_rate for cls in (SGD, Adagrad, Rprop)} == {0.01}
    for cls in GRADIENT:
        optimizer = cls()
        assert optimizer.clip_value == optimizer.clip_norm == optimizer.ema_decay == 0
        assert optimizer.weight_decay == (0.004 if cls is AdamW else 0)
    full = {cls for cls in optimizers.KINDS.values() if cls.full_batch}
    assert full == {Rprop, LBFGS, LevenbergMarquardt}


@pytest.mark.parametrize("cls", GRADIENT)
def test_learning_rates(cls):
    assert cls(1).learning_rate == 1.0
    assert type(cls(np.float32(0.5)).learning_rate) is float
    assert cls(schedule).learning_rate is schedule
    with pytest.raises(TypeError, match=r"\(learning_rate\): function .* is not data"):
        optimizers.to_config(cls(schedule))
    for bad in (0, -1, math.nan, math.inf, 10**400):
        with pytest.raises(ValueError, match=r"\(learning_rate\): expected a finite number above"):
            cls(bad)
    for bad in ("0.1", None, True, [0.1]):
        with pytest.raises(TypeError, match=r"\(learning_rate\): expected a number, got"):
            cls(bad)
    with pytest.raises(TypeError, match="learning_rate"):
        optimizers.from_config({"kind": cls.kind, "learning_rate": "schedule"})


@pytest.mark.parametrize("cls", GRADIENT)
@pytest.mark.parametrize(
    ("name", "bad"),
    [("weight_decay", -1), ("clip_value", -1), ("clip_norm", math.inf), ("ema_decay", 1)],
)
def test_common_options(cls, name, bad):
    assert getattr(cls(**{name: 0.5}), name) == 0.5
    with pytest.raises(ValueError, match=rf"{cls.__name__}\({name}\): expected a finite number"):
        cls(**{name: bad})
    with pytest.raises(TypeError, match="positional"):
        cls(0.1, *[0.5] * 8)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: optimizers.resolve("adma"), ValueError, "optimizer: .*did you mean 'adam'"),
        (lambda: optimizers.resolve("Adam"), ValueError, "did you mean 'adam'"),
        (lambda: optimizers.resolve(0.1), TypeError, "optimizer: expected one of .* got 0.1"),
        (lambda: optimizers.resolve(optimizers.Gradient), TypeError, "what others derive from"),
        (lambda: SGD(nesterov=True), ValueError, r"SGD\(nesterov\): needs a momentum"),
        (lambda: SGD(0.1, 0.9, 1), TypeError, r"SGD\(nesterov\): expected True or False, got 1"),
        (lambda: SGD(momentum=1), ValueError, r"SGD\(momentum\): .*below 1, got 1"),
        (lambda: Adam(beta_1=-0.1), ValueError, r"Adam\(beta_1\)"),
        (lambda: Adam(epsilon=0), ValueError, r"Adam\(epsilon\): .*above 0, got 0"),
        (lambda: Adam(amsgrad="no"), TypeError, r"Adam\(amsgrad\)"),
        (lambda: RMSprop(rho=2), ValueError, r"RMSprop\(rho\)"),
        (lambda: LBFGS(-1), ValueError, r"LBFGS\(max_iter\): expected at least 0, got -1"),
        (lambda: LBFGS(history=1.0), TypeError, r"LBFGS\(history\): expected an integer"),
        (lambda: LBFGS(max_evaluations=0), ValueError, r"LBFGS\(max_evaluations\)"),
        (lambda: LBFGS(gradient_tolerance=-1), ValueError, r"LBFGS\(gradient_tolerance\)"),
        (lambda: LBFGS(decrease_tolerance=-1), ValueError, r"LBFGS\(decrease_tolerance\)"),
        (lambda: LevenbergMarquardt(mu=0), ValueError, r"LevenbergMarquardt\(mu\)"),
        (lambda: LevenbergMarquardt(mu_factor=1), ValueError, r"mu_factor\): .*above 1, got 1"),
        (lambda: LevenbergMarquardt(mu=1, mu_max=0.5), ValueError, r"mu_max\): .*at least 1 .*0.5"),
    ],
)
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()
