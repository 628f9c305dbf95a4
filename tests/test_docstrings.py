"""The docstrings of all public names, by numpydoc's own checks."""

import inspect

import pytest

import neumf
from neumf import base, datasets, metrics, plotting, protocols
from neumf.evaluation import results

# It comes with the extra `docs`.
validate = pytest.importorskip("numpydoc.validate").validate

# The checks that do not apply, and why.
IGNORED = {
    "ES01": "one line often says it all; what is longer stands in the Notes",
    "PR04": "parameters that another function explains are named together, without their types",
    "RT02": "what is returned has a name, as in scikit-learn",
    "SA01": "only where there is something to see",
}
# Of methods, further ones.
IGNORED_OF_METHODS = {
    "EX01": "the example of a class shows its methods",
    "PR01": "`ranker_at` is explained where the protocol is",
    "RT01": "as PR01",
}
# Of protocols, which nobody makes instances of.
IGNORED_OF_PROTOCOLS = {
    "EX01": "`BaseRecommender` has the example",
    "PR01": "their constructor takes nothing",
}


MODULES = (neumf, metrics, datasets, plotting, base, protocols, results)
PUBLIC = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in MODULES
    for name in module.__all__
    if not inspect.ismodule(getattr(module, name))
}


def public_names():
    """Yield every public class, function and method of the library's own, by its full name."""
    for name, found in PUBLIC.items():
        yield name
        if inspect.isclass(found):
            yield from (f"{name}.{part}" for part in own_parts(found))


def own_parts(cls):
    """Yield the public methods and properties that the library itself defines."""
    for name in dir(cls):
        part = inspect.getattr_static(cls, name)
        part = getattr(part, "__func__", getattr(part, "fget", part))
        if not name.startswith("_") and getattr(part, "__module__", "").startswith("neumf"):
            yield name


@pytest.mark.parametrize("name", public_names())
def test_docstring_passes_the_checks_of_numpydoc(name):
    ignored = dict(IGNORED)
    parts = name.removeprefix("neumf.").split(".")
    if parts[0] == "protocols" and len(parts) == 2:
        ignored |= IGNORED_OF_PROTOCOLS
    elif not parts[-1][0].isupper() and any(part[0].isupper() for part in parts):
        ignored |= IGNORED_OF_METHODS
    errors = [error for error in validate(name)["errors"] if error[0] not in ignored]
    assert errors == []


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring_says_since_when(name):
    assert ".. versionadded::" in PUBLIC[name].__doc__
