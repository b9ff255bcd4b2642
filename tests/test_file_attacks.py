"""Files from strangers: damaged, forged, at the limits and beyond them.

Each is refused by a FormatError in one sentence, before memory is taken for it, or read whole.
soak_files.py repeats the random ones at length.
"""

import hashlib
import json
import os
import pickle
import random
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from nnc import _safetensors, files

ZEROS = b"0" * 64
MIB = 1 << 20


def seeds():
    """Sound files of every sort."""
    rng = np.random.default_rng(5)
    config = {"architecture": [{"units": 3, "activation": "relu", "rate": 1e-3}], "é": [None, True]}
    return [
        files.to_bytes({}, {}, "network"),
        files.to_bytes({"a": np.array(3.0)}, {"x": '"\\'}, "network"),
        files.to_bytes(
            {f"{n}{i}": rng.normal(size=(i, 2)) for i in (1, 2) for n in "Wb"}, config, "network"
        ),
        files.to_bytes(
            {"m": rng.normal(size=5).astype("f4"), "key": rng.integers(0, 9, 7).astype("u4"),
             "done": np.array([True, False, True]), "none": np.zeros((0, 3)),
             "u8": np.arange(5, dtype="u1")},
            config, "network",
        ),
        files.to_bytes({"t.-_A9": np.arange(3), "u": np.array([2**63])}, {"v": 2**70}, "network"),
    ]  # fmt: skip


SEEDS = seeds()
SEED = pytest.mark.parametrize(
    "seed", SEEDS, ids=["empty", "scalar", "network", "dtypes", "integers"]
)


def header_end(data):
    return 8 + int.from_bytes(data[:8], "little")


def refused(data):
    """Tell whether it is refused in the one proper way; whatever else it raises comes through."""
    try:
        files.from_bytes(data, kind="network", name="x")
    except files.FormatError as error:
        text = str(error)
        assert text.startswith("x: ")
        assert len(text) < 300
        assert text.isprintable()
        return True
    return False


