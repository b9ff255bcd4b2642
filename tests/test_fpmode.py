"""The caller's floating-point mode neither changes results nor is changed. In C: test_fpmode.c."""

import ctypes
import platform
import subprocess

import numpy as np
import pytest
from support import architecture, data

import nnc

MODES = {
    "x86_64": {
        "flush to zero, denormals are zero": 0x9FC0,
        "round up": 0x5F80,
        "round down": 0x3F80,
        "round to zero": 0x7F80,
        "traps for division by zero, overflow, invalid": 0x1900,
    },
    "aarch64": {
        "flush to zero": 1 << 24,
        "default NaN": 1 << 25,
        "round up": 1 << 22,
        "round down": 2 << 22,
        "round to zero": 3 << 22,
    },
}[platform.machine()]

# Flags of what happened so far are not part of the mode.
HELPER = """
#if defined(__x86_64__)
unsigned get(void) { return __builtin_ia32_stmxcsr() & ~0x3fu; }
void set(unsigned mode) { __builtin_ia32_ldmxcsr(mode); }
#else
unsigned get(void) { unsigned long m; __asm__ volatile("mrs %0, fpcr" : "=r"(m)); return m; }
void set(unsigned mode) { __asm__ volatile("msr fpcr, %0" : : "r"((unsigned long)mode)); }
#endif
"""

NET = architecture([3, 16, 2], ["relu", "sigmoid"])
X, Y, PARAMS = data(NET, 4000)  # enough work for two threads
X[:, ::5] *= 1e-300
X[:, 1::5] *= 1e-160  # products underflow
ROWS = np.array([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1e-310]])


@pytest.fixture(scope="module")
def cpu(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mode")
    (folder / "mode.c").write_text(HELPER)
    library = folder / "mode.so"
    command = ["gcc", "-O1", "-shared", "-fPIC", folder / "mode.c", "-o", library]
    subprocess.run(command, check=True)
    cpu = ctypes.PyDLL(str(library))
    cpu.get.restype = ctypes.c_uint
    cpu.set.argtypes = [ctypes.c_uint]
    cpu.set.restype = None
    return cpu


def steps(dtype):
    x, y = X.astype(dtype), Y.astype(dtype)
    params = {key: value.astype(dtype) for key, value in PARAMS.items()}
    z = np.linspace(-800, 800, 999).astype(dtype)

    def compute():
        Y_hat, memory = nnc.full_forward_propagation(x, params, NET)
        grads = nnc.full_backward_propagation(Y_hat, y, memory, params, NET)
        updated = nnc.update({key: value.copy() for key, value in params.items()}, grads, NET, 0.1)
        cost, accuracy = nnc.get_cost_value(Y_hat, y), nnc.get_accuracy_value(Y_hat, y)
        arrays = [Y_hat, *memory.values(), *grads.values(), *updated.values()]
        arrays += [nnc.sigmoid(z), nnc.sigmoid_backward(z, z), nnc.relu_backward(z, z)]
        arrays += [nnc.convert_prob_into_class(Y_hat), *nnc.init_layers(NET, 3).values()]
        return b"".join(array.tobytes() for array in arrays), cost, accuracy

    return compute


def training(dtype, n_threads):
    x, y = X.astype(dtype), Y.astype(dtype)

    def compute():
        params, cost, accuracy = nnc.train(x, y, NET, 4, 0.1, n_threads=n_threads)
        return b"".join(value.tobytes() for value in params.values()), cost, accuracy

    return compute


def chapter1():
    network = nnc.NeuralNetwork(ROWS, ROWS[:, :1], seed=4)
    loss = network.train(200)
    return network.weights1.tobytes(), network.weights2.tobytes(), network.output.tobytes(), loss


WORK = {
    "steps, float64": steps(np.float64),
    "steps, float32": steps(np.float32),
    "1 thread, float64": training(np.float64, 1),
    "1 thread, float32": training(np.float32, 1),
    "2 threads, float64": training(np.float64, 2),
    "2 threads, float32": training(np.float32, 2),
    "chapter 1": chapter1,
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
@pytest.mark.usefixtures("isa")
def test_the_mode_changes_nothing_and_stays(cpu, work, mode):
    before, expected = cpu.get(), work()
    cpu.set(mode)
    try:
        result, after = work(), cpu.get()
    finally:
        cpu.set(before)
    assert after == mode
    assert result == expected


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_callbacks_run_in_the_callers_mode(cpu, mode, n_threads):
    seen, before = [], cpu.get()
    cpu.set(mode)
    try:
        nnc.train(
            X, Y, NET, 3, 0.1, n_threads=n_threads, callback=lambda *_: seen.append(cpu.get())
        )
    finally:
        cpu.set(before)
    assert seen == [mode] * 3


def test_a_callback_may_change_the_mode(cpu):
    """The steps that follow don't see it, and the caller finds it set."""
    expected, mode, before = training(np.float64, 2)(), MODES["round up"], cpu.get()
    try:
        result = nnc.train(X, Y, NET, 4, 0.1, n_threads=2, callback=lambda *_: cpu.set(mode))
        after = cpu.get()
    finally:
        cpu.set(before)
    params, cost, accuracy = result
    bits = b"".join(value.tobytes() for value in params.values())
    assert (bits, cost, accuracy) == expected
    assert after == mode
