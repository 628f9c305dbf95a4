"""Weights of kinds of events, and quantities after returns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from neumf.interactions.request_times import require_timestamps
from neumf.utils.arrays import Float64s
from neumf.utils.validation import check_real, describe, warn_caller

_MOST_SHOWN = 10
_ROUNDING = 1e-9  # of sums of fractional quantities


def weigh_events(kinds: pd.Series[Any], weights: Any) -> Float64s:
    """Return the weight of each row by its kind of event; 0 marks a row to drop."""
    rule = "weights must map each kind of event to its weight"
    if not isinstance(weights, Mapping):
        raise TypeError(
            f"{rule}. Received: {describe(weights)}. Pass event= and weights= together, for "
            "example event='event', weights={'view': 1, 'purchase': 5}."
        )
    for kind, weight in weights.items():
        if weight is not None:
            check_real(f"weights[{kind!r}]", weight)
    indices, found = pd.factorize(kinds, use_na_sentinel=False)
    labels = [None if pd.isna(label) else label for label in found.tolist()]
    missing = [label for label in labels if label not in weights]
    if missing:
        n_rows = int(np.isin(indices, [labels.index(label) for label in missing]).sum())
        names = ", ".join(map(repr, missing[:_MOST_SHOWN]))
        more = f" and {len(missing) - _MOST_SHOWN} more" if len(missing) > _MOST_SHOWN else ""
        raise ValueError(
            f"{rule}. Received no weight for {names}{more} ({n_rows} rows). Add their weights; a "
            f"weight of 0 drops the rows of a kind: weights={{..., {missing[0]!r}: 0}}."
        )
    return np.array([weights[label] or 0 for label in labels], dtype=np.float64)[indices]


def cancel_returns(rows: pd.DataFrame, quantities: Float64s) -> Float64s:
    """Return the quantity of each row that was not returned; 0 for returns.

    A negative quantity takes from the latest earlier rows of the same user, item and event.
    """
    left = quantities.copy()
    is_return = quantities < 0
    if not is_return.any():
        return left
    reason = "a negative quantity is a return, which cancels earlier rows"
    times = require_timestamps(rows.get("timestamp"), "table", reason, "drop these rows")
    keys = [name for name in ("user", "item", "event") if name in rows]
    groups = rows.groupby(keys, sort=False, dropna=False, observed=True).ngroup().to_numpy()
    in_order = np.argsort(times.to_numpy(), kind="stable")
    in_order = in_order[np.isin(groups, groups[is_return])[in_order]]
    bought: dict[int, list[int]] = defaultdict(list)  # of each group, earliest first
    for row, group in zip(in_order.tolist(), groups[in_order].tolist(), strict=True):
        earlier = bought[group]
        if left[row] > 0:
            earlier.append(row)
        while left[row] < 0 and earlier:
            taken = min(-left[row], left[earlier[-1]])
            left[row] += taken
            left[earlier[-1]] -= taken
            if left[earlier[-1]] < _ROUNDING:
                left[earlier.pop()] = 0
    n_excess = int((left < -_ROUNDING).sum())
    if n_excess:
        warn_caller(
            f"table: {n_excess} of {is_return.sum()} returns (negative quantities) exceed what the "
            "user bought of the item before; the excess is dropped. The purchases may be older "
            "than the table."
        )
    return np.maximum(left, 0)
