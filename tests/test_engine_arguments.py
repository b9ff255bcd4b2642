"""Engine: what goes in, in whatever layout, and what is refused with which message."""

import os
import subprocess
import sys

import numpy as np
import pytest
from batches import ADAM, BCE, CCE, MSE, SSE, engine, layers_of, problem
from support import check_counts, memory_mapped, offset, read_only

from nnc._core import Engine

LAYERS = layers_of([3, 4, 2], "softmax")
X, Y, PARAMS = problem(LAYERS, CCE, 37)


def trained(X=X, Y=Y, dtype="float64", **options):
    ours = Engine(LAYERS, CCE, dtype)
    ours.params[:] = PARAMS
    cost, accuracy = ours.fit(X, Y, epochs=2, batch_size=8, **options)
    return ours.params.tobytes() + cost.tobytes() + accuracy.tobytes()


def predicted(X=X, dtype="float64"):
    ours = Engine(LAYERS, CCE, dtype)
    ours.params[:] = PARAMS
    return ours.predict(X).tobytes()


# -------------------------------------------------------------------------------- the network


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        ([], ValueError, "a network needs at least one layer, and each layer at least one unit"),
        ([(0, 1, "relu", True)], ValueError, "each layer at least one unit"),
        ([(2, -1, "relu", True)], ValueError, "each layer at least one unit"),
        ([(2, 3, "relu", True), (4, 1, "relu", True)], ValueError, "n_in is not the n_out"),
        ([(2**40, 2**40, "relu", True)], ValueError, "sizes exceed"),
        ([(2**31, 2**31, "relu", True)], (ValueError, MemoryError), None),
        ([(2**63, 1, "relu", True)], OverflowError, None),
        (None, TypeError, "layers: expected a sequence"),
        (3, TypeError, "layers: expected a sequence"),
        ([(2, 1, "relu")], TypeError, "4"),
        ([[2, 1, "relu", True]], TypeError, "tuple"),
        ([(2.0, 1, "relu", True)], TypeError, "integer"),
        ([(2, 1, "rely", True)], ValueError, "'rely' in layers: known are .* mean 'relu'"),
        ([(2, 1, None, True)], ValueError, "Non-supported activation function None in layers"),
        ([(2, 2, "softmax", True), (2, 1, "relu", True)], ValueError, "softmax belongs to"),
        ([(2, 1, "softmax", True)], ValueError, "softmax belongs to the output layer"),
        ([(2, 1, "log_softmax", True)], ValueError, "softmax belongs to the output layer"),
        ([(2, 1, "logsoftmax", True)], ValueError, "known are .*; did you mean 'log_softmax'"),
    ],
)
def test_layers(layers, error, message):
    with pytest.raises(error, match=message):
        Engine(layers, MSE, "float64")


@pytest.mark.parametrize("last", ["identity", "relu", "sigmoid"])
def test_categorical_cross_entropy_needs_softmax(last):
    with pytest.raises(ValueError, match=r"softmax.*trains with categorical_cross_entropy"):
        Engine([(2, 1, last, True)], CCE, "float64")


@pytest.mark.parametrize("loss", [BCE, MSE, SSE])
def test_softmax_needs_categorical_cross_entropy(loss):
    with pytest.raises(ValueError, match=r"softmax.*trains with categorical_cross_entropy"):
        Engine(LAYERS, loss, "float64")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((LAYERS, "cosine", "float64"), ValueError, "loss 'cosine' in loss: known are"),
        ((LAYERS, "", "float64"), ValueError, "Non-supported loss '' in loss: known are"),
        ((LAYERS, "mean_square_error", "float64"), ValueError, "mean 'mean_squared_error'?"),
        ((LAYERS, None, "float64"), TypeError, "str"),
        ((LAYERS, CCE, "float16"), ValueError, "dtype: expected float32 or float64, got 'float16'"),
        ((LAYERS, CCE, np.float64), TypeError, "str"),
        ((LAYERS, CCE, "float64\0"), ValueError, "null"),
        ((LAYERS, CCE), TypeError, "missing required argument 'dtype'"),
        ((), TypeError, "missing required argument 'layers'"),
    ],
)
def test_losses_and_dtypes(arguments, error, message):
    with pytest.raises(error, match=message):
        Engine(*arguments)


