"""init_layers: the bits of NumPy's legacy random numbers, and the block they lie in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import architecture, networks

import nnc

ARCHITECTURE = architecture([3, 5, 2], ["relu", "sigmoid"])


def tutorial_init(nn_architecture, seed):
    """What the tutorial does, on a generator of its own."""
    random = np.random.RandomState()
    random.seed(seed)
    values = {}
    for i, layer in enumerate(nn_architecture, 1):
        values[f"W{i}"] = random.randn(layer["output_dim"], layer["input_dim"]) * 0.1
        values[f"b{i}"] = random.randn(layer["output_dim"], 1) * 0.1
    return values


def assert_same_bits(ours, theirs):
    assert list(ours) == list(theirs)
    for key in theirs:
        assert ours[key].shape == theirs[key].shape
        assert ours[key].tobytes() == theirs[key].tobytes()


@pytest.mark.parametrize(
    "seed",
    [0, 1, 2, 99, 2**31, 2**32 - 1, True, np.int64(7), np.uint32(2**32 - 1), np.array(5),
     [2], [0, 1, 2], (3, 4), np.array([9]), np.arange(700), np.full(624, 2**32 - 1),
     np.array([1, 2], np.int8), [True, False]],
)  # fmt: skip
def test_every_legal_seed_gives_numpys_bits(seed):
    assert_same_bits(nnc.init_layers(ARCHITECTURE, seed), tutorial_init(ARCHITECTURE, seed))


@given(seed=st.integers(0, 2**32 - 1), nn_architecture=networks())
def test_every_architecture_gives_numpys_bits(seed, nn_architecture):
    assert_same_bits(nnc.init_layers(nn_architecture, seed), tutorial_init(nn_architecture, seed))


@given(words=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20))
def test_every_array_of_seeds_gives_numpys_bits(words):
    assert_same_bits(nnc.init_layers(ARCHITECTURE, words), tutorial_init(ARCHITECTURE, words))


def test_a_large_network_crosses_many_refills():
    large = architecture([100, 300, 1], ["relu", "sigmoid"])
    assert_same_bits(nnc.init_layers(large, 2), tutorial_init(large, 2))


def test_the_default_seed_is_the_tutorials():
    assert_same_bits(nnc.init_layers(ARCHITECTURE), tutorial_init(ARCHITECTURE, 99))


def test_numpys_global_state_stays_untouched():
    np.random.seed(1)
    before = np.random.get_state()
    nnc.init_layers(ARCHITECTURE, 2)
    after = np.random.get_state()
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_no_seed_draws_fresh_numbers():
    first, second = nnc.init_layers(ARCHITECTURE, None), nnc.init_layers(ARCHITECTURE, None)
    assert (first["W1"] != second["W1"]).all()


def test_float32_is_float64_rounded():
    exact, rounded = nnc.init_layers(ARCHITECTURE), nnc.init_layers(ARCHITECTURE, dtype=np.float32)
    for key, value in exact.items():
        np.testing.assert_array_equal(rounded[key], value.astype(np.float32))


def test_the_parameters_are_views_on_one_aligned_block():
    values = nnc.init_layers(ARCHITECTURE)
    start = values["W1"].ctypes.data
    assert start % 64 == 0
    for value in values.values():
        assert value.ctypes.data == start
        assert value.flags.c_contiguous
        assert value.flags.writeable
        start += value.nbytes


@pytest.mark.parametrize(
    ("seed", "error", "message"),
    [
        (-1, ValueError, "Seed must be between 0 and 2"),
        (2**32, ValueError, "Seed must be between 0 and 2"),
        ([1, -1], ValueError, "Seed must be between 0 and 2"),
        ([2**32], ValueError, "Seed must be between 0 and 2"),
        ([], ValueError, "Seed must be non-empty"),
        ([[1, 2], [3, 4]], ValueError, "Seed array must be 1-d"),
        (1.5, TypeError, "integers"),
        ([1.5], TypeError, "integers"),
        ("2", TypeError, "integers"),
    ],
)
def test_illegal_seeds_raise_as_numpy_does(seed, error, message):
    with pytest.raises(error):
        np.random.RandomState().seed(seed)
    with pytest.raises(error, match=message):
        nnc.init_layers(ARCHITECTURE, seed)
