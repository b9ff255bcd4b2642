"""Saved networks and pickles: what comes back, and what forged files are told.

test_network_fuzz.py forges them at random.
"""

import ast
import copy
import math
import pickle
import resource
import subprocess
import sys
import textwrap
import time

import joblib
import numpy as np
import pytest
from sample_networks import blobs, circles

import nnc
from nnc import (
    BatchNorm,
    Dense,
    Dropout,
    Flatten,
    LayerNorm,
    Network,
    Reshape,
    _state,
    files,
    schedules,
)  # fmt: skip

X, Y = circles(60, seed=2)


def tutorial(**options):
    return Network([Dense(5, "relu"), Dense(1, "sigmoid")], 2, **({"seed": 1} | options))


def everything():
    layers = [
        Reshape((1, 2)), Flatten(), BatchNorm(), Dense(5, "gelu", l2=0.01, name="first"),
        Dropout(0.3), LayerNorm(), Dense(4, "tanh", trainable=False, kernel_initializer="zeros"),
        Dense(2, "softmax", max_norm=3.0),
    ]  # fmt: skip
    optimizer = nnc.AdamW(
        schedules.Warmup(schedules.Cosine(0.05, per_step=True), epochs=2), ema_decay=0.9
    )
    return Network(layers, input_shape=(2,), seed=5, optimizer=optimizer, input_scale=0.5)


NETWORKS = {
    "tutorial": tutorial,
    "float64": lambda: tutorial(dtype="float64", loss=nnc.losses.BinaryFocal(1.5)),
    "everything": everything,
    "rprop": lambda: tutorial(optimizer="rprop"),
}


def trained(name):
    network = NETWORKS[name]()
    network.fit(X, Y, epochs=2, batch_size=None if name == "rprop" else 16, verbose=0)
    return network


def assert_equal(one, other):
    """Equal in all that decides what they do, and sharing no memory."""
    assert type(one) is type(other)
    assert one.layers == other.layers
    assert (one.loss, one.optimizer) == (other.loss, other.optimizer)
    for name in ("input_shape", "input_scale", "dtype", "seeds", "frozen", "epochs_trained"):
        assert getattr(one, name) == getattr(other, name), name
    (ours, steps), (theirs, others) = _state.take_out(one), _state.take_out(other)
    assert steps == others
    assert list(ours) == list(theirs)
    for name, array in ours.items():
        assert array.dtype == theirs[name].dtype
        assert array.tobytes() == theirs[name].tobytes(), name
    assert not np.shares_memory(one.engine.params, other.engine.params)


# ------------------------------------------------------------------------------ what comes back


@pytest.mark.parametrize("name", NETWORKS)
def test_a_file_holds_all_of_a_network(name, tmp_path):
    network, path = trained(name), tmp_path / "x.nnc"
    network.save(path)
    loaded = Network.load(path)
    assert_equal(network, loaded)
    loaded.save(tmp_path / "y.nnc")
    assert path.read_bytes() == (tmp_path / "y.nnc").read_bytes()


@pytest.mark.parametrize("name", NETWORKS)
def test_tensors_have_the_names_of_parameters(name, tmp_path):
    network = trained(name)
    network.save(tmp_path / "x.nnc")
    tensors, _ = files.read(tmp_path / "x.nnc", kind="network")
    assert _state.shapes(network.specs) == {k: v.shape for k, v in network.params.items()}
    rest = tensors.keys() - network.params.keys()
    assert rest <= {"optimizer.state", "optimizer.average"}
    for key, array in network.params.items():
        assert (tensors[key] == array).all()


def test_the_memory_of_another_optimizer_is_not_saved(tmp_path):
    """With Adam after SGD, Adam begins anew: so does it in a copy."""
    network = trained("tutorial")
    network.optimizer = "sgd"
    copies = [network.copy(), pickle.loads(pickle.dumps(network))]
    network.save(tmp_path / "x")
    copies.append(Network.load(tmp_path / "x"))
    expected = network.fit(X, Y, epochs=2)
    for other in copies:
        assert other.fit(X, Y, epochs=2)["loss"] == expected["loss"]
        assert_equal(other, network)


def test_an_average_outlives_its_optimizer(tmp_path):
    network = tutorial(optimizer=nnc.Adam(ema_decay=0.5))
    network.fit(X, Y, epochs=2)
    network.optimizer = "sgd"
    network.engine.optimizer_state("sgd")
    assert network.engine.average is not None
    network.save(tmp_path / "x")
    for other in (network.copy(), Network.load(tmp_path / "x")):
        assert (other.predict_proba(X) == network.predict_proba(X)).all()
        assert (other.engine.average == network.engine.average).all()


