"""One peer in a process of its own: `python worker.py PEER`, driven by `run.Worker`.

Requests and replies are JSON objects, a line each, on stdin and stdout:

    {"do": "prepare", "folder": …, "workload": {…}, "dtype": …, "threads": …}
    {"do": "run"}      one repetition, from the initial parameters
    {"do": "check"}    whether it learns, or its inference is right
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any

Reply = dict[str, Any]


def peak_mb() -> float:
    """Return the peak resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Session:
    """The state between requests."""

    def __init__(self, peer: str) -> None:
        self.peer = peer

    def prepare(self, request: Reply) -> Reply:
        """Import the library and build the network, timed apart."""
        start = time.perf_counter()
        from peers import PEERS  # imports NumPy: part of what a user waits for

        try:
            module = importlib.import_module(f"peers.{PEERS[self.peer]}")
        except ImportError as error:
            return {"status": "not installed", "reason": str(error)}
        imported = time.perf_counter()
        imported_mb = peak_mb()

        import workloads
        from peers import Cannot

        workload = workloads.Workload.read(request["workload"])
        dtype, threads = request["dtype"], request["threads"]
        self.problem = workloads.load(Path(request["folder"]), workload, dtype, threads)
        self.row = self.problem.X[0] if workload.name == "W6" else self.problem.X
        loaded = time.perf_counter()
        try:
            self.job = module.make(self.problem)
        except Cannot as error:
            return {"status": "cannot", "reason": str(error)}
        # What a library needs minutes for is measured on fewer epochs.
        self.epochs = workload.epochs // getattr(module, "FEWER", {}).get(workload.name, 1)
        return {
            "status": "ready",
            "epochs": self.epochs,
            "version": module.VERSION,
            "note": self.job.note,
            "import_s": imported - start,
            "import_mb": imported_mb,
            "prepare_s": time.perf_counter() - loaded,
        }

    def run(self, request: Reply) -> Reply:
        """Do one repetition."""
        workload = self.problem.workload
        self.job.reset()
        cpu, start = time.process_time(), time.perf_counter()
        if workload.trains:
            self.job.run(self.epochs)
        else:
            for _ in range(self.epochs):
                self.outputs = self.job.predict(self.row)
        seconds = time.perf_counter() - start
        cores = (time.process_time() - cpu) / seconds
        return {"status": "ok", "seconds": seconds, "cores": cores, "peak_mb": peak_mb()}

    def check(self, request: Reply) -> Reply:
        """Judge the peer by its outputs, after a training that is long enough."""
        import numpy as np

        workload, Y = self.problem.workload, self.problem.Y
        if not workload.trains:
            expected = np.asarray(request["outputs"])
            error = float(np.abs(np.atleast_2d(self.outputs)[: len(expected)] - expected).max())
            return self._verdict(error < 1e-4, f"largest error {error:.1e}")
        if self.job.same_start and request["costs"]:
            self.job.reset()
            costs = self.job.run(len(request["costs"])).cost
            # Some libraries keep their histories in single precision.
            tolerance = 1e-6 if self.problem.dtype == "float64" else 1e-3
            if not np.allclose(costs, request["costs"], rtol=tolerance):
                return self._verdict(False, f"costs {costs}, NumPy's are {request['costs']}")
        self.job.reset()
        history = self.job.run(workload.check_epochs)
        if len(history.cost) != workload.check_epochs or not np.isfinite(history.cost).all():
            return self._verdict(False, f"a history of {len(history.cost)} costs")
        outputs = np.asarray(self.job.predict(self.problem.X))
        if workload.classifies:
            classes = outputs.argmax(1) if Y.shape[1] > 1 else (outputs > 0.5)[:, 0]
            accuracy = float((classes == self.problem.labels).mean())
            return self._verdict(accuracy >= workload.goal, f"accuracy {accuracy:.3f}")
        left = float(((outputs - Y) ** 2).sum() / (Y**2).sum())
        return self._verdict(left < workload.goal, f"squared error {left:.3f} of that of zeros")

    @staticmethod
    def _verdict(ok: bool, text: str) -> Reply:
        return {"status": "ok" if ok else "does not learn", "reason": text}


def main() -> None:
    """Answer until stdin ends."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not mix with the replies
    session = Session(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = getattr(session, request["do"])(request)
        except Exception as error:  # a peer's failure is a result too
            traceback.print_exc()
            reply = {"status": "failed", "reason": f"{type(error).__name__}: {error}"[:300]}
        with contextlib.suppress(BrokenPipeError):
            replies.write(json.dumps(reply) + "\n")


if __name__ == "__main__":
    main()
