"""The package as it is built, shipped, imported and typed."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tarfile
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest

import nnc

ROOT = Path(__file__).parent.parent
WARNINGS = "-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef"


def run(*command, **options):
    result = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, **options
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def copy_sources(folder):
    """A checkout without anything that was built."""
    ignored = shutil.ignore_patterns("*.so", "build", "*.egg-info", "__pycache__", ".[!c]*")
    return shutil.copytree(ROOT, folder / "checkout", ignore=ignored)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """sdist from a clean copy, wheel from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    checkout = copy_sources(folder)
    environment = os.environ | {"CFLAGS": f"{WARNINGS} -Werror"}
    run(sys.executable, "-m", "build", "--outdir", folder, checkout, env=environment)
    (sdist,) = folder.glob("nnc-*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in ("tests/conftest.py", "tests/c/test.h", "csrc/Makefile", "docs/moons.png"):
        assert name in names
    (path,) = folder.glob("nnc-*.whl")
    return path


def test_the_wheel_is_complete_and_small(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    sources = {f"nnc/{path.name}" for path in (ROOT / "nnc").glob("*.py")}
    pages = (ROOT / "nnc" / "pages").rglob("*.*")
    sources |= {path.relative_to(ROOT).as_posix() for path in pages}
    assert {"nnc/_core.pyi", "nnc/py.typed", *sources} <= set(names)
    assert any(name.startswith("nnc/_core.") and name.endswith(".so") for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests", "csrc", "benchmarks")) for name in names)
    assert wheel.stat().st_size < 2_000_000


def test_the_wheel_works_where_it_is_unpacked(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = "import nnc; network = nnc.Network([nnc.Dense(1)], 2); network.fit([[0, 1]], [[1.0]])\n"
    code += "print(nnc.__file__, nnc.sigmoid(0.0))"
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    out = run(sys.executable, "-c", code, cwd=tmp_path, env=environment)
    assert out.split() == [str(tmp_path / "nnc" / "__init__.py"), "0.5"]


def test_an_unbuilt_checkout_says_what_to_run(tmp_path):
    checkout = copy_sources(tmp_path)
    numpy_home = Path(np.__file__).parent.parent
    code = "import sys; sys.path[1:] = [p for p in sys.path[1:] if 'site-packages' not in p]\n"
    code += f"sys.path.append({str(numpy_home.parent / 'nowhere')!r}); import nnc"
    environment = os.environ | {"PYTHONPATH": ""}
    result = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=checkout, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 1
    assert "ImportError: nnc's C extension is not built" in result.stderr
    assert f"run `pip install .` in {checkout}" in result.stderr


def test_an_unbuilt_checkout_uses_the_installed_package(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    checkout = copy_sources(tmp_path)
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "installed")}
    for arguments in (["-m", "nnc", "--chapter", "1"], ["-c", "import nnc.tutorial, nnc.cli"]):
        run(sys.executable, *arguments, cwd=checkout, env=environment)


def test_import_needs_numpy_alone_and_is_quick():
    code = """
import sys, time, numpy
before = set(sys.modules)
start = time.process_time()
import nnc
seconds = time.process_time() - start
assert "nnc.network" not in sys.modules
for name in nnc.__all__:
    getattr(nnc, name)
network = nnc.Network([nnc.Dense(1)], 2)
network.fit([[0, 1]], [[1.0]], verbose=0)
network.predict([[0, 1]])
new = {name.partition(".")[0] for name in set(sys.modules) - before}
new -= set(sys.stdlib_module_names)
print(seconds, *sorted(name for name in new if "cython" not in name))
"""
    best = 1.0
    for _ in range(5):
        seconds, *modules = run(sys.executable, "-c", code).split()
        assert set(modules) <= {"nnc", "numpy"}
        best = min(best, float(seconds))
    assert best < 0.05


def test_the_estimators_are_imported_when_asked_for_and_say_what_they_need():
    code = """
import sys, nnc
assert not any(name.startswith("sklearn") for name in sys.modules)
assert "MLPClassifier" in dir(nnc)
from nnc import MLPClassifier, MLPRegressor
assert "sklearn" in sys.modules
"""
    run(sys.executable, "-c", code)
    code = """
import sys
sys.modules["sklearn"] = None
import nnc
nnc.MLPClassifier
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ImportError: nnc.estimators needs scikit-learn" in result.stderr
    assert "run `pip install scikit-learn`" in result.stderr


def test_import_leaves_the_floating_point_mode_alone():
    code = "import sys, nnc; assert sys.float_info.min / 2 > 0"
    run(sys.executable, "-c", code)
    symbols = run("nm", "-a", nnc._core.__file__)
    assert "set_fast_math" not in symbols


def test_the_extension_exports_three_names_and_needs_only_libc():
    exported = run("nm", "-D", "--defined-only", nnc._core.__file__)
    names = {line.split()[-1] for line in exported.splitlines()}
    assert names == {"PyInit__core", "nnc_get_num_threads", "nnc_set_num_threads"}
    needed = run("readelf", "-d", nnc._core.__file__)
    libraries = {
        line.split("[")[1].split("]")[0] for line in needed.splitlines() if "NEEDED" in line
    }
    assert libraries <= {"libc.so.6", "libm.so.6", "libpthread.so.0"} | {
        name for name in libraries if name.startswith("libpython")
    }


def test_version():
    assert nnc.__version__ == importlib.metadata.version("nnc")


def test_types_of_a_users_script(tmp_path):
    """The tutorial's own way of writing passes the strict checker."""
    (tmp_path / "script.py").write_text(
        """
import numpy as np
import nnc

net = nnc.datasets.tutorial_architecture(2, 3, 1)
X, Y = np.ones((2, 4)), np.ones((1, 4))
params_values = nnc.init_layers(net, 2)
Y_hat, memory = nnc.full_forward_propagation(X, params_values, net)
grads_values = nnc.full_backward_propagation(Y_hat, Y, memory, params_values, net)
params_values = nnc.update(params_values, grads_values, net, np.float32(0.1))
try:
    params_values, cost, accuracy = nnc.train(X, Y, net, np.int64(5), 0.01)
except nnc.DivergenceError as error:
    params_values, epoch = error.params_values, error.epoch
loss: list[float] = nnc.NeuralNetwork(X.T, Y.T, seed=1).train(3)
"""
    )
    environment = os.environ | {"MYPYPATH": str(ROOT)}  # an editable install is hidden from mypy
    run(sys.executable, "-m", "mypy", "--strict", "script.py", cwd=tmp_path, env=environment)


def test_types_are_strict_and_the_stubs_agree_with_the_module():
    run(sys.executable, "-m", "mypy", "--strict", "-p", "nnc", cwd=ROOT)
    run(sys.executable, "-m", "mypy.stubtest", "nnc", cwd=ROOT)


@pytest.mark.parametrize("name", nnc.__all__)
def test_every_public_name_is_documented(name):
    thing = getattr(nnc, name)
    if isinstance(thing, types.ModuleType):
        assert len(thing.__doc__) > 40
    else:
        assert "Examples\n" in thing.__doc__  # tests/test_docstrings.py looks at the rest
