"""What happens around a training: callbacks, early stopping, endings of all kinds, threads."""

import io
import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from sample_networks import blobs, circles

import nnc
from nnc import BatchNorm, Dense, DivergenceError, Network
from nnc.callbacks import EarlyStopping, LambdaCallback

X, y = circles(90)


def make(optimizer="adam", **options):
    options = {"seed": 1, "dtype": "float64"} | options
    return Network([Dense(6, "tanh"), Dense(1, "sigmoid")], 2, optimizer=optimizer, **options)


def same_bits(a, b):
    for name, array in a.params.items():
        assert (array == b.params[name]).all(), name


def after(epochs, batch_size=32, **options):
    """The same network, trained for so many epochs."""
    network = make(**options)
    if epochs:
        network.fit(X, y, epochs=epochs, batch_size=batch_size)
    return network


# ------------------------------------------------------------------------------ callbacks


class Log:
    """Keras' method names, without a base class."""

    def __init__(self):
        self.calls = []

    def on_train_begin(self, logs):
        self.calls.append(("train begins", dict(logs)))

    def on_epoch_begin(self, epoch, logs):
        self.calls.append((f"epoch {epoch} begins", dict(logs)))

    def on_epoch_end(self, epoch, logs):
        self.calls.append((f"epoch {epoch} ends", dict(logs)))

    def on_train_end(self, logs):
        self.calls.append(("train ends", dict(logs)))


def batches(n=3):
    return [(X[i::n], y[i::n]) for i in range(n)]


@pytest.fixture(params=["arrays", "batches"])
def data(request):
    """Arguments of fit: arrays, or batches."""
    return (X, y) if request.param == "arrays" else (batches(),)


def test_callbacks_are_called_in_order(data):
    log, network = Log(), make()
    history = network.fit(*data, epochs=2, callbacks=[log], X_val=X, y_val=y)
    ends = [{key: history[key][i] for key in history} for i in range(2)]
    assert log.calls == [
        ("train begins", {}),
        ("epoch 0 begins", {}),
        ("epoch 0 ends", ends[0]),
        ("epoch 1 begins", {}),
        ("epoch 1 ends", ends[1]),
        ("train ends", ends[1]),
    ]
    assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy"]


def test_true_stops(data):
    log, network = Log(), make()
    history = network.fit(*data, epochs=9, callbacks=[lambda epoch, logs: epoch == 2, log])
    assert len(history["loss"]) == network.epochs_trained == 3
    assert "lambda" in history.stopped_by
    assert [name for name, _ in log.calls][-2:] == ["epoch 2 ends", "train ends"]
    twin = make()
    twin.fit(*data, epochs=3)
    same_bits(network, twin)


class OwnError(Exception):
    pass


@pytest.mark.parametrize("error", [OwnError, KeyboardInterrupt, FloatingPointError])
def test_exceptions_leave_a_whole_step(data, error):
    def fail(epoch, logs):
        if epoch == 1:
            raise error("on purpose")

    log, network = Log(), make()
    with pytest.raises(error, match="on purpose"):
        network.fit(*data, epochs=5, callbacks=[fail, log])
    twin = make()
    twin.fit(*data, epochs=2)
    same_bits(network, twin)
    assert log.calls[-1][0] == "train ends"
    assert network.epochs_trained == len(network.history["loss"]) == 2
    network.fit(*data, epochs=1)
    twin.fit(*data, epochs=1)
    same_bits(network, twin)


@pytest.mark.parametrize("where", ["on_train_begin", "on_epoch_begin", "on_train_end"])
def test_exceptions_elsewhere(data, where):
    def fail(*arguments):
        raise OwnError

    network = make()
    with pytest.raises(OwnError):
        network.fit(*data, epochs=2, callbacks=LambdaCallback(**{where: fail}))
    twin = make()
    if where == "on_train_end":
        twin.fit(*data, epochs=2)
    same_bits(network, twin)


def test_the_network_is_of_use_in_callbacks(data):
    network, seen = make(), []

    def look(epoch, logs):
        seen.append((network.predict_proba(X), network.evaluate(X, y), network.get_weights()))

    network.fit(*data, epochs=3, callbacks=look)
    for epoch, (outputs, found, weights) in enumerate(seen):
        twin = make()
        twin.fit(*data, epochs=epoch + 1)
        assert (outputs == twin.predict_proba(X)).all()
        assert found == twin.evaluate(X, y)
        for a, b in zip(weights, twin.get_weights(), strict=True):
            assert (a == b).all()