@pytest.mark.parametrize("values", [math.nan, math.inf, -0.0, 1e-310])
def test_any_number_is_data(values, tmp_path):
    network = tutorial(dtype="float64")
    network.params["W1"][...] = values
    network.save(tmp_path / "x")
    assert_equal(network, Network.load(tmp_path / "x"))


def test_schedules_are_data_and_functions_are_not(tmp_path):
    for schedule in (
        schedules.Constant(0.1), schedules.StepDecay(0.1, 3), schedules.ExponentialDecay(0.1, 0.9),
        schedules.InverseScaling(0.1), schedules.Cosine(0.1, 5, per_step=True),
        schedules.Warmup(schedules.Warmup(0.1), 3), schedules.OneCycle(0.1, steps_per_epoch=3),
    ):  # fmt: skip
        network = tutorial(optimizer=nnc.SGD(schedule))
        network.save(tmp_path / "x")
        assert Network.load(tmp_path / "x").optimizer == nnc.SGD(schedule)
    before = (tmp_path / "x").read_bytes()
    for options in (
        {"optimizer": nnc.SGD(lambda epoch: 0.1)},
        {"optimizer": nnc.SGD(schedules.Warmup(lambda epoch: 0.1))},
        {"loss": lambda y, p: (0.0, p)},
    ):
        with pytest.raises(TypeError, match="is not data"):
            tutorial(**options).save(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == before


def test_a_class_of_ones_own_loads_as_such(tmp_path):
    network = Own([Dense(1)], 2, seed=0)
    network.save(tmp_path / "x")
    assert type(Own.load(tmp_path / "x")) is Own


class Own(Network):
    """A network with an attribute of its own."""

    note = ""


@pytest.mark.parametrize("epoch", [0, 2])
def test_a_callback_may_save_and_copy(epoch, tmp_path):
    """What it saves goes on like the training it looked at."""
    seen = []

    def look(now, logs):
        if now == epoch:
            network.save(tmp_path / "x")
            seen.extend([network.copy(), Network.load(tmp_path / "x")])

    network = everything()
    network.fit(X, Y, epochs=5, callbacks=[look, nnc.callbacks.ModelCheckpoint(tmp_path / "y")])
    for other in seen:
        assert other.epochs_trained == epoch + 1
    expected = everything()
    expected.fit(X, Y, epochs=epoch + 1)
    for other in seen:
        other.optimizer = expected.optimizer
    # the schedule is one of 5 epochs there
    assert Network.load(tmp_path / "y").epochs_trained == 5


def test_the_optimizer_at_work_is_kept_from_callbacks():
    """To copy with another one would free the memory of that which goes on."""
    errors = []

    def change(epoch, logs):
        network.optimizer = "sgd"
        try:
            network.copy()
        except RuntimeError as error:
            errors.append(str(error))

    network = tutorial()
    network.fit(X, Y, epochs=2, callbacks=change)
    assert errors == ["optimizer_state: this network is being trained"] * 2


# ------------------------------------------------------------------------------ pickles, copies

COPIES = {
    "copy": lambda network: network.copy(),
    "deepcopy": copy.deepcopy,
    "shallow": copy.copy,
    **{
        f"pickle {n}": lambda network, n=n: pickle.loads(pickle.dumps(network, n))
        for n in range(2, pickle.HIGHEST_PROTOCOL + 1)
    },
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", NETWORKS)
def test_copies(how, name):
    network = trained(name)
    network.note = ["of its own"]
    other = COPIES[how](network)
    assert_equal(network, other)
    assert other.note == network.note
    assert other.history["loss"] == network.history["loss"]
    other.freeze()
    assert other.frozen != network.frozen or how == "shallow"
    before = network.get_weights()
    other.params["W2"][...] = 7
    assert all((a == b).all() for a, b in zip(before, network.get_weights(), strict=True))


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_network_that_was_never_used(how, dtype):
    """It stays undecided, and draws the same parameters."""
    for seed in (3, None, np.random.default_rng(4), np.random.RandomState(5)):
        network = tutorial(seed=seed)
        other = COPIES[how](network)
        if how == "shallow":  # shares the generator
            other._random = copy.deepcopy(network._random)
        for one in (other, network):
            one.fit(X.astype(dtype), Y, epochs=2)
            assert one.dtype == dtype
        assert_equal(network, other)


def test_gradients_are_not_copied_but_computed():
    network = tutorial(dtype="float64")
    expected = {k: v.copy() for k, v in network.backward(X, Y).items()}
    other = pickle.loads(pickle.dumps(network))
    with pytest.raises(RuntimeError, match="call backward"):
        _ = other.grads
    assert all((expected[k] == v).all() for k, v in other.backward(X, Y).items())


def half(epoch):
    return 0.5 / (epoch + 1)


def squares(y, p):
    return ((p - y) ** 2).sum(), 2 * (p - y)


def test_functions_are_pickled_by_reference():
    network = tutorial(optimizer=nnc.SGD(half), loss=squares)
    for other in (pickle.loads(pickle.dumps(network)), network.copy()):
        assert other.optimizer.learning_rate is half
        assert other.loss.function is squares
    for options in ({"optimizer": nnc.SGD(lambda epoch: 0.1)}, {"loss": lambda y, p: (0.0, p)}):
        network = tutorial(**options)
        assert network.copy().optimizer == network.optimizer
        with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
            pickle.dumps(network)


def test_layers_of_a_copy_are_found():
    network = pickle.loads(pickle.dumps(everything()))
    network.unfreeze()
    network.freeze("first")
    assert len(network.frozen) == 1


@pytest.mark.parametrize("compress", [0, 3])
def test_joblib(compress, tmp_path):
    network = trained("everything")
    joblib.dump(network, tmp_path / "x", compress=compress)
    assert_equal(network, joblib.load(tmp_path / "x"))


def test_pickles_are_read_in_another_process(tmp_path):
    network = trained("everything")
    (tmp_path / "x").write_bytes(pickle.dumps(network))
    np.save(tmp_path / "X.npy", X)
    code = """
        import pickle, sys, numpy as np
        network = pickle.load(open(sys.argv[1] + "/x", "rb"))
        sys.stdout.write(network.predict_proba(np.load(sys.argv[1] + "/X.npy")).tobytes().hex())
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), tmp_path], capture_output=True, text=True
    )
    assert result.stdout == network.predict_proba(X).tobytes().hex(), result.stderr


# -------------------------------------------------------------------------------- forged files


def parts(name):
    return _state.pack(trained(name))


def load(tensors, config, path):
    files.write(path, tensors, config, "network")
    return Network.load(path)


def change(config, *keys, to):
    config = copy.deepcopy(config)
    place = config
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = to
    return config


HUGE = [0, -1, 2**31, 2**62, 2**63, 2**64, 10**4000, 1.5, 1e300, True, None, "8", [], {}, [8]]
FIELDS = {
    "units": ("layers", 0, "units"),
    "activation": ("layers", 0, "activation"),
    "bias": ("layers", 0, "bias"),
    "kind": ("layers", 0, "kind"),
    "l2": ("layers", 0, "l2"),
    "layer": ("layers", 0),
    "layers": ("layers",),
    "features": ("input_shape", 0),
    "input_shape": ("input_shape",),
    "loss": ("loss",),
    "loss kind": ("loss", "kind"),
    "optimizer": ("optimizer",),
    "learning_rate": ("optimizer", "learning_rate"),
    "beta_1": ("optimizer", "beta_1"),
    "dtype": ("dtype",),
    "input_scale": ("input_scale",),
    "seeds": ("seeds",),
    "seed": ("seeds", 0),
    "frozen": ("frozen",),
    "epochs_trained": ("epochs_trained",),
    "steps": ("steps",),
}
# what these fields may be, of all that is tried
SOUND = {
    "bias": [True], "l2": [0, 1.5, 1e300, 2**31, 2**62, 2**63, 2**64], "input_scale": [
        1.5, 1e300, 2**31, 2**62, 2**63, 2**64, None],
    "learning_rate": [1.5, 1e300, 2**31, 2**62, 2**63, 2**64], "beta_1": [0], "seed": [0, 2**31],
    "frozen": [[]], "epochs_trained": [0, 2**31], "steps": [0, 2**31], "layers": [], "loss": [],
}  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
def test_fields_of_the_wrong_type_or_size(field, tmp_path):
    tensors, config = parts("tutorial")
    for value in HUGE:
        sound = any(value == v and type(value) is type(v) for v in SOUND.get(field, []))
        forged = change(config, *FIELDS[field], to=value)
        if sound:
            load(tensors, forged, tmp_path / "x")
            continue
        with pytest.raises(files.FormatError) as caught:
            load(tensors, forged, tmp_path / "x")
        assert str(caught.value).startswith(str(tmp_path / "x")), value
        assert "\n" not in str(caught.value)


def test_keys_that_are_missing_or_unknown(tmp_path):
    tensors, config = parts("everything")
    for key in config:
        with pytest.raises(files.FormatError, match="expected the keys"):
            load(tensors, {k: v for k, v in config.items() if k != key}, tmp_path / "x")
    with pytest.raises(files.FormatError, match="expected the keys"):
        load(tensors, config | {"code": "print()"}, tmp_path / "x")
    forged = change(config, "layers", 3, "lambda", to=1)
    with pytest.raises(files.FormatError, match="lambda"):
        load(tensors, forged, tmp_path / "x")


def test_tensors_that_are_missing_or_wrong(tmp_path):
    tensors, config = parts("everything")
    for name, array in tensors.items():
        rest = {k: v for k, v in tensors.items() if k != name}
        if name != "optimizer.average":
            with pytest.raises(files.FormatError, match="tensor"):
                load(rest, config, tmp_path / "x")
        wrong = [
            array.astype(np.float32 if array.dtype == np.float64 else np.float64),
            np.zeros(array.shape, np.int64), array[..., None], array.reshape(-1)[1:],
        ]  # fmt: skip
        for value in wrong:
            with pytest.raises(files.FormatError, match="describes no network"):
                load(rest | {name: value}, config, tmp_path / "x")
    for name in ("W9", "optimizer.other", "callback.0.0"):
        with pytest.raises(files.FormatError, match="expected the tensors"):
            load(tensors | {name: np.zeros(3)}, config, tmp_path / "x")


def test_optimizers_that_remember_nothing(tmp_path):
    tensors, config = parts("tutorial")
    forged = change(config, "optimizer", to=nnc.optimizers.to_config(nnc.LBFGS()))
    with pytest.raises(files.FormatError, match="lbfgs has none"):
        load(tensors, forged, tmp_path / "x")


def test_more_layers_than_a_file_holds(tmp_path):
    for count, good in ((1024, True), (1025, False)):
        network = Network([*[Dropout(0.1)] * (count - 1), Dense(1)], 2, seed=0)
        if good:
            network.save(tmp_path / "x")
            assert len(Network.load(tmp_path / "x").layers) == count
            continue
        with pytest.raises(ValueError, match="at most 1024"):
            network.save(tmp_path / "x")
    tensors, config = _state.pack(Network([Dense(1)], 2, seed=0))
    config["layers"] = [*[{"kind": "flatten"}] * 1024, *config["layers"]]
    with pytest.raises(files.FormatError, match="at most 1024"):
        load(tensors, config, tmp_path / "x")


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        ([2**31], [2**31]),
        ([2**31 - 1, 2**31 - 1, 1], [1]),
        ([2**62] * 50, [2**62]),
        ([1], [2**62] * 32),
        ([1], [2] * 4096),
        ([100_000, 100_000, 1], [100_000]),
    ],
)
def test_sizes_are_refused_before_memory_is_taken(layers, shape, tmp_path):
    tensors, config = parts("tutorial")
    forged = change(config, "input_shape", to=shape)
    forged["layers"] = [{"kind": "flatten"}] + [{"kind": "dense", "units": n} for n in layers]
    forged["loss"] = {"kind": "mean_squared_error"}
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(files.FormatError):
        load(tensors, forged, tmp_path / "x")
    assert time.monotonic() - start < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB


# -------------------------------------------------------------------------------- nothing but data


HARMLESS = {"open", "builtins.id", "object.__getattr__", "object.__setattr__", "sys._getframe"}


def test_nothing_but_data_is_loaded(tmp_path):
    """Audit hooks see one open, and nothing that runs or imports code."""
    trained("everything").save(tmp_path / "x.nnc")
    code = """
        import sys, nnc
        path, events = sys.argv[1], []
        nnc.Network.load(path)  # whatever is imported late
        def hook(event, arguments):
            if recording:
                events.append((event, str(arguments[0]) if arguments else ""))
        recording = False
        sys.addaudithook(hook)
        recording = True
        nnc.Network.load(path)
        recording = False
        print(events)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), tmp_path / "x.nnc"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    events = ast.literal_eval(result.stdout)
    assert [e for e in events if e[0] == "open"] == [("open", str(tmp_path / "x.nnc"))]
    assert {name for name, _ in events} <= HARMLESS


def test_blobs_keep_their_classes(tmp_path):
    """A classifier of several classes is the same after a file."""
    features, classes = blobs(90, features=4, seed=1)
    network = Network([Dense(8, "relu"), Dense(3, "softmax")], 4, seed=0)
    network.fit(features, classes, epochs=5)
    network.save(tmp_path / "x")
    assert (Network.load(tmp_path / "x").predict(features) == network.predict(features)).all()
