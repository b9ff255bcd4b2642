"""What goes in as an array: every dtype, layout, byte order and alignment, or a clear TypeError."""

import numpy as np
import pytest
from support import architecture, data, memory_mapped, offset, read_only

import nnc

NET = architecture([3, 4, 2], ["relu", "sigmoid"])
X, Y, PARAMS = data(NET, 37)
Y_HAT, MEMORY = nnc.full_forward_propagation(X, PARAMS, NET)


LAYOUTS = {
    "C": lambda a, _: a,
    "F": lambda a, _: np.asfortranarray(a),
    "strided": lambda a, _: np.repeat(np.repeat(a, 2, axis=0), 3, axis=1)[::2, ::3],
    "negative": lambda a, _: a[::-1, ::-1].copy()[::-1, ::-1],
    "misaligned": lambda a, _: offset(a, 1),
    "offset by 8": lambda a, _: offset(a, 8),
    "byteswapped": lambda a, _: a.astype(a.dtype.newbyteorder()),
    "read-only": lambda a, _: read_only(a),
    "memmap": memory_mapped,
    "matrix": lambda a, _: a.view(np.matrix),
    "list": lambda a, _: a.tolist(),
}

# name: (call on a matrix, that matrix)
CALLS = {
    "sigmoid": (nnc.sigmoid, X),
    "relu": (nnc.relu, X),
    "sigmoid_backward dA": (lambda a: nnc.sigmoid_backward(a, X), X),
    "sigmoid_backward Z": (lambda a: nnc.sigmoid_backward(X, a), X),
    "relu_backward dA": (lambda a: nnc.relu_backward(a, X), X),
    "relu_backward Z": (lambda a: nnc.relu_backward(X, a), X),
    "convert_prob_into_class": (nnc.convert_prob_into_class, X),
    "get_cost_value Y_hat": (lambda a: nnc.get_cost_value(a, Y), Y_HAT),
    "get_cost_value Y": (lambda a: nnc.get_cost_value(Y_HAT, a), Y),
    "get_accuracy_value Y_hat": (lambda a: nnc.get_accuracy_value(a, Y), Y_HAT),
    "get_accuracy_value Y": (lambda a: nnc.get_accuracy_value(Y_HAT, a), Y),
    "forward A_prev": (
        lambda a: nnc.single_layer_forward_propagation(a, PARAMS["W1"], PARAMS["b1"]),
        X,
    ),
    "forward W_curr": (
        lambda a: nnc.single_layer_forward_propagation(X, a, PARAMS["b1"]),
        PARAMS["W1"],
    ),
    "forward b_curr": (
        lambda a: nnc.single_layer_forward_propagation(X, PARAMS["W1"], a),
        PARAMS["b1"],
    ),
    "full_forward X": (lambda a: nnc.full_forward_propagation(a, PARAMS, NET)[0], X),
    "full_forward W2": (
        lambda a: nnc.full_forward_propagation(X, PARAMS | {"W2": a}, NET)[0],
        PARAMS["W2"],
    ),
    "full_backward Y_hat": (
        lambda a: list(nnc.full_backward_propagation(a, Y, MEMORY, PARAMS, NET).values()),
        Y_HAT,
    ),
    "full_backward Y": (
        lambda a: list(nnc.full_backward_propagation(Y_HAT, a, MEMORY, PARAMS, NET).values()),
        Y,
    ),
    "full_backward Z1": (
        lambda a: list(
            nnc.full_backward_propagation(Y_HAT, Y, MEMORY | {"Z1": a}, PARAMS, NET).values()
        ),
        MEMORY["Z1"],
    ),
    "update gradient": (
        lambda a: list(
            nnc.update(
                {k: v.copy() for k, v in PARAMS.items()},
                {"d" + k: v for k, v in PARAMS.items()} | {"dW1": a},
                NET,
                0.1,
            ).values()
        ),
        PARAMS["W1"],
    ),
    "train X": (lambda a: list(nnc.train(a, Y, NET, 3, 0.1)[0].values()), X),
    "train Y": (lambda a: list(nnc.train(X, a, NET, 3, 0.1)[0].values()), Y),
}


def flat(result):
    parts = result if isinstance(result, tuple | list) else [result]
    return b"".join(np.asarray(part).tobytes() for part in parts)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", CALLS)
