"""How many threads: who decides it, who sees it; what they do when processes fork or end.

The trainings here are large enough that a second thread pays.
"""

import ctypes
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl
from support import architecture

import nnc
from nnc import _core, datasets

MOONS = datasets.tutorial_moons()
NET = datasets.tutorial_architecture()
CPUS = len(os.sched_getaffinity(0))

PREAMBLE = """
import os, sys, threading, time
import nnc
from nnc import datasets
d, net = datasets.tutorial_moons(), datasets.tutorial_architecture()
def train(epochs=20, **options):
    return nnc.train(d.X_train, d.Y_train, net, epochs, .1, **options)[1]
def count():
    return len(os.listdir("/proc/self/task"))
"""


def run(code, check=True, **environment):
    """Run a script in an environment without numbers of threads, but for those given.

    NumPy's BLAS starts no threads, so that those of the process can be counted.
    """
    clean = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    clean["OPENBLAS_NUM_THREADS"] = "1"
    result = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PREAMBLE + code],
        env=clean | environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    if check:
        assert result.returncode == 0, result.stderr[-2000:]
    return result


def number(code="", **environment):
    return int(run(f"{code}\nprint(nnc.get_num_threads())", **environment).stdout)


def train(**options):
    params, cost, accuracy = nnc.train(MOONS.X_train, MOONS.Y_train, NET, 20, 0.1, **options)
    return [*(p.tobytes() for p in params.values()), np.array(cost).tobytes(), accuracy]


@pytest.fixture(autouse=True)
def environment_decides():
    yield
    nnc.set_num_threads(None)


# ------------------------------------------------------------------------------- who decides


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"NNC_NUM_THREADS": "3"}, 3),
        ({"NNC_NUM_THREADS": " 3 ", "OMP_NUM_THREADS": "5"}, 3),
        ({"NNC_NUM_THREADS": "1024"}, 1024),
        ({"OMP_NUM_THREADS": "5"}, 5),
        ({"NNC_NUM_THREADS": "", "OMP_NUM_THREADS": "5,4"}, 5),
        ({"OMP_NUM_THREADS": "many"}, None),
        ({}, None),
    ],
)
def test_the_environment_and_then_the_system(environment, expected):
    default = nnc.get_num_threads() if expected is None else expected
    assert number(**environment) == default
    assert number("nnc.set_num_threads(7)", **environment) == 7
    assert number("nnc.set_num_threads(7); nnc.set_num_threads(None)", **environment) == default


def test_the_environment_is_looked_at_in_each_call():
    assert number("os.environ['NNC_NUM_THREADS'] = '4'", NNC_NUM_THREADS="3") == 4
    result = run("nnc.set_num_threads(2); train()", NNC_NUM_THREADS="many")
    assert result.returncode == 0
    result = run("train()", check=False, NNC_NUM_THREADS="many")
    assert "ValueError: NNC_NUM_THREADS: expected 1 to 1024, got 'many'" in result.stderr


def test_the_affinity_counts():
    one = f"os.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}})"
    assert number(one) == 1
    assert number(one, NNC_NUM_THREADS="3") == 3
    assert 1 <= number() <= CPUS