@pytest.mark.parametrize("how", ["params", "set_weights"])
def test_callbacks_may_change_parameters(data, how):
    network, twin = make("sgd"), make("sgd")

    def halve(epoch, logs):
        if how == "params":
            network.params["W1"] *= 0.5
        else:
            weights = network.get_weights()
            network.set_weights([weights[0] * 0.5, *weights[1:]])

    network.fit(*data, epochs=2, callbacks=halve)
    for _ in range(2):
        twin.fit(*data, epochs=1)
        twin.params["W1"] *= 0.5
    same_bits(network, twin)


@pytest.mark.parametrize("call", ["fit", "step", "partial_fit"])
def test_callbacks_may_not_train_the_network(data, call):
    network = make()

    def train(epoch, logs):
        getattr(network, call)(X, y)

    with pytest.raises(RuntimeError, match=f"^{call}: another thread, or the training whose"):
        network.fit(*data, epochs=2, callbacks=train)
    network.fit(*data, epochs=1)


def test_two_threads_on_one_network(data):
    network, began, go_on = make(), threading.Event(), threading.Event()

    def wait(epoch, logs):
        began.set()
        go_on.wait(10)

    thread = threading.Thread(
        target=network.fit, args=data, kwargs={"epochs": 1, "callbacks": wait}
    )
    thread.start()
    assert began.wait(10)
    for call in (network.fit, network.step, network.partial_fit):
        with pytest.raises(RuntimeError, match="another thread"):
            call(X, y)
    go_on.set()
    thread.join()
    twin = make()
    twin.fit(*data, epochs=1)
    same_bits(network, twin)


# -------------------------------------------------------------------------- early stopping


def noisy(m=120):
    random = np.random.default_rng(4)
    inputs = random.normal(size=(m, 2))
    return inputs, random.integers(0, 2, m)


def test_early_stopping_takes_the_best_weights_back():
    inputs, labels = noisy()
    network = make(nnc.Adam(0.05))
    history = network.fit(
        inputs[:60], labels[:60], epochs=200, X_val=inputs[60:], y_val=labels[60:],
        early_stopping=True,
    )  # fmt: skip
    best = int(np.argmin(history["val_loss"]))
    assert len(history["loss"]) == best + 11
    assert history.best_epoch == best
    assert "not better than" in history.stopped_by
    twin = make(nnc.Adam(0.05))
    twin.fit(inputs[:60], labels[:60], epochs=best + 1)
    same_bits(network, twin)
    assert network.evaluate(inputs[60:], labels[60:])["loss"] == min(history["val_loss"])


def test_early_stopping_with_other_options():
    stopper = EarlyStopping("loss", patience=2, min_delta=10, restore_best=False)
    network = make()
    history = network.fit(X, y, epochs=50, early_stopping=stopper)
    assert len(history["loss"]) == 3
    same_bits(network, after(3))
    assert (stopper.best_epoch, stopper.stopped_epoch) == (0, 2)


def test_the_best_weights_come_back_after_an_exception():
    inputs, labels = noisy()
    network = make(nnc.Adam(0.05))

    def fail(epoch, logs):
        if epoch == 30:
            raise OwnError

    stopper = EarlyStopping(patience=100)
    with pytest.raises(OwnError):
        network.fit(inputs, labels, epochs=50, validation_split=0.5, early_stopping=stopper,
                    callbacks=fail)  # fmt: skip
    found = network.evaluate(inputs[60:], labels[60:])["loss"]
    assert found == min(network.history["val_loss"])


@pytest.mark.parametrize(
    ("early_stopping", "error", "message"),
    [
        (True, ValueError, "early_stopping: True watches val_loss, .*: pass X_val and y_val"),
        (EarlyStopping(), ValueError, "monitor: .*pass validation data to fit"),
        (EarlyStopping("val_f1"), ValueError, "monitor: expected one of"),
        (5, TypeError, "early_stopping: expected True, False or EarlyStopping"),
    ],
)
def test_early_stopping_is_checked_before_training(early_stopping, error, message):
    network, log = make(), Log()
    with pytest.raises(error, match=message):
        network.fit(X, y, early_stopping=early_stopping, callbacks=log)
    same_bits(network, make())
    assert log.calls == []


def test_any_metric_may_be_monitored():
    stopper = EarlyStopping("val_f1", patience=3)
    history = make().fit(X, y, epochs=30, X_val=X, y_val=y, metrics="f1", early_stopping=stopper)
    assert history.monitor == "val_f1"
    assert history.best_score == max(history["val_f1"])
    hinge = Network([Dense(1)], 2, seed=0, loss="hinge")
    hinge.fit(X, y, epochs=2, X_val=X, y_val=y, early_stopping=EarlyStopping("val_accuracy"))


