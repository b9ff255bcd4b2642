"""Files against the safetensors package: each reads what the other wrote, bit for bit."""

import random

import numpy as np
import pytest
from test_file_attacks import SEEDS, ZEROS, metadata, mutations, seal

from nnc import files

pytestmark = pytest.mark.peers

DTYPES = ["f4", "f8", "i8", "u8", "u4", "u1", "?"]


@pytest.fixture(scope="module")
def safetensors():
    import safetensors.numpy

    return safetensors.numpy


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert array.dtype == theirs[name].dtype
        assert array.shape == theirs[name].shape
        assert array.tobytes() == theirs[name].tobytes()


def random_tensors(source):
    rng = np.random.default_rng(source.randrange(2**32))
    tensors = {}
    for i in range(source.randint(0, 8)):
        shape = [source.randint(0, 5) for _ in range(source.randint(0, 4))]
        dtype = np.dtype(source.choice(DTYPES))
        count = int(np.prod(shape))
        if dtype.kind == "b":
            array = rng.integers(0, 2, count).astype(bool)
        else:
            array = np.frombuffer(rng.bytes(count * dtype.itemsize), dtype)
        tensors[f"t{source.randint(0, 99)}.{i}"] = array.reshape(shape)
    return tensors


def test_they_read_what_we_write(safetensors):
    source = random.Random(1)
    for _ in range(300):
        tensors = random_tensors(source)
        assert_same(tensors, safetensors.load(files.to_bytes(tensors, {"a": 1}, "network")))


def test_we_read_what_they_write(safetensors):
    source = random.Random(2)
    for _ in range(300):
        tensors = random_tensors(source)
        data = safetensors.save(tensors, metadata('{"a":1}'))
        end = 8 + int.from_bytes(data[:8], "little")
        assert data[8:end].count(ZEROS) == 1
        result, config = files.from_bytes(seal(data[8:end], data[end:]), kind="network")
        assert config == {"a": 1}
        assert_same(tensors, result)


def test_they_read_a_file(safetensors, tmp_path):
    tensors = {"W1": np.arange(6.0).reshape(2, 3), "b1": np.ones((2, 1), "f4")}
    files.write(tmp_path / "x.safetensors", tensors, {}, "network")
    assert_same(tensors, safetensors.load_file(tmp_path / "x.safetensors"))


def compare(cases, load):
    """Whatever damaged file we accept, they accept, with the same tensors; return how many."""
    count = 0
    for data in cases:
        try:
            tensors, _ = files.from_bytes(data, kind="network")
        except files.FormatError:
            continue
        assert_same(tensors, load(data))
        count += 1
    return count


def test_they_accept_what_we_accept(safetensors):
    assert compare(SEEDS, safetensors.load) == len(SEEDS)
    assert compare(mutations(20_000, random.Random(3)), safetensors.load) > 20
