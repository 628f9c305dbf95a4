"""The results of `evaluate` and `compare`: long table, printed tables, and plot."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterator
from html import escape
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

from neumf.evaluation.intervals import margin
from neumf.utils.arrays import Float64s

__all__ = ["Results"]

# Metrics as tables and plots name them.
METRIC_NAMES = {
    "hr": "HR@k",
    "ndcg": "NDCG@k",
    "recall": "recall@k",
    "precision": "precision@k",
    "map": "MAP@k",
    "mrr": "MRR@k",
    "auc": "AUC",
    "coverage": "coverage of the catalogue",
    "novelty": "novelty (bits)",
    "gini": "Gini coefficient of exposure",
    "overlap": "overlap between users",
}
# The columns of every long table; the others name a recommender or a label.
_COLUMNS = [
    "ranking",
    "metric",
    "k",
    "value",
    "stderr",
    "seed_std",
    "difference",
    "margin",
    "pvalue",
    "n_users",
    "n_misses",
]
_FEWEST_DECIMALS, _MOST_DECIMALS = 3, 5


class Results:
    """Metrics of one or several recommenders, with margins.

    .. versionadded:: 0.1

    :func:`neumf.evaluate` and :func:`neumf.compare` return it. Printed, or as the last line of a
    notebook cell, it is a table per metric, with the margin beside each value. `to_frame` has all
    numbers.

    Parameters
    ----------
    frame : DataFrame
        The long table, see :meth:`to_frame`.

    See Also
    --------
    neumf.plotting.ComparisonDisplay : Draws the values for one length of the list.
    neumf.plotting.MetricAtKDisplay : Draws the values by length of the list.

    Notes
    -----
    A margin is half the width of the 95 % confidence interval, by Student's t over users. `compare`
    shows the margin of the difference from the first recommender, and `evaluate` the margin of the
    value. `seed_std` is the standard deviation of the value over seeds, if there are several. The
    number of decimals shows two digits of the smallest margin in the table.

    Examples
    --------
    >>> from neumf import PopularityRecommender, evaluate
    >>> X = [["a", 1], ["a", 2], ["b", 1], ["b", 3], ["c", 2]]
    >>> results = evaluate(PopularityRecommender().fit(X), [["c", 3], ["b", 2]], k=[1, 2])
    >>> results
                                         k=1            k=2
    HR@k                       0.500 ± 6.353  1.000 ± 0.000
    NDCG@k                     0.500 ± 6.353  0.815 ± 2.345
    MRR@k                      0.500 ± 6.353  0.750 ± 3.177
    coverage of the catalogue          0.667          1.000
    novelty (bits)             0.585 ± 0.000  0.835 ± 3.177
    2 users; ± is the 95 % margin.
    >>> results.to_frame()[["metric", "k", "value"]].head(2)
      metric  k  value
    0     hr  1    0.5
    1     hr  2    1.0
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def to_frame(self) -> pd.DataFrame:
        """Return the long table: a row per recommender, label, ranking, metric and k.

        Returns
        -------
        frame : DataFrame
            A copy, with the columns that :func:`neumf.evaluate` or :func:`neumf.compare` lists.
        """
        return self._frame.copy()

    def plot(self, metric: str | None = None, *, ranking: str = "exact", ax: Any = None) -> Any:
        """Draw the values of one metric with their margins.

        Parameters
        ----------
        metric : str or None, default=None
            The metric to draw; None takes the first one.
        ranking : str, default="exact"
            The ranking to draw.
        ax : Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : MetricAtKDisplay or ComparisonDisplay
            A curve per recommender if the metric has several lengths of the list, else a point per
            recommender.
        """
        metric = self._frame["metric"].iloc[0] if metric is None else metric
        # `plotting` draws what `evaluation` measures, so it may import this module, not vice versa.
        plotting = import_module("neumf.plotting")
        several = len(self._frame.loc[self._frame["metric"] == metric, "k"].unique()) > 1
        display = plotting.MetricAtKDisplay if several else plotting.ComparisonDisplay
        return display.from_results(self, metric=metric, ranking=ranking, ax=ax)

    def __repr__(self) -> str:
        width = pd.get_option("display.width")
        texts = []
        for title, table in self._tables():
            text = _as_text(table, width)
            texts += [f"{title}\n{text}" if title else text]
        lines = ("\n\n".join(texts) + f"\n{self._notes()}").splitlines()
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        """Return the tables as HTML, for notebooks."""
        texts = []
        for title, table in self._tables():
            caption = f"<p><b>{escape(title)}</b></p>\n" if title else ""
            texts += [caption + table.to_html(index_names=_has_names(table))]
        return "\n".join([*texts, f"<p>{escape(self._notes())}</p>"])

    def _tables(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Yield tables of text with their titles: one table if metrics have a row each."""
        frame, keys = self._frame, label_columns(self._frame)
        several_rankings = len(frame["ranking"].unique()) > 1
        ks = frame.groupby("metric")["k"].unique()
        titles = {metric: metric_title(metric, ks[metric].tolist()) for metric in ks.index}
        if not keys:
            titled = frame.assign(metric=frame["metric"].map(titles))
            yield "", _layout(titled, ["metric", "ranking"] if several_rankings else ["metric"])
            return
        for metric, rows in frame.groupby("metric", sort=False):
            for ranking, part in rows.groupby("ranking", sort=False):
                title = f"{titles[metric]}, {ranking}" if several_rankings else titles[metric]
                yield title, _layout(part, keys)

    def _notes(self) -> str:
        """Return sentences about users, margins and misses."""
        frame = self._frame
        text = f"{_span(frame['n_users'])} users; ± is the 95 % margin"
        if "difference" in frame:
            n_compared = frame["estimator"].nunique() - 1
            text += f" of the paired difference from {frame['estimator'].iloc[0]!r}"
            text += f",\ncorrected for {n_compared} comparisons (Bonferroni)" * (n_compared > 1)
        if not frame["n_misses"].any():
            return f"{text}."
        return f"{text}.\n{_span(frame['n_misses'])} misses: rows of unknown users or items."


def label_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns of a long table that name a recommender or a label of `by`."""
    return [column for column in frame.columns if column not in _COLUMNS]


def metric_title(metric: str, ks: list[Any]) -> str:
    """Return the name of a metric, with the length of the list if there is only one."""
    name = METRIC_NAMES.get(metric, metric)
    if len(ks) > 1 or pd.isna(ks[0]):
        return name
    return name.replace("@k", f"@{ks[0]}") if "@k" in name else f"{name}, k={ks[0]}"


def value_margins(frame: pd.DataFrame) -> Float64s:
    """Return the margin of each value in a long table."""
    margins: Float64s = margin(frame["stderr"].to_numpy(), frame["n_users"].to_numpy())
    return margins


def shown_margins(frame: pd.DataFrame) -> Float64s:
    """Return the margins of paired differences or, without these, of values."""
    return frame["margin"].to_numpy() if "margin" in frame else value_margins(frame)


def _layout(part: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return a table of text: a row per combination of the keys, and columns by k."""
    compared = "difference" in part
    margins = shown_margins(part)
    decimals = _decimals(margins)
    cells: dict[tuple[str, str], dict[tuple[Hashable, ...], str]] = defaultdict(dict)
    rows = part.to_dict("records")
    row_labels = [tuple(row[key] for key in keys) for row in rows]
    for row, labels, half_width in zip(rows, row_labels, margins, strict=True):
        k = "whole list" if pd.isna(row["k"]) else f"k={row['k']}"
        for column, text in _texts(row, half_width, decimals).items():
            is_baseline = column == "difference" and row["estimator"] == rows[0]["estimator"]
            cells[k, column][labels] = "" if is_baseline else text
    if len(part["n_users"].unique()) > 1:
        users = [f"{row['n_users']:,}" for row in rows]
        cells["users", ""] = dict(zip(row_labels, users, strict=True))
    cells = {name: texts for name, texts in cells.items() if any(texts.values())}
    index = list(dict.fromkeys(row_labels))
    table = pd.DataFrame(
        {name: [texts.get(labels, "") for labels in index] for name, texts in cells.items()},
        index=pd.MultiIndex.from_tuples(index, names=keys),
    )
    if len(keys) == 1:
        table.index = table.index.get_level_values(0)
    if part.groupby("metric")["k"].nunique(dropna=False).max() == 1:
        table.columns = pd.Index([column or k for k, column in cells])
    elif not compared:
        table.columns = pd.Index([k for k, _ in cells])
    return table


def _texts(row: dict[Hashable, Any], half_width: float, decimals: int) -> dict[str, str]:
    """Return the text of each column of a row, with the margin beside the value it is for."""
    around = "" if math.isnan(half_width) else f" ± {half_width:.{decimals}f}"
    value = f"{row['value']:.{decimals}f}"
    if "difference" not in row:
        return {"value": value + around}
    spread = "" if math.isnan(row["seed_std"]) else f"{row['seed_std']:.{decimals}f}"
    difference = f"{row['difference']:+.{decimals}f}{around}"
    return {"value": value, "seed_std": spread, "difference": difference}


def _decimals(margins: Float64s) -> int:
    """Return the number of decimals that shows two digits of the smallest margin above 0."""
    smallest = min(margins[margins > 0], default=np.inf)
    wanted = 0 if np.isinf(smallest) else 1 - math.floor(math.log10(smallest))
    return int(np.clip(wanted, _FEWEST_DECIMALS, _MOST_DECIMALS))


def _as_text(table: pd.DataFrame, width: int) -> str:
    """Return a table as text; k by k, one below the other, if it is wider than `width`."""
    names = _has_names(table)
    text = table.to_string(index_names=names)
    if max(map(len, text.splitlines())) <= width:
        return text
    blocks = [table]
    if table.columns.nlevels > 1:
        blocks = [table[[k]] for k in dict.fromkeys(table.columns.get_level_values(0))]
    return "\n".join(block.to_string(index_names=names, line_width=width) for block in blocks)


def _has_names(table: pd.DataFrame) -> bool:
    """Return whether the names of the row labels are shown: if labels are of several kinds."""
    return table.index.nlevels > 1


def _span(numbers: pd.Series[Any]) -> str:
    """Return "3" or "3 to 5"."""
    low, high = numbers.min(), numbers.max()
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
