"""Read recommenders from files."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from neumf._version import __version__
from neumf.base import BaseRecommender
from neumf.saving.checked_values import CheckedValues
from neumf.saving.container import damaged_file_error, short_repr
from neumf.saving.values import read_values


def load(path: str | os.PathLike[str]) -> BaseRecommender:
    """Read a recommender from a file that its method `save` wrote.

    .. versionadded:: 0.1

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    recommender : BaseRecommender
        A fitted recommender of the saved class. Its results equal those of the saved recommender,
        bit for bit on the same machine. For a type checker, narrow the class with ``isinstance``.

    Raises
    ------
    ValueError, OSError
        If the file is not a regular file, was not written by `save`, has a later format, is damaged
        or cannot be read.

    Notes
    -----
    `load` runs no code from the file, and takes memory of a few times its size. A checksum detects
    damage. It is not a signature, and does not detect forgery.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import neumf
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "model.neumf"
    ...     neumf.PopularityRecommender().fit([["a", 1], ["b", 1], ["b", 2]]).save(path)
    ...     model = neumf.load(path)
    >>> model.recommend("a")["item"].tolist()
    [2]
    """
    values = read_values(path)
    try:
        return restore_fitted(CheckedValues(values))
    except RecursionError as error:
        raise damaged_file_error("its recommenders are nested too deeply") from error


def restore_fitted(description: CheckedValues) -> BaseRecommender:
    """Return the fitted recommender that a file describes."""
    recommender = _with_parameters(description)
    recommender._restore(description.part("state"))
    return recommender


def _with_parameters(description: CheckedValues) -> BaseRecommender:
    """Return the recommender that a file describes, with its parameters only."""
    name = description.of_type("class", str)
    # A hostile file must not name anything else than a public class of a recommender.
    public: Any = import_module("neumf")  # which imports this module
    cls = getattr(public, name) if name in public.__all__ else None
    if not (isinstance(cls, type) and issubclass(cls, BaseRecommender)):
        raise damaged_file_error(f"neumf {__version__} has no recommender {short_repr(name)}")
    parameters = description.of_type("parameters", dict)
    try:
        return cls(**{name: _parameter(value) for name, value in parameters.items()})
    except TypeError as error:  # an unknown name: constructors only assign
        raise damaged_file_error(short_repr(str(error))) from error


def _parameter(value: Any) -> Any:
    """Return a parameter with recommenders in place of their descriptions."""
    if isinstance(value, dict):
        return _with_parameters(CheckedValues(value))
    if isinstance(value, list | tuple):
        return type(value)(map(_parameter, value))
    return value
