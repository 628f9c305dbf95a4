from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from neumf.interactions.histories import read_histories, read_last_items


@st.composite
def timelines(draw):
    """Rows of a few users with repeated items, equal timestamps, and some that are no positives."""
    n = draw(st.integers(1, 30))
    column = st.integers(0, 3)
    users = np.array(draw(st.lists(column, min_size=n, max_size=n)))
    items = np.array(draw(st.lists(column, min_size=n, max_size=n)), dtype=np.int32)
    times = draw(st.none() | st.lists(column, min_size=n, max_size=n).map(np.array))
    positive = draw(
        st.just(slice(None)) | st.lists(st.booleans(), min_size=n, max_size=n).map(np.array)
    )
    return users, items, times, positive


def obvious_history(users, items, times, positive, row, length):
    """The last items of the user that come before a row, newest first."""
    times = np.zeros(len(users)) if times is None else times
    counts = np.zeros(len(users), bool)
    counts[positive] = True
    before = [
        (times[other], other)
        for other in range(len(users))
        if users[other] == users[row]
        and counts[other]
        and (times[other], other) < (times[row], row)
    ]
    newest = [items[other] for _, other in sorted(before, reverse=True)][:length]
    return newest + [-1] * (length - len(newest))


@given(timelines(), st.integers(1, 5))
def test_a_history_is_what_comes_strictly_before(rows, length):
    n = len(rows[0])
    found = read_histories(*rows, 4, length).before(np.arange(n))
    expected = [obvious_history(*rows, row, length) for row in range(n)]
    np.testing.assert_array_equal(found, expected)


@given(timelines(), st.integers(1, 5))
def test_the_last_history_is_that_of_a_row_to_come(rows, length):
    users, items, times, positive = rows
    found = read_histories(*rows, 4, length).last()
    for user in range(4):
        # A row of the user after all others.
        more = (
            np.append(users, user),
            np.append(items, 0),
            None if times is None else np.append(times, 99),
            positive if isinstance(positive, slice) else np.append(positive, False),
        )
        assert found[user].tolist() == obvious_history(*more, len(users), length)


@given(timelines(), st.integers(1, 5), st.integers(1, 40))
def test_the_last_items_are_those_of_the_last_history(rows, length, block_rows):
    expected = read_histories(*rows, 4, length).last()
    with patch("neumf.interactions.histories._BLOCK_ROWS", block_rows):
        np.testing.assert_array_equal(read_last_items(*rows, 4, length), expected)


@given(timelines(), st.data())
@settings(max_examples=50)
def test_a_later_row_changes_no_earlier_history(rows, data):
    users, items, times, positive = rows
    row = data.draw(st.integers(0, len(users) - 1))
    changed = items.copy()
    changed[row] = 99
    was, became = (
        read_histories(users, i, times, positive, 4, 5).before(np.arange(len(users)))
        for i in (items, changed)
    )
    clock = np.zeros(len(users)) if times is None else times
    for other in range(len(users)):
        if (clock[other], other) <= (clock[row], row):
            np.testing.assert_array_equal(was[other], became[other])
