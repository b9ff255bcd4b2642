"""Time nnc and its peers side by side.

    python benchmarks/run.py W1 W3 --threads 1 --peers nnc,numpy,torch --out results.json

Every peer runs in a process of its own, and they take turns, a repetition each, so that a machine
that slows down slows all of them. The results are JSON, a line per measurement; report.py makes
tables of them. docs/benchmarks.md says what is measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import machine
import numpy as np
import workloads
from peers import PEERS, numpy_lean
from workloads import Problem, Workload

HERE = Path(__file__).parent
FIRST_COSTS = 5  # of a full-batch training, compared with NumPy's
ROWS_COMPARED = 100  # of an inference

Record = dict[str, Any]


class Worker:
    """A peer's process, and what it said."""

    def __init__(self, peer: str, threads: int, log: Path, variables: dict[str, str]) -> None:
        self.peer = peer
        self.log = log
        self.started = time.perf_counter()
        cpus = sorted(os.sched_getaffinity(0))[:threads]
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), peer],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("w"),
            text=True,
            env=machine.environment(threads) | variables,
            # Not every library can be told a number of threads: the CPUs themselves are limited.
            preexec_fn=lambda: os.sched_setaffinity(0, cpus),
        )

    def ask(self, do: str, **request: Any) -> Record:
        """Send a request, and wait for the reply."""
        assert self.process.stdin
        assert self.process.stdout
        try:
            self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            code = self.process.wait()  # minus the number of a signal
            last = self.log.read_text(errors="replace").splitlines()[-1:]
            return {"status": "failed", "reason": f"ended with {code}: {' '.join(last)}"}
        reply: Record = json.loads(line)
        return reply

    def close(self) -> None:
        """End the process."""
        self.process.communicate()


def expectations(problem: Problem) -> Record:
    """Return what NumPy computes in float64, for the workers' checks."""
    workload = problem.workload
    if workload.trains and workload.batch:
        return {"costs": []}
    double = workloads.make(workload, "float64", problem.threads)
    network = numpy_lean.Network(double)
    if workload.trains:
        return {"costs": network.run(FIRST_COSTS).cost}
    return {
        "outputs": network.predict(
            double.X[: 1 if workload.name == "W6" else ROWS_COMPARED]
        ).tolist()
    }


def write_model(folder: Path, workload: Workload) -> None:
    """Write model.onnx, where the package onnx is there to do it."""
    activations = [activation for _, _, activation, _ in workload.layers]
    command = [sys.executable, str(HERE / "peers" / "onnx_model.py"), str(folder), *activations]
    subprocess.run(command, capture_output=True, check=False)


def start(
    peer: str, request: Record, log: Path, variables: dict[str, str]
) -> tuple[Worker, Record]:
    """Start a worker and let it do one repetition; the record has a status."""
    worker = Worker(peer, request["threads"], log, variables)
    record = worker.ask("prepare", **request)
    if record["status"] == "ready":
        first = worker.ask("run")
        record |= {"status": first["status"], "first_s": first.get("seconds")}
        record |= {"reason": first["reason"]} if "reason" in first else {}
        record["total_s"] = time.perf_counter() - worker.started
    return worker, record


def measure(
    problem: Problem, peers: list[str], repeats: int, variables: dict[str, str] | None = None
) -> Iterator[Record]:
    """Time one workload with all peers, and yield a record for each."""
    workload = problem.workload
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workloads.save(problem, folder)
        if not workload.trains:
            write_model(folder, workload)
        request = {
            "folder": name,
            "workload": dataclasses.asdict(workload),
            "dtype": problem.dtype,
            "threads": problem.threads,
        }
        started = {
            peer: start(peer, request, folder / f"{peer}.log", variables or {}) for peer in peers
        }
        running = [worker for worker, record in started.values() if record["status"] == "ok"]
        replies: dict[str, list[Record]] = {worker.peer: [] for worker in running}
        order = random.Random(0)
        for _ in range(repeats):
            for worker in order.sample(running, len(running)):
                time.sleep(machine.PAUSE)
                replies[worker.peer].append(worker.ask("run"))
        expected = expectations(problem)
        for peer, (worker, record) in started.items():
            if peer in replies:
                record |= summary(record, replies[peer])
                record["check"] = worker.ask("check", **expected)
                if record["check"]["status"] != "ok":
                    record |= record["check"]
            worker.close()
            yield {
                "workload": workload.name,
                "dtype": problem.dtype,
                "threads": problem.threads,
                "peer": peer,
                "unit": workload.unit,
                "rows": len(problem.X),
                **record,
            }


