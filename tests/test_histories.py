from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neumf import NegativeSampler
from neumf.interactions.histories import LastItems, read_histories
from neumf.interactions.timeline import read_timelines, recency_weights, time_order
from neumf.utils.time_gaps import bucket_of, with_gaps


@st.composite
def rows_in_time(draw, with_labels=False):
    """Rows of a few users with repeated items and equal timestamps."""
    n = draw(st.integers(1, 30))
    column = st.integers(0, 3)
    users = np.array(draw(st.lists(column, min_size=n, max_size=n)))
    items = np.array(draw(st.lists(column, min_size=n, max_size=n)), dtype=np.int32)
    times = draw(st.none() | st.lists(column, min_size=n, max_size=n).map(np.array))
    positive = None
    if with_labels:
        positive = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    return users, items, times, positive


def histories_of(users, items, times, positive, length, before=None):
    timelines = read_timelines(users, times, 4, positive)
    return read_histories(timelines, items, length, before)


def obvious_history(users, items, times, positive, row, length):
    """The last items of the user that come before a row, newest first."""
    times = np.zeros(len(users)) if times is None else times
    counts = np.ones(len(users), bool) if positive is None else positive
    before = [
        (times[other], other)
        for other in range(len(users))
        if users[other] == users[row]
        and counts[other]
        and (times[other], other) < (times[row], row)
    ]
    newest = [items[other] for _, other in sorted(before, reverse=True)][:length]
    return newest + [-1] * (length - len(newest))


# Positives


@given(rows_in_time(with_labels=True), st.integers(1, 5))
def test_the_history_of_a_positive_is_what_comes_strictly_before(rows, length):
    positives = np.flatnonzero(rows[3])
    found = histories_of(*rows, length).before(positives).items
    expected = [obvious_history(*rows, row, length) for row in positives]
    np.testing.assert_array_equal(found, np.reshape(expected, (-1, length)))


@given(rows_in_time(with_labels=True), st.integers(1, 5))
def test_the_last_history_is_that_of_a_row_to_come(rows, length):
    users, items, times, positive = rows
    found = histories_of(*rows, length).last().items
    for user in range(4):
        # A row of the user after all others.
        more = (
            np.append(users, user),
            np.append(items, 0),
            None if times is None else np.append(times, 99),
            np.append(positive, False),
        )
        assert found[user].tolist() == obvious_history(*more, len(users), length)


@given(rows_in_time(with_labels=True), st.data())
def test_a_later_row_changes_no_earlier_history(rows, data):
    users, items, times, positive = rows
    row = data.draw(st.integers(0, len(users) - 1))
    changed = items.copy()
    changed[row] = 99
    was, became = (
        histories_of(users, column, times, positive, 5).before(np.arange(len(users))).items
        for column in (items, changed)
    )
    clock = np.zeros(len(users)) if times is None else times
    for other in range(len(users)):
        if (clock[other], other) <= (clock[row], row):
            np.testing.assert_array_equal(was[other], became[other])


@given(rows_in_time())
def test_places_count_from_both_ends(rows):
    users, _, times, _ = rows
    timelines = read_timelines(users, times, 4)
    order = time_order(users, times)
    for user in range(4):
        places = timelines.positions[order][users[order] == user]
        assert places.tolist() == list(range(timelines.counts[user]))
    np.testing.assert_array_equal(
        timelines.positions + timelines.from_last(), timelines.counts[users] - 1
    )


@given(rows_in_time(with_labels=True), st.randoms(use_true_random=False))
def test_timelines_without_a_positive_of_each_user_are_those_of_the_other_rows(rows, random):
    users, _, times, positive = rows
    timelines = read_timelines(users, times, 4, positive)
    of_users = [np.flatnonzero(positive & (users == user)).tolist() for user in range(4)]
    dropped = np.array([random.choice(own) for own in of_users if own], dtype=int)
    left = np.setdiff1d(np.arange(len(users)), dropped)
    found = timelines.without(dropped)
    np.testing.assert_array_equal(found.users, users[left])
    np.testing.assert_array_equal(found.positive, positive[left])
    assert found.counts.tolist() == np.bincount(users[left][positive[left]], minlength=4).tolist()
    fresh = read_timelines(users[left], None if times is None else times[left], 4, positive[left])
    of_positives = positive[left]
    np.testing.assert_array_equal(found.positions[of_positives], fresh.positions[of_positives])


# Rows labelled 0


@st.composite
def resampled(draw):
    """A table with its negatives, and the row that each row was drawn for."""
    users, items, times, _ = draw(rows_in_time())
    X = pd.DataFrame({"user": users, "item": items})
    if times is not None:
        X["timestamp"] = times
    # An item that nobody has, so that everybody has something left to draw.
    X = pd.concat([X, X.tail(1).assign(user=9, item=9)], ignore_index=True)
    n_negatives = draw(st.integers(1, 3))
    X_long, y = NegativeSampler(n_negatives, random_state=0).fit_resample(X)
    drawn_for = np.append(np.arange(len(X)), np.repeat(np.arange(len(X)), n_negatives))
    if draw(st.booleans()):  # each negative behind its own positive
        order = np.argsort(drawn_for, kind="stable")
        X_long, y, drawn_for = X_long.iloc[order], y[order], np.argsort(order)[drawn_for[order]]
    return X_long.reset_index(drop=True), y > 0, drawn_for


