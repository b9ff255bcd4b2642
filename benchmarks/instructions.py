"""Count nnc's instructions in an epoch: changes that times hide in their noise show up here.

    python benchmarks/instructions.py                   all workloads but the widest
    python benchmarks/instructions.py W1 W3             some
    python benchmarks/instructions.py --against FOLDER  beside the build of nnc in that folder

Needs valgrind. Each count is the difference between two processes under callgrind, of few epochs
and of many, so that start-up cancels, but for a quarter of a million instructions. The table is
Markdown, in thousands; a ratio below 1 says that this build needs fewer than the other.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import machine
import numpy as np
import workloads
from peers import Job
from workloads import Problem, Workload

Request = dict[str, Any]

# Rows of random numbers (0: the workload's own data), and epochs or calls between the two counts.
COUNTED = {
    "W1": (0, 40),
    "W1b": (0, 40),
    "W2": (0, 50_000),
    "W3": (1797, 15),
    "W3-adam": (1797, 15),
    "W4": (512, 2),
    "W6": (1, 20_000),
}
FIRST = 2  # epochs of the first process: then buffers exist, and Python has specialised its code
FUNCTIONS = {"W1": "nnc.train", "W2": "nnc.NeuralNetwork"}
ABSENT = 3  # the child's exit status where a build of nnc has no such class


def make_problem(workload: Workload, dtype: str) -> Problem:
    """Make the data: counts depend on shapes, and hardly on numbers."""
    rows, _ = COUNTED[workload.name]
    if rows == 0:
        return workloads.make(workload, dtype, 1)
    random = np.random.default_rng(6)
    X = random.random((rows, workload.sizes[0])).astype(dtype)
    Y = np.eye(workload.sizes[-1], dtype=dtype)[random.integers(0, workload.sizes[-1], rows)]
    params = [np.ascontiguousarray(p, dtype) for p in workloads.initial(workload)]
    return Problem(workload, dtype, 1, X, Y, params, "")


def make_job(problem: Problem, way: str) -> Job:
    """Return what does the work, through a function, the engine or the class."""
    from peers import nnc_engine

    import nnc
    from nnc import _core

    if nnc.cpu_info()["isa"] != os.environ["NNC_ISA"]:
        raise SystemExit(f"expected {os.environ['NNC_ISA']}, got {nnc.cpu_info()}")
    if way == "Engine":
        return nnc_engine.Network(problem, _core.Engine)
    if way != "Network":
        return nnc_engine.make(problem)
    if not hasattr(nnc, "Network"):
        sys.exit(ABSENT)
    from peers import nnc_network

    return nnc_network.Network(problem)


def child(folder: Path, request: Request) -> None:
    """Do the work, in a process of its own."""
    workload = Workload.read(request["workload"])
    job = make_job(workloads.load(folder, workload, request["dtype"], 1), request["way"])
    if workload.trains:
        job.run(request["epochs"])
    else:
        row = np.load(folder / "X.npy")[0]
        for _ in range(request["epochs"]):
            job.predict(row)


def count(folder: Path, request: Request, isa: str, build: str) -> float:
    """Return the instructions of such a process, NaN where the build lacks the class."""
    variables = {
        "NNC_ISA": isa,
        "PYTHONPATH": os.pathsep.join(filter(None, [build, os.environ.get("PYTHONPATH")])),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable]
    result = subprocess.run(
        [*command, __file__, "--child", str(folder), json.dumps(request)],
        capture_output=True, text=True, env=machine.environment(1) | variables,
    )  # fmt: skip
    if result.returncode == ABSENT:
        return float("nan")
    if result.returncode != 0 or "Collected : " not in result.stderr:
        raise SystemExit(result.stderr)
    return float(re.findall(r"Collected : (\d+)", result.stderr)[0])


def per_epoch(problem: Problem, way: str, isa: str, build: str) -> float:
    """Return the instructions of one epoch or call, in thousands."""
    workload = problem.workload
    _, more = COUNTED[workload.name]
    request = {"workload": dataclasses.asdict(workload), "dtype": problem.dtype, "way": way}
    with tempfile.TemporaryDirectory() as name:
        workloads.save(problem, Path(name))
        few, many = (
            count(Path(name), request | {"epochs": n}, isa, build) for n in (FIRST, FIRST + more)
        )
    return (many - few) / more / 1000


def main() -> None:
    """Print the table."""
    if sys.argv[1:2] == ["--child"]:
        return child(Path(sys.argv[2]), json.loads(sys.argv[3]))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="*", help=f"of {' '.join(COUNTED)}; default all")
    parser.add_argument("--against", default="", help="a folder with another build of nnc")
    parser.add_argument("--isa", default="avx2", help="kernels that valgrind knows; default avx2")
    options = parser.parse_args()
    builds = ["", str(Path(options.against).resolve())] if options.against else [""]
    print("| workload | through | thousands |" + " against | ratio |" * (len(builds) - 1))
    print("|---|---|---:|" + "---:|---:|" * (len(builds) - 1))
    for workload in workloads.named(options.workloads or list(COUNTED)):
        for dtype in workload.dtypes:
            problem = make_problem(workload, dtype)
            ways = [FUNCTIONS[workload.name]] if workload.name in FUNCTIONS else []
            for way in [*ways, "Engine", "Network"]:
                counts = [per_epoch(problem, way, options.isa, build) for build in builds]
                texts = [f"{float(f'{x:.4g}'):g}" for x in counts]
                texts += [f"{counts[0] / x:.3f}" for x in counts[1:]]
                cells = ["–" if text == "nan" else text for text in texts]
                print(f"| {workload.name} {dtype} | {way} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