# ------------------------------------------------------------------------------- endings


def test_max_time(data):
    network = make()
    start = time.monotonic()
    history = network.fit(*data, epochs=10**5, max_time=0.3, callbacks=lambda e, logs: None)
    assert 0.15 < time.monotonic() - start < 5
    assert history.stopped_by == "max_time"
    assert 0 < len(history["loss"]) == network.epochs_trained < 10**5


def test_max_time_within_an_epoch():
    inputs, labels = blobs(200_000, features=20, classes=2)
    layers = [Dense(100, "tanh"), Dense(100, "tanh"), Dense(1, "sigmoid")]
    network = Network(layers, 20, seed=0)
    before = network.get_weights()
    start = time.monotonic()
    history = network.fit(inputs, labels, epochs=1000, batch_size=16, max_time=0.1)
    assert time.monotonic() - start < 2
    assert history.stopped_by == "max_time"
    assert network.engine.steps > 0
    assert all((a != b).any() for a, b in zip(before, network.get_weights(), strict=True))


def test_divergence_says_what_happened_and_training_can_go_on(data):
    network = Network([Dense(6), Dense(1)], 2, seed=1, dtype="f8", optimizer=nnc.SGD(10.0))
    with pytest.raises(DivergenceError) as caught:
        network.fit(*data, epochs=100)
    error = caught.value
    losses = network.history["loss"]
    assert error.epoch == len(losses) > 0
    assert error.cost_history == losses
    assert all(map(math.isfinite, losses))
    assert f" in epoch {len(losses)}" in str(error)
    assert f"the last finite loss was {losses[-1]:.6g}; " in str(error)
    assert "try a learning_rate below 10, clip_norm=1.0, or scale X" in str(error)
    # the parameters are those at the start of the last epoch with a finite loss
    twin = Network([Dense(6), Dense(1)], 2, seed=1, dtype="f8", optimizer=nnc.SGD(10.0))
    twin.fit(*data, epochs=len(losses) - 1)
    same_bits(network, twin)
    assert network.epochs_trained == len(losses) - 1
    for name, array in error.params_values.items():
        assert (array == network.params[name]).all()
    assert math.isfinite(network.evaluate(X, y)["loss"])
    network.optimizer = nnc.Adam(0.1)
    assert network.fit(*data, epochs=5).epoch == list(range(5))


def test_divergence_beside_callbacks_is_the_same():
    errors = []
    for callbacks in (None, lambda epoch, logs: None):
        network = Network([Dense(6), Dense(1)], 2, seed=1, dtype="f8", optimizer=nnc.SGD(10.0))
        with pytest.raises(DivergenceError) as caught:
            network.fit(X, y, epochs=100, callbacks=callbacks)
        errors.append((str(caught.value), caught.value.cost_history, network.epochs_trained))
        assert network.history["loss"] == caught.value.cost_history
    assert errors[0] == errors[1]


def test_divergence_in_the_first_epoch():
    network = Network([Dense(3), Dense(1)], 2, seed=1, dtype="f8", optimizer=nnc.SGD(1e300))
    before = network.copy()
    with pytest.raises(DivergenceError, match=r"in epoch 0.*; no epoch had a finite loss"):
        network.fit(X, y, epochs=3, batch_size=10)
    same_bits(network, before)
    assert network.epochs_trained == 0


def test_losses_before_a_divergence_with_an_unlogged_value_of_nan():
    """A metric that is NaN is no divergence."""
    history = make().fit(X, y, epochs=2, metrics={"none": lambda a, b: math.nan})
    assert all(map(math.isnan, history["none"]))