def test_the_layout_of_an_input_changes_no_bit(name, layout, tmp_path):
    call, array = CALLS[name]
    given = LAYOUTS[layout](array, tmp_path)
    before = np.array(given, copy=True)
    assert flat(call(given)) == flat(call(array))
    np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("code", "?bBhHiIlLqQefdg")
def test_real_numbers_of_any_dtype_become_float64(name, code):
    call, array = CALLS[name]
    given = np.round(np.abs(array)).clip(0, 1).astype(code)
    if code == "f":
        return  # float32 stays: below
    assert flat(call(given)) == flat(call(given.astype(np.float64)))


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("code", ["c8", "c16", "O", "U3", "S3", "M8[s]", "m8[s]", "V8"])
def test_anything_but_real_numbers_is_a_type_error(name, code):
    call, array = CALLS[name]
    with pytest.raises(TypeError, match="expected an array of real numbers, got dtype"):
        call(np.zeros(array.shape, code))


@pytest.mark.parametrize("name", CALLS)
def test_none_ragged_lists_and_masked_arrays_are_refused(name):
    call, array = CALLS[name]
    with pytest.raises(TypeError, match="real numbers"):
        call(None)
    with pytest.raises(ValueError, match="inhomogeneous"):
        call([[1.0], [2.0, 3.0]])
    with pytest.raises(TypeError, match="masked"):
        call(np.ma.masked_less(array, 0))


def test_float32_is_computed_in_float32():
    x, y = X.astype(np.float32), Y.astype(np.float32)
    params = {key: value.astype(np.float32) for key, value in PARAMS.items()}
    Y_hat, memory = nnc.full_forward_propagation(x, params, NET)
    grads = nnc.full_backward_propagation(Y_hat, Y, memory, params, NET)
    results = [nnc.sigmoid(x), nnc.relu(x), nnc.relu_backward(x, x), nnc.sigmoid_backward(x, x)]
    results += [Y_hat, nnc.convert_prob_into_class(Y_hat), *memory.values(), *grads.values()]
    results += list(nnc.train(x, y, NET, 2, 0.1)[0].values())
    assert {result.dtype for result in results} == {np.dtype(np.float32)}


def test_float32_and_float64_together_are_computed_in_float64():
    x = X.astype(np.float32)
    A, Z = nnc.single_layer_forward_propagation(x, PARAMS["W1"], PARAMS["b1"])
    assert A.dtype == Z.dtype == np.float64
    assert nnc.relu_backward(x, X).dtype == np.float64


def test_dtype_decides_in_train():
    assert nnc.train(X, Y, NET, 1, 0.1, dtype="float32")[0]["W1"].dtype == np.float32
    assert nnc.train(X.astype(np.float32), Y, NET, 1, 0.1, dtype=float)[0]["W1"].dtype == np.float64
    assert nnc.train(X.astype(np.int8), Y, NET, 1, 0.1)[0]["W1"].dtype == np.float64


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (read_only, ValueError, "read-only"),
        (np.asfortranarray, ValueError, "C order"),
        (lambda a: np.repeat(a, 2, axis=1)[:, ::2], ValueError, "C order"),
        (lambda a: offset(a, 1), ValueError, "aligned"),
        (lambda a: a.astype(">f8"), TypeError, "native byte order"),
        (lambda a: a.astype(np.float16), TypeError, "float16"),
        (lambda a: a.astype(int), TypeError, "int64"),
        (lambda a: a.tolist(), TypeError, "got list"),
        (lambda a: a.T.copy(), ValueError, r"got \(3, 4\): pass params_values\['W1'\].T"),
        (np.ravel, ValueError, r"got \(12,\)"),
    ],
)
def test_what_is_written_in_place_is_never_converted(spoil, error, message):
    params = {key: value.copy() for key, value in PARAMS.items()}
    grads = {"d" + key: np.ones_like(value) for key, value in PARAMS.items()}
    params["W1"] = spoil(params["W1"])
    with pytest.raises(error, match=message) as caught:
        nnc.update(params, grads, NET, 0.1)
    assert "params_values['W1']" in str(caught.value)
    for key in ("b1", "W2", "b2"):
        np.testing.assert_array_equal(params[key], PARAMS[key])
