"""The benchmark commands run from end to end, on little work."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import nnc

ROOT = Path(__file__).parent.parent
BENCHMARKS = ROOT / "benchmarks"


def command(script, *arguments, expect=0):
    environment = os.environ | {"PYTHONPATH": str(Path(nnc.__file__).parent.parent)}
    result = subprocess.run(
        [sys.executable, str(BENCHMARKS / script), *map(str, arguments)],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert result.returncode == expect, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """W1 and W2 by nnc and NumPy, and by a peer that cannot."""
    path = tmp_path_factory.mktemp("benchmarks") / "results.json"
    command(
        "run.py", "W1", "W2", "--quick", "--dtypes", "float64", "--out", path,
        "--peers", "nnc,numpy,numpy-lean,onnxruntime",
    )  # fmt: skip
    return path


def test_every_peer_is_measured_or_named(results):
    records = [json.loads(line) for line in results.read_text("utf-8").splitlines()]
    assert set(records[0]["machine"]) >= {"cpu", "cores", "python"}
    status = {(r["workload"], r["peer"]): r["status"] for r in records[1:]}
    for workload in ("W1", "W2"):
        for peer in ("nnc", "numpy", "numpy-lean"):
            assert status[workload, peer] == "ok"
        assert status[workload, "onnxruntime"] in ("cannot", "not installed")
    for record in records[1:]:
        if record["status"] == "ok":
            assert len(record["seconds"]) == 3
            assert 0 < record["import_s"] < record["total_s"]
            assert record["peak_mb"] > 10
        else:
            assert record["reason"]


def test_the_report_fills_the_page_and_draws_the_chart(results, tmp_path):
    page, chart = tmp_path / "page.md", tmp_path / "chart.svg"
    page.write_text((ROOT / "docs" / "benchmarks.md").read_text("utf-8"), "utf-8")
    for _ in range(2):
        command("report.py", results, "--page", page, "--chart", chart)
    text = page.read_text("utf-8")
    assert text.count("### W1: ") == text.count("### W2: ") == 1
    assert "| **nnc** | " in text
    assert "onnxruntime: " in text
    assert chart.read_text("utf-8").count('class="ours"') == 1  # W1 of float64 has no panel


def test_estimators_are_compared():
    text = command("estimators.py", "--quick", "--repeats", 2, "--data", "iris,wine")
    assert "| iris, 10 epochs | " in text
    assert "| wine, 10 epochs | " in text
    text = command("search.py", "--quick", "--repeats", 1)
    assert "threads of nnc in a process of the search: 1, of " in text or os.cpu_count() == 1
    assert "| nnc, n_jobs=-1 | " in text


def test_an_unknown_name_is_refused():
    assert "expected one of W1" in command("run.py", "W0", expect=1)
    assert "expected one of nnc" in command("run.py", "--peers", "abacus", expect=1)


def test_the_c_programs_compile_without_warnings(tmp_path):
    for name, flags in {
        "peak.c": ["-std=gnu11", "-Wno-psabi", "-pthread"],
        "kernels_bench.c": ["-std=c11", "-c", f"-I{ROOT / 'csrc'}"],
    }.items():
        subprocess.run(
            [
                "cc",
                *flags,
                "-Wall",
                "-Wextra",
                "-Werror",
                BENCHMARKS / name,
                "-o",
                tmp_path / "out",
            ],
            check=True,
        )


def test_types_are_strict():
    environment = os.environ | {"MYPYPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", ROOT / "pyproject.toml", "."],
        cwd=BENCHMARKS, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout
