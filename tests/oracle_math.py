"""The functions of ``_core.FUNCTIONS`` against mpmath: in ulps, on points dense where it matters.

``test_math.py`` takes some thousand points of each. For more, which takes a minute per million::

    python tests/oracle_math.py --points 1000000 [names]
"""

import argparse
import sys

import mpmath
import numpy as np
from mpmath import mp, mpf

from nnc import _core, cpu_info

# What the core promises, in units of the last place.
MOST_ULPS = dict.fromkeys(_core.FUNCTIONS, 2.0) | {"exp": 1.0}

DIGITS = {np.dtype(np.float64): 53, np.dtype(np.float32): 24}
EXPONENTS = {np.dtype(np.float64): (-1074, 1024), np.dtype(np.float32): (-149, 128)}
FAR = 1000  # beyond it all functions have reached their limits, or are x or log(x)

# Where a result leaves the normal or the finite numbers, or rounds to its limit.
THRESHOLDS = [
    0.125, 0.25, 0.5, 0.70710678118654752, 1.0, 1.4142135623730951, 2.0, 4.0, 5.9, 8.3, 9.01, 14.2,
    16.6, 17.3, 18.7, 19.06, 36.7, 37.4, 37.5, 38.5, 87.3, 88.7, 103.3, 103.97, 108.6, 708.4,
    709.78, 714.9, 744.4, 745.13, 751.7,
]  # fmt: skip


def softplus(x):
    return mp.log1p(mp.exp(x)) if x < 0 else x + mp.log1p(mp.exp(-x))


EXACT = {
    "exp": mp.exp,
    "expm1": mp.expm1,
    "log": mp.log,
    "log1p": mp.log1p,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "tanh": mp.tanh,
    "softplus": softplus,
    "erf": mp.erf,
    "gelu": lambda x: x * mp.erfc(-x / mp.sqrt(2)) / 2,
    "silu": lambda x: x / (1 + mp.exp(-x)),
}
LINEAR = {"softplus", "gelu", "silu"}  # x for large x, 0 for small x


def points(name, n, dtype, seed=0):
    """About n finite numbers in the domain of the function."""
    random = np.random.default_rng(seed)
    part = n // 5
    lowest, highest = EXPONENTS[np.dtype(dtype)]
    edge = 760 if dtype == np.float64 else 112
    sign = random.choice([-1.0, 1.0], 3 * part).reshape(3, part)
    thresholds = random.choice(THRESHOLDS, part) * (
        1 + sign[1] * np.exp2(random.uniform(-54, -2, part))
    )
    halves = random.integers(-2200, 2200, part) * (np.log(2) / 2)
    X = np.concatenate([
        random.uniform(-edge, edge, part),
        random.uniform(-6, 6, part),
        sign[0] * np.exp2(random.uniform(lowest, highest, part)),
        thresholds * sign[2],
        halves + np.spacing(halves) * random.integers(-3, 4, part),
    ])  # fmt: skip
    X = X.astype(dtype)
    if name == "log":
        X = np.abs(X)
    if name == "log1p":
        X = np.where(X <= -1, np.exp2(-np.abs(X) / edge * 53).astype(dtype) - 1, X)
    tiny = np.ldexp(dtype(1), lowest)
    extremes = [0.0, tiny, np.finfo(dtype).tiny, np.finfo(dtype).max, 1.0]
    extremes += [] if name.startswith("log") else [-x for x in extremes]
    return np.concatenate([X, np.array(extremes, dtype)])


def exact_value(name, x):
    """As an mpf, or a float where it is infinite."""
    if name == "log" and x == 0:
        return -mp.inf
    if name in LINEAR and abs(x) > FAR:
        return max(x, mpf(0))
    if not name.startswith("log"):
        x = max(min(x, mpf(FAR)), mpf(-FAR))
    return EXACT[name](x)


def ulps(got, exact, dtype):
    """The error in units of the last place of the exact value; infinity is the number after all."""
    digits, (lowest, highest) = DIGITS[np.dtype(dtype)], EXPONENTS[np.dtype(dtype)]
    if np.isnan(got):
        return np.inf
    if mp.isinf(exact) or mp.mag(exact) > highest:
        return 0.0 if got == np.copysign(np.inf, float(mp.sign(exact))) else np.inf
    got = mpf(got) if np.isfinite(got) else mp.ldexp(mp.sign(got), highest)
    exponent = max(mp.mag(exact) - digits, lowest) if exact else lowest
    return float(abs(mp.ldexp(got - exact, -exponent)))


def exact_values(name, X):
    with mpmath.workprec(110):
        return [exact_value(name, mpf(float(x))) for x in X]


def worst_error(Y, exact, dtype):
    """(ulps, index) of the largest error."""
    with mpmath.workprec(110):
        errors = [ulps(float(y), e, dtype) for y, e in zip(Y, exact, strict=True)]
    where = int(np.argmax(errors))
    return errors[where], where


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(_core.FUNCTIONS))
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--dtype", choices=["float64", "float32"], default="float64")
    options = parser.parse_args()
    dtype, failed = np.dtype(options.dtype).type, False
    for name in options.names:
        X = points(name, options.points, dtype)
        exact, results = exact_values(name, X), {}
        for isa in cpu_info()["available"]:
            _core.select_isa(isa)
            Y = _core.map(name, X)
            results.setdefault(Y.tobytes(), (Y, []))[1].append(isa)
        _core.select_isa("")
        for Y, isas in results.values():
            error, where = worst_error(Y, exact, dtype)
            failed |= error > MOST_ULPS[name]
            print(f"{name:9} {len(X):8} points  {error:.4f} ulps at {float(X[where])!r}", *isas)
            sys.stdout.flush()
    return failed


if __name__ == "__main__":
    sys.exit(main())
