"""What a training on two threads loses when the cores are busy with something else.

    python benchmarks/bench_oversubscription.py [--repeats 7]

Trains the tutorial's network (moons, 2-25-50-50-25-1, 900 rows, full batch) on one thread and on
two: alone; beside a process that never rests on one core, or one on each core; and four trainings
at a time, in threads of one process or in four processes. Prints a Markdown table: median times per
epoch of a training, in turns, and what they are of the time of one thread alone.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import multiprocessing
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Semaphore

import machine

import nnc
from nnc import datasets

EPOCHS = 300
AT_A_TIME = 4


def train(n_threads: int) -> None:
    """Train once."""
    data = datasets.tutorial_moons()
    net = datasets.tutorial_architecture()
    nnc.train(data.X_train, data.Y_train, net, EPOCHS, 0.01, n_threads=n_threads)


def never_rest(cpu: int, started: Semaphore) -> None:
    """Keep a CPU busy."""
    os.sched_setaffinity(0, {cpu})
    started.release()
    while True:
        pass


@contextmanager
def hogs(cpus: list[int]) -> Iterator[None]:
    """Keep these CPUs busy meanwhile."""
    context = multiprocessing.get_context("forkserver")
    started = context.Semaphore(0)
    processes = [context.Process(target=never_rest, args=(cpu, started)) for cpu in cpus]
    for process in processes:
        process.start()
    for _ in processes:
        started.acquire()
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
            process.join()


def in_threads(n_threads: int) -> None:
    """Train several times at once, in this process."""
    threads = [threading.Thread(target=train, args=(n_threads,)) for _ in range(AT_A_TIME)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def measure(work: Callable[[int], object], repeats: int) -> tuple[float, float]:
    """Return microseconds per epoch with one thread and with two."""
    times = machine.interleave({"1": lambda: work(1), "2": lambda: work(2)}, repeats)
    return times["1"] / EPOCHS * 1e6, times["2"] / EPOCHS * 1e6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7, help="at least 5; default 7")
    repeats = max(parser.parse_args().repeats, 5)
    cpus = sorted(os.sched_getaffinity(0))[:2]

    rows = []
    with multiprocessing.get_context("forkserver").Pool(AT_A_TIME) as pool:
        rows.append(("alone", measure(train, repeats)))
        for name, busy in (("beside a hog on one core", cpus[:1]), ("a hog on each core", cpus)):
            with hogs(busy):
                rows.append((name, measure(train, repeats)))
        rows.append((f"{AT_A_TIME} at a time, in threads", measure(in_threads, repeats)))
        in_processes = measure(lambda n: pool.map(train, [n] * AT_A_TIME, 1), repeats)
        rows.append((f"{AT_A_TIME} at a time, in processes", in_processes))

    unit = rows[0][1][0]
    print(machine.describe(), f"{len(cpus)} CPUs", sep=", ")
    print("\n| trainings | 1 thread, µs an epoch | 2 threads | ratios to 1 thread alone |")
    print("|---|---:|---:|---:|")
    for name, (one, two) in rows:
        print(f"| {name} | {one:.0f} | {two:.0f} | {one / unit:.2f}, {two / unit:.2f} |")


if __name__ == "__main__":
    main()
