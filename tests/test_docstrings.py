"""Docstrings: their examples run, and numpydoc finds nothing wrong with them."""

import doctest
import importlib
import inspect
import pkgutil

import pytest
from numpydoc.validate import validate

import nnc

MODULES = {
    f"nnc.{found.name}": importlib.import_module(f"nnc.{found.name}")
    for found in pkgutil.iter_modules(nnc.__path__)
    if not found.name.startswith("_")
}

# Checks of numpydoc that are off everywhere.
OFF = {
    "ES01": "a summary that says all needs no more text",
    "GL02": "ruff looks after closing quotes, and strings of C have none",
    "PR03": "arguments that belong together are described together",
    "PR08": "descriptions may begin with a dtype or a value, such as float32 or 0",
    "RT04": "so may these",
    "SS02": "a summary may begin with a name, such as scikit-learn",
    "SA01": "the site's reference groups what belongs together",
}

# Off for what is not in `nnc.__all__`, where one line often says it all.
ONE_LINE = {
    "EX01": "examples are with the names that users import",
    "PR01": "the line names arguments and shapes",
    "RT01": "the line says what is returned",
    "YD01": "and what is done around the body of a with statement",
}


def public():
    """Names, from nnc on, of all that is public: what users import first, then methods."""
    found = {}

    def add(name, thing):
        found.setdefault(id(thing), (name, thing))
        for key, member in vars(thing).items() if inspect.isclass(thing) else ():
            if not key.startswith("_") and getattr(member, "__doc__", None):
                if callable(member) or isinstance(member, property | classmethod | staticmethod):
                    found.setdefault(id(member), (f"{name}.{key}", member))

    for name in (*nnc.__all__, "MLPClassifier", "MLPRegressor"):
        if not inspect.ismodule(getattr(nnc, name)):
            add(f"nnc.{name}", getattr(nnc, name))
    for name, module in MODULES.items():
        for key, thing in vars(module).items():
            ours = getattr(thing, "__module__", None) == name and not key.startswith("_")
            if (ours or key in getattr(module, "__all__", ())) and callable(thing):
                add(f"{name}.{key}", thing)
    return dict(found.values())


PUBLIC = public()
EXAMPLES = {name: thing for name, thing in (PUBLIC | MODULES).items() if ">>>" in thing.__doc__}


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")  # of MLPRegressor, as scikit-learn's
def test_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    test = doctest.DocTestParser().get_doctest(EXAMPLES[name].__doc__, {}, name, None, None)
    output = []
    doctest.DocTestRunner().run(test, out=output.append)
    assert not output, "".join(output)


@pytest.mark.parametrize("name", PUBLIC)
def test_numpydoc_is_content(name):
    imported = name.removeprefix("nnc.") in nnc.__all__
    off = {*OFF, *(() if imported else ONE_LINE)}
    assert [error for error in validate(name)["errors"] if error[0] not in off] == []
