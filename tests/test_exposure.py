import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neumf.metrics.beyond_accuracy import Recommended, coverage, gini, novelty, overlap


@st.composite
def recommended_lists(draw, max_items=6):
    """Lists of distinct items of at least two users, at most k long."""
    n_items, k = draw(st.integers(1, max_items)), draw(st.integers(1, 4))
    items = st.lists(st.integers(0, n_items - 1), min_size=1, max_size=min(k, n_items), unique=True)
    return draw(st.lists(items, min_size=2, max_size=5)), n_items, k


def as_pairs(lists, n_items, k, information=None):
    users = np.repeat(np.arange(len(lists)), [len(items) for items in lists])
    items = np.array([item for items in lists for item in items])
    information = np.ones(n_items) if information is None else information
    return Recommended(users, items, k, information)


@given(recommended_lists())
def test_coverage_is_the_share_of_items_that_somebody_gets(case):
    lists, n_items, _k = case
    assert coverage(as_pairs(*case)) == [len({i for items in lists for i in items}) / n_items]


@given(recommended_lists())
def test_novelty_is_the_mean_information_of_each_list(case):
    lists, n_items, _k = case
    information = np.arange(n_items) ** 2.0
    expected = [np.mean([i**2.0 for i in items]) for items in lists]
    np.testing.assert_allclose(novelty(as_pairs(*case, information)), expected)


@given(recommended_lists())
def test_gini_is_half_the_relative_mean_difference(case):
    lists, n_items, _k = case
    exposure = [sum(item in items for items in lists) for item in range(n_items)]
    differences = [abs(a - b) for a, b in itertools.product(exposure, repeat=2)]
    expected = np.mean(differences) / (2 * np.mean(exposure))
    assert gini(as_pairs(*case))[0] == pytest.approx(expected, abs=1e-12)


@given(recommended_lists())
def test_overlap_is_the_mean_share_that_pairs_of_users_have_in_common(case):
    lists, _n_items, k = case
    shares = [len({*a} & {*b}) / k for a, b in itertools.combinations(lists, 2)]
    assert overlap(as_pairs(*case))[0] == pytest.approx(np.mean(shares))


def test_overlap_of_one_list_is_undefined():
    assert np.isnan(overlap(as_pairs([[0, 1]], 3, 2))).all()


def test_users_may_have_any_numbers():
    lists = Recommended(np.array([7, 7, 3]), np.array([0, 1, 1]), 2, np.array([1.0, 3.0]))
    assert sorted(novelty(lists)) == [2, 3]
    assert overlap(lists) == [0.5]
