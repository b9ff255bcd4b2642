"""Tensors and a configuration as bytes: the safetensors layout, read under strict limits.

Eight bytes hold the length of the header, little-endian; then comes the header, a JSON object; then
the data of the tensors, one after the other. docs/files.md describes it in full. Nothing here opens
a file, and nothing that is read names code, a path or a URL: the only thing that can come out is
NumPy arrays and plain JSON data.

A file is data from a stranger. So sizes come from the length of the file alone, all arithmetic is
on Python's unbounded integers, and an array is allocated after its size was found to fit.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Fill = Callable[[memoryview], int]  # reads the next bytes into memory and returns how many

VERSION = "1"
KINDS = ("network", "checkpoint")
MAX_HEADER = 1 << 20  # bytes
MAX_DEPTH = 16  # of the configuration, which itself is depth 1
MAX_TENSORS = 4096
MAX_RANK = 4
MAX_DIM = 2**31 - 1
MAX_NAME = 128  # characters of a tensor's name

DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "I64": np.dtype("<i8"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}

_CODES = {dtype: code for code, dtype in DTYPES.items()}
_METADATA = "__metadata__"
_METADATA_KEYS = {"nnc", "kind", "config", "checksum"}
_ENTRY_KEYS = {"dtype", "shape", "data_offsets"}
_NAME = re.compile(rf"[A-Za-z0-9_.\-]{{1,{MAX_NAME}}}")
_CHECKSUM = re.compile(r"[0-9a-f]{64}")
_NO_CHECKSUM = "0" * 64  # stands for the checksum while the checksum is computed


class FormatError(ValueError):
    """What was read is not a sound file of this format; the message says what is wrong.

    Examples
    --------
    >>> import nnc
    >>> try:
    ...     nnc.files.from_bytes(b"", kind="network")
    ... except nnc.FormatError as error:
    ...     print(error)
    data: expected at least 8 bytes, got 0
    """


class OtherFileError(FormatError):
    """What was read may be sound, but is of another kind or of a newer format."""


def encode(tensors: Mapping[str, Array], config: dict[str, Any], kind: str) -> tuple[bytes, bytes]:
    """Return the two halves of a file: length and header, and the data.

    The larger elements come first, so that every tensor is aligned to its element.
    """
    _check_kind(kind)
    _check_config(config)
    if not isinstance(tensors, Mapping):
        raise TypeError(f"tensors: expected a dict of arrays, got {type(tensors).__name__}")
    if len(tensors) > MAX_TENSORS:
        raise ValueError(f"tensors: expected at most {MAX_TENSORS}, got {len(tensors)}")
    arrays = {name: _read_array(name, array) for name, array in tensors.items()}
    header: dict[str, Any] = {
        _METADATA: {
            "nnc": VERSION,
            "kind": kind,
            "checksum": _NO_CHECKSUM,  # before anything of the caller's that might look like it
            "config": json.dumps(config, allow_nan=False, separators=(",", ":")),
        }
    }
    begin = 0
    chunks = []
    for name, array in sorted(arrays.items(), key=lambda item: -item[1].itemsize):
        offsets = [begin, begin + array.nbytes]
        header[name] = {
            "dtype": _CODES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": offsets,
        }
        chunks.append(_bytes_of(array))
        begin = offsets[1]
    data = b"".join(chunks)
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise ValueError(
            f"config: with the names of the tensors it takes {len(text)} bytes, expected at most "
            f"{MAX_HEADER}; give long lists as tensors"
        )
    digest = hashlib.sha256(text)
    digest.update(data)
    text = text.replace(_NO_CHECKSUM.encode(), digest.hexdigest().encode(), 1)
    return len(text).to_bytes(8, "little") + text, data


def decode(fill: Fill, size: int, name: str, kind: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the tensors and the configuration of the next `size` bytes of a source.

    `name` is what messages call the source. Raises FormatError, and nothing comes out of a file
    with anything wrong.
    """
    _check_kind(kind)
    try:
        return _decode(fill, size, kind)
    except FormatError as error:
        raise type(error)(f"{name}: {error}") from None


def to_bytes(tensors: Mapping[str, Array], config: dict[str, Any], kind: str) -> bytes:
    """Return what `nnc.files.write` would write to a file."""
    return b"".join(encode(tensors, config, kind))


def from_bytes(
    data: bytes | bytearray | memoryview, *, kind: str, name: str = "data"
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return (tensors, config) of what `to_bytes` returned; `name` begins the messages."""
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"{name}: expected bytes, got {type(data).__name__}")
    return decode(io.BytesIO(data).readinto, memoryview(data).nbytes, name, kind)


def _check_kind(kind: object) -> None:
    if kind not in KINDS:
        raise ValueError(f"kind: expected {' or '.join(KINDS)}, got {kind!r}")


def _check_config(config: object) -> None:
    if not isinstance(config, dict):
        raise TypeError(f"config: expected a dict, got {type(config).__name__}")
    _check_plain(config, "config", 1)


def _check_plain(value: object, name: str, depth: int) -> None:
    """Raise ValueError or TypeError unless JSON gives the value back as it is."""
    if isinstance(value, dict | list | tuple):
        if depth > MAX_DEPTH:
            raise ValueError(f"config: expected at most {MAX_DEPTH} levels, got more")
        if isinstance(value, dict):
            for key, item in value.items():
                if not isinstance(key, str):
                    raise TypeError(f"{name}: expected strings as keys, got {_short(key)}")
                _check_plain(item, f"{name}[{_short(key)}]", depth + 1)
        else:
            for i, item in enumerate(value):
                _check_plain(item, f"{name}[{i}]", depth + 1)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{name}: expected a finite number, got {value}; keep it in a tensor")
    elif not isinstance(value, str | int | None):
        raise TypeError(f"{name}: expected plain JSON data, got {type(value).__name__}")


def _read_array(name: object, array: object) -> Array:
    """Return a tensor in C order, little-endian, of a dtype that files hold."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name == _METADATA:
        raise ValueError(
            f"tensors: expected names of 1 to {MAX_NAME} of the characters A-Z a-z 0-9 _ . -, "
            f"got {_short(name)}"
        )
    where = f"tensors[{name!r}]"
    if not isinstance(array, np.ndarray | np.generic):
        raise TypeError(f"{where}: expected an array, got {type(array).__name__}")
    dtype = array.dtype.newbyteorder("<")
    if dtype not in _CODES:
        known = ", ".join(known.name for known in DTYPES.values())
        raise TypeError(f"{where}: expected {known}, got {array.dtype}")
    if array.ndim > MAX_RANK:
        raise ValueError(f"{where}: expected at most {MAX_RANK} dimensions, got {array.ndim}")
    if any(dim > MAX_DIM for dim in array.shape):
        raise ValueError(f"{where}: expected dimensions up to {MAX_DIM}, got {array.shape}")
    return np.asarray(array, dtype=dtype, order="C")


def _bytes_of(array: Array) -> memoryview:
    """Return the memory of a C-ordered array, of any rank or none, empty or not."""
    return memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]


def _decode(fill: Fill, size: int, kind: str) -> tuple[dict[str, Array], dict[str, Any]]:
    if size < 8:
        raise FormatError(f"expected at least 8 bytes, got {size}")
    length = int.from_bytes(_read(fill, 8), "little")
    if length > MAX_HEADER:
        raise FormatError(
            f"expected a header of at most {MAX_HEADER} bytes, got {length}; is it a file that nnc "
            "saved?"
        )
    if length > size - 8:
        raise FormatError(f"expected a header of {length} bytes, got {size - 8}: it was cut short")
    raw = _read(fill, length)
    metadata, entries = _read_header(raw)
    checksum = _check_metadata(metadata, kind)
    tensors = _plan(entries, size - 8 - length)
    config = _read_config(metadata["config"])

    digest = hashlib.sha256(raw.replace(checksum.encode(), _NO_CHECKSUM.encode()))
    arrays = {}
    for name, (dtype, shape) in tensors.items():
        array = np.empty(shape, dtype)
        memory = _bytes_of(array)
        _read_into(fill, memory)
        digest.update(memory)
        arrays[name] = array
    if digest.hexdigest() != checksum:
        raise FormatError("the checksum is not that of the contents: the file was damaged")
    for name, array in arrays.items():
        if array.dtype == np.bool_ and array.view(np.uint8).max(initial=0) > 1:
            raise FormatError(f"tensor {name!r}: expected booleans of 0 or 1, got another byte")
        arrays[name] = array.astype(array.dtype.newbyteorder("="), copy=False)
    return arrays, config


def _read_header(raw: bytes) -> tuple[Any, dict[str, Any]]:
    """Return the metadata, still unchecked, and the entries of the tensors."""
    if raw[:1] != b"{":
        raise FormatError("expected a header that begins with {; is it a file that nnc saved?")
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError:
        raise FormatError("expected a header in ASCII, got other bytes") from None
    header = _parse(text, "the header", parse_int=_parse_count, parse_float=_refuse_number)
    if _METADATA not in header:
        raise FormatError(f"expected a header with {_METADATA}, got none: nnc did not save it")
    return header.pop(_METADATA), header


