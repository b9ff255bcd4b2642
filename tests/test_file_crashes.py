"""What a save leaves behind when it is killed, refused, or the power goes, at each of its steps.

These tests need strace, which stands between a save and the system. soak_files.py repeats them at
length.
"""

import errno
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import pytest
import saving
from saving import TEMPORARY, contents, newest, prepare

from nnc import files

HOUSEKEEPING = {"getdents64", "fcntl", "lseek", "flock", "unlinkat"}  # a save goes on without
CHANGES = {"openat", "write", "fsync", "linkat", "renameat"}

KEEP = pytest.mark.parametrize("keep_previous", [False, True], ids=["alone", "previous"])


@pytest.fixture(scope="module")
def saver():
    assert shutil.which("strace"), "strace is missing: install it, say apt-get install strace"
    saver = saving.Saver()
    yield saver
    saver.close()


def calls_of(saver, folder, keep_previous):
    """Return what a save asks for; in a new folder, as realpath looks at each part of a path."""
    folder = folder / "whole"
    folder.mkdir()
    assert saver.save(prepare(folder, keep_previous), 2, keep_previous=keep_previous) == 0
    return saver.calls()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@KEEP
def test_the_order_of_a_save(saver, tmp_path, keep_previous):
    calls = calls_of(saver, tmp_path, keep_previous)
    folder = next(c.result for c in calls if c.name == "openat" and "O_DIRECTORY" in c.arguments)
    created = next(c for c in calls if c.name == "openat" and "O_CREAT" in c.arguments)
    flags = {"O_WRONLY", "O_CREAT", "O_EXCL", "O_NOFOLLOW", "O_CLOEXEC"}
    assert flags <= set(created.arguments.replace(",", "|").replace(" ", "").split("|"))
    steps = []
    for call in calls:
        if call.name in {"write", "fsync"}:
            number = int(call.arguments.split(",")[0])
            what = {folder: "folder", created.result: "file"}[number]
            steps.append(f"{call.name} {what}")
        elif call.name in {"linkat", "renameat"}:
            steps.append(" ".join([call.name, *(s.decode()[:5] for s in call.strings())]))
    put = ["write file", "write file", "fsync file"]
    if keep_previous:
        put += ["linkat x.nnc .nnc-"]
    put += ["renameat .nnc- x.nnc", "fsync folder"]
    if keep_previous:
        put += ["renameat .nnc- x.nnc", "fsync folder"]
    assert steps == put


def kill_at(saver, folder, call, keep_previous):
    """Kill a save as it makes that call; return which version loads then."""
    folder.mkdir()
    path = prepare(folder, keep_previous)
    kill = f"inject={call.name}:signal=SIGKILL:when={call.nth}"
    assert saver.save(path, 2, "-e", kill, keep_previous=keep_previous) == -signal.SIGKILL, call
    loaded = newest(path, keep_previous)  # without a warning: the path itself loads
    if keep_previous:
        assert saving.version_of(files.read(f"{path}.previous", kind="checkpoint")) <= 1
    files.write(path, *contents(3), "checkpoint", keep_previous=keep_previous)
    assert names(folder) == ["x.nnc", "x.nnc.previous"][: 1 + keep_previous], call
    assert newest(path, keep_previous) == 3
    return loaded


def named_by_folder(call):
    """Tell whether it asks for a name within the folder, like all but realpath and listdir."""
    return not call.arguments.startswith("AT_FDCWD") and call.strings() != [b""]


def fail_at(saver, folder, call, error, keep_previous, renamed):
    """Let that call fail; `renamed` tells whether the new file is in place by then."""
    folder.mkdir()
    path = prepare(folder, keep_previous)
    code = saver.save(
        path, 2, "-e", f"inject={call.name}:error={error}:when={call.nth}",
        keep_previous=keep_previous,
    )  # fmt: skip
    if call.name == "close":
        assert code == saving.LEAK  # it was not closed indeed
    elif call.name in HOUSEKEEPING or ("stat" in call.name and not named_by_folder(call)):
        assert code == 0, call  # realpath takes what it can't look at for no link
    else:
        assert code == getattr(errno, error), call
    assert newest(path, keep_previous) == 1 + (code in {0, saving.LEAK} or renamed), call
    assert list(folder.glob(TEMPORARY)) == [], call


@KEEP
def test_a_kill_at_every_system_call(saver, tmp_path, keep_previous):
    calls = calls_of(saver, tmp_path, keep_previous)
    if not keep_previous:
        calls = [call for call in calls if call.name in CHANGES]
    seen = {kill_at(saver, tmp_path / str(call), call, keep_previous) for call in calls}
    assert seen == {1, 2}


@pytest.mark.parametrize(
    ("error", "keep_previous"), [("EIO", True), ("ENOSPC", False), ("EDQUOT", False)]
)
def test_an_error_at_every_system_call(saver, tmp_path, error, keep_previous):
    calls = calls_of(saver, tmp_path, keep_previous)
    renamed = [call.name for call in calls].index("renameat")
    for i, call in enumerate(calls):
        if call.name in CHANGES or error == "EIO":
            folder = tmp_path / str(call)
            fail_at(saver, folder, call, error, keep_previous, renamed=i > renamed)


