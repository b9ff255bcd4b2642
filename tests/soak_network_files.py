"""Files of networks at length: python tests/soak_network_files.py [share], where 1 is all.

200 trainings killed 5 times each, and 500 000 changed files: half an hour.
"""

import random
import sys
import tempfile
import time
import warnings
from pathlib import Path

import test_network_fuzz as fuzz
import test_network_resume as resume
import trainings

KILLED, NETWORKS, CHECKPOINTS = 200, 400_000, 100_000


def kill(count):
    names, done = list(trainings.TRAININGS), 0
    for i in range(count):
        with tempfile.TemporaryDirectory() as folder:
            done += resume.kill(names[i % len(names)], Path(folder, "x"), 5, random.Random())
    return f"{5 * count} kills, after {done} epochs that were kept"


def load(count):
    return f"{count} changed networks, {fuzz.load_networks(count, random.Random())} still sound"


def go_on(count):
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        accepted = fuzz.resume(count, random.Random(), Path(folder))
    return f"{count} changed checkpoints, {accepted} still sound"


def main(share):
    for step, count in ((kill, KILLED), (load, NETWORKS), (go_on, CHECKPOINTS)):
        start = time.monotonic()
        print(f"{step(int(share * count))}: {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