def _check_metadata(metadata: Any, kind: str) -> str:
    """Check the metadata and return the checksum."""
    if not isinstance(metadata, dict) or not all(
        isinstance(value, str) and value.isascii() for value in metadata.values()
    ):
        raise FormatError(f"expected strings in {_METADATA}, got {_short(metadata)}")
    if "nnc" not in metadata:
        raise FormatError(f"expected the key nnc in {_METADATA}, got none: nnc did not save it")
    if metadata["nnc"] != VERSION:
        raise OtherFileError(
            f"expected format version {VERSION}, got {_short(metadata['nnc'])}; a newer nnc may "
            "read it"
        )
    if metadata.keys() != _METADATA_KEYS:
        raise FormatError(
            f"expected the keys {', '.join(sorted(_METADATA_KEYS))} in {_METADATA}, got "
            f"{_short(sorted(metadata))}"
        )
    if metadata["kind"] != kind:
        raise OtherFileError(f"expected a {kind}, got a {_short(metadata['kind'])}")
    checksum = metadata["checksum"]
    if not _CHECKSUM.fullmatch(checksum):
        raise FormatError(f"expected a checksum of 64 hexadecimal digits, got {_short(checksum)}")
    return str(checksum)


def _plan(entries: dict[str, Any], size: int) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
    """Return dtype and shape of each tensor, after checking that they fill `size` bytes exactly."""
    if len(entries) > MAX_TENSORS:
        raise FormatError(f"expected at most {MAX_TENSORS} tensors, got {len(entries)}")
    result = {}
    begin = 0
    for name, entry in entries.items():
        if not _NAME.fullmatch(name):
            raise FormatError(
                f"expected names of 1 to {MAX_NAME} of the characters A-Z a-z 0-9 _ . -, got "
                f"{_short(name)}"
            )
        where = f"tensor {name!r}"
        if not isinstance(entry, dict) or entry.keys() != _ENTRY_KEYS:
            raise FormatError(
                f"{where}: expected {', '.join(sorted(_ENTRY_KEYS))}, got {_short(entry)}"
            )
        code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(code, str) or code not in DTYPES:
            raise FormatError(
                f"{where}: expected a dtype of {', '.join(DTYPES)}, got {_short(code)}"
            )
        if not _are_counts(shape) or len(shape) > MAX_RANK or any(d > MAX_DIM for d in shape):
            raise FormatError(
                f"{where}: expected a shape of at most {MAX_RANK} dimensions up to {MAX_DIM}, got "
                f"{_short(shape)}"
            )
        itemsize = DTYPES[code].itemsize
        # NumPy, like other readers, multiplies the dimensions before it sees the zero among them.
        if math.prod(max(dim, 1) for dim in shape) * itemsize > sys.maxsize:
            raise FormatError(f"{where}: expected a shape that fits in memory, got {shape}")
        end = begin + math.prod(shape) * itemsize
        if not _are_counts(offsets) or offsets != [begin, end]:
            raise FormatError(
                f"{where}: expected the bytes {begin} to {end} of the data, got {_short(offsets)}"
            )
        result[name] = DTYPES[code], tuple(shape)
        begin = end
    if begin != size:
        raise FormatError(f"expected {begin} bytes of data, got {size}")
    return result


def _read_config(text: str) -> dict[str, Any]:
    config: dict[str, Any] = _parse(text, "the configuration")
    try:
        _check_plain(config, "config", 1)
    except ValueError as error:
        raise FormatError(str(error)) from None
    return config


def _parse(text: str, what: str, **hooks: Any) -> dict[str, Any]:
    """Return the JSON object of a text, without duplicate keys and without NaN or infinity."""
    try:
        value = json.loads(
            text, object_pairs_hook=_read_pairs, parse_constant=_refuse_number, **hooks
        )
    except FormatError:
        raise
    except RecursionError:
        raise FormatError(f"{what}: expected at most {MAX_DEPTH} levels, got more") from None
    except ValueError as error:
        raise FormatError(f"{what} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise FormatError(f"{what}: expected a JSON object, got {_short(value)}")
    return value


def _read_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise FormatError(f"expected each key once, got {_short(twice)} twice")
    return result


def _parse_count(text: str) -> int:
    """Return an integer of the header; anything negative or beyond 64 bits has no place there."""
    if text.startswith("-") or len(text) > 19:
        _refuse_number(text)
    return int(text)


def _refuse_number(text: str) -> None:
    raise FormatError(f"expected finite numbers, and sizes in the header, got {_short(text)}")


def _are_counts(value: object) -> bool:
    """Tell whether it is a list of integers, among which JSON's true and false don't count."""
    return isinstance(value, list) and all(type(item) is int for item in value)


def _read(fill: Fill, size: int) -> bytes:
    buffer = bytearray(size)
    _read_into(fill, memoryview(buffer))
    return bytes(buffer)


def _read_into(fill: Fill, memory: memoryview) -> None:
    """Fill the memory; one call may return less than it was asked for."""
    done = 0
    while done < len(memory):
        count = fill(memory[done:])
        if not count:
            raise FormatError("it became shorter while it was read")
        done += count


def _short(value: object) -> str:
    """Return what a message shows of a value from outside."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
