"""Checkpoints of nnc.Network: whatever interrupts a training, it ends with the same bits.

Each is compared with the same training without a checkpoint. soak_network_files.py kills at length.
"""

import itertools
import math
import os
import random
import signal
import threading
import time

import numpy as np
import pytest
import trainings
from conftest import ISAS_WITH_FMA
from sample_networks import blobs, circles
from support import kernels

import nnc
from nnc import Dense, Network, callbacks, files, schedules

NAMES = list(trainings.TRAININGS)


class Interruption(Exception):
    """What a callback raises."""


def nothing(epoch, logs):
    """A callback, as whether there is one belongs to what is asked for."""


def interrupt(at, error=Interruption):
    def at_epoch(epoch, logs):
        if epoch == at:
            raise error

    return at_epoch


def forget(path):
    """Remove a checkpoint, and the one before."""
    for name in (str(path), f"{path}{files.PREVIOUS}"):
        if os.path.exists(name):
            os.unlink(name)


@pytest.fixture(scope="module")
def unbroken():
    """What each training leaves that nothing interrupts."""
    return {name: trainings.run(name, extra=nothing) for name in NAMES}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint.nnc"


# ------------------------------------------------------------------------------ interruptions


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_changes_nothing(name, unbroken, path):
    assert trainings.run(name, path, extra=nothing) == unbroken[name]
    assert path.exists()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("every", [None, 1, 3])
@pytest.mark.parametrize("error", [Interruption, KeyboardInterrupt])
def test_exceptions_in_callbacks(name, every, error, unbroken, path):
    options = {"checkpoint_every": every}
    for n_threads, epoch in enumerate((0, 4, 5, 7), 1):
        with pytest.raises(error):
            trainings.run(name, path, extra=interrupt(epoch, error), n_threads=n_threads, **options)
    assert trainings.run(name, path, extra=nothing, **options) == unbroken[name]


