"""Files of tensors: what goes in comes out, and what the caller gets wrong is named."""

import contextlib
import errno
import gc
import itertools
import json
import os
import stat
import string
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from saving import TEMPORARY

from nnc import _safetensors, files

DTYPES = ["f4", "f8", "i8", "u8", "u4", "u1", "?"]
SHAPES = [(), (0,), (1,), (3, 0), (0, 2**31 - 1), (7,), (2, 3), (2, 3, 4), (2, 1, 3, 2)]
CONFIG = {
    "architecture": [{"units": 3, "activation": "relu"}],
    "rate": 0.1,
    "none": None,
    "é": "\n",
}


def sample(shape, dtype):
    random = np.random.default_rng(1)
    count = int(np.prod(shape, dtype=object))
    if dtype == "?":
        return random.integers(0, 2, count).astype(bool).reshape(shape)
    size = count * np.dtype(dtype).itemsize
    return np.frombuffer(random.bytes(size), dtype).reshape(shape)  # NaNs and all


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        expected = np.asarray(theirs[name])
        assert array.dtype == expected.dtype.newbyteorder("=")
        assert array.dtype.isnative
        assert array.shape == expected.shape
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.flags.owndata
        assert array.tobytes() == expected.astype(array.dtype).tobytes(), name


def round_trip(tensors, config=CONFIG):
    result, got = files.from_bytes(files.to_bytes(tensors, config, "network"), kind="network")
    assert got == config
    assert_same(result, tensors)
    return result


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes_and_shapes_come_back_bit_for_bit(dtype, tmp_path):
    tensors = {f"t{i}": sample(shape, dtype) for i, shape in enumerate(SHAPES)}
    round_trip(tensors)
    path = tmp_path / "x"
    files.write(path, tensors, CONFIG, "checkpoint")
    result, config = files.read(path, kind="checkpoint")
    assert config == CONFIG
    assert_same(result, tensors)
    assert path.read_bytes() == files.to_bytes(tensors, CONFIG, "checkpoint")


def test_layouts_and_byte_orders_do_not_matter(tmp_path):
    a = sample((6, 8), "f8")
    np.save(tmp_path / "a.npy", a)
    odd = np.frombuffer(b"\0" + a.tobytes(), "f8", offset=1).reshape(a.shape)
    layouts = {
        "F": np.asfortranarray(a), "T": a.T.copy().T, "misaligned": odd, "swapped": a.astype(">f8"),
        "memmap": np.load(tmp_path / "a.npy", mmap_mode="r"),
    }  # fmt: skip
    expected = files.to_bytes({"a": a}, {}, "network")
    for array in layouts.values():
        assert files.to_bytes({"a": array}, {}, "network") == expected
    round_trip({
        "strided": a[::2, ::3], "negative": a[::-1, ::-1], "scalar": a[0, 0],
        "broadcast": np.broadcast_to(a, (3, 6, 8)), "bools": (a > 0)[::2],
        "big": np.arange(5, dtype=">u8"),
    })  # fmt: skip


ARRAYS = hnp.arrays(
    st.sampled_from([np.dtype(order + dtype) for dtype in DTYPES for order in "<>"]),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3),
)
NAMES = st.text(string.ascii_letters + string.digits + "_.-", min_size=1, max_size=9)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@settings(max_examples=25)
@given(
    st.dictionaries(NAMES, ARRAYS, max_size=5),
    st.dictionaries(st.text(max_size=5), PLAIN, max_size=4),
)
def test_anything_within_the_limits_comes_back(tensors, config):
    round_trip(tensors, config)


def test_the_bytes_are_the_documented_ones():
    data = files.to_bytes(
        {"b": np.array([True]), "W": np.array([[1.0, 2.0]])}, {"a": [1, (2,)]}, "network"
    )
    length = int.from_bytes(data[:8], "little")
    assert length % 8 == 0
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__")
    assert metadata.keys() == {"nnc", "kind", "config", "checksum"}
    assert metadata["nnc"] == "1"
    assert metadata["kind"] == "network"
    assert json.loads(metadata["config"]) == {"a": [1, [2]]}
    assert header == {
        "W": {"dtype": "F64", "shape": [1, 2], "data_offsets": [0, 16]},
        "b": {"dtype": "BOOL", "shape": [1], "data_offsets": [16, 17]},
    }
    assert data[8 + length :] == np.array([1.0, 2.0]).astype("<f8").tobytes() + b"\1"


