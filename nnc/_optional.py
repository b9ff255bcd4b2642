"""Libraries that only some functions need, and the nearest of the names somebody meant."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from types import ModuleType


def import_optional(module: str, needed_by: str, install: str = "") -> ModuleType:
    """Import a library; where it is missing the ImportError says which command installs it.

    install: the name to install it by, where that is another one.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ImportError(
            f"{needed_by} needs {install or package}, which is not installed: run "
            f"`pip install {install or package}`"
        ) from None


def unknown_name(argument: str, name: object, known: Iterable[str]) -> str:
    """Return the message for a name that is not among the known ones, with the nearest of them."""
    names = sorted(known)
    near: list[str] = []
    if isinstance(name, str):
        import difflib  # here, as `import nnc` should stay quick

        plain = name.lower().replace("-", "_").replace(" ", "_")
        near = difflib.get_close_matches(plain, names, n=1)
        near = near or difflib.get_close_matches(name, names, n=1)
        near = near or [other for other in names if plain and other.startswith(plain)]
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{argument}: expected one of {', '.join(names)}, got {name!r}{hint}"