@pytest.mark.parametrize("name", ["tutorial", "everything"])
def test_signals(name, unbroken, path):
    """Ctrl-C at any time: a timer raises what it does."""
    epochs, count = 300, 0
    expected = trainings.run(name, extra=nothing, epochs=epochs)
    source = random.Random(1)

    def stop(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    try:
        for _ in range(10):
            try:
                signal.setitimer(signal.ITIMER_REAL, source.uniform(0.001, 0.05))
                trainings.run(name, path, extra=nothing, epochs=epochs)
                signal.setitimer(signal.ITIMER_REAL, 0)
                forget(path)
            except KeyboardInterrupt:
                count += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert count > 0
    assert trainings.run(name, path, extra=nothing, epochs=epochs) == expected


@pytest.mark.parametrize("name", ["tutorial", "everything"])
@pytest.mark.parametrize("every", [1, 2])
def test_max_time(name, every, unbroken, path):
    seconds = 0.002
    for _ in range(2000):
        result = trainings.run(name, path, extra=nothing, max_time=seconds, checkpoint_every=every)
        if result["ending"][0] != "max_time":
            break
        seconds *= 1.1
    assert result == unbroken[name]


def test_kills(tmp_path):
    """20 times SIGKILL, at random times, of 5 trainings."""
    for i, name in enumerate(["tutorial", "everything", "function_rate", "full_batch", "stopping"]):
        assert kill(name, tmp_path / name, 4, random.Random(i)) <= 4 * trainings.EPOCHS * 8


def kill(name, path, kills, source):
    """Kill a training again and again, and go on; return how many epochs were done before."""
    options = {"epochs": trainings.EPOCHS * 8, "extra": nothing}
    expected = trainings.run(name, **options)
    began = time.monotonic()
    with_checkpoint = options | {"checkpoint_every": 1}
    assert trainings.run(name, path, **with_checkpoint) == expected
    took = time.monotonic() - began
    forget(path)
    done = 0
    while kills:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                every = source.choice([None, 1, 4])
                n_threads = source.randint(1, 3)
                result = trainings.run(
                    name, path, **options, checkpoint_every=every, n_threads=n_threads
                )
                code = result != expected
            finally:
                os._exit(code)
        source.random()
        time.sleep(source.uniform(0, took / 2))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            kills -= 1
            if path.exists():
                done += files.read_checkpoint(path)[1]["training"]["done"]
        else:
            assert status == 0  # it was faster, and equal
            forget(path)
    assert trainings.run(name, path, **options) == expected
    return done


@pytest.mark.parametrize("name", NAMES)
def test_other_kernels_and_threads(name, path):
    """Each epoch with other kernels that have FMA, and another number of threads."""
    if not ISAS_WITH_FMA:
        pytest.skip("no kernels with FMA")
    with kernels(ISAS_WITH_FMA[0]):
        expected = trainings.run(name, extra=nothing)
    for epoch in range(1, 6):
        isa = ISAS_WITH_FMA[epoch % len(ISAS_WITH_FMA)]
        with kernels(isa), pytest.raises(Interruption):
            trainings.run(
                name, path, extra=interrupt(epoch), n_threads=epoch % 3 + 1, checkpoint_every=1
            )
    with kernels(ISAS_WITH_FMA[-1]):
        assert trainings.run(name, path, extra=nothing) == expected


def test_another_thread_than_the_main_one(unbroken, path):
    with pytest.raises(Interruption):
        trainings.run("everything", path, extra=interrupt(5))
    results = []
    thread = threading.Thread(
        target=lambda: results.append(trainings.run("everything", path, extra=nothing))
    )
    thread.start()
    thread.join()
    assert results == [unbroken["everything"]]


def test_what_a_network_did_before_does_not_matter(path):
    """A checkpoint replaces all that a network has."""
    network, arguments = trainings.everything()
    expected = trainings.left_by(network, network.fit(**arguments, epochs=6))
    network, arguments = trainings.everything()
    network.fit(**arguments, epochs=6, checkpoint=path)
    network.fit(**arguments, epochs=3)
    again = network.fit(**arguments, epochs=6, checkpoint=path)
    assert trainings.left_by(network, again) == expected


# ------------------------------------------------------------------------- what is finished


@pytest.mark.parametrize("name", NAMES)
def test_a_finished_training_returns_its_history(name, unbroken, path):
    trainings.run(name, path, extra=nothing)
    content = path.read_bytes()
    assert trainings.run(name, path, extra=interrupt(trainings.EPOCHS - 1)) == unbroken[name]
    assert path.read_bytes() == content


def test_early_stopping_is_final(path):
    first, second = callbacks.EarlyStopping(patience=4), callbacks.EarlyStopping(patience=4)
    histories = []
    for stopper in (first, second):
        network, arguments = trainings.stopping()
        arguments["early_stopping"] = stopper
        histories.append(network.fit(**arguments, checkpoint=path))
    assert 4 < len(histories[0].epoch) < arguments["epochs"]
    assert histories[0].stopped_by == histories[1].stopped_by
    assert histories[0].stopped_by.startswith("EarlyStopping")
    for name in ("best", "best_epoch", "stopped_epoch", "reason"):
        assert getattr(first, name) == getattr(second, name) is not None


def test_reductions_go_on(path):
    reducers = []
    for error in (None, Interruption):
        network, arguments = trainings.stopping()
        reducers.append(arguments["callbacks"][0])
        arguments["callbacks"].append(nothing if error is None else interrupt(5))
        if error is None:
            network.fit(**arguments)
            continue
        with pytest.raises(error):
            network.fit(**arguments, checkpoint=path, checkpoint_every=1)
        network, arguments = trainings.stopping()
        reducers[1] = arguments["callbacks"][0]
        arguments["callbacks"].append(nothing)
        network.fit(**arguments, checkpoint=path)
    assert reducers[0].reductions == reducers[1].reductions > 1
    done = len(network.history.epoch)
    assert (reducers[0].rates[done:] == reducers[1].rates[done:]).all()


# ---------------------------------------------------------------------------- long histories


def xor(**options):
    X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)
    network = Network([Dense(3, "tanh"), Dense(1, "sigmoid")], 2, seed=1, dtype="float64")
    return network, network.fit(X, [0, 1, 1, 0], batch_size=None, verbose=0, **options)


