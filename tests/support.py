"""What several test files share: random networks, tolerance, layouts of arrays, leaks."""

import gc
import sys
from contextlib import contextmanager

import numpy as np
from hypothesis import strategies as st

from nnc import _core, reference

# e^z feeds on itself: layers of it overflow
HIDDEN = [name for name in reference.ACTIVATIONS if name != "exponential"]
# where an activation or its derivative jumps
KINKS = {
    "relu": [0], "leaky_relu": [0], "elu": [0], "selu": [0], "softsign": [0],
    "hard_sigmoid": [-3, 3], "hard_swish": [-3, 3],
}  # fmt: skip
EPS = {np.dtype(np.float64): 2.0**-52, np.dtype(np.float32): 2.0**-23}


@contextmanager
def kernels(isa):
    """Compute with one kernel set, and then with that of before again."""
    before = _core.cpu_info()["isa"]
    _core.select_isa(isa)
    try:
        yield
    finally:
        _core.select_isa(before)


def architecture(sizes, activations):
    return [
        {"input_dim": n_in, "output_dim": n_out, "activation": activation}
        for n_in, n_out, activation in zip(sizes[:-1], sizes[1:], activations, strict=True)
    ]


@st.composite
def networks(draw, max_layers=4, max_width=20, last=("sigmoid",)):
    """A random architecture."""
    n_layers = draw(st.integers(1, max_layers))
    sizes = draw(st.lists(st.integers(1, max_width), min_size=n_layers + 1, max_size=n_layers + 1))
    hidden = st.sampled_from(HIDDEN)
    activations = [draw(hidden) for _ in range(n_layers - 1)] + [draw(st.sampled_from(last))]
    return architecture(sizes, activations)


def data(nn_architecture, m, seed=0, dtype=np.float64):
    """X and Y, and parameters of ordinary size, for a network."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(nn_architecture[0]["input_dim"], m)).astype(dtype)
    Y = random.integers(0, 2, size=(nn_architecture[-1]["output_dim"], m)).astype(dtype)
    params = {
        key: (random.normal(size=value.shape) / np.sqrt(value.shape[1])).astype(dtype)
        for key, value in reference.init_layers(nn_architecture).items()
    }
    return X, Y, params


def assert_close(ours, theirs, units=16, scale=None):
    """Equal to within `units` rounding errors of the largest magnitude involved."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    scale = scale or max(1.0, np.abs(theirs).max(initial=0))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=units * EPS[ours.dtype] * scale)


# ------------------------------------------------------------------------------------- layouts


def offset(array, n_bytes):
    raw = np.empty(array.nbytes + n_bytes, np.uint8)[n_bytes:]
    result = raw.view(array.dtype).reshape(array.shape)
    result[...] = array
    return result


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def memory_mapped(array, folder):
    mapped = np.memmap(folder / "x.bin", array.dtype, "w+", shape=array.shape)
    mapped[:] = array
    mapped.flush()
    return np.memmap(folder / "x.bin", array.dtype, "r", shape=array.shape)


# -------------------------------------------------------------------------------------- memory


def check_counts(call, shared):
    """Calls change neither the count of blocks nor those of references to what they share."""

    def counts():
        gc.collect()
        return sys.getallocatedblocks(), [sys.getrefcount(item) for item in shared]

    def repeat(n):
        for _ in range(n):
            call()

    def changes():
        blocks, references = counts()
        repeat(300)
        blocks_after, references_after = counts()
        assert references_after == references
        return abs(blocks_after - blocks)

    repeat(20)
    # A leak is at least one a call, each time; what else the process frees or takes, it does once.
    assert any(changes() < 150 for _ in range(5))


# Machado, Oliveira and Fernandes (2009), severity 1: protan, deutan, tritan.
COLOUR_BLIND = np.array([
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
     [-0.003882, -0.048116, 1.051998]],
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
     [-0.011820, 0.042940, 0.968881]],
    [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
     [0.004733, 0.691367, 0.303900]],
])  # fmt: skip


def least_difference(one, other):
    """Distance of two colours, linear RGB, for those eyes that tell them apart least."""
    eyes = [np.eye(3), *COLOUR_BLIND]
    seen = [[np.clip(eye @ colour, 0, 1) for colour in (one, other)] for eye in eyes]
    return min(np.linalg.norm(np.cbrt(a) - np.cbrt(b)) for a, b in seen)  # about as they look