def test_the_quota_of_this_processs_control_groups_counts():
    """As the files of /sys say it, looked up the simple way; tests/c has made-up ones."""
    quotas = [CPUS]
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, names, path = line.split(":", 2)
        for mount in ("", names, "cpu" if "cpu" in names.split(",") else ""):
            folder = Path("/sys/fs/cgroup", mount, path.strip("/"))
            for group in (folder, *folder.parents):
                both, quota = group / "cpu.max", group / "cpu.cfs_quota_us"
                words = both.read_text().split() if both.is_file() else []
                if quota.is_file() and "cpu" in names.split(","):
                    words = [quota.read_text(), (group / "cpu.cfs_period_us").read_text()]
                if words and words[0] != "max" and int(words[0]) > 0:
                    quotas.append(-(-int(words[0]) // int(words[1])))
    assert number() == min(quotas)


@pytest.mark.parametrize("wrong", [0, -1, 1025, 10**6, 2**64, -(2**64)])
def test_absurd_numbers_are_value_errors(wrong):
    with pytest.raises(ValueError, match=r"^n: expected at "):
        nnc.set_num_threads(wrong)
    with pytest.raises(ValueError, match=r"^n_threads: expected at "):
        train(n_threads=wrong)


@pytest.mark.parametrize("wrong", [1.0, "2", True, False, np.True_, np.float64(2), [2], 1j])
def test_anything_but_integers_is_a_type_error(wrong):
    with pytest.raises(TypeError, match=r"^n: expected an integer"):
        nnc.set_num_threads(wrong)
    with pytest.raises(TypeError, match=r"^n_threads: expected an integer"):
        train(n_threads=wrong)


def test_a_rejected_number_changes_nothing():
    nnc.set_num_threads(np.int64(3))
    for wrong in (0, 10**6, "2"):
        with pytest.raises((TypeError, ValueError)):
            nnc.set_num_threads(wrong)
    assert nnc.get_num_threads() == 3
    with pytest.raises(ValueError, match="expected 0 to 1024"):
        _core.set_num_threads(1025)


def test_symbols_for_outside_tools():
    library = ctypes.CDLL(_core.__file__)
    library.nnc_set_num_threads(3)
    assert nnc.get_num_threads() == library.nnc_get_num_threads() == 3
    library.nnc_set_num_threads(10**9)
    assert nnc.get_num_threads() == _core.MAX_THREADS == 1024
    library.nnc_set_num_threads(-5)
    nnc.set_num_threads(2)
    assert library.nnc_get_num_threads() == 2


# ------------------------------------------------------------------------------- threadpoolctl


def infos():
    return [i for i in threadpoolctl.threadpool_info() if i["user_api"] == "nnc"]


def test_threadpoolctl_sees_and_limits():
    nnc.register_threadpoolctl()
    nnc.set_num_threads(4)
    (info,) = infos()
    assert info["num_threads"] == 4
    assert info["filepath"] == os.path.realpath(_core.__file__)
    assert (info["internal_api"], info["version"]) == ("nnc", nnc.__version__)
    for limits in ({"user_api": "nnc", "limits": 1}, {"limits": 1}, {"limits": {"nnc": 1}}):
        with threadpoolctl.threadpool_limits(**limits):
            assert nnc.get_num_threads() == 1
        assert nnc.get_num_threads() == 4
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        assert nnc.get_num_threads() == 4
    nnc.register_threadpoolctl()
    assert len(infos()) == 1


@pytest.mark.parametrize(
    "imports",
    [
        "import threadpoolctl, nnc",
        "import nnc; import threadpoolctl; nnc.register_threadpoolctl()",
        "import nnc; nnc.register_threadpoolctl(); import threadpoolctl",
    ],
)
def test_threadpoolctl_in_every_order_of_imports(imports):
    code = f"""{imports}
nnc.set_num_threads(3)
assert [i["num_threads"] for i in threadpoolctl.threadpool_info() if i["user_api"] == "nnc"] == [3]
with threadpoolctl.threadpool_limits(1):
    assert nnc.get_num_threads() == 1
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_old_threadpoolctl_is_left_alone():
    code = """
import sys, types
sys.modules["threadpoolctl"] = types.ModuleType("threadpoolctl")
import nnc
try:
    nnc.register_threadpoolctl()
except ImportError as error:
    assert "3.2" in str(error)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# -------------------------------------------------------------------------------- the threads


def test_any_number_of_threads_gives_the_same_bits():
    expected = train(n_threads=1)
    for n in (1, 2, 3, 4, 7, 8, 16):
        assert train(n_threads=n) == expected
        nnc.set_num_threads(n)
        assert train() == expected


def test_threads_are_started_when_needed_and_kept():
    run("""
assert count() == 1
train(n_threads=1)
assert count() == 1
small = [{"input_dim": 2, "output_dim": 1, "activation": "sigmoid"}]
nnc.train(d.X_train[:, :9], d.Y_train[:, :9], small, 5, .1, n_threads=8)
assert count() == 1, "too little work"
train(n_threads=3)
assert count() == 3
train(n_threads=2)
train(n_threads=3)
assert count() == 3
assert nnc.shutdown_threads()
for _ in range(1000):
    if count() == 1:
        break
    time.sleep(.001)
assert count() == 1
nnc.set_num_threads(2)
train()
assert count() == 2
""")


def test_a_limit_of_one_starts_no_thread():
    run("train(); assert count() == 1", NNC_NUM_THREADS="1")
    run("nnc.set_num_threads(1); train(); assert count() == 1")
    run("""
import threadpoolctl
nnc.register_threadpoolctl()
with threadpoolctl.threadpool_limits(1):
    train()
assert count() == 1
""")


def test_shutdown_leaves_a_running_training_its_threads():
    run("""
seen = []
def callback(epoch, params):
    seen.append((nnc.shutdown_threads(), count()))
expected = train(n_threads=1)
assert train(n_threads=3, callback=callback) == expected
assert set(seen) == {(False, 3)}
assert nnc.shutdown_threads()
""")


def test_trainings_in_eight_threads():
    """The process has at most the eight, the main one, and the workers of one training."""
    run("""
expected = train(300)
nnc.set_num_threads(4)
nnc.shutdown_threads()
results, most = [], 0
threads = [threading.Thread(target=lambda: results.append(train(300))) for _ in range(8)]
for thread in threads:
    thread.start()
while any(thread.is_alive() for thread in threads):
    most = max(most, count())
    time.sleep(.001)
assert results == [expected] * 8
assert 2 <= most <= 1 + 8 + 3, most
""")


def test_a_training_within_a_callback():
    run("""
expected, inner = train(n_threads=1), []
def callback(epoch, params):
    inner.append(train(n_threads=4))
assert train(n_threads=4, callback=callback) == expected
assert inner == [expected] * 20
assert count() == 4
""")


# ----------------------------------------------------------------------------- forks and ends


def test_forks_while_another_thread_trains():
    """Each child trains with threads of its own. The slow version: NNC_TEST_FORKS=1000."""
    forks = os.environ.get("NNC_TEST_FORKS", "50")
    run(f"""
expected = train(n_threads=2)
stop = False
def background():
    while not stop:
        assert train(200, n_threads=2)[:20] == expected
thread = threading.Thread(target=background)
thread.start()
try:
    for i in range({forks}):
        child = os.fork()
        if child == 0:
            os._exit(0 if train(n_threads=2) == expected and count() == 2 else 1)
        deadline = time.monotonic() + 20
        while not (done := os.waitpid(child, os.WNOHANG))[0]:
            if time.monotonic() > deadline:
                os.kill(child, 9)
                raise TimeoutError(i)
            time.sleep(.0005)
        assert done[1] == 0, (i, done)
finally:
    stop = True
    thread.join()
""")


def test_processes_of_a_pool_train():
    run("""
import multiprocessing
def work(_):
    return train(n_threads=2)
if __name__ == "__main__":
    expected = work(0)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(work, range(4)) == [expected] * 4
""")


@pytest.mark.parametrize("n_threads", [1, 2, 4])
def test_the_interpreter_ends_while_a_daemon_thread_trains(n_threads):
    """Twenty times in all, at different moments."""
    for attempt in range(7):
        result = run(f"""
threading.Thread(target=lambda: train(10**7, n_threads={n_threads}), daemon=True).start()
time.sleep({0.01 + attempt * 0.012})
print("end")
""")
        assert (result.stdout, result.stderr) == ("end\n", "")


@pytest.mark.parametrize("end", ["os._exit(7)", "sys.exit(7)", "os.kill(os.getpid(), 15)"])
def test_a_callback_ends_the_process(end):
    code = f"""
def callback(epoch, params):
    if epoch == 5:
        {end}
train(n_threads=2, callback=callback)
"""
    assert run(code, check=False).returncode == (-15 if "kill" in end else 7)


def test_a_callback_forks_and_its_child_has_threads_again():
    run("""
expected, children = train(n_threads=1), []
def callback(epoch, params):
    if epoch == 5:
        children.append(os.fork())
assert train(n_threads=3, callback=callback) == expected
assert count() == (3 if children[0] else 1)
assert train(n_threads=3) == expected
assert count() == 3
if children[0] == 0:
    os._exit(0)
assert os.waitpid(children[0], 0)[1] == 0
""")


def test_idle_threads_use_no_cpu_time():
    net = architecture([20, 300, 1], ["relu", "sigmoid"])
    nnc.train(np.ones((20, 900)), np.ones((1, 900)), net, 5, 0.1, n_threads=4)
    before = time.process_time()
    threading.Event().wait(0.3)
    assert time.process_time() - before < 0.05