def test_what_looks_like_a_checksum_is_none():
    zeros = "0" * 64
    data = files.to_bytes({zeros: np.ones(2)}, {zeros: zeros, "checksum": "1"}, "network")
    tensors, config = files.from_bytes(data, kind="network")
    assert config == {zeros: zeros, "checksum": "1"}
    assert tensors.keys() == {zeros}
    digest = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"][
        "checksum"
    ]
    round_trip({digest: np.ones(2)}, {"digest": digest})


def test_bytes_like_objects_are_read():
    data = files.to_bytes({"a": np.ones(3)}, {}, "network")
    for same in (bytearray(data), memoryview(data), memoryview(data).cast("H")):
        tensors, _ = files.from_bytes(same, kind="network")
        assert tensors["a"].tolist() == [1, 1, 1]
    with pytest.raises(TypeError, match="data: expected bytes, got str"):
        files.from_bytes("x", kind="network")


NESTED = [0]
NESTED.append(NESTED)


@pytest.mark.parametrize(
    ("tensors", "config", "kind", "error", "message"),
    [
        ({}, {}, "weights", ValueError, "kind: expected network or checkpoint, got 'weights'"),
        ([], {}, "network", TypeError, "tensors: expected a dict of arrays, got list"),
        ({}, [], "network", TypeError, "config: expected a dict, got list"),
        ({"a b": np.ones(1)}, {}, "network", ValueError, "tensors: expected names of 1 to 128"),
        ({"": np.ones(1)}, {}, "network", ValueError, "tensors: expected names"),
        ({"a\n": np.ones(1)}, {}, "network", ValueError, "tensors: expected names"),
        ({"é": np.ones(1)}, {}, "network", ValueError, "tensors: expected names"),
        ({1: np.ones(1)}, {}, "network", ValueError, "tensors: expected names"),
        ({"__metadata__": np.ones(1)}, {}, "network", ValueError, "tensors: expected names"),
        ({"a": [1.0]}, {}, "network", TypeError, "tensors['a']: expected an array, got list"),
        ({"a": np.ones(1, complex)}, {}, "network", TypeError, "tensors['a']: expected float32, "),
        ({"a": np.array([{}])}, {}, "network", TypeError, "got object"),
        ({"a": np.zeros(1, "f4,f4")}, {}, "network", TypeError, "tensors['a']: expected float32"),
        ({"a": np.array(["x"])}, {}, "network", TypeError, "tensors['a']: expected float32, "),
        ({"a": np.zeros(1, "M8[s]")}, {}, "network", TypeError, "tensors['a']: expected float32, "),
        ({}, {"a": float("nan")}, "network", ValueError, "config['a']: expected a finite number"),
        ({}, {"a": [1, -np.inf]}, "network", ValueError, "config['a'][1]: expected a finite"),
        ({}, {"a": {1: 2}}, "network", TypeError, "config['a']: expected strings as keys, got 1"),
        ({}, {"a": np.ones(1)}, "network", TypeError, "config['a']: expected plain JSON data"),
        ({}, {"a": {1, 2}}, "network", TypeError, "config['a']: expected plain JSON data, got set"),
        ({}, {"a": NESTED}, "network", ValueError, "config: expected at most 16 levels"),
    ],
)  # fmt: skip
def test_bad_arguments_raise_before_anything_is_written(
    tmp_path, tensors, config, kind, error, message
):
    with pytest.raises(error) as caught:
        files.write(tmp_path / "x", tensors, config, kind)
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(error):
        files.to_bytes(tensors, config, kind)


def test_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("plain", tmp_path / "é 名", os.fsencode("bytes").decode(), "x" * 255):
        files.write(path, {"a": np.ones(1)}, {}, "network")
        assert files.read(path, kind="network")[1] == {}
    for function in (
        lambda p: files.write(p, {}, {}, "network"),
        lambda p: files.read(p, kind="network"),
    ):
        for bad in (3, None, b"x"):
            with pytest.raises(TypeError, match="path: expected a string or a path, got"):
                function(bad)


