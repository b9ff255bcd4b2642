"""Trainings of very many epochs go part by part: with the bits of one call, in little memory."""

import math
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
import trainings
from batches import CCE, engine, layers_of, problem
from sample_networks import circles
from test_network_resume import Interruption, interrupt, nothing

import nnc
from nnc import Dense, DivergenceError, Network, _rates, schedules
from nnc.callbacks import Callback, EarlyStopping, ReduceLROnPlateau

X, y = circles(90)


@pytest.fixture(params=[1, 2, 5])
def parts(request, monkeypatch):
    """Parts of so many epochs, and no learning rates before they are needed."""

    def begin():
        monkeypatch.setattr(_rates, "MOST", 0)
        monkeypatch.setattr(_rates, "PART", request.param)

    return begin


@pytest.mark.parametrize("name", trainings.TRAININGS)
@pytest.mark.parametrize("extra", [None, nothing], ids=["alone", "watched"])
def test_parts_are_one_training(name, extra, parts):
    expected = trainings.run(name, extra=extra)
    parts()
    assert trainings.run(name, extra=extra) == expected


@pytest.mark.parametrize("name", trainings.TRAININGS)
def test_checkpoints(name, parts, tmp_path):
    expected = trainings.run(name, extra=nothing)
    parts()
    for epoch in (0, 4, 5, 7):
        with pytest.raises(Interruption):
            trainings.run(name, tmp_path / "a", extra=interrupt(epoch), checkpoint_every=1)
    assert trainings.run(name, tmp_path / "a", extra=nothing, checkpoint_every=1) == expected


SCHEDULES = {
    "constant": 0.3,
    "Constant": schedules.Constant(0.3),
    "cosine": schedules.Cosine(0.3),
    "steps": schedules.OneCycle(0.3),
    "ends at 0": lambda epoch: max(0.0, 0.3 - 0.1 * epoch),
}


class Watcher(Callback):
    """One that may change the rates, for all anybody knows."""


def train(rate, *, optimizer=nnc.SGD, epochs=7, **options):
    network = Network([Dense(4, "tanh"), Dense(1, "sigmoid")], 2, seed=1, optimizer=optimizer(rate))
    history = network.fit(X, y, epochs=epochs, verbose=0, **options)
    return trainings.left_by(network, history)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("optimizer", [nnc.SGD, nnc.Adam, nnc.Rprop])
def test_schedules(name, optimizer, parts):
    rate = SCHEDULES[name]
    options = {"optimizer": optimizer, "batch_size": None if optimizer is nnc.Rprop else 32}
    expected = train(rate, **options)
    parts()
    assert train(rate, **options) == expected
    assert train(rate, **options, callbacks=nothing) == expected
    assert train(rate, **options, callbacks=Watcher()) == expected


def test_batches(parts):
    def fit(rate):
        network = Network([Dense(1, "sigmoid")], 2, seed=1, optimizer=nnc.SGD(rate))
        batches = [(X[i::3], y[i::3]) for i in range(3)]
        return trainings.left_by(network, network.fit(batches, epochs=7))

    expected = [fit(rate) for rate in SCHEDULES.values()]
    parts()
    assert [fit(rate) for rate in SCHEDULES.values()] == expected


def test_callbacks_that_change_rates(parts):
    def fit():
        return train(3.0, callbacks=ReduceLROnPlateau("loss", patience=1, min_delta=1), epochs=9)

    expected = fit()
    parts()
    assert fit() == expected


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("at", range(6))
def test_divergence(watched, at, parts):
    """The parameters are those at the start of the epoch before, in another part or not."""

    def fit():
        rate = [0.1] * 7
        rate[at] = 1e300
        network = Network([Dense(5, "relu"), Dense(1)], 2, seed=1, optimizer=nnc.SGD(
            lambda epoch: rate[int(epoch)], 0.9
        ))  # fmt: skip
        with pytest.raises(DivergenceError) as caught:
            network.fit(X, y, epochs=7, callbacks=nothing if watched else None)
        error = caught.value
        return trainings.left_by(network, network.history), str(error), error.epoch

    expected = fit()
    parts()
    assert fit() == expected


def test_true_from_a_callback_stops(parts):
    parts()
    for at in range(6):
        left = train(0.3, callbacks=lambda epoch, logs, at=at: epoch == at)
        assert left["epochs"] == list(range(at + 1))


def test_epochs_begin_once(parts):
    class Log(Callback):
        begun = ()

        def on_epoch_begin(self, epoch, logs=None):
            self.begun = (*self.begun, epoch)

    parts()
    log = Log()
    train(0.3, callbacks=log)
    assert log.begun == tuple(range(7))


def test_an_exception_leaves_the_epochs_before(parts):
    parts()
    for at in range(6):
        network = Network([Dense(1, "sigmoid")], 2, seed=1)
        with pytest.raises(Interruption):
            network.fit(X, y, epochs=7, callbacks=interrupt(at))
        assert (network.epochs_trained, len(network.history.epoch)) == (at + 1, at + 1)


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (lambda epoch: -1.0 if epoch == 4 else 0.1, "got -1.0 for epoch 4"),
        (lambda epoch: math.nan if epoch == 3 else 0.1, "got nan for epoch 3"),
        (lambda epoch: 0.0 if epoch in (3, 4) else 0.1, "got 0.0 for epoch 3"),
        (lambda epoch: 0.0, "got 0.0 for epoch 0"),
    ],
)
def test_bad_rates_are_found_when_they_are_due(rate, text, parts):
    with pytest.raises(ValueError, match=text):
        train(rate)
    parts()
    with pytest.raises(ValueError, match=text):
        train(rate)
    with pytest.raises(ValueError, match=text):
        train(rate, callbacks=nothing)


