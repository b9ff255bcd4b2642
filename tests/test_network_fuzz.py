"""Files of networks and checkpoints, changed at random under a right checksum.

Each gives something that works, or a FormatError, soon. soak_network_files.py does it at length.
"""

import contextlib
import copy
import json
import random
import time

import numpy as np
import pytest
import trainings
from test_network_files import NETWORKS, parts

from nnc import DivergenceError, Network, _checkpoint, _state, files

WORDS = [
    "dense", "dropout", "batch_norm", "layer_norm", "flatten", "reshape", "relu", "softmax",
    "sigmoid", "float32", "float64", "adam", "sgd", "lbfgs", "rprop", "cosine", "warmup", "kind",
    "units", "shape", "rate", "name", "mean_squared_error", "custom", "function", "orthogonal",
    "\ud800", "\x00", "__class__", "x" * 1000,
]  # fmt: skip
NUMBERS = [
    0, 1, 2, 3, 5, -1, 2**31 - 1, 2**31, 2**53, 2**62, 2**63, 2**64, 10**300, 0.5, -0.5, 1e-300,
    1e300, 0.999, True, False, None,
]  # fmt: skip
DTYPES = ["<f4", "<f8", "<i8", "u1", "?"]
SECONDS = 2


def any_value(source, depth=0):
    if depth < 3 and source.random() < 0.2:
        values = [any_value(source, depth + 1) for _ in range(source.randrange(4))]
        return values if source.random() < 0.5 else {source.choice(WORDS): v for v in values}
    return source.choice(WORDS if source.random() < 0.4 else NUMBERS)


def places(value):
    """Yield (container, key) for each value in a tree."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield value, key
        if isinstance(item, dict | list):
            yield from places(item)


def mutate_config(config, source):
    config = json.loads(json.dumps(config))
    for _ in range(source.choice([1, 1, 1, 2, 3])):
        found = list(places(config))
        if not found:
            break
        place, key = source.choice(found)
        what = source.random()
        if what < 0.6:
            place[key] = any_value(source)
        elif what < 0.75:
            del place[key]
        elif what < 0.9:
            other, where = source.choice(found)
            place[key] = copy.deepcopy(other[where])
        elif isinstance(place, dict):
            place[source.choice(WORDS)] = any_value(source)
        else:
            place.insert(source.randrange(len(place) + 1), copy.deepcopy(place[key]))
    return config


def mutate_tensors(tensors, source):
    tensors = dict(tensors)
    name = source.choice(list(tensors))
    array = tensors[name]
    what = source.randrange(6)
    if what == 0:
        del tensors[name]
    elif what == 1:
        with np.errstate(invalid="ignore"):
            tensors[name] = array.astype(source.choice(DTYPES))
    elif what == 2:
        tensors[name] = array.reshape(source.choice([(-1,), (1, -1), (-1, 1), (1, 1, -1)]))
    elif what == 3:
        tensors[name] = array.reshape(-1)[: source.randrange(array.size + 1)]
    elif what == 4:
        tensors[source.choice(["W1", "b9", "optimizer.state", "optimizer.x", "x"])] = array
    else:
        raw = np.frombuffer(source.randbytes(array.nbytes), array.dtype)
        tensors[name] = raw.reshape(array.shape)
    return tensors


def mutations(known, kind, count, source):
    """Yield so many changed files, as what is read of them, and their configurations."""
    while count:
        tensors, config = source.choice(known)
        if source.random() < 0.8:
            config = mutate_config(config, source)
        if source.random() < 0.3:
            tensors = mutate_tensors(tensors, source)
        with contextlib.suppress(ValueError, TypeError):  # what cannot be written
            yield files.from_bytes(files.to_bytes(tensors, config, kind), kind=kind)
            count -= 1


def load_networks(count, source):
    """Load mutations; return how many were networks."""
    accepted = 0
    for tensors, config in mutations([parts(n) for n in NETWORKS], "network", count, source):
        start = time.monotonic()
        try:
            network = _state.unpack(Network, tensors, config, "x")
        except files.FormatError as error:
            assert str(error).startswith("x: ")  # noqa: PT017
        else:
            accepted += 1
            use(network)
        assert time.monotonic() - start < SECONDS, config
    return accepted


def use(network):
    """Whatever was loaded works, or says what is wrong."""
    rows = np.ones((3, *network.input_shape))
    with np.errstate(all="ignore"):
        network.predict_proba(rows)
        assert network.summary()
        labels = np.zeros((3, network.n_outputs))
        with contextlib.suppress(ValueError, TypeError, DivergenceError):
            network.fit(rows, labels, epochs=1, batch_size=None, verbose=0)


def resume(count, source, folder):
    """Go on from mutations; return how many were checkpoints."""
    path, accepted, known = folder / "checkpoint", 0, []
    for name in ("everything", "tutorial", "stopping"):
        trainings.run(name, path, epochs=2)
        tensors, config = files.read_checkpoint(path)
        known.append((tensors, config | {"name": name}))
        path.unlink()
        folder.joinpath(f"{path.name}{files.PREVIOUS}").unlink(missing_ok=True)
    for tensors, config in mutations(known, "checkpoint", count, source):
        name = config.pop("name", None)
        if name not in ("everything", "tutorial", "stopping"):
            continue
        path.write_bytes(files.to_bytes(tensors, config, "checkpoint"))
        network, arguments = trainings.TRAININGS[name]()
        before = network.copy()
        start = time.monotonic()
        try:
            network.fit(**arguments | {"epochs": 2, "checkpoint": path, "verbose": 0})
            accepted += 1
        except DivergenceError:
            accepted += 1
        except ValueError as error:
            if isinstance(error, files.FormatError) or "pass the same" in str(error):
                assert network.epochs_trained == 0
                before._dtype = network.dtype
                for key, array in before.params.items():
                    assert (array == network.params[key]).all()
        assert time.monotonic() - start < SECONDS, config
        for file in folder.iterdir():
            file.unlink()
    return accepted


def test_networks():
    assert load_networks(10_000, random.Random(7)) > 100


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_checkpoints(tmp_path):
    assert resume(1000, random.Random(8), tmp_path) > 20


def test_a_checkpoint_of_many_reductions(tmp_path):
    """A number of reductions beyond reason takes no time."""
    path = tmp_path / "x"
    trainings.run("stopping", path, epochs=2)
    tensors, config = files.read_checkpoint(path)
    config["training"]["callbacks"][0]["reductions"] = 2**62
    files.write(path, tensors, config, "checkpoint")
    trainings.run("stopping", path, epochs=2)


def test_keys_of_a_checkpoint(tmp_path):
    path = tmp_path / "x"
    trainings.run("tutorial", path, epochs=2)
    tensors, config = files.read_checkpoint(path)
    assert config["training"].keys() == _checkpoint._KEYS
    for part in ("network", "training"):
        for key in config[part]:
            rest = {k: v for k, v in config[part].items() if k != key}
            files.write(path, tensors, config | {part: rest}, "checkpoint")
            with pytest.raises(files.FormatError, match="describes no training"):
                trainings.run("tutorial", path, epochs=2)