def test_100_000_epochs(path):
    epochs = 100_000
    with pytest.raises(Interruption):
        xor(epochs=epochs, checkpoint=path, callbacks=interrupt(70_000))
    _, config = files.read(path, kind="checkpoint")
    assert 0 < config["training"]["done"] <= 70_000
    network, history = xor(epochs=epochs, checkpoint=path, callbacks=nothing)
    expected, losses = xor(epochs=epochs)
    assert history["loss"] == losses["loss"]
    assert trainings.left_by(network, history) == trainings.left_by(expected, losses)
    assert len(path.read_bytes()) < 2.5 * 8 * epochs


def test_what_is_not_finite_survives(path):
    values = [1.0, math.nan, math.inf, -math.inf, 0.1, -0.0]

    def odd(y_true, y_pred):
        values.append(values.pop(0))
        return values[-1]

    options = {"epochs": 6, "checkpoint": path, "metrics": odd}
    _, history = xor(**options)
    _, again = xor(**options)
    assert np.isnan(history["odd"]).any()
    assert [v.hex() for v in history["odd"]] == [v.hex() for v in again["odd"]]


# ----------------------------------------------------------------------------------- refusals

X, Y = blobs(40, features=3, classes=2, seed=3)


def call(path, *, layers=None, optimizer=None, loss=None, dtype="float64", freeze=(), **options):
    network = Network(
        layers or [Dense(4, "tanh"), Dense(1, "sigmoid")], 3, seed=2, dtype=dtype, loss=loss,
        optimizer=optimizer or nnc.SGD(0.1, 0.9), input_scale=options.pop("input_scale", None),
    )  # fmt: skip
    if freeze:
        network.freeze(*freeze)
    arguments = {
        "X": X, "y": Y, "epochs": 3, "verbose": 0, "validation_split": 0.25,
        "callbacks": [callbacks.EarlyStopping(patience=2)],
    }  # fmt: skip
    arguments |= options
    before = {name: array.copy() for name, array in network.params.items()}
    try:
        network.fit(**arguments, checkpoint=path)
    except ValueError:
        assert network.engine.steps == network.epochs_trained == 0
        assert all((network.params[name] == array).all() for name, array in before.items())
        assert network.history is None
        raise
    return network