def test_interrupted_calls_are_repeated(saver, tmp_path):
    path = prepare(tmp_path, False)
    for name in ("openat", "write", "fsync"):
        assert saver.save(path, 2, "-e", f"inject={name}:error=EINTR:when=1") == 0
        assert newest(path, False) == 2


def test_file_systems_without_links_locks_or_flushed_folders(saver, tmp_path):
    path = prepare(tmp_path, True)
    options = ["linkat:error=EPERM", "flock:error=EOPNOTSUPP", "fsync:error=EINVAL:when=2+"]
    options = [word for option in options for word in ("-e", f"inject={option}")]
    assert saver.save(path, 2, *options, keep_previous=True) == 0
    assert newest(path, True) == 2
    assert saving.version_of(files.read(f"{path}.previous", kind="checkpoint")) == 1
    assert names(tmp_path) == ["x.nnc", "x.nnc.previous"]


def test_a_kill_without_links_leaves_the_previous(saver, tmp_path):
    path = prepare(tmp_path, True)
    options = ["linkat:error=EPERM", "renameat:signal=SIGKILL:when=2"]
    options = [word for option in options for word in ("-e", f"inject={option}")]
    assert saver.save(path, 2, *options, keep_previous=True) == -signal.SIGKILL
    with pytest.warns(RuntimeWarning, match=r"No such file.*x\.nnc\.previous"):
        assert newest(path, True) == 1


@KEEP
def test_a_power_loss_at_every_moment(saver, tmp_path, keep_previous):
    before = tmp_path / "before"
    before.mkdir()
    path = prepare(before, keep_previous)
    calls = calls_of(saver, tmp_path, keep_previous)
    count = 0
    seen = set()
    lost = tmp_path / "lost"
    for state in saving.states_after_power_loss(calls, before, tmp_path / "whole"):
        shutil.rmtree(lost, ignore_errors=True)
        lost.mkdir()
        for name, data in state.items():
            (lost / name).write_bytes(data)
        seen.add(newest(lost / path.name, keep_previous))
        count += 1
    assert seen == {1, 2}
    assert count > 50


def test_a_damaged_newest_survives_no_previous_that_loads(saver, tmp_path):
    """A crash in a save over a damaged file must not cost the only file that loads."""
    calls = calls_of(saver, tmp_path, True)
    for call in calls:
        if call.name not in CHANGES:
            continue
        folder = tmp_path / str(call)
        folder.mkdir()
        path = prepare(folder, True)
        path.write_bytes(path.read_bytes()[:-1])
        kill = f"inject={call.name}:signal=SIGKILL:when={call.nth}"
        assert saver.save(path, 2, "-e", kill, keep_previous=True) == -signal.SIGKILL
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            assert newest(path, True) in {0, 2}, call


def test_a_disk_that_is_full_in_the_middle_of_a_write(tmp_path):
    """A limit on the size of files: the first write is short, the next fails."""
    path = prepare(tmp_path, False)
    code = f"""
        import errno, resource, signal
        import numpy as np
        from nnc import files
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, {resource.RLIM_INFINITY}))
        try:
            files.write({str(path)!r}, {{"W1": np.zeros(100_000)}}, {{}}, "checkpoint")
        except OSError as error:
            assert error.errno == errno.EFBIG, error
            assert {str(path)!r} in str(error)
        else:
            raise AssertionError
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
    assert newest(path, False) == 1
    assert names(tmp_path) == ["x.nnc"]


WRITER = """
import sys
sys.path.insert(0, {tests!r})
from saving import contents
from nnc import files
for i in range({rounds}):
    files.write({path!r}, *contents({first} + i), "checkpoint", keep_previous={keep_previous})
"""


def race(path, rounds, keep_previous):
    """Let two processes write the same file, and read it all the while; return what was seen."""
    files.write(path, *contents(0), "checkpoint")
    tests = str(Path(__file__).parent)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER.format(
            tests=tests, path=str(path), rounds=rounds, first=first, keep_previous=keep_previous
        )])
        for first in (1, 100_001)
    ]  # fmt: skip
    seen = set()
    while any(writer.poll() is None for writer in writers):
        seen.add(newest(path, keep_previous))
    assert [writer.returncode for writer in writers] == [0, 0]
    seen.add(newest(path, keep_previous))
    return seen


@KEEP
def test_two_writers_and_a_reader(tmp_path, keep_previous):
    rounds = 200 if keep_previous else 50
    seen = race(tmp_path / "x.nnc", rounds, keep_previous)
    assert len(seen) > 10
    assert seen & {rounds, 100_000 + rounds}  # a last one is the last
    assert list(tmp_path.glob(TEMPORARY)) == []