def test_callbacks_without_a_use_for_many_rates(parts):
    stopper = EarlyStopping("loss")
    train(0.3, callbacks=stopper)
    assert stopper.rates.shape == (7, 1)
    parts()
    train(0.3, callbacks=stopper)
    assert stopper.rates is None
    train(0.3, callbacks=[stopper, ReduceLROnPlateau("loss")])
    assert stopper.rates.shape == (7, 1)


def test_predictions_between_parts_do_not_end_a_training(monkeypatch):
    monkeypatch.setattr(_rates, "MOST", 0)
    monkeypatch.setattr(_rates, "PART", 1)
    network = Network([Dense(30, "relu"), Dense(1, "sigmoid")], 2, optimizer=nnc.SGD(0.1), seed=1)
    many, predicted, done = np.repeat(X, 200, axis=0), [0], threading.Event()

    def predict():
        while not done.is_set():
            try:
                network.predict(many)
            except RuntimeError:  # amid a part
                continue
            predicted[0] += 1

    thread = threading.Thread(target=predict)
    thread.start()
    try:
        rounds = 0
        while predicted[0] < 3 and rounds < 1000:
            assert len(network.fit(X, y, epochs=200, verbose=0)["loss"]) == 200
            rounds += 1
    finally:
        done.set()
        thread.join()


def test_before_is_the_start_of_the_last_epoch():
    layers = layers_of([6, 9, 3], "softmax")
    rows, labels, params = problem(layers, CCE, 60)
    ours, before = engine(layers, CCE, params), np.full_like(params, 7)
    for epochs in (1, 0, 3, 2):
        last = engine(layers, CCE, ours.params.copy())
        if epochs:
            last.fit(rows, labels, epochs - 1)
        expected = last.params.copy() if epochs else before.copy()
        ours.fit(rows, labels, epochs, before=before)
        assert (before == expected).all()
    ours.params[:] = np.inf
    with pytest.raises(FloatingPointError):
        ours.fit(rows, labels, 2, before=before)
    assert (ours.params == before).all()
    assert (before == expected).all()
    for bad in (
        before[1:],
        before.astype("f"),
        before.reshape(1, -1),
        before.tolist(),
        before[::2],
    ):
        with pytest.raises((ValueError, TypeError), match="before"):
            ours.fit(rows, labels, before=bad)


MANY = """
    import resource, sys
    import numpy as np
    from nnc import Dense, Network, SGD, schedules

    rate = {"constant": 0.1, "Constant": schedules.Constant(0.1),
            "cosine": schedules.Cosine(0.1), "steps": schedules.OneCycle(0.1)}[sys.argv[1]]
    X = np.random.RandomState(0).randn(64, 2)
    network = Network([Dense(3, "tanh"), Dense(1, "sigmoid")], 2, seed=1, optimizer=SGD(rate))
    options = {"X": X, "y": X[:, 0] > 0, "batch_size": 32, "verbose": 0, **eval(sys.argv[2])}
    network.fit(epochs=2, **options)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + (200 << 20), -1))
    history = network.fit(epochs=10**9, max_time=0.5, **options)
    assert history.stopped_by == "max_time" and len(history.epoch) > 2
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("rate", ["constant", "Constant", "cosine", "steps"])
@pytest.mark.parametrize(
    "options",
    ["{}", "{'callbacks': lambda epoch, logs: None}", "{'X_val': X[:5], 'y_val': [0, 1, 0, 1, 0]}"],
    ids=["alone", "callback", "validation"],
)
def test_a_thousand_million_epochs(rate, options):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(MANY), rate, options],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 50 * 1024  # KiB


CTRL_C = """
    import signal
    import numpy as np
    from nnc import Dense, Network, SGD, _rates, schedules

    _rates.MOST = _rates.PART = 5000
    X = np.random.RandomState(0).randn(64, 2)
    y = X[:, 0] > 0
    for i in range(4):
        make = lambda: Network([Dense(3, "tanh"), Dense(1, "sigmoid")], 2, seed=1,
                               optimizer=SGD(schedules.Cosine(0.1)))
        network = make()
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.03 + 0.012 * i)
            network.fit(X, y, epochs=10**9, batch_size=64, verbose=0)
        except KeyboardInterrupt:
            pass
        losses = network.history["loss"] if network.history else []
        assert len(losses) == network.epochs_trained == network.engine.steps
        if not losses:
            continue  # it came before the first epoch
        twin = make()
        other = twin.fit(X, y, epochs=10**9, batch_size=64, verbose=0,
                         callbacks=lambda epoch, logs: epoch + 1 == len(losses))
        assert dict(network.history) == dict(other)
        assert (network.engine.params == twin.engine.params).all()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="signals")
def test_ctrl_c_in_any_part():
    code = "import signal\nsignal.signal(signal.SIGALRM, signal.default_int_handler)\n"
    done = subprocess.run(
        [sys.executable, "-c", code + textwrap.dedent(CTRL_C)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