OTHERS = {
    "layers": {"layers": [Dense(5, "tanh"), Dense(1, "sigmoid")]},
    "layers l2": {"layers": [Dense(4, "tanh", l2=0.1), Dense(1, "sigmoid")]},
    "loss": {"loss": "mse"},
    "optimizer": {"optimizer": nnc.SGD(0.1, 0.8)},
    "optimizer learning_rate": {"optimizer": nnc.SGD(0.2, 0.9)},
    "optimizer schedule": {"optimizer": nnc.SGD(schedules.Cosine(0.1), 0.9)},
    "dtype": {"dtype": "float32"},
    "input_scale": {"input_scale": 0.5},
    "frozen": {"freeze": [0]},
    "epochs": {"epochs": 4},
    "batch_size": {"batch_size": 8},
    "shuffle": {"shuffle": False, "batch_size": 8},
    "samples": {"X": X[:36], "y": Y[:36]},
    "data": {"X": X + 1},
    "data labels": {"y": 1 - Y},
    "data weights": {"sample_weight": np.linspace(1, 2, 40)},
    "validation data": {"validation_split": 0, "X_val": X[:10], "y_val": Y[:10], "X": X[10:],
                        "y": Y[10:]},
    "validation samples": {"validation_split": 0.5},
    "metrics": {"metrics": "f1"},
    "callbacks": {"callbacks": [callbacks.EarlyStopping(patience=3)]},
    "callbacks more": {"callbacks": [callbacks.EarlyStopping(patience=2), nothing]},
    "callbacks none": {"callbacks": None},
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_another_training_is_refused(name, path):
    size = {"batch_size": 8} if name == "shuffle" else {}
    call(path, **size)
    content = path.read_bytes()
    with pytest.raises(ValueError, match="pass the same to go on") as caught:
        call(path, **OTHERS[name])
    assert not isinstance(caught.value, files.FormatError)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == content
    assert call(path, n_threads=2, max_time=10, **size).epochs_trained == 3


def test_rates_of_a_function_are_compared(path):
    def rate(factor):
        return nnc.SGD(lambda epoch: factor / (1 + epoch))

    call(path, optimizer=rate(0.1))
    assert call(path, optimizer=rate(0.1)).epochs_trained == 3
    with pytest.raises(ValueError, match="learning rates"):
        call(path, optimizer=rate(0.2))


def test_files_that_are_no_checkpoints(path):
    with pytest.raises(ValueError, match="no folder"):
        call(path.parent / "missing" / "x")
    with pytest.raises(ValueError, match="expected a file, got the folder"):
        call(path.parent)
    with pytest.raises(ValueError, match="checkpoint_every"):
        call(path, checkpoint_every=0)
    with pytest.raises(TypeError, match="checkpoint: expected a path, got 3"):
        call(3)
    with pytest.raises(ValueError, match="lbfgs cannot go on"):
        call(path, optimizer=nnc.LBFGS(), batch_size=None)
    call(None).save(path)
    with pytest.raises(files.FormatError, match="expected a checkpoint, got a 'network'"):
        call(path)
    path.write_bytes(b"nothing of this kind")
    with pytest.raises(files.FormatError, match=str(path)):
        call(path)


def test_a_damaged_checkpoint_and_the_one_before(path):
    expected = trainings.run("everything", extra=nothing)
    with pytest.raises(Interruption):
        trainings.run("everything", path, extra=interrupt(6), checkpoint_every=2)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.warns(RuntimeWarning, match="the checkpoint before it was loaded"):
        result = trainings.run("everything", path, extra=nothing)
    assert result == expected


def test_the_state_of_callbacks_is_numbers(path):
    class Bad(callbacks.Callback):
        def get_state(self):
            return {"words": "no"}

    class Good(callbacks.Callback):
        count = np.int64(0)

        def on_epoch_end(self, epoch, logs):
            self.count += 1

        def get_state(self):
            return {"count": self.count, "float": np.float32(0.5)}

        def set_state(self, state):
            self.count = state["count"] + 100

    with pytest.raises(TypeError, match=r"callbacks\[0\].get_state: .* got 'no' for 'words'"):
        call(path, callbacks=Bad())
    assert not path.exists()
    call(path, callbacks=Good())
    again = Good()
    call(path, callbacks=again)
    assert again.count == 103


def test_no_epochs(path):
    assert call(path, epochs=0).history.epoch == []
    assert not path.exists()


# ------------------------------------------------------------------------------------ writing


def test_writing_takes_a_small_part_of_the_time(path, monkeypatch):
    """A write takes 10 ms, an epoch next to nothing: by default not every epoch is written."""
    times, write = [], files.write

    def slow(*arguments, **options):
        times.append(time.monotonic())
        time.sleep(0.01)
        write(*arguments, **options)

    monkeypatch.setattr(files, "write", slow)
    xor(epochs=2000, checkpoint=path)
    assert len(times) >= 2
    assert all(b - a > 0.19 for a, b in itertools.pairwise(times[:-1]))
    times.clear()
    forget(path)
    xor(epochs=20, checkpoint=path, checkpoint_every=7)
    assert len(times) == 3


def test_a_checkpoint_cannot_be_written(path):
    X, y = circles(20)
    network = Network([Dense(1, "sigmoid")], 2, seed=0)

    def remove(epoch, logs):
        path.parent.rmdir()

    with pytest.raises(OSError, match=r"checkpoint\.nnc"):
        network.fit(X, y, epochs=2, checkpoint=path, callbacks=remove)
    assert network.epochs_trained == 1
