"""Engine: training in batches and prediction as NumPy does them, exactness, interruption."""

import gc
import os
import re
import signal
import subprocess
import sys
import threading
import time
import weakref

import batches
import numpy as np
import pytest
from batches import ADAM, BCE, CCE, MSE, PAIRS, SGD, SSE, engine, layers_of, problem
from conftest import ISAS_WITH_FMA
from hypothesis import given
from hypothesis import strategies as st
from support import kernels

from nnc._core import Engine
from nnc.reference import ACTIVATIONS

TOLERANCE = {np.float64: 1e-11, np.float32: 1e-4}
SIZES = [5, 9, 7, 3]
WIDE = layers_of([64, 300, 200, 4], "softmax")


def check_against_numpy(layers, loss, m, dtype, **options):
    X, Y, params = problem(layers, loss, m, dtype, options.get("seed", 0))
    ours = engine(layers, loss, params)
    theirs = params.astype(np.float64)
    cost, accuracy = ours.fit(X, Y, **options)
    options.pop("n_threads", None)
    with np.errstate(all="ignore"):
        their_cost, their_accuracy = batches.fit(theirs, layers, loss, X, Y, **options)
    tolerance = TOLERANCE[dtype]
    np.testing.assert_allclose(ours.params, theirs, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(cost, their_cost, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(accuracy, their_accuracy)
    assert ours.params.dtype == dtype
    assert cost.dtype == accuracy.dtype == np.float64


# ----------------------------------------------------------------------------------- as NumPy


@pytest.mark.parametrize("batch_size", [1, 2, 7, 31, 32, 33, 100, 203, 10**6])
@pytest.mark.parametrize("optimizer", [SGD, ADAM], ids=["sgd", "adam"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize(("loss", "last"), PAIRS)
@pytest.mark.usefixtures("isa")
def test_fit_follows_numpy(loss, last, bias, optimizer, batch_size, dtype):
    options = optimizer | {"epochs": 3, "batch_size": batch_size, "seed": 7}
    if loss == SSE:
        options["learning_rate"] = 0.002
    check_against_numpy(layers_of(SIZES, last, bias), loss, 203, dtype, **options)


@given(
    batches.networks(), st.integers(1, 150), st.integers(1, 160), st.integers(0, 2**32 - 1),
    st.sampled_from([SGD, ADAM]),
)  # fmt: skip
def test_random_networks_follow_numpy(network, m, batch_size, seed, optimizer):
    layers, loss = network
    options = optimizer | {"learning_rate": 0.001}
    options |= {"epochs": 2, "batch_size": batch_size, "seed": seed}
    check_against_numpy(layers, loss, m, np.float64, **options)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("sizes", [SIZES, [40, 150, 130, 3]], ids=["narrow", "wide"])
@pytest.mark.usefixtures("isa")
def test_every_activation_follows_numpy(activation, sizes, dtype):
    others = "tanh" if activation == "exponential" else activation  # e^e^z would overflow
    layers = layers_of(sizes, others, hidden=[activation, others])
    options = ADAM | {"epochs": 2, "batch_size": 90, "seed": 3, "n_threads": 2}
    check_against_numpy(layers, MSE, 170, dtype, **options)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_every_activation_predicts(activation, dtype):
    layers = layers_of([5, 9, 3], activation, hidden=[activation])
    X, _, params = problem(layers, MSE, 70, dtype)
    params[: 5 * 9] *= 0.3
    expected = batches.outputs(X, params.astype(np.float64), layers)[-1]
    network = engine(layers, MSE, params)
    tolerance = 20 * TOLERANCE[dtype]
    np.testing.assert_allclose(network.predict(X), expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(network.predict(X[0]), expected[0], rtol=tolerance, atol=tolerance)


def test_log_softmax_trains_as_softmax_and_predicts_its_logarithm(dtype):
    networks = []
    for last in ("softmax", "log_softmax"):
        layers = layers_of(SIZES, last)
        X, Y, params = problem(layers, CCE, 100, dtype)
        networks.append(engine(layers, CCE, params))
        networks[-1].fit(X, Y, epochs=3)
    plain, logs = networks
    assert (plain.params == logs.params).all()
    np.testing.assert_allclose(
        np.exp(logs.predict(X)), plain.predict(X), rtol=20 * np.finfo(dtype).eps
    )


@pytest.mark.parametrize("optimizer", [SGD, ADAM], ids=["sgd", "adam"])
def test_wide_networks_follow_numpy(optimizer, dtype):
    layers = layers_of([40, 600, 1100, 10], "softmax")
    options = optimizer | {"epochs": 1, "batch_size": 136, "n_threads": 3}
    check_against_numpy(layers, CCE, 170, dtype, **options)


@pytest.mark.parametrize("seed", [0, 1, 42, 2**32 - 1, None])
def test_samples_change_places_as_in_random_state(seed):
    """With identity, SSE and batches of one, the order of the costs is the order of the samples."""
    layers = layers_of([1, 1], "identity", bias=False)
    for m in (1, 2, 3, 31, 256, 257, 300, 1025):
        X, Y = np.zeros((m, 1)), np.arange(m, dtype=float).reshape(-1, 1)
        order, random, weight = np.arange(m), np.random.RandomState(seed), np.ones(1)
        X[:] = 1e-3 * Y
        ours = engine(layers, SSE, np.ones(1))
        ours.fit(X, Y, epochs=3, batch_size=1, learning_rate=1e-3, seed=seed)
        for _ in range(3):
            if seed is not None:
                random.shuffle(order)
            for j in order:
                weight = weight - 1e-3 * 2 * (X[j] * weight - Y[j]) * X[j]
        np.testing.assert_allclose(ours.params, weight, rtol=1e-13)


def test_seeds_may_be_arrays():
    X, Y, params = problem(WIDE, CCE, 100)
    results = []
    for seed in (np.array([1, 2], np.uint32), [1, 2], 1):
        ours = engine(WIDE, CCE, params)
        ours.fit(X, Y, seed=seed)
        results.append(ours.params.copy())
    assert (results[0] == results[1]).all()
    assert (results[0] != results[2]).any()


@pytest.mark.parametrize("optimizer", [SGD, ADAM], ids=["sgd", "adam"])
def test_the_optimizers_state_lasts_from_call_to_call(optimizer):
    layers = layers_of(SIZES, "identity")
    X, Y, params = problem(layers, MSE, 100)
    once, twice = engine(layers, MSE, params), engine(layers, MSE, params)
    cost, _ = once.fit(X, Y, epochs=2, **optimizer)
    first, _ = twice.fit(X, Y, **optimizer)
    second, _ = twice.fit(X, Y, **optimizer)
    assert (once.params == twice.params).all()
    assert cost.tolist() == [*first, *second]


def test_another_optimizer_starts_anew():
    layers = layers_of(SIZES, "identity")
    X, Y, params = problem(layers, MSE, 100)
    ours = engine(layers, MSE, params)
    ours.fit(X, Y, **ADAM)
    ours.fit(X, Y, **SGD)
    before = ours.params.copy()
    ours.fit(X, Y, **ADAM)
    fresh = engine(layers, MSE, before)
    fresh.fit(X, Y, **ADAM)
    assert (ours.params == fresh.params).all()


def test_no_epochs_and_no_samples():
    X, Y, params = problem(WIDE, CCE, 20)
    ours = engine(WIDE, CCE, params)
    cost, accuracy = ours.fit(X, Y, epochs=0)
    assert cost.shape == accuracy.shape == (0,)
    cost, accuracy = ours.fit(X[:0], Y[:0], epochs=2, seed=1)
    assert np.isnan(cost).all()
    assert np.isnan(accuracy).all()
    assert (ours.params == params).all()
    assert ours.predict(X[:0]).shape == (0, 4)


# ---------------------------------------------------------------------------------- exactness


@given(batches.networks(), st.integers(1, 300), st.integers(1, 310), st.booleans())
def test_threads_kernels_and_layouts_change_no_bit(network, m, batch_size, adam):
    layers, loss = network
    options = {"batch_size": batch_size, "epochs": 2, "seed": m} | (ADAM if adam else SGD)
    X, Y, params = problem(layers, loss, m, np.float32, m)

    def bits(X, Y, n_threads=1):
        ours = engine(layers, loss, params)
        try:
            histories = ours.fit(X, Y, n_threads=n_threads, **options | {"learning_rate": 1e-3})
        except FloatingPointError as diverged:  # names epoch and batch: these must agree, too
            return str(diverged).encode()
        parts = [ours.params, *histories, ours.predict(X, n_threads=n_threads)]
        return b"".join(part.tobytes() for part in parts)

    expected = bits(X, Y)
    assert bits(X, Y, 3) == expected
    assert bits(np.asfortranarray(X), np.repeat(Y, 2, axis=0)[::2]) == expected
    for isa in ISAS_WITH_FMA:
        with kernels(isa):
            assert bits(X, Y) == expected


@pytest.mark.parametrize("layers", [layers_of(SIZES, "softmax"), WIDE], ids=["small", "wide"])
@pytest.mark.usefixtures("isa")
def test_predict(layers, dtype):
    X, _, params = problem(layers, CCE, 333, dtype)
    ours = engine(layers, CCE, params)
    Y = ours.predict(X)
    expected = batches.outputs(X, params.astype(np.float64), layers)[-1]
    tolerance = 500 * np.finfo(dtype).eps
    np.testing.assert_allclose(Y, expected, rtol=0, atol=tolerance)
    assert Y.dtype == dtype
    assert Y.flags.c_contiguous
    for n_threads in (2, 3, 8):
        assert (ours.predict(X, n_threads=n_threads) == Y).all()
    rows = np.random.default_rng(1).permutation(333)[:77]
    assert (ours.predict(X[rows]) == Y[rows]).all()
    assert (ours.predict(X[::-3]) == Y[::-3]).all()
    for x, y in zip(X[:20], Y, strict=False):
        one = ours.predict(x)
        assert one.shape == (layers[-1][1],)
        assert one.dtype == dtype
        np.testing.assert_allclose(one, y, rtol=0, atol=tolerance)


# --------------------------------------------------------------------------------- divergence


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("layers", [layers_of(SIZES, "identity", hidden=("identity",)),
                                    layers_of([64, 300, 200, 4], "identity", hidden=("relu",))],
                         ids=["small", "wide"])  # fmt: skip
def test_divergence_hands_back_the_start_of_the_last_good_epoch(layers, optimizer):
    X, Y, params = problem(layers, MSE, 100)
    ours, again = engine(layers, MSE, params), engine(layers, MSE, params)
    options = {"learning_rate": 1e155, "optimizer": optimizer, "batch_size": 100}
    with pytest.raises(FloatingPointError, match=r"fit: training diverged.*in epoch ") as caught:
        ours.fit(X, Y, epochs=50, **options)
    epoch = int(re.search(r"in epoch (\d+), batch \d+;", str(caught.value)).group(1))
    assert np.isfinite(ours.params).all()
    if epoch > 1:
        again.fit(X, Y, epochs=epoch - 1, **options)
    assert (ours.params == again.params).all()


def test_adam_recovers_from_divergence():
    """Its state is not finite then, and must not spoil the next training."""
    layers = layers_of(SIZES, "identity")
    X, Y, params = problem(layers, MSE, 100)
    ours = engine(layers, MSE, params)
    spoilt = X.copy()
    spoilt[3, 3] = np.nan
    with pytest.raises(FloatingPointError):
        ours.fit(spoilt, Y, **ADAM)
    assert (ours.params == params).all()
    fresh = engine(layers, MSE, params)
    assert ours.fit(X, Y, **ADAM)[0] == fresh.fit(X, Y, **ADAM)[0]
    assert (ours.params == fresh.params).all()


# ----------------------------------------------------------------- callbacks and interruption


def test_the_callback_sees_each_epoch_and_its_parameters():
    X, Y, params = problem(WIDE, CCE, 100)
    ours, seen = engine(WIDE, CCE, params), []

    def callback(*args):
        seen.append((*args, ours.params.copy()))

    cost, accuracy = ours.fit(X, Y, epochs=4, callback=callback)
    assert [args[:3] for args in seen] == [
        (i, c, a) for i, (c, a) in enumerate(zip(cost, accuracy, strict=True))
    ]
    for epoch, _, _, values in seen:
        again = engine(WIDE, CCE, params)
        again.fit(X, Y, epochs=epoch + 1)
        assert (again.params == values).all()


@pytest.mark.parametrize("batch_size", [32, 100])
def test_the_callback_may_change_the_parameters(batch_size):
    X, Y, params = problem(WIDE, CCE, 100)
    ours, again = engine(WIDE, CCE, params), engine(WIDE, CCE, params)

    def callback(*_):
        ours.params[:] *= 0.5

    ours.fit(X, Y, epochs=3, batch_size=batch_size, callback=callback)
    for _ in range(3):
        again.fit(X, Y, batch_size=batch_size)
        again.params[:] *= 0.5
    assert (ours.params == again.params).all()


def test_first_epoch_goes_on_with_the_shuffles():
    X, Y, params = problem(WIDE, CCE, 100)
    ours, again = engine(WIDE, CCE, params), engine(WIDE, CCE, params)
    ours.fit(X, Y, epochs=5, seed=3)
    again.fit(X, Y, epochs=2, seed=3)
    again.fit(X, Y, epochs=3, seed=3, first_epoch=2)
    assert (ours.params == again.params).all()


@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_callback_that_returns_true_stops(n_threads):
    X, Y, params = problem(WIDE, CCE, 100)
    ours = engine(WIDE, CCE, params)
    cost, accuracy = ours.fit(
        X, Y, epochs=100, n_threads=n_threads, callback=lambda epoch, *_: epoch == 3
    )
    assert len(cost) == len(accuracy) == 4
    cost, _ = ours.fit(X, Y, epochs=5, callback=lambda *_: 1)  # is not True
    assert len(cost) == 5


@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_exception_in_the_callback_comes_out(n_threads):
    X, Y, params = problem(WIDE, CCE, 100)
    ours, again = engine(WIDE, CCE, params), engine(WIDE, CCE, params)

    def fail(epoch, *_):
        if epoch == 2:
            raise LookupError("from the callback")

    with pytest.raises(LookupError, match="from the callback"):
        ours.fit(X, Y, epochs=10, n_threads=n_threads, callback=fail)
    again.fit(X, Y, epochs=3)
    assert (ours.params == again.params).all()


def interrupted_after(call):
    """Seconds from SIGINT to the KeyboardInterrupt: the least of some tries on a busy machine."""
    sent, least = [], np.inf

    def interrupt():
        time.sleep(0.4)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    for _ in range(4):
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            call()
        least = min(least, time.perf_counter() - sent[-1])
        thread.join()
        if least <= 0.1:
            break
    return least


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize(
    ("sizes", "m", "batch_size"),
    [
        ([5, 9, 7, 3], 1000, 32), ([5, 9, 7, 3], 300_000, 300_000),
        ([784, 512, 512, 10], 1000, 128), ([1024, 2048, 2048, 1024], 1024, 1024),
    ],
    ids=["small", "one long batch", "wide", "widest"],
)  # fmt: skip
def test_ctrl_c_interrupts_fit_within_100_ms(sizes, m, batch_size, n_threads, optimizer):
    layers = layers_of(sizes, "softmax", hidden=("relu",))
    X, Y, params = problem(layers, CCE, m, np.float32)
    ours = engine(layers, CCE, params)
    options = {"batch_size": batch_size, "optimizer": optimizer, "learning_rate": 1e-6}
    latency = interrupted_after(
        lambda: ours.fit(X, Y, epochs=10**6, n_threads=n_threads, **options)
    )
    assert latency <= 0.1
    assert np.isfinite(ours.params).all()


@pytest.mark.parametrize("n_threads", [1, 2])
def test_ctrl_c_interrupts_predict_within_100_ms(n_threads):
    layers = layers_of([1024, 2048, 2048, 10], "softmax")
    ours = Engine(layers, CCE, "float32")
    X = np.broadcast_to(np.float32(1), (10**6, 1024))
    assert interrupted_after(lambda: ours.predict(X, n_threads=n_threads)) <= 0.1


# ------------------------------------------------------------------------- threads and forks


def test_two_threads_may_predict_at_once():
    X, _, params = problem(WIDE, CCE, 3000)
    ours = engine(WIDE, CCE, params)
    expected, results = ours.predict(X), []

    def work(n_threads):
        for _ in range(5):
            results.append((ours.predict(X, n_threads=n_threads) == expected).all())
            np.testing.assert_allclose(ours.predict(X[0]), expected[0], rtol=1e-12)

    threads = [threading.Thread(target=work, args=(1 + i % 2,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 20


def test_only_one_thread_trains():
    X, Y, params = problem(WIDE, CCE, 100)
    ours, errors = engine(WIDE, CCE, params), []

    def work():
        try:
            ours.fit(X, Y)
        except RuntimeError as error:
            errors.append(str(error))

    def callback(*_):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        work()  # nor does the callback itself

    ours.fit(X, Y, callback=callback)
    assert errors == ["fit: another thread trains this network"] * 2
    ours.fit(X, Y)


def test_a_fit_that_begins_while_the_inputs_of_another_are_read():
    """Reading them may run Python, and other threads: the later fit must not free Adam's state."""
    X, Y, params = problem(WIDE, CCE, 100)
    ours = engine(WIDE, CCE, params)
    trains, may_end = threading.Event(), threading.Event()

    def callback(*_):
        trains.set()
        assert may_end.wait(60)

    thread = threading.Thread(target=lambda: ours.fit(X, Y, callback=callback, **ADAM))

    class Slow:
        def __array__(self, dtype=None, copy=None):
            thread.start()
            assert trains.wait(60)
            return X

    try:
        with pytest.raises(RuntimeError, match="another thread trains this network"):
            ours.fit(Slow(), Y, **SGD)
    finally:
        may_end.set()
        thread.join()
    again = engine(WIDE, CCE, params)
    again.fit(X, Y, **ADAM)
    assert (ours.params == again.params).all()


def test_predictions_in_a_callback_are_of_the_params_after_its_epoch():
    X, Y, params = problem(WIDE, CCE, 100)
    ours, again, seen = engine(WIDE, CCE, params), engine(WIDE, CCE, params), []
    ours.fit(X, Y, epochs=2, callback=lambda *_: seen.append(ours.predict(X)))
    for Y_hat in seen:
        again.fit(X, Y)
        assert (again.predict(X) == Y_hat).all()


def test_another_thread_may_not_predict_while_one_trains():
    X, Y, params = problem(WIDE, CCE, 100)
    ours, errors = engine(WIDE, CCE, params), []

    def work():
        for call in (lambda: ours.predict(X), lambda: ours.predict(X[0]), lambda: ours.average):
            with pytest.raises(RuntimeError, match="another thread trains this network") as caught:
                call()
            errors.append(caught.value)

    def callback(*_):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    ours.fit(X, Y, callback=callback)
    assert len(errors) == 3


def test_the_optimizer_goes_on_from_its_copied_state():
    X, Y, params = problem(WIDE, CCE, 100)
    ours, again = engine(WIDE, CCE, params), engine(WIDE, CCE, params)
    ours.fit(X, Y, epochs=2, **ADAM)
    again.params[:] = ours.params
    again.resume("adam", ours.optimizer_state("adam"), ours.steps, None)
    for network in (ours, again):
        network.fit(X, Y, epochs=2, **ADAM)
    assert (ours.params == again.params).all()
    with pytest.raises(ValueError, match="state: expected shape"):
        again.resume("adam", ours.optimizer_state("adam")[1:], 1, None)
    assert (again.optimizer_state("adam") == ours.optimizer_state("adam")).all()


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("leave", ["pass", "os._exit(0)"], ids=["goes on", "ends"])
def test_a_child_that_a_callback_forks(n_threads, leave):
    code = f"""
import os, sys, batches
from batches import CCE, engine, layers_of, problem
layers = layers_of([64, 300, 200, 4], "softmax")
X, Y, params = problem(layers, CCE, 100)
children = []
def fork(epoch, *_):
    if epoch == 2:
        children.append(os.fork())
        if children[-1] == 0:
            {leave}
def train(callback):
    ours = engine(layers, CCE, params)
    return ours.fit(X, Y, epochs=6, n_threads={n_threads}, callback=callback)[0].tolist()
cost = train(fork)
good = cost == train(None)
if children[-1] == 0:
    os._exit(0 if good else 3)
status = os.waitstatus_to_exitcode(os.waitpid(children[-1], 0)[1])
sys.exit(0 if good and status == 0 else 4)
"""
    folder = os.path.dirname(__file__)
    path = os.pathsep.join([folder, *filter(None, sys.path)])
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        check=True, timeout=60, env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip


# ---------------------------------------------------------------------------- the parameters


def test_params_are_a_view_that_keeps_the_engine():
    ours = Engine([(2, 3, "relu", True), (3, 1, "sigmoid", False)], BCE, "float64")
    params = ours.params
    assert params.shape == (2 * 3 + 3 + 3,)
    assert (params == 0).all()
    assert params.base is ours
    assert params.flags.writeable
    assert not params.flags.owndata
    params[:] = 0.5
    assert (ours.params == 0.5).all()
    x = np.array([1.0, 2.0])
    before = ours.predict(x)
    params[:] = 0.25
    assert ours.predict(x) != before
    references = sys.getrefcount(ours)
    views = [ours.params for _ in range(10)]
    assert sys.getrefcount(ours) == references + 10
    del views
    assert sys.getrefcount(ours) == references
    del ours
    gc.collect()
    params[:] = 7  # the memory is still there
    assert (params == 7).all()
    with pytest.raises(TypeError, match="weak reference"):
        weakref.ref(params.base)


def test_fit_goes_on_from_params_and_writes_them():
    layers = layers_of(SIZES, "identity")
    X, Y, params = problem(layers, MSE, 50)
    ours = Engine(layers, MSE, "float64")
    view = ours.params
    view[:] = params
    ours.fit(X, Y)
    assert (view != params).any()
    expected = params.copy()
    batches.fit(expected, layers, MSE, X, Y)
    np.testing.assert_allclose(view, expected, rtol=1e-12)


def test_params_may_be_the_input():
    layers = layers_of([4, 3], "identity", bias=False)
    _, Y, params = problem(layers, MSE, 3)
    ours, again = engine(layers, MSE, params), engine(layers, MSE, params)
    ours.fit(ours.params.reshape(3, 4), Y, epochs=3)
    again.fit(params.reshape(3, 4).copy(), Y, epochs=3)
    assert (ours.params == again.params).all()
