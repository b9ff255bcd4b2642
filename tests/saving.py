"""Saves in a process of their own, under strace: what it asks the system for, refused or killed.

A server forks a process for each save, so that none waits for Python to start; the save begins
once strace follows it. Run as a script, this file is the server.
"""

import errno
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nnc import files

LEAK = 200  # exit code: descriptors were left open
TEMPORARY = ".nnc-*.tmp"
MARK = "/proc/self/fd"


def contents(version):
    """The arguments of a save, different in each byte of the data for each version."""
    return {"W1": np.full((7, 5), float(version)), "step": np.array([version])}, {"v": version}


def version_of(result):
    tensors, config = result
    for name, array in contents(config["v"])[0].items():
        np.testing.assert_array_equal(tensors[name], array)
    return config["v"]


class Call(NamedTuple):
    """A system call of a save, the nth with its name since strace attached."""

    name: str
    nth: int
    arguments: str
    result: int

    def __str__(self):
        return f"{self.name}#{self.nth}"

    def strings(self):
        found = re.findall(r'"((?:\\x[0-9a-f]{2})*)"', self.arguments)
        return [bytes.fromhex(text.replace("\\x", "")) for text in found]


class Saver:
    """Saves, one after the other."""

    def __init__(self):
        self.server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self.log = tempfile.NamedTemporaryFile(suffix=".strace")

    def close(self):
        self.server.stdin.close()
        self.server.wait()
        self.server.stdout.close()
        self.log.close()

    def save(self, path, version, *options, keep_previous=False):
        """Return the exit code: 0, the errno of the OSError, or minus the signal."""
        self.log.truncate(0)
        job = json.dumps([os.fspath(path), version, keep_previous])
        self.server.stdin.write(job.encode() + b"\n")
        pid = int(self.server.stdout.readline())
        command = ["strace", "-xx", "-s", "4096", "-o", self.log.name, "-p", str(pid), *options]
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        while tracer.poll() is None and r'"\x2e"' not in Path(self.log.name).read_text():
            self.server.stdin.write(b".")  # until strace sees that it is read
            time.sleep(0.002)
        self.server.stdin.write(b"\n")
        code = int(self.server.stdout.readline())
        _, messages = tracer.communicate()
        assert "attached" in messages, messages
        return code

    def calls(self):
        """What the last save asked for, in order."""
        result, counts, inside = [], Counter(), False
        for line in Path(self.log.name).read_text().splitlines():
            match = re.match(r"(\w+)\((.*)\) += (-?\w+)", line)
            if match is None:
                continue
            name, arguments, value = match.groups()
            counts[name] += 1
            value = int(value, 0) if value != "?" else 0
            call = Call(name, counts[name], arguments, value)
            if MARK.encode() in call.strings():
                break
            if inside:
                result.append(call)
            inside = inside or (name == "read" and call.strings() == [b"\n"])
        return result


def prepare(folder, keep_previous):
    """Make the files 1, and 0 before it; return the path."""
    path = folder / "x.nnc"
    for version in (0, 1):
        files.write(path, *contents(version), "checkpoint", keep_previous=keep_previous)
    return path


def newest(path, keep_previous):
    """Return the version that loads, and the warnings' business is the caller's."""
    if keep_previous:
        return version_of(files.read_checkpoint(path))
    return version_of(files.read(path, kind="checkpoint"))


def states_after_power_loss(calls, before, after):
    """Yield every legal content of the folder, {name: bytes}, for a loss at any moment of a save.

    Of a file that was not flushed anything may be there: nothing, zeros, half, all. Of the changes
    to the folder since it was flushed any may have happened. `before` and `after` are folders as
    such a save finds and leaves them.
    """
    data = {name.name: name.read_bytes() for name in before.iterdir()}
    inodes = list(data.values())
    durable = dict(zip(data, range(len(inodes)), strict=True))
    now, pending, flushed, opened = dict(durable), [], set(durable.values()), {}

    def states():
        for chosen in itertools.product([False, True], repeat=len(pending)):
            entries = dict(durable)
            for change, happened in zip(pending, chosen, strict=True):
                if happened:
                    entries |= change
            loose = [i for i in range(len(inodes)) if i not in flushed]
            for cut in (lambda b: b"", lambda b: bytes(len(b)), lambda b: b[: len(b) // 2], bytes):
                known = [cut(b) if i in loose else b for i, b in enumerate(inodes)]
                yield {name: known[i] for name, i in entries.items() if i is not None}

    yield from states()
    for call in calls:
        names = [os.fsdecode(os.path.basename(text)) for text in call.strings()]
        number = re.match(r"\d+", call.arguments)
        change = None
        if call.name == "openat" and "O_CREAT" in call.arguments:
            change = {names[0]: len(inodes)}
            opened[call.result] = len(inodes)
            inodes.append(b"")
        elif call.name == "write":
            inodes[opened[int(number[0])]] += call.strings()[0][: call.result]
        elif call.name == "linkat":
            change = {names[1]: now[names[0]]}
        elif call.name == "renameat":
            change = {names[1]: now[names[0]], names[0]: None}
        elif call.name == "unlinkat" and call.result == 0:
            change = {names[0]: None}
        elif call.name == "fsync" and int(number[0]) in opened:
            flushed.add(opened[int(number[0])])
        elif call.name == "fsync":
            durable, pending = dict(now), []
        if change is not None:
            now |= change
            pending.append(change)
        yield from states()
    assert {name: inodes[i] for name, i in now.items() if i is not None} == {
        name.name: name.read_bytes() for name in after.iterdir()
    }


def serve():
    """Fork a process for each job; it waits for a line before it saves."""
    while line := read_line():
        path, version, keep_previous = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os._exit(save(path, version, keep_previous))
        _, status = os.waitpid(pid, 0)
        os.write(1, f"{os.waitstatus_to_exitcode(status)}\n".encode())


def save(path, version, keep_previous):
    tensors, config = contents(version)
    before = len(os.listdir(MARK))
    os.write(1, f"{os.getpid()}\n".encode())  # what comes before may escape strace, or not
    while os.read(0, 1) != b"\n":
        pass
    code = 0
    try:
        files.write(path, tensors, config, "checkpoint", keep_previous=keep_previous)
    except OSError as error:
        code = error.errno if error.filename == path else errno.EBADMSG
    return code if len(os.listdir(MARK)) == before else LEAK


def read_line():
    """Read a line, and nothing of the next."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return b""
        line += byte
    return line


if __name__ == "__main__":
    serve()
