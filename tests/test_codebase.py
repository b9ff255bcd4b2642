"""The rules of the codebase: layering, file length, formatting, layout, the README's commands."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CSRC = ROOT / "csrc"
TRACKED = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()
    if (ROOT / name).is_file()
]  # fmt: skip
C_FILES = [path for path in TRACKED if path.suffix in {".c", ".h"}]
TEXT_FILES = [path for path in TRACKED if path.suffix not in {".png", ".ipynb", ".wasm"}]

LIBC = {
    "assert.h", "fenv.h", "math.h", "pthread.h", "sched.h", "signal.h", "stdatomic.h", "stdbool.h",
    "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "string.h", "sys/mman.h", "time.h", "unistd.h",
}  # fmt: skip

# Who may include what: arrows point inwards only.
ALLOWED = {
    "csrc/nnc.h": {"stdbool.h", "stddef.h", "stdint.h", "vocabulary.h"},
    "csrc/vocabulary.h": set(),
    "csrc/core": LIBC | {"nnc.h", "core/", "kernels/kernels.h"},
    "csrc/kernels": {"nnc.h", "core/base.h", "kernels/", "string.h", "immintrin.h", "arm_neon.h"},
    "csrc/bind": {"nnc.h", "bind/", "Python.h", "numpy/arrayobject.h"}
    | {"stdlib.h", "string.h", "time.h"},
    "csrc/wasm": {"nnc.h", "wasm/", "core/team.h"}
    | {"math.h", "stddef.h", "stdint.h", "string.h", "time.h"},
}

# What only one file may do.
ONLY = [
    (r"PyArray_ImportNumPyAPI", "csrc/bind/module.c"),
    (r"PyArray_(From|IS|TYPE|DESCR|FLAGS)", "csrc/bind/arrays.c"),
    (r"nnc_status_text", "csrc/bind/errors.c csrc/core/status.c csrc/nnc.h"),
    (r"nnc_kernels_f(32|64)_",
     "csrc/core/dispatch.c csrc/kernels/kernels.h csrc/kernels/dtype_tmpl.h"),
    (r"\b(malloc|calloc|realloc|aligned_alloc)\(", "csrc/core/arena.c"),
    (r"#include \"kernels/\w+_tmpl.h\"",
     "csrc/kernels/all_tmpl.h csrc/kernels/dtype_tmpl.h csrc/kernels/baseline.c "
     "csrc/kernels/generic.c csrc/kernels/avx2.c csrc/kernels/avx512.c csrc/kernels/neon.c"),
]  # fmt: skip


def read(path):
    return path.read_text(encoding="utf-8")


def relative(path):
    return path.relative_to(ROOT).as_posix()


def ring_of(path):
    return max((ring for ring in ALLOWED if relative(path).startswith(ring)), key=len, default=None)


@pytest.mark.parametrize("path", [p for p in C_FILES if ring_of(p)], ids=relative)
def test_includes_point_inwards(path):
    allowed = ALLOWED[ring_of(path)]
    for name in re.findall(r'^\s*#include [<"]([^>"]+)[>"]', read(path), re.MULTILINE):
        folder = name.rpartition("/")[0] + "/"
        assert name in allowed or folder in allowed, f"{relative(path)} includes {name}"


@pytest.mark.parametrize(("pattern", "homes"), ONLY)
def test_some_things_have_one_home(pattern, homes):
    found = {relative(p) for p in C_FILES if ring_of(p) and re.search(pattern, read(p))}
    assert found <= set(homes.split())


def imports_of(path):
    """The modules of nnc that one imports when it is imported, by their names in it."""
    found = set()
    for node in ast.parse(read(path)).body:
        if isinstance(node, ast.ImportFrom) and node.module == "nnc":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module.startswith("nnc."):
            found.add(node.module.removeprefix("nnc."))
    return found - {"_core"}


def test_python_modules_import_from_their_row_or_above():
    """The rows are those of the table in docs/design.md, which names every module."""
    modules = {p.stem: p for p in (ROOT / "nnc").glob("*.py") if not p.stem.startswith("__")}
    table = re.findall(r"^\| [a-z ]+ \| (`.*?) \|", read(ROOT / "docs/design.md"), re.MULTILINE)
    rows = {}
    for number, row in enumerate(table):
        for name in re.findall(r"`(\w+)(…?)`", row):
            pattern = re.compile(name[0] + (r"\w+" if name[1] else ""))
            rows |= {module: number for module in modules if pattern.fullmatch(module)}
    assert set(rows) == set(modules)
    for name, path in modules.items():
        for other in imports_of(path):
            assert rows[other] <= rows[name], f"{name} imports {other}"


@pytest.fixture(scope="module")
def symbols(tmp_path_factory):
    """{source: [(type, name)]} of the objects of core and kernels, as the linker sees them."""
    target = tmp_path_factory.mktemp("objects") / "object.o"
    command = ["gcc", "-std=c11", "-O1", "-fno-math-errno", "-fno-pie", f"-I{CSRC}"]
    result = {}
    for path in sorted((CSRC / "core").glob("*.c")) + sorted((CSRC / "kernels").glob("*.c")):
        subprocess.run([*command, "-c", path, "-o", target], check=True)
        listing = subprocess.run(["nm", target], capture_output=True, text=True, check=True).stdout
        result[path] = [tuple(line.split()[-2:]) for line in listing.splitlines()]
    return result


def test_the_core_has_no_mutable_globals_but_three(symbols):
    """The choice of kernels, the threads, and how many there should be."""
    mutable = {name for pairs in symbols.values() for kind, name in pairs if kind in "dDbBC"}
    assert mutable == {"budget", "chosen", "pool"}


def test_kernels_call_nothing_and_log_is_for_random_numbers(symbols):
    for path, pairs in symbols.items():
        undefined = {name for kind, name in pairs if kind == "U"}
        if path.parent.name == "kernels":
            assert undefined <= {"memcpy", "memset", "memmove"}, path.name
        assert ("log" in undefined) == (path.name == "rng.c")


@pytest.mark.parametrize("path", TEXT_FILES, ids=relative)
def test_files_are_short_and_clean(path):
    lines = read(path).splitlines()
    assert len(lines) <= 600
    for number, line in enumerate(lines, 1):
        assert line == line.rstrip(), f"{relative(path)}:{number}: trailing space"
        assert "\t" not in line or path.name == "Makefile", f"{relative(path)}:{number}: tab"
        assert not re.search(r"\b(TODO|FIXME|XXX)\b", line) or path == Path(__file__)


def test_file_names_are_unique_in_the_tree():
    names = [path.name for path in C_FILES]
    assert len(names) == len(set(names))


def test_the_top_level_holds_nothing_else():
    allowed = {
        "setup.py", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "csrc", "nnc",
        "tests", "notebooks", "benchmarks", "docs", ".ci",
    }  # fmt: skip
    found = {path.relative_to(ROOT).parts[0] for path in TRACKED}
    assert {name for name in found if not name.startswith(".")} <= allowed


def test_c_is_formatted():
    result = subprocess.run(
        [Path(sys.executable).with_name("clang-format"), "--dry-run", "--Werror", *C_FILES],
        capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[:3000]


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=" ".join)
def test_python_is_formatted_and_linted(command):
    ruff = Path(sys.executable).with_name("ruff")
    result = subprocess.run([ruff, *command], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[:3000]


def test_the_product_speaks_of_itself_alone():
    for path in [*TEXT_FILES, *ROOT.glob("notebooks/*.ipynb")]:
        if path != Path(__file__):
            assert not re.search(r"/(work|home|root|Users)/", read(path)), relative(path)


def test_the_readme_begins_with_two_commands_that_ci_runs():
    readme = read(ROOT / "README.md")
    main, tests = re.findall(r"^```sh\n(.*?)\n```$", readme, re.MULTILINE | re.DOTALL)[:2]
    for command in (main, tests):
        assert "\n" not in command
        assert "python3 -m venv" in command
        assert "pip install" in command
    assert main.endswith("nnc")
    assert tests.endswith("pytest")
    assert "README.md" in read(ROOT / ".ci" / "run")


def test_the_readmes_example_runs(capsys):
    readme = read(ROOT / "README.md")
    examples = re.findall(r"^```python\n(.*?)\n```$", readme, re.MULTILINE | re.DOTALL)
    assert len(examples[0].splitlines()) <= 12
    names = {}
    for example in examples:
        exec(compile(example, "README.md", "exec"), names)
    assert "0.98" in capsys.readouterr().out