def test_the_type_is_closed():
    ours = Engine(LAYERS, CCE, "float64")
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Sub", (Engine,), {})
    with pytest.raises(AttributeError):
        ours.params = PARAMS
    with pytest.raises(AttributeError):
        ours.other = 1
    with pytest.raises(TypeError, match="immutable"):
        Engine.fit = None


# ----------------------------------------------------------------------------------- fit


def part(start, n, l1=0.0, l2=0.0, decay=0.0, max_norm=0.0, row=0):
    return start, n, False, l1, l2, decay, max_norm, row


EXPECTED = "fit: expected epochs >= 0, batch_size >= 1, n_threads >= 1, a finite learning_rate > 0"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epochs": -1}, ValueError, EXPECTED),
        ({"epochs": 1.0}, TypeError, "integer"),
        ({"epochs": 2**63}, OverflowError, None),
        ({"epochs": 2**62}, (ValueError, MemoryError), None),
        ({"batch_size": 0}, ValueError, EXPECTED),
        ({"batch_size": -5}, ValueError, EXPECTED),
        ({"n_threads": 0}, ValueError, EXPECTED),
        ({"n_threads": -1}, ValueError, EXPECTED),
        ({"learning_rate": 0}, ValueError, EXPECTED),
        ({"learning_rate": -0.1}, ValueError, EXPECTED),
        ({"learning_rate": np.nan}, ValueError, EXPECTED),
        ({"learning_rate": np.inf}, ValueError, EXPECTED),
        ({"learning_rate": "fast"}, TypeError, "real number"),
        ({"beta_1": 1}, ValueError, r"beta_1 and beta_2 in \[0, 1\)"),
        ({"beta_1": -0.1}, ValueError, "beta_1"),
        ({"beta_2": np.nan}, ValueError, "beta_2"),
        ({"epsilon": -1e-9}, ValueError, "epsilon >= 0"),
        ({"epsilon": np.nan}, ValueError, "epsilon >= 0"),
        ({"optimizer": "newton"}, ValueError, "Non-supported optimizer 'newton' in optimizer"),
        ({"optimizer": "Adam"}, ValueError, "known are .*adam.*; did you mean 'adam'"),
        ({"optimizer": None}, TypeError, "str"),
        ({"seed": -1}, (ValueError, OverflowError), None),
        ({"seed": 2**32}, (ValueError, OverflowError), None),
        ({"seed": []}, ValueError, "Seed must be non-empty"),
        ({"seed": "seed"}, (ValueError, TypeError), None),
        ({"callback": 3}, TypeError, "not callable"),
        ({"momentun": 0.9}, TypeError, "momentun"),
        ({"ranges": 3}, TypeError, "ranges: expected a sequence"),
        ({"ranges": [[0, 4]]}, TypeError, "ranges: expected tuples, got list"),
        ({"ranges": [(0, 4, False, 0.1)]}, TypeError, "start, n, frozen, l1, l2, decay, max_norm"),
        ({"ranges": [part(0, 27)]}, ValueError, r"parts of 26 parameters .* got \[0, 0 \+ 27\)"),
        ({"ranges": [part(-1, 4)]}, ValueError, "in order and without overlap"),
        ({"ranges": [part(0, 9), part(8, 4)]}, ValueError, r"got \[8, 8 \+ 4\)"),
        ({"ranges": [part(0, 4, l1=-1.0)]}, ValueError, "l1, l2, decay and max_norm must be"),
        ({"ranges": [part(0, 4, l2=np.nan)]}, ValueError, "finite numbers >= 0"),
        ({"ranges": [part(0, 4, decay=np.inf)]}, ValueError, "finite numbers >= 0"),
        ({"ranges": [part(0, 4, max_norm=1.0)]}, ValueError, "whole rows"),
        ({"ranges": [part(0, 4, max_norm=1.0, row=3)]}, ValueError, "whole rows"),
        ({"X": X[0]}, ValueError, r"X: expected shape \(any, 3\), got \(3,\): .*reshape\(1, -1\)"),
        ({"X": X.T}, ValueError, r"X: expected shape \(any, 3\), got \(3, 37\): pass X.T"),
        ({"X": X[:, :2]}, ValueError, r"X: expected shape \(any, 3\), got \(37, 2\)"),
        ({"X": 3.0}, ValueError, r"X: expected shape \(any, 3\), got \(\)"),
        ({"X": X[None]}, ValueError, r"X: expected shape \(any, 3\), got \(1, 37, 3\)"),
        ({"X": X[1:]}, ValueError, r"Y: expected shape \(36, 2\), got \(37, 2\)"),
        ({"Y": Y.T}, ValueError, r"Y: expected shape \(37, 2\), got \(2, 37\): pass Y.T"),
        ({"Y": Y[:, 0]}, ValueError, r"Y: expected shape \(37, 2\), got \(37,\)"),
        ({"X": None}, TypeError, "X: expected an array of real numbers, got dtype object"),
        ({"Y": None}, TypeError, "Y: expected an array of real numbers, got dtype object"),
        ({"X": X.astype(object)}, TypeError, "X: expected an array of real numbers"),
        ({"X": X * 1j}, TypeError, "X: expected an array of real numbers, got dtype complex128"),
        ({"Y": Y.astype(str)}, TypeError, "Y: expected an array of real numbers"),
        ({"X": [[1.0], [2.0, 3.0]]}, ValueError, "X: .*inhomogeneous"),
        ({"X": np.ma.masked_less(X, 0)}, TypeError, "X: got a masked array: pass X.filled"),
        ({"Y": np.ma.masked_less(Y, 0)}, TypeError, "Y: got a masked array: pass Y.filled"),
    ],
)  # fmt: skip
def test_what_fit_refuses(options, error, message):
    ours = engine(LAYERS, CCE, PARAMS)
    if "callback" not in options:
        expected = trained(**ADAM)
    with pytest.raises(error, match=message):
        ours.fit(**{"X": X, "Y": Y} | options)
    if "callback" not in options:  # nothing has changed
        assert (ours.params == PARAMS).all()
        cost, accuracy = ours.fit(X, Y, epochs=2, batch_size=8, **ADAM)
        assert ours.params.tobytes() + cost.tobytes() + accuracy.tobytes() == expected