def seal(header, data=b"", length=None):
    """Return a file with that header, with the checksum that belongs where there are 64 zeros."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    digest = hashlib.sha256(raw + data).hexdigest().encode()
    length = len(raw) if length is None else length
    return length.to_bytes(8, "little") + raw.replace(ZEROS, digest, 1) + data


def metadata(config="{}", **changes):
    return {"nnc": "1", "kind": "network", "checksum": ZEROS.decode(), "config": config} | changes


def entry(shape=(2,), dtype="U8", offsets=(0, 2)):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def sealed(tensors=None, data=b"", **options):
    return seal({"__metadata__": metadata(**options)} | (tensors or {}), data)


def message(data):
    with pytest.raises(files.FormatError) as caught:
        files.from_bytes(data, kind="network")
    return str(caught.value)


def read(data):
    return files.from_bytes(data, kind="network")


@SEED
def test_every_truncation_and_every_extension(seed):
    assert all(refused(seed[:n]) for n in range(len(seed)))
    assert refused(seed + b"\0")
    assert refused(seed + seed)
    assert refused(seed[:8] + b" " + seed[8:])


@SEED
def test_every_flip_of_a_bit_of_the_header(seed):
    for bit in range(8 * header_end(seed)):
        damaged = bytearray(seed)
        damaged[bit // 8] ^= 1 << bit % 8
        assert refused(damaged), bit


def flips(seed, count, source):
    """Flip random bits of the data, one to three at a time; each time the checksum tells."""
    begin, end = 8 * header_end(seed), 8 * len(seed)
    for _ in range(count):
        damaged = bytearray(seed)
        for bit in source.sample(range(begin, end), source.randint(1, 3)):
            damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(files.FormatError, match="the checksum is not that of the contents"):
            files.from_bytes(damaged, kind="network")


@pytest.mark.parametrize("seed", SEEDS[1:])
def test_flips_of_the_data(seed):
    flips(seed, 1000, random.Random(7))


def mutations(count, source):
    """Damage seeds at random, also with another checksum that fits; yield the results.

    What is damaged and sealed again may be sound, and is read or refused, but nothing else happens.
    """
    words = [b"{", b"}", b"[", b"]", b'"', b":", b",", b"-", b"1e9", b"null", b"true", b"\\u0000"]
    words += [b"9" * 19, b"NaN", b'"W1":', b"__metadata__", b"data_offsets", b"F64", b"BOOL", b" "]
    for _ in range(count):
        seed = source.choice(SEEDS)
        end = header_end(seed)
        raw = bytearray(seed[8:end])
        checksum = json.loads(raw)["__metadata__"]["checksum"].encode()
        raw = raw.replace(checksum, ZEROS)
        for _ in range(source.randint(1, 4)):
            at = source.randrange(len(raw))
            until = at + source.choice([0, 0, 1, 1, 2, 8])
            raw[at:until] = source.choice([*words, bytes([source.randrange(256)]), b""])
        data = bytearray(seed[end:])
        if data and source.random() < 0.2:
            del data[source.randrange(len(data))]
        yield seal(bytes(raw), bytes(data))


def test_random_damage_under_a_checksum_that_fits():
    results = [refused(data) for data in mutations(5000, random.Random(8))]
    assert 0 < sum(results) < len(results)  # some of it reaches the end


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "data: expected at least 8 bytes, got 0"),
        (b"\x80\x04K\x01.", "expected at least 8 bytes, got 5"),
        (pickle.dumps(["x"] * 9), "expected a header of at most 1048576 bytes, got"),
        (b"\x93NUMPY\x01\0" + bytes(200), "expected a header of at most 1048576 bytes"),
        ((100).to_bytes(8, "little") + b"{}", "expected a header of 100 bytes, got 2: it was cut"),
        (bytes(8), "expected a header that begins with {"),
        (seal(b" {}"), "expected a header that begins with {"),
        (seal(b"[]"), "expected a header that begins with {"),
        (seal(b"{"), "the header is no JSON: "),
        (seal(b"{}x"), "the header is no JSON: Extra data"),
        (seal(b"{\xef\xbb\xbf}"), "expected a header in ASCII, got other bytes"),
        (seal(b"{'a':1}"), "the header is no JSON"),
        (seal(b'{"a\n":1}'), "the header is no JSON"),
        (seal(b"{}"), "expected a header with __metadata__, got none: nnc did not save it"),
        (seal({"a": entry()}, b"12"), "expected a header with __metadata__"),
        (seal({"__metadata__": []}), "expected strings in __metadata__, got []"),
        (seal({"__metadata__": {"format": "pt"}}), "expected the key nnc in __metadata__"),
        (sealed(nnc="2"), "expected format version 1, got '2'; a newer nnc may read it"),
        (sealed(nnc="1 "), "expected format version 1, got '1 '"),
        (sealed(more="x"), "expected the keys checksum, config, kind, nnc in __metadata__, got"),
        (sealed(kind=1), "expected strings in __metadata__"),
        (sealed(kind="checkpoint"), "expected a network, got a 'checkpoint'"),
        (sealed(kind="lambda"), "expected a network, got a 'lambda'"),
        (sealed(checksum="0" * 63), "expected a checksum of 64 hexadecimal digits"),
        (sealed(checksum="A" * 64), "expected a checksum of 64 hexadecimal digits"),
        (sealed(checksum="1" * 64), "the checksum is not that of the contents"),
        (sealed(config="é"), "expected strings in __metadata__"),
        (sealed(config="[]"), "the configuration: expected a JSON object, got []"),
        (sealed(config="{} {}"), "the configuration is no JSON"),
        (sealed(config='{"a":1,"b":2,"a":3}'), "expected each key once, got 'a' twice"),
        (sealed(config='{"a":{"b":1,"b":1}}'), "expected each key once, got 'b' twice"),
        (sealed(config='{"a":NaN}'), "expected finite numbers, and sizes in the header, got 'NaN'"),
        (sealed(config='{"a":-Infinity}'), "expected finite numbers"),
        (sealed(config='{"a":1e999}'), "config['a']: expected a finite number, got inf"),
        (sealed(config='{"a":%s}' % ("9" * 5000)), "the configuration is no JSON"),
        (sealed({"a b": entry()}, b"12"), "expected names of 1 to 128 of the characters"),
        (sealed({"../a": entry()}, b"12"), "expected names of 1 to 128"),
        (sealed({"\0": entry()}, b"12"), "expected names of 1 to 128"),
        (sealed({"a": 1}), "tensor 'a': expected data_offsets, dtype, shape, got 1"),
        (sealed({"a": entry() | {"url": "x"}}, b"12"), "tensor 'a': expected data_offsets, dtype"),
        (sealed({"a": {"dtype": "U8"}}), "tensor 'a': expected data_offsets, dtype, shape"),
        (sealed({"a": entry(dtype="BF16")}, b"12"), "tensor 'a': expected a dtype of F32, F64"),
        (sealed({"a": entry(dtype="O")}, b"12"), "tensor 'a': expected a dtype of"),
        (sealed({"a": entry(dtype=["U8"])}, b"12"), "tensor 'a': expected a dtype of"),
        (sealed({"a": entry(shape=2)}, b"12"), "tensor 'a': expected a shape of at most 4"),
        (sealed({"a": entry(shape=["2"])}, b"12"), "tensor 'a': expected a shape"),
        (sealed({"a": entry(shape=[True, 2])}, b"12"), "tensor 'a': expected a shape"),
        (sealed({"a": entry(shape=[-2])}, b"12"), "and sizes in the header, got '-2'"),
        (sealed({"a": entry(shape=[2.0])}, b"12"), "and sizes in the header, got '2.0'"),
        (sealed({"a": entry(shape=[10**30])}, b"12"), "and sizes in the header, got '1000000"),
        (sealed({"a": entry(shape=[2**31 - 1] * 3 + [0], offsets=[0, 0])}), "that fits in memory"),
        (sealed({"a": entry(shape=[2**31 - 1] * 4)}, b"12"), "that fits in memory"),
        (sealed({"a": entry(shape=[2**31 - 1] * 2, dtype="F32")}, b"12"), "that fits in memory"),
        (sealed({"a": entry(offsets=[0, 1])}, b"12"), "expected the bytes 0 to 2 of the data"),
        (sealed({"a": entry(offsets=[1, 3])}, b"123"), "expected the bytes 0 to 2 of the data"),
        (sealed({"a": entry(offsets=[1, 2])}, b"12"), "expected the bytes 0 to 2 of the data"),
        (sealed({"a": entry(offsets=[2, 0])}, b"12"), "expected the bytes 0 to 2 of the data"),
        (sealed({"a": entry(offsets=[False, 2])}, b"12"), "expected the bytes 0 to 2 of the data"),
        (sealed({"a": entry(offsets=[0, 2, 2])}, b"12"), "expected the bytes 0 to 2 of the data"),
        (sealed({"a": entry(offsets="02")}, b"12"), "expected the bytes 0 to 2 of the data"),
        (sealed({"a": entry(), "b": entry()}, b"12"), "tensor 'b': expected the bytes 2 to 4"),
        (sealed({"a": entry(), "b": entry(offsets=[3, 5])}, b"12345"), "expected the bytes 2 to 4"),
        (sealed({"a": entry(offsets=[2, 4]), "b": entry()}, b"1234"), "expected the bytes 0 to 2"),
        (sealed({"a": entry()}, b"123"), "expected 2 bytes of data, got 3"),
        (sealed({"a": entry()}, b"1"), "expected 2 bytes of data, got 1"),
        (sealed({"a": entry(dtype="BOOL")}, b"\1\2"), "tensor 'a': expected booleans of 0 or 1"),
    ],
)  # fmt: skip
def test_forgeries(data, expected):
    assert expected in message(data)
    assert refused(data)


def test_duplicate_names():
    tensor = json.dumps(entry())
    head = json.dumps({"__metadata__": metadata()})[:-1]
    assert read(seal(f'{head},"a":{tensor}}}'.encode(), b"12"))
    twice = f'{head},"a":{tensor},"a":{tensor}}}'.encode()
    assert "expected each key once, got 'a' twice" in message(seal(twice, b"12"))
    both = (head + "," + head[1:] + "}").encode()
    assert "expected each key once, got '__metadata__' twice" in message(seal(both))
    inner = f'{head},"a":{tensor[:-1]},"dtype":"U8"}}}}'.encode()
    assert "expected each key once, got 'dtype' twice" in message(seal(inner, b"12"))


def nested(levels):
    return '{"a":' + "[" * (levels - 1) + "]" * (levels - 1) + "}"


def padded(size):
    raw = json.dumps({"__metadata__": metadata()}).encode()
    return seal(raw + b" " * (size - len(raw)))


def many(count):
    return sealed({f"t{i}": entry([0], offsets=[0, 0]) for i in range(count)})


def ranked(rank):
    return sealed({"a": entry([1] * rank, offsets=[0, 1])}, b"1")


def wide(dim):
    return sealed({"a": entry([0, dim], offsets=[0, 0])})


def named(length):
    return sealed({"a" * length: entry()}, b"12")


@pytest.mark.parametrize(
    ("make", "limit", "expected"),
    [
        (padded, MIB, "expected a header of at most 1048576 bytes, got 1048577"),
        (lambda n: sealed(config=nested(n)), 16, "config: expected at most 16 levels, got more"),
        (many, 4096, "expected at most 4096 tensors, got 4097"),
        (ranked, 4, "expected a shape of at most 4 dimensions"),
        (wide, 2**31 - 1, "up to 2147483647, got [0, 2147483648]"),
        (named, 128, "expected names of 1 to 128 of the characters"),
    ],
    ids=["header", "depth", "tensors", "rank", "dimension", "name"],
)  # fmt: skip
def test_limits_of_what_is_read(make, limit, expected):
    for value in (limit - 1, limit):
        assert read(make(value))
    assert expected in message(make(limit + 1))


def config_of_header(size):
    """Return a configuration with which the header has that many bytes."""
    empty = header_end(files.to_bytes({}, {"a": ""}, "network")) - 8
    unpadded = len(files.to_bytes({}, {"a": ""}, "network")[8:].rstrip(b" "))
    assert empty - 8 < unpadded <= empty
    return {"a": "x" * (size - unpadded)}


@pytest.mark.parametrize(
    ("arguments", "limit", "expected"),
    [
        (lambda n: ({}, config_of_header(n)), MIB, "bytes, expected at most 1048576; give long"),
        (lambda n: ({}, json.loads(nested(n))), 16, "config: expected at most 16 levels"),
        (lambda n: ({f"t{i}": np.ones(0) for i in range(n)}, {}), 4096, "tensors: expected at"),
        (lambda n: ({"a": np.ones((1,) * n)}, {}), 4, "tensors['a']: expected at most 4"),
        (lambda n: ({"a": np.ones((0, n))}, {}), 2**31 - 1, "tensors['a']: expected dimensions up"),
        (lambda n: ({"a" * n: np.ones(1)}, {}), 128, "tensors: expected names of 1 to 128"),
    ],
    ids=["header", "depth", "tensors", "rank", "dimension", "name"],
)  # fmt: skip
def test_limits_of_what_is_written_are_the_same(arguments, limit, expected):
    for value in (limit - 1, limit):
        assert read(files.to_bytes(*arguments(value), "network"))
    with pytest.raises(ValueError, match=r"^(config|tensors)") as caught:
        files.to_bytes(*arguments(limit + 1), "network")
    assert expected in str(caught.value)


BOMBS = {
    "nested lists": sealed(config='{"a":[' * 100_000 + "]}" * 100_000),
    "open lists": seal(b'{"a":' + b"[" * (MIB - 100)),
    "open dicts": seal(b'{"a":' * ((MIB - 100) // 5)),
    "lists": sealed(config='{"a":[' + "[]," * 340_000 + "[]]}"),
    "dicts in the header": seal(b'{"a":[' + b"{}," * 340_000 + b"{}]}"),
    "numbers": seal(b'{"a":[' + b"1," * 500_000 + b"1]}"),
    "long number": seal(b'{"a":' + b"9" * 1_000_000 + b"}"),
    "long number in the configuration": sealed(config='{"a":' + "9" * 1_000_000 + "}"),
    "long name": seal(b'{"' + b"a" * 1_000_000 + b'":1}'),
    "long key": sealed(config='{"a":{"' + "k" * 500_000 + '":NaN}}'),
    "escapes": seal(b'{"' + b"\\u0041" * 170_000 + b'":1}'),
    "keys": seal(b"{" + b",".join(b'"%06d":1' % i for i in range(95_000)) + b"}"),
    "spaces": seal(b"{" + b" " * 1_000_000),
}


def test_bombs_are_quick_and_small(tmp_path):
    for name, data in BOMBS.items():
        (tmp_path / name).write_bytes(data)
    code = """
        import os
        before = peak()
        seconds = []
        for name in os.listdir():
            start = time.process_time()
            try:
                files.read(name, kind="network")
            except files.FormatError:
                pass
            seconds.append(time.process_time() - start)
        print(peak() - before, max(seconds))
    """
    kib, seconds = measure(code, tmp_path)
    assert kib < 32 * 1024
    assert seconds < 1


PREAMBLE = """
import time
from nnc import files
def peak():
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1])
"""


def measure(code, folder):
    """Return the numbers that a script prints; its peak of memory is its own, unlike a fork's."""
    result = subprocess.run(
        [sys.executable, "-c", PREAMBLE + textwrap.dedent(code)],
        cwd=folder, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    return [float(word) for word in result.stdout.split()]


def test_a_reading_takes_no_more_memory_than_the_file(tmp_path):
    files.write(tmp_path / "x", {"a": np.ones(4 * MIB), "b": np.ones(2 * MIB)}, {}, "network")
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(1 << 40)  # a terabyte of zeros
    claim = sealed({"a": entry([1 << 30, 1 << 8], "F64", [0, 1 << 41])})
    (tmp_path / "claim").write_bytes(claim)
    code = """
        before = peak()
        for name in ("sparse", "claim"):
            try:
                files.read(name, kind="network")
            except files.FormatError:
                continue
            raise AssertionError
        print(peak() - before)
        result = files.read("x", kind="network")
        print(peak() - before)
    """
    refused_kib, kib = measure(code, tmp_path)
    assert refused_kib < 2 * 1024
    assert 48 * 1024 <= kib < 64 * 1024  # 48 MiB, and 16 for anything else


def test_a_file_that_shrinks_while_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "x"
    files.write(path, {"a": np.ones(1000)}, {}, "network")
    readv = os.readv

    def shrinking(file, parts):
        os.truncate(path, 500)
        return readv(file, parts)

    monkeypatch.setattr(files.os, "readv", shrinking)
    with pytest.raises(files.FormatError, match="it became shorter while it was read"):
        files.read(path, kind="network")


def test_messages_show_no_more_than_a_line_of_a_file():
    text = message(sealed({"\x1b[31m\n" + "a" * 10_000: entry()}, b"12"))
    assert text.isprintable()
    assert len(text) < 200


def test_a_deep_stack_changes_nothing():
    """What the parser makes of brackets depends on the stack that is left; the answer does not."""

    def descend(levels):
        if levels:
            return descend(levels - 1)
        return refused(seal(b'{"a":' + b"[" * 1000 + b"]" * 1000 + b"}"))

    assert all(descend(levels) for levels in (0, 100, 500))


def test_damage_is_found_at_once():
    start = time.process_time()
    for seed in SEEDS:
        for _ in range(20):
            assert refused(seed[:-1])
    assert time.process_time() - start < 1


def test_every_code_of_a_dtype_is_read():
    for code, dtype in _safetensors.DTYPES.items():
        data = bytes([1] * dtype.itemsize)
        tensors, _ = read(sealed({"a": entry([1], code, [0, dtype.itemsize])}, data))
        assert tensors["a"].tobytes() == data
