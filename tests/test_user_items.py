"""The items of each user, held to slow loops over the rows of a table."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from neumf.base import read_rows
from neumf.interactions.request_times import Span, read_span
from neumf.interactions.user_items import UserItems

spans = st.builds(Span, st.floats(0.5, 20), in_time=st.booleans())
lengths = st.integers(1, 5)
timed_tables = strategies.tables(times="tied")


def slow_weights(rows, user, place, span, length):
    """Return the weight of each item for the user's row at a place, as a dense row.

    A place behind the last row is the row to come, at the time of the last one.
    """
    own = rows[rows["user"] == user].sort_values("timestamp", kind="stable")
    weights = np.zeros(rows["item"].nunique())
    moment = own["timestamp"].iloc[min(place, len(own) - 1)]
    for gap in range(1, min(place, length) + 1):
        earlier = own.iloc[place - gap]
        distance = moment - earlier["timestamp"] if span.in_time else gap - 1
        weights[earlier["code"]] += np.exp(-distance / span.length)
    return weights


def read(table):
    """Return the table with codes of items, and what neumf makes of it."""
    rows = read_rows(table)
    return table.assign(code=rows.items), rows, rows.user_items[0]


@given(timed_tables, spans, lengths)
def test_weights_after_the_last_row_are_those_of_a_loop(table, span, length):
    table, rows, past = read(table)
    found = past.weigh_last(np.arange(rows.shape[0]), span, length, rows.shape[1])
    for code, user in enumerate(rows.user_ids):
        expected = slow_weights(table, user, (table["user"] == user).sum(), span, length)
        np.testing.assert_allclose(found.toarray()[code], expected, atol=1e-12)


@given(timed_tables, spans, lengths)
def test_weights_for_later_rows_are_those_of_a_loop(table, span, length):
    table, rows, past = read(table)
    expected = [
        slow_weights(table, user, place, span, length)
        for user in rows.user_ids
        for place in range((table["user"] == user).sum())
    ]
    found = np.zeros_like(expected)
    n = len(table)
    bounds, later, weights = past.weigh_for_later(np.arange(n), past.ends, span, length)
    for place in range(n):
        part = slice(bounds[place], bounds[place + 1])
        np.add.at(found, (later[part], past.items[place]), weights[part])
    np.testing.assert_allclose(found, expected, atol=1e-12)


@given(strategies.tables(times="distinct"), st.integers(0, 24))
def test_rows_that_follow_are_appended_to_those_of_before(table, n_before):
    _, rows, past = read(table)
    users, order = past.users, np.argsort(table["timestamp"], kind="stable")
    early = np.isin(past.seconds, np.sort(table["timestamp"])[:n_before])
    parts = [
        UserItems.of_sorted_rows(users[of], past.items[of], past.seconds[of], rows.shape[0])
        for of in (early, ~early)
    ]
    joined = parts[0].followed_by(parts[1])
    assert len(order) == len(joined.items)
    for name in ("items", "bounds", "seconds"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(past, name))


def test_an_unknown_user_has_no_items():
    past = UserItems(np.array([4, 5, 6]), np.array([0, 1, 3]), np.array([1.0, 2.0, 3.0]))
    taken = past.take(np.array([1, -1, 0]), 1)
    assert taken.items.tolist() == [6, 4]
    assert taken.bounds.tolist() == [0, 1, 1, 2]
    assert taken.seconds.tolist() == [3.0, 1.0]


def test_new_rows_that_are_older_than_the_last_count_fully():
    """They follow those of `fit`, whatever their timestamps say."""
    past = UserItems(np.array([0, 1]), np.array([0, 2]), np.array([1e9, 5.0]))
    weights = past.weigh_last(np.array([0]), Span(1.0, in_time=True), None, 2)
    assert weights.toarray().tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, Span(5.0, False)),
        (np.float32(0.5), Span(0.5, False)),
        ("30D", Span(30 * 86400.0, True)),
        (pd.Timedelta(hours=1), Span(3600.0, True)),
        (dt.timedelta(minutes=1), Span(60.0, True)),
        (np.timedelta64(2, "s"), Span(2.0, True)),
    ],
)
def test_a_span_is_a_number_of_rows_or_a_duration(value, expected):
    assert read_span(value, "decay") == expected


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (0, ValueError),
        (-1.0, ValueError),
        (np.nan, ValueError),
        (np.inf, ValueError),
        ("soon", ValueError),
        ("5", ValueError),
        (" 2.5 ", ValueError),
        ("0s", ValueError),
        (pd.NaT, TypeError),
        (True, TypeError),
        ([5], TypeError),
    ],
)
def test_what_is_no_span_is_refused(value, error):
    with pytest.raises(error, match=r"decay must be a number of rows above 0, or a duration"):
        read_span(value, "decay")
