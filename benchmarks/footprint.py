"""What each library costs before it does anything: time and memory of its import, and its size.

    python benchmarks/footprint.py [--repeats 7] [--peers nnc,torch]

The best time of several fresh processes, so with a warm file cache. The size is that of the
installed package with everything that it requires. With --wheel: also the size of nnc's wheel,
built from this checkout.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import machine

ROOT = Path(__file__).parent.parent

# Distributions, and the statement that a program begins with.
LIBRARIES = {
    "nnc": (["nnc"], "import nnc"),
    "numpy": (["numpy"], "import numpy"),
    "numba": (["numba", "scipy"], "import numba, scipy.linalg"),
    "sklearn": (["scikit-learn"], "import sklearn.neural_network"),
    "torch": (["torch"], "import torch"),
    "jax": (["jax"], "import jax.numpy"),
    "keras-jax": (["keras", "jax"], "import os; os.environ['KERAS_BACKEND'] = 'jax'; import keras"),
    "keras-tf": (
        ["keras", "tensorflow-cpu"],
        "import os; os.environ['KERAS_BACKEND'] = 'tensorflow'; import keras",
    ),
    "onnxruntime": (["onnxruntime"], "import onnxruntime"),
}

TIMED = """
import resource, time
start = time.perf_counter()
{statement}
seconds = time.perf_counter() - start
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def requirements(names: list[str]) -> set[str]:
    """Return these distributions and all that they require here, extras apart."""
    found: set[str] = set()
    while names:
        name = re.sub(r"[-_.]+", "-", names.pop()).lower()
        if name in found:
            continue
        try:
            required = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # for another system or Python
        found.add(name)
        names += [
            re.split(r"[^A-Za-z0-9._-]", text)[0] for text in required if "extra ==" not in text
        ]
    return found


def size_mb(names: list[str]) -> float:
    """Return the installed size."""
    total = 0
    for name in requirements(list(names)):
        for file in metadata.files(name) or []:
            path = Path(str(file.locate()))
            total += path.stat().st_size if path.is_file() else 0
    return total / 1e6


def measure(statement: str, repeats: int) -> tuple[float, float] | None:
    """Return the best import time and the memory after it; None where it fails."""
    code = TIMED.format(statement=statement)
    results = []
    for _ in range(repeats):
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=machine.environment(1)
        )
        if result.returncode != 0:
            return None
        seconds, memory = result.stdout.split()[-2:]
        results.append((float(seconds), float(memory)))
    return min(results)


def own_import_ms(repeats: int) -> float:
    """Return the best import time of nnc without NumPy's, as `python -X importtime` counts it."""
    best = float("inf")
    for _ in range(repeats):
        result = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", "import numpy; import nnc"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        (cumulative,) = re.findall(r"\| +(\d+) \| nnc$", result.stderr, re.MULTILINE)
        best = min(best, int(cumulative) / 1000)
    return best


def wheel_kb() -> float:
    """Build nnc's wheel, and return its size."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, str(ROOT)],
            check=True,
        )
        (wheel,) = Path(folder).glob("nnc-*.whl")
        return wheel.stat().st_size / 1e3


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7, help="default 7")
    parser.add_argument("--peers", default="", help=f"of {','.join(LIBRARIES)}; default all")
    parser.add_argument("--wheel", action="store_true", help="also build nnc's wheel")
    options = parser.parse_args()
    print("| library | import s | memory after import MB | installed with what it needs MB |")
    print("|---|---:|---:|---:|")
    for name in options.peers.split(",") if options.peers else LIBRARIES:
        distributions, statement = LIBRARIES[name]
        result = measure(statement, options.repeats)
        if result is None:
            print(f"| {name} | not installed | | |")
            continue
        size = size_mb(distributions)
        installed = f"{size:.0f}" if size else "not installed by pip"
        print(f"| {name} | {result[0]:.3f} | {result[1]:.0f} | {installed} |", flush=True)
    print(f"\nnnc itself, once NumPy is imported: {own_import_ms(options.repeats):.1f} ms.")
    if options.wheel:
        print(f"Its wheel: {wheel_kb():.0f} kB.")


if __name__ == "__main__":
    main()