def summary(record: Record, replies: list[Record]) -> Record:
    """Return the times of one unit, and what the first repetition took beyond the others."""
    failed = [reply for reply in replies if reply["status"] != "ok"]
    if failed:
        return failed[0]
    seconds = [reply["seconds"] for reply in replies]
    median = statistics.median(seconds)
    return {
        "seconds": seconds,
        "median_s": median,
        "compile_s": record["prepare_s"] + max(0.0, record["first_s"] - median),
        "cores": statistics.median(reply["cores"] for reply in replies),
        "peak_mb": replies[-1]["peak_mb"],
    }


def line(workload: Workload, record: Record) -> str:
    """Return a record as a line for the terminal."""
    head = f"{workload.name:8}{record['dtype']:9}{record['threads']} {record['peer']:14}"
    if record["status"] != "ok":
        return f"{head}{record['status']}: {record['reason']}"
    times = [s / record["epochs"] * workload.scale for s in record["seconds"]]
    middle = statistics.median(times)
    return (
        f"{head}{middle:11.4g} {workload.unit:14} ({min(times):.4g} to {max(times):.4g}), "
        f"{record['cores']:.1f} cores, import {record['import_s']:.2f} s, "
        f"compile {record['compile_s']:.2f} s, total {record['total_s']:.2f} s, "
        f"{record['peak_mb']:.0f} MB, {record['check']['reason']}"
    )


def chosen(text: str, known: list[str], what: str) -> list[str]:
    """Split a list that the user gave; nothing means all."""
    names = text.split(",") if text else known
    for name in names:
        if name not in known:
            raise SystemExit(f"unknown {what} {name!r}: expected one of {', '.join(known)}")
    return names


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="*", help="of W1 W1b W2 …; default all")
    parser.add_argument("--threads", type=int, default=1, help="for every peer; default 1")
    parser.add_argument("--peers", default="", help=f"of {','.join(PEERS)}; default all")
    parser.add_argument("--dtypes", default="", help="float32,float64; default what fits")
    parser.add_argument("--repeats", type=int, default=7, help="at least 5; default 7")
    parser.add_argument("--rows", type=int, default=0, help="of W4 and W7; default 60 000")
    parser.add_argument("--quick", action="store_true", help="a look: short, 3 repetitions")
    parser.add_argument("--out", type=Path, help="append the results to this file")
    return parser.parse_args()


def main() -> None:
    """Measure, print, write."""
    options = arguments()
    peers = chosen(options.peers, list(PEERS), "peer")
    dtypes = chosen(options.dtypes, ["float32", "float64"], "dtype")
    repeats = 3 if options.quick else max(options.repeats, 5)

    def write(record: Record) -> None:
        if options.out:
            with options.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")

    write({"machine": machine.facts(), "numpy": np.__version__})
    for workload in workloads.named(options.workloads):
        if options.rows and workload.rows:
            workload = dataclasses.replace(workload, rows=options.rows)
        if options.quick:
            workload = workload.shorter()
        for dtype in workload.dtypes:
            if dtype not in dtypes:
                continue
            try:
                problem = workloads.make(workload, dtype, options.threads)
            except workloads.Unavailable as error:
                print(f"{workload.name:8}not measured: {error}")
                write({"workload": workload.name, "status": "not measured", "reason": str(error)})
                continue
            for record in measure(problem, peers, repeats):
                print(line(workload, record), flush=True)
                write(record)


if __name__ == "__main__":
    main()
