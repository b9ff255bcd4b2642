"""What a benchmark says of the machine that it ran on, and how it shares it out."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import nnc


def facts() -> dict[str, Any]:
    """Return the CPU, the system and the load."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="ascii", errors="replace").splitlines()
        model = next((x.split(": ")[1] for x in lines if x.startswith("model name")), model)
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def describe() -> str:
    """Return the CPU, the kernels and the versions, on one line."""
    return (
        f"{facts()['cpu']}, nnc {nnc.__version__} ({nnc.cpu_info()['isa']}), "
        f"NumPy {np.__version__}, Python {platform.python_version()}"
    )


PAUSE = 0.25  # between turns: threads that wait actively for work go to sleep, 0.2 s for some


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


def environment(threads: int) -> dict[str, str]:
    """Return the variables that hold libraries to so many threads, read as they are imported."""
    variables = (
        "NNC_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS", "NPROC", "TF_NUM_INTRAOP_THREADS",
    )  # fmt: skip
    limits = dict.fromkeys(variables, str(threads))
    eigen = str(threads > 1).lower()
    limits |= {
        "TF_NUM_INTEROP_THREADS": "1",
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={eigen}",
        "TORCHINDUCTOR_COMPILE_THREADS": str(threads),
        "JAX_PLATFORMS": "cpu",
        "CUDA_VISIBLE_DEVICES": "",
        "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",  # a compilation is timed as the first one
    }
    return os.environ | limits
