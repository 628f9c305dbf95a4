"""Recommenders to a file, and back."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from neumf._version import __version__
from neumf.saving.checked_state import State
from neumf.saving.container import damaged, read_file, short, write_file
from neumf.saving.values import decode_values, encode_values

# What a file may name, and where it is: nothing else is ever imported for a file.
_MODULES = {
    "ContentKNNRecommender": "neumf.recommenders.content_knn",
    "EASERecommender": "neumf.recommenders.ease",
    "ItemKNNRecommender": "neumf.recommenders.item_knn",
    "NeuMFRecommender": "neumf.recommenders.neumf",
    "PopularityRecommender": "neumf.recommenders.popularity",
    "SequentialRulesRecommender": "neumf.recommenders.sequential_rules",
    "VotingRecommender": "neumf.recommenders.voting",
}


class SavingMixin:
    """`save` of recommenders.

    A recommender of this library stands in the table above, and adds what it has learned to
    `_state`, which `_restore` reads back.
    """

    users_: pd.Index
    items_: pd.Index
    seen_: sp.csr_array
    popularity_: NDArray[np.int64]
    popularity_logits_: NDArray[np.float64]
    has_timestamps_: bool
    n_features_in_: int

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted recommender to a file, which :func:`neumf.load` reads.

        Parameters
        ----------
        path : str or path
            The file. One that is there is replaced when the new one is complete, so that a failure
            leaves it as it was.

        Raises
        ------
        TypeError
            If a parameter or an id cannot be held by a file, which the error names; or if the class
            is none of this library's, which `load` could not find.
        OSError
            If the file cannot be written.

        Notes
        -----
        The file is one of safetensors: arrays, and parameters as JSON. It holds all that
        recommending needs, ids and seen items included, and no code. It can be read without
        TensorFlow.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from neumf import ItemKNNRecommender, load
        >>> X = [["a", 1], ["a", 2], ["b", 1], ["b", 2], ["c", 1], ["d", 3], ["e", 3], ["f", 3]]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "model.neumf"
        ...     ItemKNNRecommender().fit(X).save(path)
        ...     model = load(path)
        >>> model.recommend("c", k=1)[["user", "item"]]
          user  item
        0    c     2
        """
        write_recommender(path, self, self._state)

    def _state(self) -> dict[str, Any]:
        """Return what `fit` has learned, by name: values that `neumf.saving.values` can encode."""
        names = ("users_", "items_", "seen_", "popularity_", "popularity_logits_")
        state = {name: getattr(self, name) for name in (*names, "has_timestamps_")}
        state["n_features_in_"] = self.n_features_in_
        if hasattr(self, "feature_names_in_"):
            state["feature_names_in_"] = self.feature_names_in_.tolist()
        return state

    def _restore(self, state: State) -> None:
        """Set what `fit` had learned, after a check of each value: the file may be anyone's."""
        self.users_, self.items_ = state.ids("users_"), state.ids("items_")
        n_users, n_items = len(self.users_), len(self.items_)
        self.seen_ = state.sparse("seen_", (n_users, n_items), np.bool_)
        self.popularity_ = state.indices("popularity_", (n_items,), 2**63 - 1)
        self.popularity_logits_ = state.floats("popularity_logits_", (n_items,))
        self.has_timestamps_ = state.of_type("has_timestamps_", bool)
        self.n_features_in_ = state.integer("n_features_in_", 1)
        if state.has("feature_names_in_"):
            names = state.of_type("feature_names_in_", list)
            if len(names) != self.n_features_in_ or not all(type(name) is str for name in names):
                raise damaged(f"feature_names_in_ is {short(names)}")
            self.feature_names_in_ = np.array(names, dtype=object)

    def _parameters(self) -> dict[str, Any]:
        """Return the parameters, by name: values that `neumf.saving.values` can encode."""
        parameters: dict[str, Any] = self.get_params(deep=False)  # type: ignore[attr-defined]
        return parameters

    @classmethod
    def _of_parameters(cls, parameters: dict[str, Any]) -> Self:
        """Return a recommender with the parameters of a file."""
        known = cls._get_param_names()  # type: ignore[attr-defined]
        unknown = [name for name in parameters if name not in known]
        if unknown:
            raise damaged(
                f"{cls.__name__} of neumf {__version__} has no parameter {short(unknown[0])}"
            )
        return cls(**parameters)


def write_recommender(path: str | os.PathLike[str], recommender: Any, state: Any) -> None:
    """Write a fitted recommender, of which the callable `state` tells what it has learned."""
    check_is_fitted(recommender)
    parts = describe(recommender) | {"state": state()}
    write_file(path, *encode_values(parts))


def describe(recommender: Any, *, fitted: bool = False) -> dict[str, Any]:
    """Return class and parameters of a recommender, and what it has learned, as a file has them.

    Raises
    ------
    TypeError
        If the class is none that `load` knows.
    """
    cls = type(recommender)
    if _MODULES.get(cls.__name__) != cls.__module__:
        raise TypeError(
            f"{cls.__name__} cannot be saved: load knows the recommenders of neumf alone "
            f"({', '.join(_MODULES)}), so that a file never runs code. Pickle it, for example with "
            "joblib.dump, and load pickles only from those you trust."
        )
    parts = {"class": cls.__name__, "parameters": recommender._parameters()}
    return parts | {"state": recommender._state()} if fitted else parts


def restore(parts: State, *, fitted: bool = False) -> Any:
    """Return the recommender that `describe` describes."""
    name = parts.of_type("class", str)
    if name not in _MODULES:
        raise damaged(f"no class of neumf {__version__} is named {short(name)}")
    cls = getattr(import_module(_MODULES[name]), name)
    recommender = cls._of_parameters(parts.of_type("parameters", dict))
    if fitted:
        recommender._restore(parts.part("state"))
    return recommender


def load(path: str | os.PathLike[str]) -> Any:
    """Read a recommender that its method `save` wrote.

    .. versionadded:: 0.1

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    recommender : recommender
        Of the class that was saved, fitted, with its parameters. It recommends, predicts and folds
        in as the one that was saved did, bit for bit on the same machine.

    Raises
    ------
    ValueError
        If it is no such file, was damaged or was written in a later format; the error says which.
    OSError
        If it cannot be read.

    Notes
    -----
    Nothing of the file is run, and no more memory is taken than a few times its size. All that it
    says is checked: its own checksum, sizes, and that indices lie within their tables. The checksum
    tells a damaged file, not a forged one: it is no signature.

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
    return restore(State(decode_values(*read_file(path))), fitted=True)
