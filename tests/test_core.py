"""The core without Python: its own tests in C, plain and under sanitizers."""

import os
import subprocess
from pathlib import Path

import pytest

CSRC = Path(__file__).parent.parent / "csrc"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("build")


@pytest.mark.parametrize(
    "options", [[], ["SAN=address,undefined", "SAN_KERNELS=no"]], ids=["plain", "sanitized"]
)
def test_the_tests_in_c(options, folder):
    jobs = f"-j{len(os.sched_getaffinity(0))}"
    command = ["make", "-kO", "-C", str(CSRC), jobs, "test", f"BUILD={folder}", *options]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-5000:]
    assert "failed" in result.stdout
