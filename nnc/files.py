"""Files of tensors and a configuration: written whole or not at all, read as data and nothing else.

docs/files.md describes the format, its limits, and what survives a crash. `write` and `read` know
nothing of networks; `to_bytes` and `from_bytes` are the same without a file.

A save goes through a temporary file in the same folder: written, flushed to the disk, renamed, and
the folder flushed. The temporary file is locked while its writer lives, whichever container or
machine that runs in, so what can be locked is of a writer that died, and is removed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from nnc import _safetensors
from nnc._safetensors import MAX_TENSORS, Array, FormatError, from_bytes, to_bytes

__all__ = [
    "MAX_TENSORS",
    "PREVIOUS",
    "FormatError",
    "from_bytes",
    "read",
    "read_checkpoint",
    "to_bytes",
    "write",
]

PREVIOUS = ".previous"

_TEMPORARY = re.compile(r"\.nnc-[0-9a-f]{16}\.tmp")
_NO_LINKS = {errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.EOPNOTSUPP}

Path = str | os.PathLike[str]


def write(
    path: Path,
    tensors: Mapping[str, Array],
    config: dict[str, Any],
    kind: str,
    *,
    keep_previous: bool = False,
) -> None:
    """Write a file so that whatever happens, `path` is the old file or the new one, complete.

    Parameters
    ----------
    path : str or path-like
        Where to write. A symbolic link is followed. A file that is there is replaced, and readers
        that have it open go on reading the old one.
    tensors : mapping of str to numpy.ndarray
        Arrays of any layout and byte order.
    config : dict
        Plain JSON data: dicts with string keys, lists, strings, finite numbers, booleans, None.
        Tuples come back as lists.
    kind : {"network", "checkpoint"}
        What the file is; `read` asks for it.
    keep_previous : bool
        Whether a file that is there stays, as `path` + ".previous", for `read_checkpoint`.

    Raises
    ------
    OSError
        The system refused something. The old file is as it was and nothing else is left; only if
        flushing the folder failed is the new file in place, and may be lost with the power.
    TypeError, ValueError
        The arguments can't be saved, or `path` is a folder or a device. Nothing was written.
    """
    text = _read_path(path)
    parts = _safetensors.encode(tensors, config, kind)
    folder, name = os.path.split(os.path.realpath(text))
    with (
        _naming(text),
        _opened(folder, os.O_RDONLY | os.O_DIRECTORY) as directory,
    ):
        mode = _read_mode(directory, name, text)
        _remove_stale(directory)
        temporary, file = _create(directory, mode)
        try:
            for part in parts:
                _write_all(file, part)
            os.fsync(file)
            _put_in_place(directory, temporary, name, keep_previous)
        except BaseException:
            _remove(directory, temporary)
            raise
        finally:
            os.close(file)


def read(path: Path, *, kind: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read a file that `write` wrote.

    Parameters
    ----------
    path : str or path-like
        A regular file; a symbolic link to one is followed.
    kind : {"network", "checkpoint"}
        What the file must be.

    Returns
    -------
    tensors : dict of str to numpy.ndarray
        New arrays in C order and native byte order.
    config : dict
        The configuration.

    Raises
    ------
    FormatError
        A ValueError: it is no sound file of this kind. The message begins with the path.
    OSError
        It can't be opened or read.
    """
    text = _read_path(path)
    # O_NONBLOCK: to open a pipe must not wait for who writes to it.
    with _naming(text), _opened(text, os.O_RDONLY | os.O_NONBLOCK) as descriptor:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FormatError(f"{text}: expected a regular file, got {_kind_of(status)}")
        return _safetensors.decode(
            lambda memory: os.readv(descriptor, [memory]), status.st_size, text, kind
        )


def read_checkpoint(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read a checkpoint; where it is damaged or missing, the one before, with a RuntimeWarning.

    A sound file of another kind, or of a newer format, raises like `read`.
    """
    text = _read_path(path)
    try:
        return read(text, kind="checkpoint")
    except _safetensors.OtherFileError:
        raise
    except (FormatError, OSError) as error:
        try:
            result = read(text + PREVIOUS, kind="checkpoint")
        except (FormatError, OSError):
            raise error from None
        warnings.warn(
            f"{error}; the checkpoint before it was loaded: {text}{PREVIOUS}",
            RuntimeWarning,
            stacklevel=2,
        )
        return result


def _read_path(path: Path) -> str:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path: expected a string or a path, got {type(path).__name__}")
    return os.fsdecode(path)


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """Let an OSError name the path that the caller gave."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = path, None
        raise


@contextlib.contextmanager
def _opened(name: str, flags: int, directory: int | None = None) -> Iterator[int]:
    descriptor = os.open(name, flags | os.O_CLOEXEC, dir_fd=directory)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _read_mode(directory: int, name: str, path: str) -> int:
    """Return the permissions of the file to be replaced, which the umask may narrow further."""
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return 0o666
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"path: expected a file or a new name, got {_kind_of(status)}: {path}")
    return status.st_mode & 0o666


def _kind_of(status: os.stat_result) -> str:
    return "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, socket or device"


def _remove_stale(directory: int) -> None:
    """Remove the temporary files of writers that died: those that nobody has locked."""
    with contextlib.suppress(OSError):
        for name in filter(_TEMPORARY.fullmatch, os.listdir(directory)):
            with (
                contextlib.suppress(OSError),
                _opened(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, directory) as file,
            ):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(name, dir_fd=directory)


def _new_name() -> str:
    return f".nnc-{os.urandom(8).hex()}.tmp"


def _create(directory: int, mode: int) -> tuple[str, int]:
    """Return name and descriptor of a new, locked file.

    Another save may take it for stale before it is locked; then the next one is tried.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        name = _new_name()
        file = os.open(name, flags, mode, dir_fd=directory)
        try:
            if _lock(file) and _exists(directory, name):
                return name, file
        except BaseException:
            os.close(file)
            _remove(directory, name)
            raise
        os.close(file)


def _lock(file: int) -> bool:
    """Lock a new file; True too where the file system has no locks, and nothing counts as stale."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _exists(directory: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _put_in_place(directory: int, temporary: str, name: str, keep_previous: bool) -> None:
    """Rename the temporary file.

    The old file becomes the previous one only after the new one is on the disk: were the old one
    damaged, the previous one would be the only one that loads. Until then a second link holds it.
    """
    spare = _link(directory, name) if keep_previous else None
    try:
        _rename(directory, temporary, name)
        _flush(directory)
        if spare is not None:
            with contextlib.suppress(FileNotFoundError):  # another save took it for stale
                _rename(directory, spare, name + PREVIOUS)
                _flush(directory)
    finally:
        if spare is not None:
            _remove(directory, spare)


def _link(directory: int, name: str) -> str | None:
    """Return the name of a second link to a file, or None where there is no file.

    On a file system without links the file becomes the previous one at once.
    """
    spare = _new_name()
    try:
        os.link(name, spare, src_dir_fd=directory, dst_dir_fd=directory)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with contextlib.suppress(FileNotFoundError):  # another save was faster
            _rename(directory, name, name + PREVIOUS)
        return None
    return spare


def _rename(directory: int, old: str, new: str) -> None:
    os.replace(old, new, src_dir_fd=directory, dst_dir_fd=directory)


def _remove(directory: int, name: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=directory)


def _flush(directory: int) -> None:
    """Flush a folder; EINVAL means that its file system has no such thing."""
    try:
        os.fsync(directory)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
