"""Fixtures: every kernel set this CPU runs, both dtypes, random networks."""

import os
import signal

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from support import kernels

import nnc

settings.register_profile(
    "nnc", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("nnc")

os.environ["MPLBACKEND"] = "Agg"  # no windows

# Shells start programs in the background with SIGINT ignored: tests of Ctrl-C would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path, config):
    """Import large outside programs only where the tests that need them are asked for."""
    light = "not peers" in config.option.markexpr
    return True if light and collection_path.name.endswith("_peers.py") else None


ISAS = nnc.cpu_info()["available"]
ISAS_WITH_FMA = [name for name in ISAS if name != "baseline"]


@pytest.fixture(scope="session")
def keras():
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    return keras


@pytest.fixture(params=ISAS, scope="module")
def isa(request):
    """Run the module's tests once with each kernel set."""
    with kernels(request.param):
        yield request.param


@pytest.fixture(params=[np.float64, np.float32], ids=["float64", "float32"])
def dtype(request):
    return request.param


@pytest.fixture
def rng():
    return np.random.default_rng(20181013)
