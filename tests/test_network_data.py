"""The data that nnc.Network reads: every form gives the bits of a plain array, or a plain error."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from sample_networks import blobs, circles

import nnc
from nnc import Dense, Flatten, Network

X, y = circles(60)
WHOLE = np.random.default_rng(5).integers(-100, 100, (60, 4)).astype(np.float64)


def make(last="sigmoid", n_out=1, features=2, **options):
    options = {"seed": 1, "dtype": "float64"} | options
    return Network([Dense(5, "tanh"), Dense(n_out, last)], features, **options)


def everything(network, inputs, labels, **options):
    """What a network makes of data."""
    history = network.fit(
        inputs, labels, epochs=2, batch_size=16, X_val=inputs, y_val=labels, **options
    )
    return [
        *network.get_weights(),
        network.predict_proba(inputs),
        network.predict(inputs),
        np.array([network.step(inputs, labels)]),
        *(np.array(history[key]) for key in history),
        np.array(list(network.evaluate(inputs, labels).values())),
    ]


def same(a, b):
    assert len(a) == len(b)
    for left, right in zip(a, b, strict=True):
        assert (left == right).all()


# ----------------------------------------------------------------------- forms of samples


def fortran(a, path):
    return np.asfortranarray(a)


def strided(a, path):
    return np.repeat(np.repeat(a, 2, axis=0), 3, axis=1)[::2, ::3]


def negative(a, path):
    return a[::-1, ::-1].copy()[::-1, ::-1]


def swapped(a, path):
    return a.astype(a.dtype.newbyteorder())


def read_only(a, path):
    a = a.copy()
    a.setflags(write=False)
    return a


def unaligned(a, path):
    raw = np.zeros(a.nbytes + 1, np.uint8)
    view = raw[1:].view(a.dtype).reshape(a.shape)
    view[:] = a
    return view


def mapped(a, path):
    np.save(path / "x.npy", a)
    return np.load(path / "x.npy", mmap_mode="r")


def as_list(a, path):
    return a.tolist()


LAYOUTS = [fortran, strided, negative, swapped, read_only, unaligned, mapped, as_list]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layouts_change_no_bit(layout, dtype, tmp_path):
    inputs = WHOLE.astype(dtype) / np.dtype(dtype).type(64)  # lists hold the same numbers
    labels = (y[:, None] / 1).astype(dtype)
    a, b = make(features=4, dtype=dtype), make(features=4, dtype=dtype)
    (tmp_path / "y").mkdir()
    other = layout(inputs, tmp_path), layout(labels, tmp_path / "y")
    before = np.array(other[0])
    same(everything(a, inputs, labels), everything(b, *other))
    assert (np.asarray(other[0]) == before).all()


CODES = ["f2", "f4", "f8", "g", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]


@pytest.mark.parametrize("layout", [None, strided, swapped, mapped])
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtypes_change_no_bit(code, dtype, layout, tmp_path):
    inputs = WHOLE.copy()
    if code[0] == "u":
        inputs = np.abs(inputs)
    if code == "?":
        inputs = (inputs > 0).astype(np.float64)
    given = inputs.astype(code)
    if layout is not None:
        given = layout(given, tmp_path)
    a, b = make(features=4, dtype=dtype), make(features=4, dtype=dtype)
    same(everything(a, inputs.astype(dtype), y), everything(b, given, y))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("code", ["u1", "f4", "f8", "i8"])
def test_input_scale(code, dtype):
    images = np.abs(WHOLE).astype(code)
    a = make(features=4, dtype=dtype, input_scale=1 / 255)
    b = make(features=4, dtype=dtype)
    scaled = (images.astype(np.float64) * (1 / 255)).astype(dtype)
    same(everything(a, images, y), everything(b, scaled, y))
    for row in range(5):
        assert (a.predict_one(images[row]) == b.predict_one(scaled[row])).all()
    np.testing.assert_allclose(a.forward(images), b.forward(scaled), rtol=1e-5)


def test_images_have_two_dimensions():
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28), np.uint8)
    labels = np.arange(40) % 3
    layers = [Flatten(), Dense(6, "relu"), Dense(3, "softmax")]
    options = {"seed": 0, "input_scale": 1 / 255}
    a = Network(layers, input_shape=(28, 28), **options)
    b = Network(layers[1:], 784, **options)
    flat = images.reshape(40, 784)
    expected = everything(b, flat, labels)
    same(everything(a, images, labels), expected)
    c = Network(layers, input_shape=(28, 28), **options)
    same(everything(c, flat, labels), expected)
    assert (a.predict_one(images[0]) == b.predict_one(flat[0])).all()
    assert (a.predict_one(flat[0]) == b.predict_one(flat[0])).all()
    d = Network(layers, input_shape=(28, 28), **options)
    same(everything(d, images[:, ::-1, :].copy()[:, ::-1, :], labels), expected)
    with pytest.raises(ValueError, match=r"X: expected shape \(m, 28, 28\).*got \(28, 28\)"):
        a.predict(images[0])
    with pytest.raises(ValueError, match=r"X: expected shape \(m, 28, 28\).*got \(40, 28, 27\)"):
        a.fit(images[:, :, 1:], labels)


MAPPED = """
    import resource, sys, time
    import numpy as np
    from nnc import Dense, Network

    path, code = sys.argv[1:]
    m, n = 200_000, 1000
    with open(path, "wb") as file:
        file.truncate(m * n * np.dtype(code).itemsize)
    X = np.memmap(path, code, "r", shape=(m, n))
    y = np.arange(m) % 2

    def own():
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("RssAnon"))

    network = Network([Dense(4, "relu"), Dense(1, "sigmoid")], n, seed=0, input_scale=1 / 255)
    network.fit(X[:100], y[:100], epochs=1)
    most = before = own()

    def watch(epoch, logs):
        global most
        most = max(most, own())

    network.fit(X, y, epochs=1, batch_size=256, n_threads=2, callbacks=watch, metrics="mae",
                validation_split=0.2)
    most = max(most, own())
    outputs = network.predict_proba(X)
    most = max(most, own())
    network.evaluate(X, y)
    assert outputs.shape == (m, 1)
    assert (outputs == outputs[0]).all()
    print((most - before) / 1024)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads /proc")
