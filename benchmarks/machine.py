"""What a benchmark says of the machine it ran on, and how it compares two sides."""

import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import nnc


def describe() -> str:
    """Return the CPU, the kernels and the versions, on one line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="ascii").splitlines()
        model = next((x.split(": ")[1] for x in lines if x.startswith("model name")), model)
    return (
        f"{model}, nnc {nnc.__version__} ({nnc.cpu_info()['isa']}), NumPy {np.__version__}, "
        f"Python {platform.python_version()}"
    )


def seconds(work: Callable[[], object]) -> float:
    """Return the wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def interleave(sides: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return each side's median time: the sides take turns, so that drift hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for work in sides.values():  # warm up
        work()
    for _ in range(repeats):
        for name, work in sides.items():
            times[name].append(seconds(work))
    return {name: statistics.median(values) for name, values in times.items()}
