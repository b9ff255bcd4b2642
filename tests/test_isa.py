"""The choice of kernels: by CPU, by NNC_ISA."""

import os
import platform
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import ISAS, ISAS_WITH_FMA
from support import data, kernels

import nnc
from nnc import datasets


def run_with(isa, code):
    environment = os.environ | {"NNC_ISA": isa}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )


def test_cpu_info():
    info = nnc.cpu_info()
    assert set(info) == {"isa", "available", "fma", "vector_bytes"}
    assert info["isa"] in info["available"]
    assert info["available"][0] == "baseline"
    if platform.machine() == "aarch64":
        assert info["available"] == ["baseline", "neon"]
        return
    with open("/proc/cpuinfo", encoding="ascii") as file:
        flags = set(re.search(r"^flags\s*: (.*)$", file.read(), re.MULTILINE)[1].split())
    assert ("avx2" in info["available"]) == {"avx2", "fma"}.issubset(flags)
    needed = {"avx512f", "avx512dq", "avx512bw", "avx512vl", "avx2", "fma"}
    assert ("avx512" in info["available"]) == needed.issubset(flags)


@pytest.mark.parametrize("isa", ISAS)
def test_the_environment_chooses(isa):
    result = run_with(isa, "import nnc; print(nnc.cpu_info()['isa'])")
    assert result.stdout.strip() == isa, result.stderr


def test_an_empty_choice_is_the_fastest():
    assert run_with("", "import nnc; print(nnc.cpu_info()['isa'])").stdout.strip() == ISAS[-1]


@pytest.mark.parametrize("isa", ["avx9", "NEON", "AVX2"])
def test_an_unknown_choice_is_an_import_error(isa):
    result = run_with(isa, "import nnc")
    assert result.returncode == 1
    assert f"ImportError: NNC_ISA={isa}: no such kernels" in result.stderr


def test_all_kernels_with_fma_give_the_same_bits():
    X, Y, params = data(datasets.tutorial_architecture(), 333)
    net = datasets.tutorial_architecture()
    Z = np.linspace(-800, 800, 12345)
    seen = set()
    for isa in ISAS_WITH_FMA:
        with kernels(isa):
            Y_hat, memory = nnc.full_forward_propagation(X, params, net)
            grads = nnc.full_backward_propagation(Y_hat, Y, memory, params, net)
            parts = [nnc.sigmoid(Z), nnc.sigmoid(Z.astype("f")), Y_hat, *grads.values()]
            parts += [nnc.get_cost_value(Y_hat, Y), nnc.sigmoid_backward(Z, Z)]
        seen.add(b"".join(np.asarray(part).tobytes() for part in parts))
    assert len(seen) == bool(ISAS_WITH_FMA)
