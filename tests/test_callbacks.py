"""Callbacks on a network that only pretends: stopping, restoring, reducing, writing, resuming."""

import csv
import json
import math

import numpy as np
import pytest

from nnc import callbacks as module
from nnc.callbacks import (
    Callback,
    CallbackList,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TimeLimit,
)
from nnc.metrics import Metric, accuracy

BAD_NUMBERS = [-1, math.nan, math.inf]


class FakeNetwork:
    """Has one weight, which changes in place: the number of epochs it was trained for."""

    def __init__(self):
        self.weights = [np.zeros((1, 2)), np.zeros(3)]
        self.saved = []

    def get_weights(self):
        return self.weights

    def set_weights(self, weights):
        for own, new in zip(self.weights, weights, strict=True):
            own[...] = new

    def save(self, path):
        self.saved.append((path, self.age))

    @property
    def age(self):
        return self.weights[0][0, 0]

    def train(self, epoch):
        for weight in self.weights:
            weight[...] = epoch + 1


def fit(callbacks, values, key="val_loss", network=None, rates=None, first=0, resume=None):
    """Train for one epoch a value; return the list, the network, and the epochs that were run."""
    network = network or FakeNetwork()
    made = CallbackList(callbacks, network=network, rates=rates)
    made.check(["loss", key])
    made.on_train_begin()
    if resume is not None:
        made.set_state(*resume)
    done = []
    for epoch, value in enumerate(values[first:], first):
        made.on_epoch_begin(epoch)
        network.train(epoch)
        done.append(epoch)
        if made.on_epoch_end(epoch, {"loss": value, key: value}):
            break
    made.on_train_end()
    return made, network, done


# ----------------------------------------------------------------------------- the list


class Recorder(Callback):
    def __init__(self, name, calls, wish=None):
        self.name, self.calls, self.wish = name, calls, wish

    def on_train_begin(self, logs=None):
        self.calls.append((self.name, "train begin"))

    def on_epoch_begin(self, epoch, logs=None):
        self.calls.append((self.name, "epoch begin", epoch))

    def on_epoch_end(self, epoch, logs):
        self.calls.append((self.name, "epoch end", epoch, logs["loss"]))
        return self.wish

    def on_train_end(self, logs=None):
        self.calls.append((self.name, "train end", logs["loss"]))


def test_all_are_called_in_order():
    calls = []
    fit([Recorder("a", calls), Recorder("b", calls)], [5.0])
    events = [("train begin",), ("epoch begin", 0), ("epoch end", 0, 5.0), ("train end", 5.0)]
    assert calls == [(name, *event) for event in events for name in "ab"]


def test_all_are_called_where_one_stops_and_reasons_are_kept():
    calls = []
    both = [Recorder("a", calls, True), Recorder("b", calls), Recorder("c", calls, np.True_)]
    made, _, done = fit(both, [1.0, 2.0])
    assert done == [0]
    assert [call[0] for call in calls if call[1] == "epoch end"] == ["a", "b", "c"]
    assert made.stopped_by == "a after epoch 0; c after epoch 0"


@pytest.mark.parametrize("wish", [None, False, 0, 1, "yes", [1], np.False_])
def test_only_true_stops(wish):
    made, _, done = fit(lambda epoch, logs: wish, [1.0, 2.0])
    assert done == [0, 1]
    assert made.stopped_by == ""


def test_functions_ducks_and_networks():
    class Duck:
        def check(self):  # its own business
            raise AssertionError

        get_state = get_arrays = restored = check

        def set_network(self, network):
            self.network = network

        def on_epoch_end(self, epoch, logs):
            return epoch == 1

    def small_enough(epoch, logs):
        return logs["loss"] < 2

    duck, network = Duck(), FakeNetwork()
    made, _, done = fit([duck], [3.0] * 4, network=network)
    assert duck.network is network
    assert done == [0, 1]
    assert made.stopped_by == "Duck after epoch 1"
    assert (made.get_state(), made.get_arrays(), made.restored()) == ([{}], [[]], None)
    made, _, done = fit(small_enough, [3.0, 1.0, 0.0])
    assert made.stopped_by == "small_enough after epoch 1"
    assert len(CallbackList(None)) == 0
    assert len(CallbackList(c for c in [duck, small_enough])) == 2
    assert not CallbackList(None).on_epoch_end(0, {"loss": 1})


