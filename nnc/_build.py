"""Finds the compiled extension, also from a checkout in which it was not built.

Python started in a checkout's root finds the folder `nnc` there before the installed package.
"""

import sys
from collections.abc import MutableSequence
from importlib.machinery import EXTENSION_SUFFIXES, PathFinder
from pathlib import Path


def _is_built(folder: str) -> bool:
    return any(Path(folder, "_core" + suffix).exists() for suffix in EXTENSION_SUFFIXES)


def use_built_package(package_path: MutableSequence[str]) -> None:
    """Point the package's path at the installed package where this folder was not built.

    Raises
    ------
    ImportError
        Where no built package is to be found either.
    """
    here = Path(__file__).resolve().parent
    if _is_built(str(here)):
        return
    elsewhere = [entry for entry in sys.path if Path(entry or ".").resolve() != here.parent]
    spec = PathFinder.find_spec("nnc", elsewhere)
    folders = list(spec.submodule_search_locations or []) if spec else []
    if not any(map(_is_built, folders)):
        raise ImportError(
            f"nnc's C extension is not built in {here}: run `pip install .` in {here.parent}"
        )
    package_path[:] = folders