def test_errors_of_the_system_name_the_path(tmp_path):
    path = str(tmp_path / "none" / "x")
    for function in (
        lambda: files.write(path, {}, {}, "network"),
        lambda: files.read(path, kind="network"),
        lambda: files.read_checkpoint(path),
    ):
        with pytest.raises(FileNotFoundError) as caught:
            function()
        assert caught.value.filename == path
        assert caught.value.errno == errno.ENOENT
        assert path in str(caught.value)


def test_what_is_no_regular_file_is_neither_read_nor_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # nobody writes to it, and nothing waits for that
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        path = tmp_path / name
        before = path.stat()
        with pytest.raises(files.FormatError, match="expected a regular file, got a"):
            files.read(path, kind="network")
        with pytest.raises(ValueError, match="path: expected a file or a new name, got a"):
            files.write(path, {}, {}, "network")
        assert path.stat() == before
    with pytest.raises(ValueError, match="got a pipe, socket or device: /dev/null"):
        files.write("/dev/null", {}, {}, "network")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe"]


def test_symbolic_links_are_followed(tmp_path):
    (tmp_path / "there").mkdir()
    link = tmp_path / "link"
    link.symlink_to("there/x")
    files.write(link, {}, {"v": 1}, "network")
    assert link.is_symlink()
    assert (tmp_path / "there" / "x").is_file()
    assert files.read(link, kind="network")[1] == {"v": 1}
    assert os.listdir(tmp_path / "there") == ["x"]