@pytest.mark.parametrize("n_threads", [65, 1025, 10**6, 10**9, 2**62, sys.maxsize])
def test_any_number_of_threads(n_threads):
    """More than are of use do no harm."""
    code = f"""
import batches
from batches import CCE, engine, layers_of, problem
for layers in layers_of([3, 4, 2], "softmax"), layers_of([64, 300, 200, 2], "softmax"):
    x, y, params = problem(layers, CCE, 1000)
    ours, again = engine(layers, CCE, params), engine(layers, CCE, params)
    ours.fit(x, y, batch_size=500, n_threads={n_threads})
    again.fit(x, y, batch_size=500)
    assert (ours.params == again.params).all()
    assert (ours.predict(x, n_threads={n_threads}) == again.predict(x)).all()
"""
    path = os.pathsep.join([os.path.dirname(__file__), *filter(None, sys.path)])
    subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=60,
        env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("args", "kwargs", "error", "message"),
    [
        ((), {}, TypeError, "predict: expected X, n_threads and x_scale"),
        ((X, 1, 2.0, 3), {}, TypeError, "predict: expected X, n_threads and x_scale"),
        ((X, 1), {"n_threads": 1}, TypeError, "predict: expected X, n_threads"),
        ((X, 1, 2.0), {"x_scale": 1.0}, TypeError, "predict: expected X"),
        ((X,), {"x_scale": np.inf}, ValueError, "x_scale: expected a finite number"),
        ((X,), {"threads": 1}, TypeError, "predict: expected X, n_threads"),
        ((X,), {"n_threads": 0}, ValueError, "n_threads: expected at least 1"),
        ((X,), {"n_threads": -1}, ValueError, "n_threads: expected at least 1"),
        ((X,), {"n_threads": 1.5}, TypeError, "integer"),
        ((X,), {"n_threads": 2**64}, OverflowError, None),
        ((X.T,), {}, ValueError, r"X: expected shape \(any, 3\), got \(3, 37\): pass X.T"),
        ((X[:, 0],), {}, ValueError, r"X: expected shape \(any, 3\), got \(37,\)"),
        ((X[None],), {}, ValueError, r"X: expected shape \(any, 3\), got \(1, 37, 3\)"),
        ((None,), {}, TypeError, "X: expected an array of real numbers"),
        ((X * 1j,), {}, TypeError, "X: expected an array of real numbers, got dtype complex128"),
        ((X.astype(object),), {}, TypeError, "X: expected an array of real numbers"),
        ((X[0].astype(object),), {}, TypeError, "X: expected an array of real numbers"),
        ((np.ma.masked_less(X, 0),), {}, TypeError, "X: got a masked array"),
        ((np.ma.masked_less(X[0], 0),), {}, TypeError, "X: got a masked array"),
    ],
)
def test_what_predict_refuses(args, kwargs, error, message):
    with pytest.raises(error, match=message):
        engine(LAYERS, CCE, PARAMS).predict(*args, **kwargs)