def test_what_is_no_callback():
    with pytest.raises(TypeError, match=r"callbacks\[1\]: .* got the class EarlyStopping; write"):
        CallbackList([TimeLimit(1), EarlyStopping])
    with pytest.raises(TypeError, match=r"callbacks\[0\]: expected a function or an object"):
        CallbackList([3])
    for bad in (3, "EarlyStopping"):
        with pytest.raises(TypeError, match="callbacks: expected callbacks or functions"):
            CallbackList(bad)


@pytest.mark.parametrize(
    "method", ["on_train_begin", "on_epoch_begin", "on_epoch_end", "on_train_end"]
)
def test_exceptions_pass_through(method):
    def fail(*arguments):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fit(LambdaCallback(**{method: fail}), [1.0])


def test_lambda_callback():
    calls = []
    fit(LambdaCallback(lambda epoch, logs: calls.append(epoch) or epoch == 1), [1.0] * 3)
    assert calls == [0, 1]
    with pytest.raises(TypeError, match="on_train_end: expected a function, got 3"):
        LambdaCallback(on_train_end=3)


# ----------------------------------------------------------------------------- early stopping


@pytest.mark.parametrize(
    ("options", "values", "n_epochs", "best_epoch"),
    [
        ({"patience": 2}, [3, 2, 2, 2, 1], 4, 1),
        ({"patience": 3}, [3, 2, 2, 2, 1], 5, 4),
        ({"patience": 0}, [3, 2, 2, 1], 3, 1),
        ({"patience": 1}, [3, 2, 2, 1], 3, 1),
        ({"patience": 2, "min_delta": 0.5}, [3, 2.6, 2.5, 2.4], 3, 0),
        ({"patience": 2, "min_delta": 0.5}, [3, 2.6, 2.4, 2.4], 4, 2),
        ({"patience": 2, "mode": "max"}, [1, 2, 2, 2, 3], 4, 1),
        ({"patience": 1, "start_from_epoch": 2}, [1, 2, 3, 2, 4, 0], 5, 3),
        ({"patience": 2}, [math.nan, 3, math.nan, 2, math.inf, math.nan], 6, 3),
        ({"patience": 2}, [math.nan, math.nan, 1], 2, None),
        ({"patience": 9}, [3, 1, 2], 3, 1),
    ],
)
@pytest.mark.parametrize("restore", [True, False])
def test_early_stopping(options, values, n_epochs, best_epoch, restore):
    stopping = EarlyStopping(restore_best=restore, **options)
    made, network, done = fit([stopping], values)
    assert len(done) == n_epochs
    assert stopping.best_epoch == best_epoch
    assert stopping.best == (None if best_epoch is None else values[best_epoch])
    if restore and best_epoch is not None:
        assert network.age == best_epoch + 1
        assert made.restored() == (best_epoch, "val_loss")
    else:
        assert network.age == n_epochs
        assert made.restored() is None
    stopped = n_epochs < len(values) or n_epochs - 1 == stopping.stopped_epoch
    assert made.stopped_by.startswith("EarlyStopping: val_loss was") == stopped


def test_early_stopping_says_why():
    made, _, _ = fit(EarlyStopping(patience=2), [3, 2.5, 2.5, 2.75])
    assert made.stopped_by == (
        "EarlyStopping: val_loss was not better than 2.5 of epoch 1 for 2 epochs"
    )
    made, _, _ = fit(EarlyStopping(patience=2), [math.nan] * 2)
    assert made.stopped_by == "EarlyStopping: val_loss was never a number for 2 epochs"


def test_early_stopping_knows_directions():
    stopping = EarlyStopping("val_accuracy", patience=1)
    fit(stopping, [0.5, 0.75, 0.25], "val_accuracy")
    assert stopping.best == 0.75
    mine = EarlyStopping("val_mine", patience=1)
    with pytest.raises(ValueError, match="mode: 'auto' does not know whether 'val_mine'"):
        mine.check(["loss", "val_mine"])
    mine.check(["val_mine"], [Metric("mine", accuracy, True)])
    unchecked = EarlyStopping("loss")
    unchecked.set_network(FakeNetwork())
    unchecked.on_epoch_end(0, {"loss": 1})
    assert unchecked.best == 1


def test_a_callback_starts_afresh_each_time():
    stopping = EarlyStopping(patience=1)
    assert fit(stopping, [1, 2])[2] == [0, 1]
    _, network, done = fit(stopping, [5, 4, 6])
    assert (done, network.age, stopping.best) == ([0, 1, 2], 2, 4)


