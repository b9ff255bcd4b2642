"""The tests of files at length: python tests/soak_files.py [share], where 1 is all: ten minutes.

Random damage of 100 000 files under a wrong and a right checksum, 1000 saves killed at each system
call in turn, each system call refused, and 10 000 saves of two writers under a reader. Needs
strace; compares with the safetensors package where it is installed.
"""

import importlib.util
import itertools
import random
import sys
import tempfile
import time
from pathlib import Path

import saving
import test_file_attacks as attacks
import test_file_crashes as crashes

KILLS, DAMAGES, ROUNDS = 1000, 100_000, 10_000
ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EACCES", "ENOMEM")


def damage(count):
    for seed in attacks.SEEDS[1:]:
        attacks.flips(seed, count // 4, random.Random(count))
    if importlib.util.find_spec("safetensors") is None:
        accepted = sum(not attacks.refused(d) for d in attacks.mutations(count, random.Random()))
        return f"{count} damaged files, {accepted} still sound; no safetensors to compare with"
    import safetensors.numpy
    import test_file_peers as peers

    accepted = peers.compare(attacks.mutations(count, random.Random()), safetensors.numpy.load)
    return f"{count} damaged files, {accepted} still sound, and the same to safetensors"


def kill(count):
    """Kill at each system call in turn, without and with the previous kept."""
    done, saver = 0, saving.Saver()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        calls = []
        for keep_previous in (False, True):
            (folder / f"{keep_previous}").mkdir()
            found = crashes.calls_of(saver, folder / f"{keep_previous}", keep_previous)
            calls += [(call, keep_previous) for call in found]
        for call, keep_previous in itertools.islice(itertools.cycle(calls), count):
            crashes.kill_at(saver, folder / f"{done}", call, keep_previous)
            done += 1
    saver.close()
    return f"{done} kills"


def refuse():
    """Let each system call fail with each error."""
    done, saver = 0, saving.Saver()
    for error, keep_previous in itertools.product(ERRORS, (False, True)):
        with tempfile.TemporaryDirectory() as name:
            calls = crashes.calls_of(saver, Path(name), keep_previous)
            renamed = [call.name for call in calls].index("renameat")
            for i, call in enumerate(calls):
                folder = Path(name, f"{i}")
                crashes.fail_at(saver, folder, call, error, keep_previous, i > renamed)
                done += 1
    saver.close()
    return f"{done} calls refused"


def race(rounds):
    for keep_previous in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            crashes.race(Path(folder, "x"), rounds // 2, keep_previous)
    return f"{rounds} saves of two writers each"


def main(share):
    steps = [
        lambda: damage(int(share * DAMAGES)),
        lambda: kill(int(share * KILLS)),
        refuse,
        lambda: race(int(share * ROUNDS)),
    ]
    for step in steps:
        start = time.monotonic()
        print(f"{step()}: {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
