"""How much of the machine nnc uses: fractions of the multiply-add peak that is measured beside it.

    python benchmarks/roofline.py machine              the peaks, and the memory's bandwidths
    python benchmarks/roofline.py workloads W1 W3      trainings and inferences
    python benchmarks/roofline.py kernels              the dense kernels, on the layers of W1
    python benchmarks/roofline.py kernels 512 784 256  on one layer: outputs, inputs, samples

Needs a C compiler, and for `kernels` a checkout. Every table is Markdown.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import run
import workloads

import nnc

HERE = Path(__file__).parent
CSRC = HERE.parent / "csrc"
FMA_FLAGS = ["-std=gnu11", "-O2", "-ffp-contract=fast", "-Wno-psabi", "-pthread"]
DTYPES = ("float32", "float64")


def compile_c(source: str, target: Path, *arguments: str) -> str:
    """Compile a program beside this script; return its path."""
    command = ["cc", str(HERE / source), "-o", str(target), *arguments]
    subprocess.run(command, check=True)
    return str(target)


@contextmanager
def peak_program() -> Iterator[str]:
    """Yield the path of peak.c's program."""
    with tempfile.TemporaryDirectory() as folder:
        yield compile_c("peak.c", Path(folder) / "peak", *FMA_FLAGS)


def number(*command: str) -> float:
    """Run a program that prints a number."""
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(result.stdout)


def fma(program: str, isa: str, dtype: str, threads: int) -> float:
    """Return the multiply-add peak in GFLOP/s."""
    return number(program, "fma", isa, dtype, str(threads))


def caches() -> list[tuple[str, int]]:
    """Return half of each data cache of a core, in bytes, and a size that no cache holds."""
    sizes = {1: 1 << 15, 2: 1 << 19, 3: 1 << 23}  # where the system doesn't say
    for folder in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        if (folder / "type").read_text().strip() != "Instruction":
            level = int((folder / "level").read_text())
            sizes[level] = int((folder / "size").read_text().strip().removesuffix("K")) << 10
    return [*((f"L{level}", size // 2) for level, size in sizes.items()), ("memory", 1 << 28)]


def print_machine(threads: list[int]) -> None:
    """Print the peaks of each instruction set, and the bandwidths."""
    columns = [f"{n}T" for n in threads]
    with peak_program() as program:
        print(f"| multiply-add, GFLOP/s | {' | '.join(columns)} |\n|---|{'---:|' * len(threads)}")
        for isa in nnc.cpu_info()["available"]:
            for dtype in DTYPES:
                rates = [f"{fma(program, isa, dtype, n):.0f}" for n in threads]
                print(f"| {isa}, {dtype} | {' | '.join(rates)} |")
        print(f"\n| bandwidth, GB/s | {' | '.join(columns)} |\n|---|{'---:|' * len(threads)}")
        for name, size in caches():
            for what in ("read", "copy"):
                # A copy has two buffers, and the threads share the third level.
                part = size // (2 if what == "copy" else 1)
                sizes = [part // (n if name == "L3" else 1) for n in threads]
                pairs = zip(threads, sizes, strict=True)
                rates = [f"{number(program, what, str(s), str(n)):.0f}" for n, s in pairs]
                print(f"| {name} ({size >> 10} KB), {what} | {' | '.join(rates)} |")


def print_workloads(names: list[str], threads: list[int], repeats: int, quick: bool) -> None:
    """Print the best time of each workload, and its fraction of the peak just before and after."""
    print("| workload | kernels | threads | time | GFLOP/s | of the peak |")
    print("|---|---|---:|---:|---:|---:|")
    with peak_program() as program:
        for workload in workloads.named(names):
            if quick:
                workload = workload.shorter()
            for dtype in workload.dtypes:
                for isa in nnc.cpu_info()["available"]:
                    for n in threads:
                        try:
                            problem = workloads.make(workload, dtype, n)
                        except workloads.Unavailable as error:
                            print(f"| {workload.name} | not measured: {error} |  |  |  |  |")
                            continue
                        print(workload_row(program, problem, isa, repeats), flush=True)


def workload_row(program: str, problem: workloads.Problem, isa: str, repeats: int) -> str:
    """Return a row of that table."""
    workload, n = problem.workload, problem.threads
    before = fma(program, isa, problem.dtype, n)
    (record,) = run.measure(problem, ["nnc"], repeats, {"NNC_ISA": isa})
    peak = max(before, fma(program, isa, problem.dtype, n))
    head = f"| {workload.name} {problem.dtype} | {isa} | {n} |"
    if record["status"] != "ok":
        return f"{head} {record['status']}: {record['reason']} |  |  |"
    best = min(record["seconds"]) / record["epochs"]
    rows = 1 if workload.name == "W6" else len(problem.X)
    rate = workload.flops(rows) / best * 1e-9
    time = f"{best * workload.scale:.3g} {workload.unit}"
    return f"{head} {time} | {rate:.1f} | {rate / peak:.2f} |"


def print_kernels(layers: list[tuple[int, int]], samples: int) -> None:
    """Print each dense kernel's rate on each layer."""
    subprocess.run(["make", "-s", "-C", str(CSRC), "lib", "CC=gcc", "OPT=-O3"], check=True)
    library = str(CSRC / "build" / "gcc-O3" / "libnnc.a")
    print(f"| kernel | layer, {samples} samples | kernels | ns | GFLOP/s | of the peak |")
    print("|---|---|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder, peak_program() as peak:
        arguments = ["-std=c11", "-O2", f"-I{CSRC}", library, "-lm", "-lpthread"]
        bench = compile_c("kernels_bench.c", Path(folder) / "bench", *arguments)
        for isa in nnc.cpu_info()["available"]:
            for dtype in DTYPES:
                for n_in, n_out in layers:
                    before = fma(peak, isa, dtype, 1)
                    shape = [str(size) for size in (n_out, n_in, samples)]
                    out = subprocess.run(
                        [bench, isa, dtype, *shape], check=True, capture_output=True, text=True
                    ).stdout
                    top = max(before, fma(peak, isa, dtype, 1))
                    for name, time, rate in (line.split() for line in out.splitlines()):
                        layer = f"{n_in} → {n_out}"
                        print(
                            f"| {name} | {layer} | {isa} {dtype} | {time} | {rate} "
                            f"| {float(rate) / top:.2f} |"
                        )


def main() -> None:
    """Print one of the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["machine", "workloads", "kernels"])
    parser.add_argument("rest", nargs="*", help="workloads; or outputs, inputs, samples")
    parser.add_argument("--threads", default="1,2", help="default 1,2")
    parser.add_argument("--repeats", type=int, default=15, help="the best counts; default 15")
    parser.add_argument("--quick", action="store_true", help="a look: short trainings")
    options = parser.parse_args()
    threads = [int(n) for n in options.threads.split(",") if int(n) <= len(os.sched_getaffinity(0))]
    if options.what == "machine":
        print_machine(threads)
    elif options.what == "workloads":
        print_workloads(options.rest, threads, options.repeats, options.quick)
    elif options.rest:
        n_out, n_in, samples = (int(text) for text in options.rest)
        print_kernels([(n_in, n_out)], samples)
    else:
        (moons,) = workloads.named(["W1"])
        print_kernels([(n_in, n_out) for n_in, n_out, _, _ in moons.layers], 900)


if __name__ == "__main__":
    main()