def test_what_is_monitored_must_be_there():
    for callback in (
        EarlyStopping(),
        ReduceLROnPlateau(),
        ModelCheckpoint("x", save_best_only=True),
    ):
        with pytest.raises(ValueError, match=r"monitor: .*'val_loss'.*pass validation data to fit"):
            callback.check(["loss", "accuracy"])
    with pytest.raises(ValueError, match="did you mean 'val_loss'"):
        EarlyStopping("val_los").check(["loss", "val_loss"])
    with pytest.raises(ValueError, match="monitor"):
        CallbackList([EarlyStopping()]).check(["loss"])


# --------------------------------------------------------------------------- learning rates


def reduced(values, n_rates=1, **options):
    rates = np.ones((len(values), n_rates)) * np.arange(1, n_rates + 1)
    fit(ReduceLROnPlateau(**options), values, rates=rates)
    return rates


def test_reduce_on_plateau():
    result = reduced([3, 2, 2, 2, 2, 2, 2], factor=0.5, patience=2)
    assert result.ravel().tolist() == [1, 1, 1, 1, 0.5, 0.5, 0.25]
    result = reduced([3, 2, 2, 2, 2, 2, 2], factor=0.5, patience=1, cooldown=2)
    assert result.ravel().tolist() == [1, 1, 1, 0.5, 0.5, 0.25, 0.25]
    result = reduced([1] * 5, factor=0.1, patience=1, min_lr=0.5)
    assert result.ravel().tolist() == [1, 1, 0.5, 0.5, 0.5]
    result = reduced([1, 0.875, 0.75, 0.7, 0], factor=0.5, patience=1, min_delta=0.25)
    assert result.ravel().tolist() == [1, 1, 0.5, 0.25, 0.25]
    result = reduced([1, 1, 1], n_rates=2, factor=0.5, patience=1)
    assert result.tolist() == [[1, 2], [1, 2], [0.5, 1]]


def test_reduce_on_plateau_leaves_a_schedules_small_rates_alone():
    rates = np.array([[1.0], [1.0], [0.6], [0.2], [0.0]])
    fit(ReduceLROnPlateau(factor=0.5, patience=1, min_lr=0.4), [1, 1, 0.5, 0.25, 0], rates=rates)
    assert rates.ravel().tolist() == [1, 1, 0.4, 0.2, 0]


def test_reduce_on_plateau_needs_rates():
    with pytest.raises(ValueError, match="no learning rates to reduce"):
        fit(ReduceLROnPlateau(), [1.0])


# ------------------------------------------------------------------------------ files and time


def test_checkpoints(tmp_path):
    path = tmp_path / "net-{epoch:02d}-{val_loss:.1f}"
    saved = fit(ModelCheckpoint(path), [3, 1, 2])[1].saved
    names = ["net-00-3.0", "net-01-1.0", "net-02-2.0"]
    assert saved == [(str(tmp_path / name), age) for age, name in enumerate(names, 1)]
    best = ModelCheckpoint(str(tmp_path / "best"), save_best_only=True)
    assert [age for _, age in fit(best, [3, 1, 2, 0.5])[1].saved] == [1, 2, 4]
    assert best.saved == str(tmp_path / "best")
    assert [age for _, age in fit(ModelCheckpoint(path, every=2), [1] * 5)[1].saved] == [2, 4]
    both = ModelCheckpoint(path, save_best_only=True, every=2)
    assert [age for _, age in fit(both, [1, 3, 4, 4, 5, 2])[1].saved] == [2, 6]


def test_checkpoints_are_checked_before_training(tmp_path):
    with pytest.raises(ValueError, match=r"path: .*'val_los'; did you mean 'val_loss'"):
        ModelCheckpoint(tmp_path / "{val_los}").check(["loss", "val_loss"])
    with pytest.raises(ValueError, match="path: expected one of"):
        ModelCheckpoint(tmp_path / "{loss.__class__}").check(["loss"])
    for kind in (ModelCheckpoint, CSVLogger):
        with pytest.raises(ValueError, match=r"path: there is no folder '.*missing'; make it"):
            kind(tmp_path / "missing" / "file").check(["loss", "val_loss"])
        for bad in (3, None, b"file"):
            with pytest.raises(TypeError, match="path: expected a path"):
                kind(bad)


