"""train: the tutorial's trajectory, exactness, divergence, interruption, callbacks."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from conftest import ISAS_WITH_FMA
from hypothesis import given
from hypothesis import strategies as st
from support import architecture, data, kernels, networks

import nnc
from nnc import datasets, reference

MOONS = datasets.tutorial_moons()
MOONS_NET = datasets.tutorial_architecture()
SMALL = architecture([2, 5, 1], ["relu", "sigmoid"])


def largest_difference(ours, theirs):
    return max(np.abs(ours[key] - theirs[key]).max() for key in theirs)


def bits(result):
    params, cost, accuracy = result
    return b"".join(v.tobytes() for v in params.values()), cost, accuracy


@pytest.fixture(scope="module")
def reference_run():
    return reference.train(MOONS.X_train, MOONS.Y_train, MOONS_NET, 10_000, 0.01)


def test_ten_thousand_epochs_of_moons_equal_numpy(reference_run):
    params, cost, accuracy = nnc.train(MOONS.X_train, MOONS.Y_train, MOONS_NET, 10_000, 0.01)
    theirs, their_cost, their_accuracy = reference_run
    assert largest_difference(params, theirs) <= 1e-12
    np.testing.assert_allclose(cost, their_cost, rtol=1e-12)
    assert accuracy == their_accuracy
    Y_hat, _ = nnc.full_forward_propagation(MOONS.X_test, params, MOONS_NET)
    Y_reference, _ = reference.full_forward_propagation(MOONS.X_test, theirs, MOONS_NET)
    assert np.abs(Y_hat - Y_reference).max() <= 1e-12
    assert nnc.get_accuracy_value(Y_hat, MOONS.Y_test) == 0.98
    # the tutorial's own run, at its published points
    assert cost[0] == pytest.approx(0.693648, abs=1e-6)
    assert cost[2500] == pytest.approx(0.629656, abs=1e-6)
    assert cost[-1] == pytest.approx(0.0742931490, abs=1e-9)
    assert accuracy[-1] == pytest.approx(0.9689, abs=1e-4)
    assert (np.diff(cost) < 0).all()


def test_ten_thousand_epochs_in_float32(reference_run):
    X = MOONS.X_train.astype(np.float32)
    params, cost, accuracy = nnc.train(X, MOONS.Y_train, MOONS_NET, 10_000, 0.01)
    theirs, their_cost, their_accuracy = reference_run
    assert params["W1"].dtype == np.float32
    assert largest_difference(params, theirs) <= 5e-3
    np.testing.assert_allclose(cost, their_cost, rtol=2e-4)
    assert abs(accuracy[-1] - their_accuracy[-1]) <= 1.5 / 900


@pytest.mark.parametrize(
    ("dtype", "atol", "rtol"), [(np.float64, 1e-13, 1e-13), (np.float32, 1e-4, 1e-5)]
)
@pytest.mark.usefixtures("isa")
def test_every_isa_follows_numpy(dtype, atol, rtol):
    args = (MOONS.X_train, MOONS.Y_train, MOONS_NET, 200, 0.01)
    params, cost, _ = nnc.train(*args, dtype=dtype)
    theirs, their_cost, _ = reference.train(*args)
    assert largest_difference(params, theirs) <= atol
    np.testing.assert_allclose(cost, their_cost, rtol=rtol)


@given(networks(last=("sigmoid",)), st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_random_networks_follow_numpy(nn_architecture, m, seed):
    X, Y, _ = data(nn_architecture, m, seed)
    params, cost, accuracy = nnc.train(X, Y, nn_architecture, 8, 0.05, seed=seed)
    theirs, their_cost, their_accuracy = reference.train(X, Y, nn_architecture, 8, 0.05, seed=seed)
    assert largest_difference(params, theirs) <= 1e-13
    np.testing.assert_allclose(cost, their_cost, rtol=1e-13)
    assert accuracy == their_accuracy
    assert all(type(value) is float for value in cost + accuracy)


@given(networks(max_width=40), st.integers(1, 700), st.sampled_from([np.float64, np.float32]))
def test_threads_kernels_and_layouts_change_no_bit(nn_architecture, m, dtype):
    X, Y, _ = data(nn_architecture, m, m)
    work = (nn_architecture, 5, 0.1)
    expected = bits(nnc.train(X, Y, *work, dtype=dtype, n_threads=1))
    for n_threads in (2, 3, 4, 7, 8, 16):
        assert bits(nnc.train(X, Y, *work, dtype=dtype, n_threads=n_threads)) == expected
    shifted = np.empty(X.nbytes + 8, np.uint8)[8:].view(X.dtype).reshape(X.shape)
    shifted[:] = X
    assert bits(nnc.train(shifted, Y, *work, dtype=dtype)) == expected
    assert (
        bits(nnc.train(np.asfortranarray(X), np.repeat(Y, 2, axis=1)[:, ::2], *work, dtype=dtype))
        == expected
    )
    for isa in ISAS_WITH_FMA:
        with kernels(isa):
            assert bits(nnc.train(X, Y, *work, dtype=dtype)) == expected


def test_a_large_parallel_run_is_the_same_as_a_serial_one():
    runs = [
        bits(nnc.train(MOONS.X_train, MOONS.Y_train, MOONS_NET, 300, 0.1, n_threads=n))
        for n in (1, 2, 3, 8)
    ]
    assert all(run == runs[0] for run in runs)


def test_training_is_the_single_steps_repeated():
    X, Y, params = data(MOONS_NET, 500)
    params = nnc.init_layers(MOONS_NET, 2)
    for _ in range(20):
        Y_hat, memory = nnc.full_forward_propagation(X, params, MOONS_NET)
        grads = nnc.full_backward_propagation(Y_hat, Y, memory, params, MOONS_NET)
        nnc.update(params, grads, MOONS_NET, 0.05)
    trained, _, _ = nnc.train(X, Y, MOONS_NET, 20, 0.05)
    assert largest_difference(trained, params) <= 1e-15


def test_other_outputs_than_sigmoid(dtype):
    """The cost then comes from the outputs themselves: here identity, started near one half."""
    nn_architecture = architecture([3, 4, 2], ["sigmoid", "identity"])
    X, Y, _ = data(nn_architecture, 50)
    params = nnc.init_layers(nn_architecture, 2)
    assert np.abs(params["W2"]).max() < 0.5  # so outputs may be negative: log of them is NaN
    with pytest.raises(nnc.DivergenceError, match="epoch 0; the output's activation 'identity'"):
        nnc.train(X, Y, nn_architecture, 3, 0.01, dtype=dtype)


def test_no_epochs_and_no_samples():
    params, cost, accuracy = nnc.train(MOONS.X_train, MOONS.Y_train, SMALL, 0, 0.01)
    start = nnc.init_layers(SMALL, 2)
    assert (cost, accuracy) == ([], [])
    assert largest_difference(params, start) == 0
    params, cost, accuracy = nnc.train(np.zeros((2, 0)), np.zeros((1, 0)), SMALL, 3, 0.01)
    assert np.isnan(cost).all()
    assert np.isnan(accuracy).all()
    assert len(cost) == len(accuracy) == 3
    assert largest_difference(params, start) == 0


def test_seeds(rng):
    X, Y, _ = data(SMALL, 20)
    default = nnc.train(X, Y, SMALL, 5, 0.1)
    assert bits(default) == bits(nnc.train(X, Y, SMALL, 5, 0.1, seed=2))
    assert bits(default) != bits(nnc.train(X, Y, SMALL, 5, 0.1, seed=[2]))


def test_inputs_stay_as_they_are():
    X, Y = MOONS.X_train.copy(), MOONS.Y_train.copy()
    X.flags.writeable = Y.flags.writeable = False
    nnc.train(X, Y, SMALL, 3, 0.1)
    np.testing.assert_array_equal(X, MOONS.X_train)
    np.testing.assert_array_equal(Y, MOONS.Y_train)


# ---------------------------------------------------------------------------------- divergence


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.usefixtures("isa")
def test_divergence_hands_back_the_last_finite_parameters(n_threads):
    net = architecture([2, 30, 30, 1], ["identity", "identity", "sigmoid"])
    with pytest.raises(FloatingPointError, match="epoch") as caught:
        nnc.train(MOONS.X_train * 1e30, MOONS.Y_train, net, 50, 1e30, n_threads=n_threads)
    error = caught.value
    assert f"epoch {error.epoch};" in str(error)
    assert len(error.cost_history) == len(error.accuracy_history) == error.epoch
    assert np.isfinite(error.cost_history).all()
    assert all(np.isfinite(value).all() for value in error.params_values.values())
    if error.epoch:  # the parameters are those of the last entry
        again, cost, _ = nnc.train(MOONS.X_train * 1e30, MOONS.Y_train, net, error.epoch - 1, 1e30)
        assert largest_difference(again, error.params_values) == 0
        assert cost == error.cost_history[:-1]


def test_a_last_update_that_overflows_is_divergence_too():
    net = architecture([1, 1], ["sigmoid"])
    with pytest.raises(FloatingPointError) as caught:
        nnc.train([[1e308]], [[1]], net, 1, 1e10)
    assert caught.value.epoch == 1
    assert len(caught.value.cost_history) == 1
    start = nnc.init_layers(net, 2)
    assert largest_difference(caught.value.params_values, start) == 0


# ------------------------------------------------------------------- callbacks, interruption


def test_the_callback_sees_each_epoch_and_may_keep_its_parameters():
    seen = []
    params, _, _ = nnc.train(
        MOONS.X_train, MOONS.Y_train, SMALL, 6, 0.1, callback=lambda *args: seen.append(args)
    )
    assert [epoch for epoch, _ in seen] == list(range(6))
    for epoch, values in seen:
        expected, _, _ = nnc.train(MOONS.X_train, MOONS.Y_train, SMALL, epoch + 1, 0.1)
        assert largest_difference(values, expected) == 0
    assert largest_difference(seen[-1][1], params) == 0
    seen[-1][1]["W1"][:] = 0
    assert (params["W1"] != 0).any()


@pytest.mark.parametrize("true", [True, np.True_])
def test_a_callback_that_returns_true_stops(true):
    _, cost, accuracy = nnc.train(
        MOONS.X_train, MOONS.Y_train, SMALL, 100, 0.1, callback=lambda epoch, _: epoch == 3 and true
    )
    assert len(cost) == len(accuracy) == 4


def test_a_callback_that_counts_as_false_is_called_like_any_other():
    class Log(list):
        def __call__(self, epoch, params_values):
            self.append(epoch)

    log = Log()
    nnc.train(MOONS.X_train, MOONS.Y_train, SMALL, 60, 0.1, callback=log)
    assert log == list(range(60))


def test_a_callback_that_returns_something_else_does_not_stop():
    _, cost, _ = nnc.train(
        MOONS.X_train, MOONS.Y_train, SMALL, 5, 0.1, callback=lambda epoch, params: params
    )
    assert len(cost) == 5


@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_exception_in_the_callback_comes_out(n_threads):
    def fail(epoch, params_values):
        raise LookupError("from the callback")

    with pytest.raises(LookupError, match="from the callback"):
        nnc.train(
            MOONS.X_train, MOONS.Y_train, MOONS_NET, 10, 0.1, callback=fail, n_threads=n_threads
        )


def test_verbose_prints_the_notebooks_lines(capsys):
    nnc.train(MOONS.X_train, MOONS.Y_train, SMALL, 101, 0.1, verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" - ")[0] for line in lines] == [
        "Iteration: 00000", "Iteration: 00050", "Iteration: 00100",
    ]  # fmt: skip
    assert "cost: 0.69" in lines[0]


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize(
    ("width", "m"),
    [(50, 900), (700, 900), (50, 20_000), (700, 20_000), (6000, 10)],
    ids=["small", "wide", "long", "wide and long", "drawing its initial weights"],
)
def test_ctrl_c_interrupts_within_100_ms(width, m, n_threads):
    net = architecture([20, width, width, 1], ["relu", "relu", "sigmoid"])
    random = np.random.default_rng(1)
    X, Y = random.normal(size=(20, m)), random.integers(0, 2, size=(1, m))
    before = X.copy()
    sent = []

    def interrupt():
        time.sleep(0.4)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    for _ in range(4):
        sent.clear()
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            nnc.train(X, Y, net, 10**7, 1e-3, n_threads=n_threads)
        latency = time.perf_counter() - sent[0]
        thread.join()
        if latency <= 0.1:
            break  # a busy machine gets another chance, a slow implementation does not
    assert latency <= 0.1
    np.testing.assert_array_equal(X, before)


def test_other_threads_run_meanwhile():
    counted = 0
    done = threading.Event()

    def work():
        nnc.train(MOONS.X_train, MOONS.Y_train, MOONS_NET, 1000, 0.01)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not done.is_set():
        counted += 1
    thread.join()
    assert counted > 1000


def test_concurrent_trainings_do_not_disturb_each_other():
    expected = bits(nnc.train(MOONS.X_train, MOONS.Y_train, MOONS_NET, 100, 0.1))
    results = []

    def work():
        results.append(bits(nnc.train(MOONS.X_train, MOONS.Y_train, MOONS_NET, 100, 0.1)))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 6


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("leave", ["raise SystemExit(0)", "return None"])
def test_a_child_that_a_callback_forked_ends_or_goes_on_alone(n_threads, leave):
    code = f"""
import os, sys, nnc
from nnc import datasets
d, net = datasets.tutorial_moons(), datasets.tutorial_architecture()
children = []
def fork(epoch, params):
    if epoch == 5:
        children.append(os.fork())
        if children[-1] == 0:
            {leave}
train = lambda callback: nnc.train(
    d.X_train, d.Y_train, net, 30, .1, n_threads={n_threads}, callback=callback)[1]
cost = train(fork)
good = cost == train(None)
if children[-1] == 0:
    os._exit(0 if good else 3)
status = os.waitstatus_to_exitcode(os.waitpid(children[-1], 0)[1])
sys.exit(0 if good and status == 0 else 4)
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)


def test_a_forked_child_trains():
    code = """
import os, sys, nnc
from nnc import datasets
d, net = datasets.tutorial_moons(), datasets.tutorial_architecture()
run = lambda: nnc.train(d.X_train, d.Y_train, net, 20, .1, n_threads=2)[1][-1]
first = run()
child = os.fork()
if child == 0:
    os._exit(0 if run() == first else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)