INTERRUPTED = """
    import os, signal, sys, threading, time
    import numpy as np
    import nnc
    from nnc import Dense, Network

    random = np.random.default_rng(0)
    m, width, batch_size, threads, how = {setting}
    X, y = random.normal(size=(m, 20)), random.integers(0, 2, m)

    def make():
        layers = [Dense(width, "tanh"), Dense(1, "sigmoid")]
        return Network(layers, 20, seed=0, dtype="float64")

    network = make()
    data = [(X[i::4], y[i::4]) for i in range(4)]
    sent = []

    def interrupt():
        time.sleep(0.3)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    try:
        if how == "batches":
            network.fit(data, epochs=10**6)
        else:
            network.fit(X, y, epochs=10**6, batch_size=batch_size, n_threads=threads)
    except KeyboardInterrupt:
        print(time.monotonic() - sent[0])
    losses = network.history["loss"] if "loss" in network.history else []
    assert len(losses) == network.epochs_trained
    steps = network.engine.steps
    per_epoch = 4 if how == "batches" else -(-m // batch_size)
    assert len(losses) in (steps // per_epoch, (steps - 1) // per_epoch), (len(losses), steps)
    if how == "whole":  # the parameters are those after so many steps
        twin = make()
        epochs, rest = divmod(steps, per_epoch)
        twin.fit(X, y, epochs=epochs, batch_size=batch_size)
        order, shuffle = np.arange(m), np.random.RandomState(network.seeds[0])
        for i in range(epochs + 1):
            shuffle.shuffle(order)
        for k in range(rest):
            rows = order[k * batch_size : (k + 1) * batch_size]
            twin.step(X[rows], y[rows])
        for name, array in network.params.items():
            assert (array == twin.params[name]).all(), name
    network.fit(X, y, epochs=1, batch_size=batch_size)
    print("fine")
"""


def seconds_of(code, *words):
    """Run code that prints seconds and these words: the least of some tries on a busy machine."""
    least = np.inf
    for _ in range(4):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        seconds, *rest = done.stdout.split()
        assert rest == list(words)
        least = min(least, float(seconds))
        if least < 0.1:
            break
    return least


@pytest.mark.parametrize(
    "setting",
    [
        (2000, 30, 16, 1, "whole"),
        (60_000, 50, 500, 2, "whole"),
        (2000, 10, 32, 1, "batches"),
        (500_000, 5, 500_000, 2, "long epochs"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c(setting):
    assert seconds_of(INTERRUPTED.replace("{setting}", repr(setting)), "fine") < 0.1


SHUFFLING = """
    import os, signal, threading, time
    import numpy as np
    from nnc import Dense, Network

    X, y = np.zeros((1_000_000, 1), np.float32), np.arange(1_000_000) % 2
    network = Network([Dense(1, "sigmoid")], 1, seed=0)
    network.epochs_trained = 10_000
    sent = []

    def interrupt():
        time.sleep(0.5)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    try:
        network.fit(X, y, epochs=1)
    except KeyboardInterrupt:
        print(time.monotonic() - sent[0])
"""


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_while_the_shuffles_of_earlier_epochs_are_repeated():
    assert seconds_of(SHUFFLING) < 0.1


def test_ctrl_c_in_a_metric():
    network, calls = make(), []

    def metric(y_true, y_pred):
        calls.append(1)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return 0.0

    with pytest.raises(KeyboardInterrupt):
        network.fit(X, y, epochs=9, metrics=metric)
    assert (network.epochs_trained, len(network.history.epoch)) == (3, 2)
    same_bits(network, after(3))


# ------------------------------------------------------------------------------- verbose


def test_lines(capsys, data):
    history = make().fit(*data, epochs=2, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    for line, loss in zip(lines, history["loss"], strict=True):
        assert f"loss {loss:.4g}" in line


@pytest.mark.parametrize("verbose", [0, 1, "auto"])
def test_nothing_where_nobody_looks(capfd, data, verbose):
    make().fit(*data, epochs=2, verbose=verbose)
    assert capfd.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_bar_ends_at_the_last_epoch(monkeypatch, data):
    terminal = Terminal()
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    monkeypatch.setattr(sys, "stderr", terminal)
    history = make().fit(*data, epochs=3, verbose=1)
    last = terminal.getvalue().rsplit("\r", 1)[-1]
    assert last.startswith("100%")
    assert "3/3" in last
    assert f"loss {history['loss'][-1]:.4g}" in last


def test_verbose_is_checked_before_anything_begins(data):
    log = Log()
    with pytest.raises(ValueError, match="verbose: expected 0, 1, 2 or 'auto', got 3"):
        make().fit(*data, verbose=3, callbacks=log)
    with pytest.raises(ValueError, match="max_time: expected a finite number above 0"):
        make().fit(*data, max_time=0, callbacks=log)
    assert log.calls == []


def test_batch_norm_after_an_interruption_holds_finite_statistics():
    network = Network([BatchNorm(), Dense(1, "sigmoid")], 2, seed=0)
    with pytest.raises(OwnError):
        network.fit(X, y, epochs=3, callbacks=LambdaCallback(_raise))
    assert all(np.isfinite(array).all() for array in network.params.values())


def _raise(epoch, logs):
    raise OwnError