def test_time_limit(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])

    def tick(epoch, logs):
        now[0] += 1

    made, _, done = fit([tick, TimeLimit(3)], [1.0] * 9)
    assert done == [0, 1, 2]
    assert made.stopped_by == "TimeLimit: 3 seconds were over after epoch 2"
    state = made.get_state()
    assert state == [{}, {"elapsed": 3}]
    now[0] += 1000
    *_, done = fit([tick, TimeLimit(5)], [1.0] * 9, first=3, resume=[state])
    assert done == [3, 4]


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_csv_logger(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("old\n")
    values = [1 / 3, math.nan, 1e-300]
    fit(CSVLogger(path), values, "a, b")
    header, *rows = read(path)
    assert header == ["epoch", "loss", "a, b"]
    np.testing.assert_array_equal([[float(v) for v in r] for r in rows],
                                  [[i, v, v] for i, v in enumerate(values)])  # fmt: skip
    logger = CSVLogger(path)
    logger.on_train_begin()
    logger.on_epoch_end(0, {"loss": 1})
    assert read(path) == [["epoch", "loss"], ["0", "1"]]  # complete after each row
    with pytest.raises(ValueError, match="logs: expected epoch, loss, as in the first row"):
        logger.on_epoch_end(1, {"lost": 1})


# ------------------------------------------------------------------------------------ resuming


@pytest.mark.parametrize("at", range(1, 19))
def test_resumed_is_as_if_never_interrupted(tmp_path, at):
    values = [5, 4, 4, 4.5, 3, 3, 3, 3.5, 3, 3, 3, 2] + [9] * 8

    def made(name):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        return [
            EarlyStopping(patience=7),
            ReduceLROnPlateau(factor=0.7, patience=2, cooldown=1),
            ModelCheckpoint("best", save_best_only=True),
            CSVLogger(folder / "log.csv"),
        ]

    rates, again = np.full((20, 2), 0.3), np.full((20, 2), 0.3)
    whole, network, done = fit(made("whole"), values, rates=rates)

    first = CallbackList(made("parts"), network=FakeNetwork(), rates=np.full((20, 2), 0.3))
    first.on_train_begin()
    for epoch in range(at + 1):
        if epoch == at:  # the state is that of before the epoch in which it was interrupted
            state = json.loads(json.dumps(first.get_state(), allow_nan=False))
            arrays = [[array.copy() for array in entry] for entry in first.get_arrays()]
        first.callbacks[0].network.train(epoch)
        first.on_epoch_end(epoch, {"loss": values[epoch], "val_loss": values[epoch]})
    rest, other, parts = fit(made("parts"), values, rates=again, first=at, resume=(state, arrays))

    assert list(range(at)) + parts == done
    assert rest.stopped_by == whole.stopped_by
    assert rest.get_state() == whole.get_state()
    assert again[parts].tolist() == rates[parts].tolist()
    assert other.age == network.age
    logs = [(tmp_path / name / "log.csv").read_text() for name in ("whole", "parts")]
    assert logs[0] == logs[1]


def test_a_state_belongs_to_as_many_callbacks():
    made = CallbackList([EarlyStopping()])
    with pytest.raises(ValueError, match="callbacks: expected the 2 that the training was begun"):
        made.set_state([{}, {}])


# ----------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("kind", "name", "values"),
    [
        (EarlyStopping, "patience", [-1]),
        (EarlyStopping, "min_delta", BAD_NUMBERS),
        (EarlyStopping, "mode", ["mini"]),
        (EarlyStopping, "start_from_epoch", [-1]),
        (ReduceLROnPlateau, "factor", [0, 1, *BAD_NUMBERS]),
        (ReduceLROnPlateau, "patience", [-1]),
        (ReduceLROnPlateau, "cooldown", [-1]),
        (ReduceLROnPlateau, "min_lr", BAD_NUMBERS),
        (TimeLimit, "seconds", [0, *BAD_NUMBERS]),
    ],
)
def test_bad_values_are_named(kind, name, values):
    for value in values:
        with pytest.raises(ValueError, match=rf"^{name}: expected .*got"):
            kind(**{name: value})
    if name != "mode":
        with pytest.raises(TypeError, match=rf"^{name}: expected .*got '1'"):
            kind(**{name: "1"})


def test_other_bad_arguments():
    with pytest.raises(TypeError, match="monitor: expected a name"):
        EarlyStopping(3)
    with pytest.raises(ValueError, match="every: expected at least 1"):
        ModelCheckpoint("x", every=0)
    with pytest.raises(ValueError, match="did you mean 'min'"):
        EarlyStopping(mode="mini")