@given(resampled())
def test_a_row_labelled_zero_has_the_history_of_the_positive_it_was_drawn_for(table):
    X, positive, drawn_for = table
    users, items = X["user"].to_numpy(), X["item"].to_numpy()
    times = X["timestamp"].to_numpy() if "timestamp" in X else None
    timelines = read_timelines(users, times, 10, positive)
    found = read_histories(timelines, items, 5).before(np.arange(len(X))).items
    np.testing.assert_array_equal(found, found[drawn_for])
    np.testing.assert_array_equal(timelines.from_last(), timelines.from_last()[drawn_for])
    rows = users, items, times, positive
    of_positives = [obvious_history(*rows, row, 5) for row in np.flatnonzero(positive)]
    np.testing.assert_array_equal(found[positive], of_positives)


@given(rows_in_time(with_labels=True))
def test_a_row_labelled_zero_never_knows_what_comes_later(rows):
    users, _, times, positive = rows
    timelines = read_timelines(users, times, 4, positive)
    clock = np.zeros(len(users)) if times is None else times
    for row in np.flatnonzero(~positive):
        before = sum(
            users[other] == users[row] and (clock[other], other) < (clock[row], row)
            for other in np.flatnonzero(positive)
        )
        assert timelines.positions[row] <= before


def test_a_dislike_at_its_own_time_has_all_that_came_before():
    users, times = np.zeros(4, int), np.array([10, 20, 30, 40])
    positive = np.array([True, True, False, True])
    timelines = read_timelines(users, times, 1, positive)
    assert timelines.positions.tolist() == [0, 1, 2, 2]
    assert timelines.from_last().tolist() == [2, 1, 0, 0]


def test_a_dislike_after_the_last_positive_weighs_no_more_than_that_positive():
    users, times = np.zeros(4, int), np.array([10, 20, 30, 40])
    positive = np.array([True, True, False, False])
    timelines = read_timelines(users, times, 1, positive)
    assert timelines.positions.tolist() == [0, 1, 2, 2]
    assert timelines.from_last().tolist() == [1, 0, 0, 0]
    assert recency_weights(timelines.from_last(), 2.0).tolist() == [0.25, 1, 1, 1]


# Rows after others


@given(st.data(), st.integers(1, 4), st.booleans())
def test_later_histories_are_those_of_one_table(data, length, with_times):
    """Cut a table in two: what the first part tells in short is enough for the second."""
    n = data.draw(st.integers(1, 20))
    column = st.lists(st.integers(0, 3), min_size=n, max_size=n)
    users, items = np.array(data.draw(column)), np.array(data.draw(column), dtype=np.int32)
    times = np.sort(data.draw(column)) + 5 if with_times else None
    cut = data.draw(st.integers(0, n))

    def part(rows):
        return users[rows], items[rows], None if times is None else times[rows], None

    whole = histories_of(users, items, times, None, length)
    before = histories_of(*part(slice(cut)), length).last()
    found = histories_of(*part(slice(cut, None)), length, before)
    later, expected = found.before(np.arange(n - cut)), whole.before(np.arange(cut, n))
    np.testing.assert_array_equal(later.items, expected.items)
    np.testing.assert_array_equal(found.last().items, whole.last().items)


@pytest.mark.parametrize("n_rows", [0, 3])
def test_users_without_rows_keep_what_they_had(n_rows):
    before = np.array([[2, 1], [3, -1], [-1, -1]], dtype=np.int32)
    users, items = np.zeros(n_rows, int), np.arange(n_rows, dtype=np.int32) + 10
    timelines = read_timelines(users, None, 3)
    last = read_histories(timelines, items, 2, before=LastItems(before)).last().items
    assert last[1:].tolist() == [[3, -1], [-1, -1]]
    assert last[0].tolist() == ([2, 1] if n_rows == 0 else [12, 11])


# Gaps


def test_buckets_grow_by_the_square_root_of_two():
    gaps = np.array([-5, 0, 0.4, 0.42, 1, 1.83, 3, 7, 60, 86_400, 1e9, 1e300])
    expected = [0, 0, 0, 1, 2, 3, 4, 6, 11, 32, 59, 63]
    assert bucket_of(gaps.astype(float)).tolist() == expected


def test_an_item_after_the_request_is_as_old_as_one_at_the_request():
    items, seconds = np.array([[4, 3, 2]], np.int32), np.array([[1000.0, 50.0, 43.0]])
    assert with_gaps(items, seconds, np.array([50.0])).gaps.tolist() == [[0, 0, 6]]