def test_permissions_are_those_of_the_umask_or_of_the_file_before(tmp_path):
    path = tmp_path / "x"
    before = os.umask(0o027)
    try:
        files.write(path, {}, {}, "network")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o600)
        files.write(path, {}, {}, "network")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_temporaries_of_the_dead_are_removed_and_those_of_the_living_are_not(tmp_path):
    stale = tmp_path / ".nnc-0123456789abcdef.tmp"
    stale.write_bytes(b"half of a fi")
    others = [".nnc-0123456789abcdef.tmp2", ".nnc-x.tmp", "nnc-0123456789abcdef.tmp"]
    for name in others:
        (tmp_path / name).touch()
    others.append(".nnc-1111111111111111.tmp")  # a link: none of ours
    (tmp_path / others[-1]).symlink_to("nowhere")
    code = f"""
        import os
        from nnc import files
        folder = os.open({str(tmp_path)!r}, os.O_RDONLY)
        files._create(folder, 0o600)
        print(flush=True)
        input()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        writer.stdout.readline()
        (its,) = set(os.listdir(tmp_path)) - {stale.name, *others}
        files.write(tmp_path / "x", {}, {}, "network")
        assert set(os.listdir(tmp_path)) == {"x", its, *others}
        writer.kill()
    files.write(tmp_path / "x", {}, {}, "network")
    assert set(os.listdir(tmp_path)) == {"x", *others}


def test_a_temporary_that_another_save_took_is_made_again(tmp_path, monkeypatch):
    taken = []

    def lock(file):
        if len(taken) < 2:
            taken.append(next(tmp_path.glob(TEMPORARY)))
            taken[-1].unlink()
            return len(taken) == 2  # lost the lock, or won it too late
        return True

    monkeypatch.setattr(files, "_lock", lock)
    files.write(tmp_path / "x", {}, {}, "network")
    assert len(taken) == 2
    assert os.listdir(tmp_path) == ["x"]


def test_short_writes_are_continued(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(
        files.os, "write", lambda file, data: write(file, data[: len(data) // 2 + 1])
    )
    tensors = {"a": np.arange(1000.0)}
    files.write(tmp_path / "x", tensors, {}, "network")
    assert_same(files.read(tmp_path / "x", kind="network")[0], tensors)


def test_short_reads_are_continued(tmp_path, monkeypatch):
    readv = os.readv
    tensors = {"a": np.arange(1000.0)}
    files.write(tmp_path / "x", tensors, {}, "network")
    monkeypatch.setattr(files.os, "readv", lambda file, parts: readv(file, [parts[0][:100]]))
    assert_same(files.read(tmp_path / "x", kind="network")[0], tensors)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interruption_leaves_the_old_file(tmp_path, monkeypatch, error):
    def fail(file):
        raise error

    files.write(tmp_path / "x", {}, {"v": 1}, "network")
    monkeypatch.setattr(files.os, "fsync", fail)
    descriptors = os.listdir("/proc/self/fd")
    with pytest.raises(error):
        files.write(tmp_path / "x", {}, {"v": 2}, "network")
    assert os.listdir(tmp_path) == ["x"]
    assert files.read(tmp_path / "x", kind="network")[1] == {"v": 1}
    assert os.listdir("/proc/self/fd") == descriptors


def test_a_checkpoint_falls_back_to_the_one_before(tmp_path):
    path = tmp_path / "x"
    for version in range(3):
        files.write(path, {}, {"v": version}, "checkpoint", keep_previous=True)
    assert sorted(os.listdir(tmp_path)) == ["x", "x.previous"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert files.read_checkpoint(path)[1] == {"v": 2}
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(
        RuntimeWarning, match=r"cut short.*; the checkpoint before .*x\.previous"
    ) as w:
        assert files.read_checkpoint(path)[1] == {"v": 1}
    assert w[0].filename == __file__
    path.unlink()
    with pytest.warns(RuntimeWarning, match="No such file"):
        assert files.read_checkpoint(path)[1] == {"v": 1}
    (tmp_path / "x.previous").write_bytes(b"")
    with pytest.raises(FileNotFoundError):
        files.read_checkpoint(path)
    path.write_bytes(b"")
    with pytest.raises(files.FormatError, match=r"x: expected at least 8 bytes, got 0"):
        files.read_checkpoint(path)


def test_a_sound_file_that_is_no_checkpoint_is_not_passed_over(tmp_path):
    path = tmp_path / "x"
    for kind in ("checkpoint", "network"):
        files.write(path, {}, {}, kind, keep_previous=True)
    with pytest.raises(files.FormatError, match="expected a checkpoint, got a 'network'"):
        files.read_checkpoint(path)


def test_no_memory_and_no_descriptors_are_lost(tmp_path):
    path = tmp_path / "x"
    bad = files.to_bytes({"a": np.ones(10)}, {}, "network")[:-1]

    def cycle(n_writes, n_reads):
        for _ in range(n_writes):
            files.write(path, {"a": np.ones(10)}, {"b": [1, 2]}, "network", keep_previous=True)
        for _ in range(n_reads):
            files.read(path, kind="network")
            with contextlib.suppress(files.FormatError):
                files.from_bytes(bad, kind="network")
        gc.collect()
        return sys.getallocatedblocks()

    cycle(5, 500)  # fills the caches of the interpreter
    descriptors = len(os.listdir("/proc/self/fd"))
    blocks = [cycle(10, 100) for _ in range(6)]
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert min(b - a for a, b in itertools.pairwise(blocks)) < 25  # one in four readings


def test_a_load_opens_one_file_and_does_nothing_else(tmp_path):
    files.write(tmp_path / "x", {"a": np.ones((3, 4)), "b": np.ones(2, bool)}, CONFIG, "network")
    (tmp_path / "bad").write_bytes((tmp_path / "x").read_bytes()[:-1])
    code = """
        import sys
        from nnc import files
        events, on = [], False
        sys.addaudithook(lambda name, arguments: events.append((name, arguments)) if on else None)
        on = True
        files.read("x", kind="network")
        on = False
        assert [name for name, _ in events] == ["open"], events
        assert events[0][1][0] == "x"
        events.clear()
        on = True
        try:
            files.read("bad", kind="network")
        except files.FormatError:
            pass
        on = False
        assert [name for name, _ in events] == ["open"], events
        data = open("x", "rb").read()
        events.clear()
        on = True
        files.from_bytes(data, kind="network")
        on = False
        assert events == [], events
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, check=True)


def test_the_limits_are_the_documented_ones():
    assert (
        _safetensors.MAX_HEADER, _safetensors.MAX_DEPTH, _safetensors.MAX_TENSORS,
        _safetensors.MAX_RANK, _safetensors.MAX_DIM, _safetensors.MAX_NAME,
    ) == (2**20, 16, 4096, 4, 2**31 - 1, 128)  # fmt: skip