def test_one_input_is_not_many_samples():
    ours = engine(layers_of([1, 2], "identity"), MSE, np.ones(4))
    assert ours.predict(np.ones(1)).shape == (2,)
    with pytest.raises(ValueError, match=r"got \(5,\): pass X.reshape\(-1, 1\)"):
        ours.predict(np.ones(5))


# ------------------------------------------------------------------------------------ layouts


def field(array):
    """Of packed records of 5 more bytes: strides that no element size divides."""
    records = np.zeros(array.shape, [("pad", "u1", 5), ("value", array.dtype)])
    records["value"] = array
    return records["value"]


LAYOUTS = {
    "F": lambda a, _: np.asfortranarray(a),
    "strided": lambda a, _: np.repeat(np.repeat(a, 2, axis=0), 3, axis=-1)[::2][..., ::3],
    "negative": lambda a, _: a[::-1].copy()[::-1],
    "misaligned": lambda a, _: offset(a, 1),
    "offset by an element": lambda a, _: offset(a, a.itemsize),
    "field": lambda a, _: field(a),
    "byteswapped": lambda a, _: a.astype(a.dtype.newbyteorder()),
    "read-only": lambda a, _: read_only(a),
    "memmap": memory_mapped,
    "list": lambda a, _: a.tolist(),
    "subclass": lambda a, _: a.view(type("Own", (np.ndarray,), {})),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layout_of_an_input_changes_no_bit(layout, dtype, tmp_path):
    name = np.dtype(dtype).name
    x, y = X.astype(dtype), Y.astype(dtype)
    change = LAYOUTS[layout]
    given = change(x, tmp_path)
    before = np.array(given, copy=True)
    expected = trained(x, y, name, seed=3)
    assert trained(given, y, name, seed=3) == expected
    assert predicted(given, name) == predicted(x, name)
    np.testing.assert_array_equal(given, before)
    assert trained(x, change(y, tmp_path), name, seed=3) == expected
    row = np.ascontiguousarray(x[5])
    if layout == "strided":
        given = np.repeat(row, 3)[::3]
    else:
        given = change(row, tmp_path)
    assert predicted(given, name) == predicted(row, name)


def test_one_row_broadcast_to_many():
    rows = np.broadcast_to(X[3], X.shape)
    assert trained(rows) == trained(rows.copy())
    assert predicted(rows) == predicted(rows.copy())


@pytest.mark.parametrize("code", "?bBhHiIlLqQefdg")
def test_real_numbers_of_any_dtype(code, dtype):
    name = np.dtype(dtype).name
    given, labels = np.round(np.abs(X)).clip(0, 1).astype(code), Y.astype(code)
    expected = given.astype(dtype)
    assert trained(given, labels, name) == trained(expected, labels.astype(dtype), name)
    assert predicted(given, name) == predicted(expected, name)
    assert predicted(given[0], name) == predicted(expected[0], name)


# ------------------------------------------------------------------------------------- memory


class Unreadable:
    def __array__(self, dtype=None, copy=None):
        raise ValueError("cannot be read")


ENGINE = engine(LAYERS, CCE, PARAMS)
SPOILT = X.copy()
SPOILT[0, 0] = np.nan
INT = np.ones((37, 3), np.int8)


def failing(call):
    def checked():  # pytest.raises keeps memory of its own
        try:
            call()
        except (ValueError, TypeError, FloatingPointError):
            return
        raise AssertionError("did not raise")

    return checked


def fail(*_):
    raise ValueError


CALLS = {
    "new": lambda: Engine(LAYERS, CCE, "float64"),
    "new, bad loss": failing(lambda: Engine(LAYERS, "cosine", "float64")),
    "new, bad dtype": failing(lambda: Engine(LAYERS, CCE, "float16")),
    "new, bad layers": failing(lambda: Engine([(2, 1, "relu")], CCE, "float64")),
    "new, bad softmax": failing(lambda: Engine(LAYERS, BCE, "float64")),
    "params": lambda: ENGINE.params,
    "params of a lost engine": lambda: Engine(LAYERS, CCE, "float64").params,
    "fit": lambda: ENGINE.fit(X, Y, seed=1),
    "fit by adam": lambda: engine(LAYERS, CCE, PARAMS).fit(X, Y, optimizer="adam"),
    "fit converting": lambda: ENGINE.fit(INT, Y.astype("f")),
    "fit with a callback": lambda: ENGINE.fit(X, Y, epochs=3, callback=lambda *_: None),
    "fit stopped": lambda: ENGINE.fit(X, Y, epochs=3, callback=lambda *_: True),
    "fit raising": failing(lambda: ENGINE.fit(X, Y, epochs=3, callback=fail)),
    "fit diverging": failing(lambda: ENGINE.fit(SPOILT, Y)),
    "fit, bad X": failing(lambda: ENGINE.fit(X.T, Y)),
    "fit, bad Y": failing(lambda: ENGINE.fit(X, Y.T)),
    "fit, unreadable Y": failing(lambda: ENGINE.fit(X, Unreadable())),
    "fit, bad seed": failing(lambda: ENGINE.fit(X, Y, seed="seed")),
    "fit, bad optimizer": failing(lambda: ENGINE.fit(X, Y, optimizer="newton")),
    "predict": lambda: ENGINE.predict(X),
    "predict by threads": lambda: ENGINE.predict(X, n_threads=2),
    "predict converting": lambda: ENGINE.predict(INT),
    "predict one": lambda: ENGINE.predict(X[0]),
    "predict one converting": lambda: ENGINE.predict(INT[0]),
    "predict, bad X": failing(lambda: ENGINE.predict(X.T)),
    "predict, unreadable X": failing(lambda: ENGINE.predict(Unreadable())),
}


@pytest.mark.parametrize("name", CALLS)
def test_no_call_changes_the_count_of_blocks_or_references(name):
    shared = [X, Y, PARAMS, SPOILT, INT, ENGINE, LAYERS, *LAYERS, np.dtype(float), np.dtype("f")]
    check_counts(CALLS[name], shared)