@pytest.mark.parametrize("code", ["u1"])
def test_mapped_files_are_read_block_by_block(code, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(MAPPED), str(tmp_path / "x"), code],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 40  # MB of 200


# -------------------------------------------------------------------------------- labels


def test_forms_of_two_classes():
    expected = everything(make(), X, y.astype(np.float64)[:, None])
    for labels in (
        y, y.tolist(), y.astype(bool), y.astype(np.uint8), y[:, None], y.astype("f4"),
        y.astype(">i2"), y[::-1].copy()[::-1], np.asfortranarray(y[:, None]),
    ):  # fmt: skip
        same(everything(make(), X, labels), expected)


def test_forms_of_several_classes():
    inputs, classes = blobs(60, classes=4)
    expected = everything(make("softmax", 4), inputs, np.eye(4)[classes])
    for labels in (
        classes, classes.tolist(), classes.astype(np.uint8), classes.astype("f4"),
        classes.astype(">i4"), np.eye(4, dtype=bool)[classes], np.eye(4, dtype=np.int8)[classes],
        np.eye(4)[classes].tolist(),
    ):  # fmt: skip
        same(everything(make("softmax", 4), inputs, labels), expected)
    same(
        everything(make("softmax", 4, loss="sparse_categorical_crossentropy"), inputs, classes),
        expected,
    )


def test_shares_of_classes_are_labels():
    random = np.random.default_rng(0)
    shares = random.dirichlet(np.ones(3), 60)
    network = make("softmax", 3)
    P = network.predict_proba(X)
    expected = -(shares * np.log(P)).sum(axis=1).mean()
    assert network.evaluate(X, shares)["loss"] == pytest.approx(expected, rel=1e-12)


def test_forms_of_numbers():
    expected = everything(make("identity"), X, X[:, :1])
    same(everything(make("identity"), X, X[:, 0]), expected)
    same(everything(make("identity"), X, X[:, 0].tolist()), expected)
    same(everything(make("identity", 2), X, X), everything(make("identity", 2), X, X.tolist()))


class Tensor:
    """Something that NumPy makes an array of, as frames and tensors are."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array if dtype is None else self.array.astype(dtype)


def test_anything_with_an_array_inside():
    same(everything(make(), Tensor(X), Tensor(y)), everything(make(), X, y))
    network = make()
    network.fit([(Tensor(X), Tensor(y))], epochs=1)
    with pytest.raises(ValueError, match="y: expected labels, got None: pass y"):
        network.fit(Tensor(X))


def test_the_dtype_follows_the_first_data():
    for code, expected in [("f8", "f8"), ("f4", "f4"), ("f2", "f4"), ("u1", "f4"), ("i8", "f4")]:
        network = make(features=4, dtype=None)
        network.fit(np.abs(WHOLE).astype(code), y, epochs=1)
        assert network.dtype == np.dtype(expected)
    network = make(dtype=None)
    network.fit([(X, y)], epochs=1)
    assert network.dtype == np.float64


def test_nothing_is_written_into_the_data():
    inputs, labels, weights = X.copy(), y.copy(), np.linspace(0, 1, 60)
    for array in (inputs, labels, weights):
        array.setflags(write=False)
    make().fit(inputs, labels, sample_weight=weights, class_weight={0: 2}, epochs=2)
    assert (weights == np.linspace(0, 1, 60)).all()
    assert nnc.Network.fit.__doc__