@given(st.data(), st.booleans())
def test_gaps_are_an_array_beside_the_items(data, from_request):
    length = data.draw(st.integers(1, 4))
    n_items = data.draw(st.integers(0, length))
    items = np.full((1, length), -1, np.int32)
    items[0, :n_items] = data.draw(
        st.lists(st.integers(0, 2**31 - 1), min_size=n_items, max_size=n_items)
    )
    seconds = np.array([data.draw(st.lists(st.integers(-9, 9), min_size=length, max_size=length))])
    at = np.array([12.0]) if from_request else None
    found = with_gaps(items, seconds.astype(float), at)
    assert found.items is items
    assert found.gaps.shape == items.shape
    assert (found.gaps[0, n_items:] == -1).all()
    until = 12 if from_request else seconds[:, :1]
    expected = bucket_of((until - seconds).astype(float))
    np.testing.assert_array_equal(found.gaps[0, :n_items], expected[0, :n_items])


def test_last_items_without_times_have_no_gaps():
    items = np.array([[1, -1]], np.int32)
    assert LastItems(items).inputs().gaps is None
    assert LastItems(items, np.array([[5.0, 0.0]])).inputs(np.array([8.0])).gaps.tolist() == [
        [4, -1]
    ]


def timed_histories_of(users, items, times, positive, length, before=None, from_rows=False):
    timelines = read_timelines(users, times, 4, positive)
    seconds = times.astype(np.float64)
    histories = read_histories(timelines, items, length, before, seconds)
    return replace(histories, request_times=seconds) if from_rows else histories


@st.composite
def timed_rows(draw):
    users, items, _, positive = draw(rows_in_time(with_labels=True))
    times = draw(st.lists(st.integers(0, 50), min_size=len(users), max_size=len(users)))
    return users, items, np.array(times), positive


@given(timed_rows(), st.integers(1, 5), st.booleans())
def test_gaps_are_those_to_the_row_or_to_the_newest_item_before_it(rows, length, from_rows):
    users, _, times, positive = rows
    # Row numbers instead of items show when each was.
    rows = (users, np.arange(len(times), dtype=np.int32), times, positive)
    histories = timed_histories_of(*rows, length, from_rows=from_rows)
    found, buckets = histories.before(np.arange(len(times)))
    for row, time in enumerate(times):  # rows labelled 0 have histories, too
        if positive[row]:
            assert found[row].tolist() == obvious_history(*rows, row, length)
        before = found[row][found[row] >= 0]
        until = time if from_rows or len(before) == 0 else times[before[0]]
        expected = bucket_of((until - times[before]).astype(float))
        np.testing.assert_array_equal(buckets[row, : len(before)], expected)


@given(timed_rows(), st.data(), st.booleans())
def test_what_comes_later_tells_in_no_earlier_history(rows, data, from_rows):
    """Of the row itself, nothing but its time, if gaps are counted from it."""
    users, items, times, positive = rows
    row = data.draw(st.integers(0, len(users) - 1))
    last = (users == users[row]) & positive
    last &= (times > times[row]) | ((times == times[row]) & (np.arange(len(users)) >= row))
    changed_items, changed_times = items.copy(), times.copy()
    changed_items[last] = 99
    changed_times[last] += 1000
    if from_rows:
        changed_times[row] = times[row]
    was = timed_histories_of(users, items, times, positive, 5, from_rows=from_rows)
    was = was.before(np.arange(len(users)))
    became = timed_histories_of(
        users, changed_items, changed_times, positive, 5, from_rows=from_rows
    )
    if positive[row]:
        for column, expected in zip(became.before(np.array([row])), was, strict=True):
            np.testing.assert_array_equal(column[0], expected[row])


@given(timed_rows(), st.integers(1, 4), st.integers(0, 30))
def test_times_are_kept_for_rows_to_come(rows, length, cut):
    order = np.argsort(rows[2], kind="stable")  # what comes later has no earlier time
    rows = tuple(column[order] for column in rows)
    whole = timed_histories_of(*rows, length)
    before = timed_histories_of(*(column[:cut] for column in rows), length).last()
    later = timed_histories_of(*(column[cut:] for column in rows), length, before)
    for found, expected in zip(later.last(), whole.last(), strict=True):
        np.testing.assert_array_equal(found, expected)
    for found, expected in zip(later.last().inputs(), whole.last().inputs(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_the_last_items_have_the_times_of_their_rows():
    users, items = np.array([0, 1, 0, 0]), np.array([5, 6, 7, 8], np.int32)
    times = np.array([30, 20, 10, 40])
    last = timed_histories_of(users, items, times, None, 2).last()
    assert last.items.tolist() == [[8, 5], [6, -1], [-1, -1], [-1, -1]]
    assert last.seconds.tolist() == [[40, 30], [20, 0], [0, 0], [0, 0]]


def test_users_are_taken_with_their_times_and_new_ones_without():
    last = LastItems(np.array([[1, 2], [3, -1]], np.int32), np.array([[9.0, 5.0], [7.0, 0.0]]))
    found = last.take(np.array([1, -1]))
    assert found.items.tolist() == [[3, -1], [-1, -1]]
    assert found.seconds.tolist() == [[7, 0], [0, 0]]
    assert LastItems(last.items).take(np.array([0])).seconds is None
    assert last.items.tolist() == [[1, 2], [3, -1]]
