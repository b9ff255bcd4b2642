"""Network.fit ends with the same bits for any number of threads, and for each kernel set."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import ISAS_WITH_FMA

import nnc
from nnc import BatchNorm, Dense, Dropout, LayerNorm, Network

M = 300  # samples; the last batch of an epoch has fewer than the others

OPTIMIZERS = {
    "sgd": nnc.SGD(0.01),
    "momentum": nnc.SGD(0.01, 0.9, weight_decay=0.01),
    "nesterov": nnc.SGD(0.01, 0.9, nesterov=True),
    "adagrad": nnc.Adagrad(0.01),
    "rmsprop": nnc.RMSprop(0.001, momentum=0.5),
    "adam": nnc.Adam(0.001, clip_norm=0.5),
    "amsgrad": nnc.Adam(nnc.schedules.Cosine(0.002, per_step=True), amsgrad=True),
    "adamw": nnc.AdamW(0.001, ema_decay=0.9),
    "nadam": nnc.NAdam(0.001, clip_value=0.01),
    "lion": nnc.Lion(0.0005),
    "rprop": nnc.Rprop(0.001),
}
# Wide enough that several threads pay: see test_threads_are_used.
STACKS = {
    "dense": lambda: [
        Dense(190, "relu"), Dense(130, "gelu", l1=1e-5, l2=1e-4), Dense(10, "softmax"),
    ],
    "norms": lambda: [
        BatchNorm(), Dense(157, "mish", max_norm=1.0), LayerNorm(), Dense(101, "tanh"),
        BatchNorm(0.9), Dense(10, "log_softmax"),
    ],
    "dropout": lambda: [
        Dropout(0.2), Dense(201, "silu", bias=False), Dropout(0.5), Dense(97, "selu"),
        LayerNorm(), Dropout(0.1), Dense(10, "sigmoid"),
    ],
}  # fmt: skip


def network_and_data(stack, optimizer, dtype):
    random = np.random.default_rng(1)
    network = Network(STACKS[stack](), 70, optimizer=OPTIMIZERS[optimizer], seed=2, dtype=dtype)
    X, classes = random.normal(size=(M, 70)), random.integers(0, 10, M)
    return network, X.astype(dtype), np.eye(10)[classes], random.uniform(0, 2, M)


def digest(stack, optimizer, dtype, n_threads):
    """Of all that a training leaves: parameters, history, the optimizer's memory, predictions."""
    network, X, y, weights = network_and_data(stack, optimizer, dtype)
    history = network.fit(
        X, y, epochs=2, batch_size=None if optimizer == "rprop" else 128, sample_weight=weights,
        X_val=X[:40], y_val=y[:40], metrics="mae", verbose=0, n_threads=n_threads,
    )  # fmt: skip
    engine, found = network.engine, hashlib.sha256()
    for array in [
        *network.get_weights(), engine.optimizer_state(network.optimizer.engine_name),
        np.array(engine.average), network.predict_proba(X, n_threads=n_threads),
        *(np.array(history[key]) for key in sorted(history)),
    ]:  # fmt: skip
        assert array.dtype == object or np.isfinite(array).all()
        found.update(array.tobytes() if array.dtype != object else b"none")
    return found.hexdigest()


def cases():
    """Each optimizer with each stack; dtypes take turns."""
    for i, optimizer in enumerate(OPTIMIZERS):
        for j, stack in enumerate(STACKS):
            yield stack, optimizer, ("float32", "float64")[(i + j) % 2]


def digests(n_threads):
    return {"-".join(case): digest(*case, n_threads) for case in cases()}


@pytest.fixture(scope="module")
def expected():
    return digests(1)


@pytest.mark.parametrize("n_threads", [2, 3, 7])
def test_threads_change_no_bit(n_threads, expected):
    assert digests(n_threads) == expected


def digests_with(isa):
    code = "import json, test_network_bits as t; print(json.dumps(t.digests(3)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env=os.environ | {"NNC_ISA": isa, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def with_fma(expected):
    return expected if nnc.cpu_info()["isa"] in ISAS_WITH_FMA else digests_with(ISAS_WITH_FMA[0])


@pytest.mark.parametrize("isa", ISAS_WITH_FMA)
def test_kernels_change_no_bit(isa, with_fma):
    assert digests_with(isa) == with_fma


def test_threads_are_used():
    """Else the tests above would say little."""
    for stack in STACKS:
        nnc.shutdown_threads()
        network, X, y, _ = network_and_data(stack, "adam", "float32")
        counts = []

        def count(epoch, logs, counts=counts):
            counts.append(len(os.listdir("/proc/self/task")))

        before = len(os.listdir("/proc/self/task"))
        network.fit(X, y, epochs=1, batch_size=128, callbacks=count, verbose=0, n_threads=3)
        assert counts == [before + 2]
