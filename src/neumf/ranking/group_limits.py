"""Floors and caps: how many items of a group a list holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neumf.interactions.id_checks import check_ids
from neumf.interactions.vocabulary import lookup_ids
from neumf.saving.checked_values import CheckedValues
from neumf.utils.arrays import Ids, Indices, repr_of_row
from neumf.utils.validation import check_int, describe

# A cap that no list reaches.
_NO_CAP = 2**31 - 1


@dataclass(frozen=True)
class GroupLimits:
    """The groups of items, and the floor and cap of each group.

    The last group has neither floor nor cap. It fills the rows of items with fewer groups.
    """

    groups: Indices  # the groups of each item, shape (n_items, width)
    floors: Indices  # shape (n_groups,)
    caps: Indices  # shape (n_groups,)

    def reachable_floors(self, items: Indices, candidates: NDArray[np.bool_]) -> Indices:
        """Return the floors of each list, lowered where a group has fewer candidates.

        `items` and the mask of candidates have shape (n, n_columns); the result (n, n_groups).
        """
        counts = np.zeros((len(items), len(self.floors)), dtype=np.intp)
        has_floor: NDArray[np.bool_] = np.any(self.floors[self.groups] > 0, axis=1)
        counted = candidates & has_floor[items]
        rows, columns = np.nonzero(counted)
        np.add.at(counts, (rows[:, None], self.groups[items[rows, columns]]), 1)
        return np.minimum(counts, self.floors)

    def fits(
        self, items: Indices, wanted: NDArray[np.bool_], below_cap: NDArray[np.bool_]
    ) -> Indices:
        """Return how well items fit: 2 for a wanted group, plus 1 if all groups are below caps.

        `items` has shape (n, n_columns), both masks have shape (n, n_groups).
        """
        starts = np.arange(len(items))[:, None] * len(self.floors)
        is_wanted, is_below = np.zeros(items.shape, bool), np.ones(items.shape, bool)
        for groups in self.groups.T:  # faster than a third axis
            own = groups.take(items) + starts  # in the flat masks
            is_wanted |= wanted.take(own)
            is_below &= below_cap.take(own)
        return 2 * is_wanted + is_below

    @classmethod
    def restore(cls, state: CheckedValues, n_items: int) -> Self:
        """Return the limits in a file; they are saved as ``vars``."""
        floors = state.indices("floors", (None,), 2**31)
        caps = state.indices("caps", floors.shape, 2**31)
        return cls(state.indices("groups", (n_items, None), len(floors)), floors, caps)


@dataclass(frozen=True)
class LabelledLimits:
    """The parameters of `neumf.RerankedRecommender`, before the catalogue is known."""

    ids: Ids  # the item of each pair of item and group
    groups: Indices  # the group of each pair
    floors: Indices  # shape (n_groups,)
    caps: Indices

    def of_items(self, items: pd.Index) -> GroupLimits:
        """Return the limits of a catalogue; ids outside of it are left out."""
        indices = lookup_ids(self.ids, items, "groups: ids")
        if not (indices >= 0).any():
            example = repr_of_row(self.ids, 0) if len(self.ids) else "no item"
            raise ValueError(
                "groups must describe items of X, by the same ids. Received no item of X, but "
                f"{example}; an item of X is {repr_of_row(items, 0)}."
            )
        limited = (self.floors > 0) | (self.caps < _NO_CAP)
        limited[-1] = True  # the group that fills rows
        numbers = np.cumsum(limited) - 1
        pairs = pd.DataFrame({"item": indices, "group": numbers[self.groups]})
        pairs = pairs[limited[self.groups] & (indices >= 0)].drop_duplicates()
        places = pairs.groupby("item").cumcount().to_numpy()
        table = np.full((len(items), places.max(initial=0) + 1), numbers[-1], dtype=np.int32)
        table[pairs["item"], places] = pairs["group"]
        return GroupLimits(table, self.floors[limited], self.caps[limited])


def read_limits(groups: Any, at_least: Any, at_most: Any) -> LabelledLimits | None:
    """Read the parameters of `neumf.RerankedRecommender`; None without limits."""
    if at_least is None and at_most is None:
        return None
    if not isinstance(groups, pd.Series):
        raise TypeError(
            "groups must be a Series with the label of each item, or a list of labels, indexed by "
            f"item, for at_least and at_most. Received: {describe(groups)}. Of a table, pass "
            "table.set_index('item')['brand']."
        )
    if groups.index.name is None and groups.index.equals(pd.RangeIndex(len(groups))):
        raise ValueError(
            "groups must have the ids of items as its index. Received a default index. Pass "
            "groups.rename_axis('item') if the row numbers are the ids."
        )
    pairs = groups.explode().dropna()
    column = pairs.index.to_series().reset_index(drop=True).infer_objects()
    codes, found = pd.factorize(pairs.to_numpy())
    names = pd.Index(found, tupleize_cols=False)
    floors, caps = _numbers("at_least", at_least, names, 0), _numbers("at_most", at_most, names)
    above = np.flatnonzero(floors > caps)
    if len(above):
        raise ValueError(
            f"at_least must not be above at_most. Received {floors[above[0]]} and {caps[above[0]]} "
            f"for the group {repr_of_row(names, above[0])}."
        )
    return LabelledLimits(check_ids(column, "groups: ids"), codes, floors, caps)


def _numbers(argument: str, given: Any, names: pd.Index, default: int = _NO_CAP) -> Indices:
    """Return the number of each group and, last, the default."""
    numbers = np.full(len(names) + 1, default, dtype=np.int64)
    if isinstance(given, Mapping):
        for label, number in given.items():
            check_int(f"{argument}[{label!r}]", number, 0)
        positions = names.get_indexer(pd.Index(list(given), dtype=object, tupleize_cols=False))
        if (positions < 0).any():
            unknown = list(given)[int(np.argmin(positions))]
            raise ValueError(
                f"{argument} must name groups of `groups`, such as {repr_of_row(names, 0)}. "
                f"Received: {unknown!r}."
            )
        numbers[positions] = list(given.values())
    elif given is not None:
        check_int(argument, given, 0)
        numbers[:-1] = given
    return numbers
