import pickle
import random

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import strategies
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from scipy.stats import chisquare
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from neumf import LeaveLastOutSplitter, NegativeSampler
from neumf.interactions.unseen import UnseenItems, refuse_saturated, sample_unseen_items
from neumf.utils.random import hash_mix, make_generator

STRATEGIES = ["uniform", "popularity"]


def unseen_items(seen, weights=None):
    """Build UnseenItems from a boolean array of users x items."""
    return UnseenItems(sp.csr_array(np.asarray(seen)), weights)


def slow_tickets(seen, weights, user):
    """List the owner of each unseen ticket, in the order of the catalogue."""
    return [
        item for item in range(len(weights)) if not seen[user, item] for _ in range(weights[item])
    ]


def slow_seen(*tables):
    """Return the set of items of each user."""
    seen = {}
    for table in tables:
        for user, item in zip(table["user"], table["item"], strict=True):
            seen.setdefault(user, set()).add(item)
    return seen


def nearly_saturated(n_items=20):
    """Table in which user "full" has seen all items but the last, user "other" just that one."""
    users = ["full"] * (n_items - 1) + ["other"]
    return pd.DataFrame({"user": users, "item": range(n_items)})


@st.composite
def tables_with_room(draw):
    """Draw tables in which nobody has seen everything, with ids of any kind."""
    ids, fresh = draw(
        st.sampled_from(
            [
                (strategies.int_ids, 2**50),
                (strategies.string_ids, "fresh"),
                (strategies.tuple_ids, (9, "fresh")),
                (strategies.any_ids, "fresh"),
            ]
        )
    )
    table = draw(strategies.tables(ids=ids, times=None))
    return pd.DataFrame({"user": [*table["user"], fresh], "item": [*table["item"], fresh]})


class TestUnseenItems:
    @given(strategies.seen_items())
    def test_tickets_enumerate_the_unseen_items_in_order(self, seen):
        unseen = unseen_items(seen)
        for user in range(len(seen)):
            expected = slow_tickets(seen, [1] * seen.shape[1], user)
            assert unseen.n_tickets[user] == len(expected)
            tickets = np.arange(len(expected))
            assert unseen.at(np.full(len(expected), user), tickets).tolist() == expected

    @given(strategies.seen_items(), st.data())
    def test_tickets_enumerate_each_unseen_item_as_often_as_it_weighs(self, seen, data):
        n_items = seen.shape[1]
        weights = data.draw(st.lists(st.integers(0, 4), min_size=n_items, max_size=n_items))
        unseen = unseen_items(seen, np.array(weights))
        for user in range(len(seen)):
            expected = slow_tickets(seen, weights, user)
            assert unseen.n_tickets[user] == len(expected)
            tickets = np.arange(len(expected))
            assert unseen.at(np.full(len(expected), user), tickets).tolist() == expected

    @given(strategies.seen_items())
    def test_weights_of_one_change_nothing(self, seen):
        plain, weighted = unseen_items(seen), unseen_items(seen, np.ones(seen.shape[1], int))
        np.testing.assert_array_equal(weighted.n_tickets, plain.n_tickets)
        user = int(np.argmax(plain.n_tickets))
        tickets = np.arange(plain.n_tickets[user])
        users = np.full(len(tickets), user)
        np.testing.assert_array_equal(weighted.at(users, tickets), plain.at(users, tickets))

    def test_at_broadcasts_users_over_tickets(self):
        unseen = unseen_items([[True, False, False], [False, True, False]])
        items = unseen.at(np.array([[0], [1]]), np.array([[0, 1], [0, 1]]))
        assert items.tolist() == [[1, 2], [0, 2]]

    @pytest.mark.parametrize("weights", [None, np.ones(3, int)], ids=STRATEGIES)
    def test_holds_users_without_any_seen_item(self, weights):
        unseen = unseen_items(np.zeros((2, 3), dtype=bool), weights)
        assert unseen.n_tickets.tolist() == [3, 3]
        assert unseen.at(np.array([0, 1]), np.array([2, 0])).tolist() == [2, 0]


class TestSampleUnseenItems:
    @pytest.mark.parametrize("n_negatives", [1, 7])
    def test_has_a_row_per_user_and_a_column_per_negative(self, rng, n_negatives):
        unseen = unseen_items(np.eye(3, dtype=bool))
        users = np.array([0, 2, 2, 1, 0])
        assert sample_unseen_items(unseen, users, n_negatives, rng).shape == (5, n_negatives)

    def test_draws_each_row_by_itself(self, rng):
        unseen = unseen_items(np.zeros((1, 1000), dtype=bool))
        drawn = sample_unseen_items(unseen, np.zeros(50, dtype=np.intp), 20, rng)
        assert len(np.unique(drawn)) > 500

    def test_for_no_users_is_empty(self, rng):
        unseen = unseen_items(np.eye(3, dtype=bool))
        assert sample_unseen_items(unseen, np.array([], dtype=np.intp), 4, rng).shape == (0, 4)

    @given(strategies.seen_items(), st.integers(0, 2**32), st.booleans())
    def test_draws_items_that_the_user_has_not_seen(self, seen, seed, weighted):
        n_users, n_items = seen.shape
        unseen = unseen_items(seen, np.arange(1, n_items + 1) if weighted else None)
        users = np.array([u for u in range(n_users) if not seen[u].all()] * 3, dtype=np.intp)
        drawn = sample_unseen_items(unseen, users, 5, np.random.default_rng(seed))
        for user, items in zip(users, drawn, strict=True):
            assert all(0 <= item < n_items and not seen[user, item] for item in items)

    @pytest.mark.parametrize("weights", [None, np.arange(1, 21)], ids=STRATEGIES)
    def test_draws_the_only_item_left_every_time(self, rng, weights):
        seen = np.ones((1, 20), dtype=bool)
        seen[0, 13] = False
        unseen = unseen_items(seen, weights)
        drawn = sample_unseen_items(unseen, np.zeros(100, dtype=np.intp), 10, rng)
        assert (drawn == 13).all()

    def test_draws_every_unseen_item_equally_often(self, rng):
        seen = np.isin(np.arange(30), [0, 3, 4, 5, 17, 29])[None]
        drawn = sample_unseen_items(unseen_items(seen), np.zeros(6_000, dtype=np.intp), 4, rng)
        counts = np.bincount(drawn.ravel(), minlength=30)
        assert chisquare(counts[~seen[0]]).pvalue > 1e-4

    def test_draws_every_unseen_item_in_proportion_to_its_weight(self, rng):
        seen = np.isin(np.arange(30), [0, 3, 4, 5, 17, 29])[None]
        weights = np.arange(1, 31)
        unseen = unseen_items(seen, weights)
        drawn = sample_unseen_items(unseen, np.zeros(6_000, dtype=np.intp), 4, rng)
        counts = np.bincount(drawn.ravel(), minlength=30)[~seen[0]]
        shares = weights[~seen[0]] / weights[~seen[0]].sum()
        assert chisquare(counts, shares * counts.sum()).pvalue > 1e-4

    @pytest.mark.parametrize("n_items", [1, 3, 1000, 12_345])
    def test_highest_draw_is_the_last_unseen_item(self, n_items):
        class HighestDraw:
            def random(self, shape):
                return np.full(shape, np.nextafter(1.0, 0.0))

        unseen = unseen_items(np.zeros((1, n_items), dtype=bool))
        drawn = sample_unseen_items(unseen, np.zeros(1, dtype=np.intp), 1, HighestDraw())
        assert drawn.tolist() == [[n_items - 1]]


class TestRefuseSaturated:
    def test_names_the_first_user_and_counts_them(self):
        unseen = unseen_items([[True, True], [True, False], [True, True]])
        match = r"drawn for user 'a', who has seen every item that can be drawn \(2 such users\)"
        with pytest.raises(ValueError, match=match):
            refuse_saturated(unseen, np.array([2, 1, 0]), pd.Index(["a", "b", "c"]))

    def test_minds_nobody_with_an_item_left(self):
        unseen = unseen_items([[True, False], [False, False]])
        refuse_saturated(unseen, np.array([0, 1]), pd.Index(["a", "b"]))

    def test_minds_nobody_whom_nothing_is_drawn_for(self):
        unseen = unseen_items([[True, True], [True, False]])
        refuse_saturated(unseen, np.array([1, 1]), pd.Index(["a", "b"]))


class TestFit:
    def test_learns_catalogue_seen_items_and_popularity(self):
        X = pd.DataFrame({"user": ["b", "a", "b", "b"], "item": [7, 5, 5, 5]})
        sampler = NegativeSampler().fit(X)
        assert list(sampler.users_) == ["b", "a"]
        assert list(sampler.items_) == [7, 5]
        assert sampler.seen_.toarray().tolist() == [[True, True], [False, True]]
        assert sampler.popularity_.tolist() == [1, 2]  # b had 5 twice

    @pytest.mark.parametrize(
        ("parameters", "error", "match"),
        [
            ({"n_negatives": 0}, ValueError, "n_negatives must be an int >= 1"),
            ({"n_negatives": 1.0}, TypeError, "n_negatives must be an int >= 1"),
            (
                {"negative_strategy": "popular"},
                ValueError,
                "negative_strategy must be one of.*Did you mean",
            ),
        ],
    )
    def test_checks_parameters(self, parameters, error, match):
        with pytest.raises(error, match=match):
            NegativeSampler(**parameters).fit(nearly_saturated())

    def test_returns_itself(self):
        sampler = NegativeSampler()
        assert sampler.fit(nearly_saturated()) is sampler

    def test_clone_keeps_parameters(self):
        parameters = {"n_negatives": 2, "negative_strategy": "popularity", "random_state": 3}
        assert clone(NegativeSampler(**parameters)).get_params() == parameters

    def test_survives_pickle(self):
        X = nearly_saturated()
        sampler = NegativeSampler(random_state=0).fit(X)
        loaded = pickle.loads(pickle.dumps(sampler))
        np.testing.assert_array_equal(loaded.transform(X), sampler.transform(X))


class TestTransform:
    def test_has_one_row_of_negatives_per_row(self):
        X = nearly_saturated(20)
        assert NegativeSampler(n_negatives=7).fit_transform(X).shape == (20, 7)

    @given(tables_with_room(), st.sampled_from(STRATEGIES), st.integers(0, 2**32 - 1))
    def test_draws_items_of_the_catalogue_that_the_user_has_not_seen(self, X, strategy, seed):
        sampler = NegativeSampler(n_negatives=3, negative_strategy=strategy, random_state=seed)
        negatives = sampler.fit_transform(X)
        catalogue, seen = set(X["item"]), slow_seen(X)
        for user, items in zip(X["user"], negatives.tolist(), strict=True):
            assert set(items) <= catalogue - seen[user]

    @given(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=12),
        st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7)), min_size=1, max_size=6),
    )
    def test_of_other_rows_avoids_what_is_seen_in_fit_or_in_them(self, fitted, asked):
        # Everyone's room: item 99, which only user 99 has seen.
        train = pd.DataFrame([*fitted, (99, 99)], columns=["user", "item"])
        test = pd.DataFrame(asked, columns=["user", "item"])
        negatives = NegativeSampler(n_negatives=5).fit(train).transform(test)
        catalogue, seen = set(train["item"]), slow_seen(train, test)
        for user, items in zip(test["user"], negatives.tolist(), strict=True):
            assert set(items) <= catalogue - seen[user]

    def test_of_held_out_rows_avoids_all_held_out_items_of_the_user(self):
        X = pd.DataFrame({"user": [1] * 5 + [2], "item": [0, 1, 2, 3, 4, 5]})
        sampler = NegativeSampler(n_negatives=50)
        train, test = LeaveLastOutSplitter(n_last=2).train_test_split(X)
        catalogue = pd.DataFrame({"user": 3, "item": range(6)})
        negatives = sampler.fit(pd.concat([train, catalogue])).transform(test)
        assert (negatives == 5).all()

    def test_of_unknown_users_avoids_the_items_of_their_rows_only(self):
        X = nearly_saturated(4)
        new = pd.DataFrame({"user": ["new", "new"], "item": [0, 2]})
        negatives = NegativeSampler(n_negatives=50, random_state=0).fit(X).transform(new)
        assert set(negatives.ravel()) == {1, 3}

    def test_never_draws_an_item_that_fit_did_not_see(self):
        new = pd.DataFrame({"user": ["other", "new"], "item": [100, 101]})
        sampler = NegativeSampler(n_negatives=50).fit(nearly_saturated(4))
        assert set(sampler.transform(new).ravel()) <= {0, 1, 2, 3}

    def test_draws_do_not_depend_on_how_many_rows_repeat_a_pair(self):
        X = pd.DataFrame({"user": [1, 1, 1, 2], "item": [5, 5, 6, 7]})
        assert (NegativeSampler().fit_transform(X)[:3] == 7).all()

    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_draws_the_only_item_left_every_time(self, strategy):
        sampler = NegativeSampler(n_negatives=10, negative_strategy=strategy)
        assert (sampler.fit_transform(nearly_saturated(20))[:19] == 19).all()

    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_refuses_users_who_have_seen_everything_and_names_one(self, strategy):
        X = pd.DataFrame({"user": ["a", "a", "b"], "item": [1, 2, 1]})
        match = r"no negatives can be drawn for user 'a'.*\(1 such users\)"
        with pytest.raises(ValueError, match=match):
            NegativeSampler(negative_strategy=strategy).fit_transform(X)

    def test_refuses_users_whose_rows_complete_the_catalogue(self):
        sampler = NegativeSampler().fit(nearly_saturated(4))
        with pytest.raises(ValueError, match="no negatives can be drawn for user 'full'"):
            sampler.transform(pd.DataFrame({"user": ["full"], "item": [3]}))

    def test_minds_no_saturated_user_who_has_no_row(self):
        X = pd.DataFrame({"user": ["a", "a", "b"], "item": [1, 2, 1]})
        negatives = NegativeSampler().fit(X).transform(X.iloc[[2]])
        assert (negatives == 2).all()

    def test_refuses_strings_for_numbers(self):
        sampler = NegativeSampler().fit(np.array([[1, 2], [3, 4]]))
        with pytest.raises(ValueError, match="X: user ids must be of the kind that fit saw"):
            sampler.transform(np.array([["1", "2"]]))

    def test_uniform_draws_every_unseen_item_equally_often(self):
        # Item i was seen i + 1 times, which must not matter.
        counts = [(f"user {j}", item) for item in range(10) for j in range(item + 1)]
        X = pd.DataFrame(counts, columns=["user", "item"])
        new = pd.DataFrame({"user": ["new"], "item": [4]})
        sampler = NegativeSampler(n_negatives=20_000, random_state=0).fit(X)
        drawn = np.bincount(sampler.transform(new).ravel(), minlength=10)
        assert drawn[4] == 0
        assert chisquare(np.delete(drawn, 4)).pvalue > 1e-4

    def test_popularity_draws_in_proportion_to_the_users_who_had_an_item(self):
        counts = [(f"user {j}", item) for item in range(10) for j in range(item + 1)]
        X = pd.DataFrame(counts, columns=["user", "item"])
        new = pd.DataFrame({"user": ["new"], "item": [4]})
        sampler = NegativeSampler(
            n_negatives=20_000, negative_strategy="popularity", random_state=0
        )
        drawn = np.bincount(sampler.fit(X).transform(new).ravel(), minlength=10)
        expected = np.delete(np.arange(1, 11), 4)
        assert drawn[4] == 0
        assert chisquare(np.delete(drawn, 4), 20_000 * expected / expected.sum()).pvalue > 1e-4

    @pytest.mark.parametrize(
        "items",
        [[1, 2, 3], ["x", "y", "z"], [("x", 1), ("y", 1), ("z", 2)], [1, "x", ("x",)]],
        ids=["ints", "strings", "tuples", "mixed"],
    )
    def test_gives_ids_as_they_came(self, items):
        X = pd.DataFrame({"user": ["a", "a", "b"], "item": items})
        negatives = NegativeSampler(n_negatives=2).fit_transform(X)
        assert negatives.shape == (3, 2)
        assert negatives[:2].ravel().tolist() == [items[2]] * 4

    def test_needs_fit(self):
        with pytest.raises(NotFittedError, match="NegativeSampler instance is not fitted"):
            NegativeSampler().transform(nearly_saturated())


class TestSparse:
    def test_gives_a_row_per_stored_value(self):
        dense = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
        negatives = NegativeSampler(n_negatives=6).fit_transform(sp.csr_array(dense))
        assert negatives.shape == (4, 6)
        for row, user in enumerate(np.nonzero(dense)[0]):
            assert not dense[user, negatives[row]].any()

    def test_fit_gives_what_a_table_of_row_and_column_numbers_gives(self):
        dense = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
        pairs = np.argwhere(dense)
        by_matrix = NegativeSampler(random_state=0).fit(sp.csr_array(dense))
        by_table = NegativeSampler(random_state=0).fit(pairs)
        np.testing.assert_array_equal(by_matrix.transform(pairs), by_table.transform(pairs))

    def test_cannot_be_resampled(self):
        with pytest.raises(ValueError, match=r"X must be a DataFrame or an array here.*sparse"):
            NegativeSampler().fit_resample(sp.csr_array(np.eye(3)))


class TestFitResample:
    @pytest.fixture(name="X")
    def interactions(self):
        return pd.DataFrame(
            {
                "rating": [5.0, 4.0, 1.0],
                "item": ["x", "y", "z"],
                "user": [1, 1, 2],
                "timestamp": pd.to_datetime(["2020", "2021", "2022"]),
            },
            index=[7, 7, 3],
        )

    def test_gives_the_rows_that_came_and_then_the_negatives_of_each(self, X):
        X_long, _ = NegativeSampler(n_negatives=2).fit_resample(X)
        assert_frame_equal(X_long.iloc[:3], X.reset_index(drop=True))
        assert X_long["user"].tolist() == [1, 1, 2, 1, 1, 1, 1, 2, 2]
        assert X_long["item"].iloc[3:7].tolist() == ["z"] * 4
        assert set(X_long["item"].iloc[7:]) <= {"x", "y"}

    def test_negatives_are_those_of_transform(self, X):
        sampler = NegativeSampler(random_state=0)
        X_long, _ = sampler.fit_resample(X)
        assert X_long["item"].iloc[3:].tolist() == sampler.transform(X).ravel().tolist()

    def test_negatives_copy_the_other_columns_of_their_row(self, X):
        X_long, _ = NegativeSampler(n_negatives=2).fit_resample(X)
        others = ["rating", "user", "timestamp"]
        copies = X[others].iloc[np.repeat([0, 1, 2], 2)].reset_index(drop=True)
        assert_frame_equal(X_long[others].iloc[3:].reset_index(drop=True), copies)

    def test_keeps_columns_and_their_types(self, X):
        X_long, _ = NegativeSampler().fit_resample(X)
        pd.testing.assert_series_equal(X_long.dtypes, X.dtypes)

    def test_labels_rows_one_and_negatives_zero(self, X):
        _, y = NegativeSampler(n_negatives=2).fit_resample(X)
        assert y.dtype == np.float64
        assert y.tolist() == [1] * 3 + [0] * 6

    @pytest.mark.parametrize("convert", [list, np.array, pd.Series])
    def test_keeps_labels_that_are_given(self, X, convert):
        _, y = NegativeSampler(n_negatives=1).fit_resample(X, convert([0.5, 1.0, 0.0]))
        assert y.tolist() == [0.5, 1.0, 0.0, 0.0, 0.0, 0.0]

    @pytest.mark.parametrize(
        "y", [[1, 1], [1, 1, 1, 1], [[1], [1], [1]], 1], ids=["short", "long", "2-D", "0-D"]
    )
    def test_refuses_labels_of_another_shape(self, X, y):
        with pytest.raises(ValueError, match=r"y must hold one label per row of X, shape \(3,\)"):
            NegativeSampler().fit_resample(X, y)

    def test_of_an_array_is_an_array_of_its_type(self):
        X = np.array([[1, 10, 3], [1, 11, 4], [2, 12, 5]])
        X_long, _ = NegativeSampler(n_negatives=1).fit_resample(X)
        assert X_long.dtype == X.dtype
        assert X_long[:3].tolist() == X.tolist()
        assert X_long[3:5].tolist() == [[1, 12, 3], [1, 12, 4]]

    def test_of_a_list_keeps_numbers_beside_strings(self):
        X_long, _ = NegativeSampler(n_negatives=1).fit_resample([[1, "x"], [2, "y"]])
        assert X_long.tolist() == [[1, "x"], [2, "y"], [1, "y"], [2, "x"]]

    def test_of_tuples_keeps_tuples(self):
        X = pd.DataFrame({"user": [("a", 1), ("b", 1)], "item": [("x", 1), ("y", 1)]})
        X_long, _ = NegativeSampler(n_negatives=1).fit_resample(X)
        assert X_long["item"].tolist() == [("x", 1), ("y", 1), ("y", 1), ("x", 1)]

    def test_refuses_users_who_have_seen_everything(self):
        with pytest.raises(ValueError, match="no negatives can be drawn for user '1'"):
            NegativeSampler().fit_resample(pd.DataFrame({"user": ["1"], "item": ["x"]}))

    def test_does_not_write_to_the_table(self, X):
        copy = X.copy(deep=True)
        NegativeSampler().fit_resample(X)
        assert_frame_equal(X, copy)


class TestRandomState:
    X = pd.DataFrame({"user": range(100), "item": range(100)})

    def draw(self, random_state, n_calls=1):
        sampler = NegativeSampler(random_state=random_state).fit(self.X)
        return [sampler.transform(self.X).tolist() for _ in range(n_calls)]

    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_one_int_draws_the_same_in_every_sampler(self, strategy):
        first, second = (
            NegativeSampler(negative_strategy=strategy, random_state=3).fit_transform(self.X)
            for _ in range(2)
        )
        np.testing.assert_array_equal(first, second)

    def test_one_int_draws_the_same_at_every_call(self):
        first, second = self.draw(3, n_calls=2)
        assert first == second

    def test_other_ints_draw_otherwise(self):
        assert self.draw(3) != self.draw(4)

    def test_none_draws_anew_at_every_call(self):
        first, second = self.draw(None, n_calls=2)
        assert first != second

    @pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState])
    def test_a_generator_moves_on_from_call_to_call(self, make):
        first, second = self.draw(make(0), n_calls=2)
        assert first != second

    @pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState])
    def test_equal_generators_draw_the_same(self, make):
        assert self.draw(make(0), n_calls=2) == self.draw(make(0), n_calls=2)

    def test_order_of_ids_of_unused_users_is_irrelevant(self):
        sampler = NegativeSampler(random_state=0).fit(self.X)
        wider = pd.concat([self.X, pd.DataFrame({"user": [500], "item": [0]})])
        rows = self.X.iloc[:5]
        other = NegativeSampler(random_state=0).fit(wider)
        np.testing.assert_array_equal(sampler.transform(rows), other.transform(rows))

    @pytest.mark.parametrize("random_state", [-1, 0.5, "0", np.random])
    def test_refuses_what_is_no_seed(self, random_state):
        with pytest.raises(ValueError, match="random_state must be None, an int >= 0"):
            self.draw(random_state)

    @pytest.mark.parametrize("make", [lambda: None, lambda: 0, lambda: np.random.default_rng(0)])
    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_touches_no_global_generator(self, make, strategy):
        numpy_before = np.random.get_state()  # noqa: NPY002 - the global one is what is watched
        python_before = random.getstate()
        sampler = NegativeSampler(negative_strategy=strategy, random_state=make()).fit(self.X)
        sampler.transform(self.X)
        sampler.fit_resample(self.X)
        numpy_after = np.random.get_state()  # noqa: NPY002
        np.testing.assert_equal(numpy_after, numpy_before)
        assert random.getstate() == python_before


class TestMakeGenerator:
    def test_returns_a_generator_as_it_is(self, rng):
        assert make_generator(rng) is rng

    @pytest.mark.parametrize("seed", [0, 7, np.int64(7), np.uint8(7)])
    def test_seeds_with_an_int(self, seed):
        expected = np.random.default_rng(int(seed)).random(3)
        np.testing.assert_array_equal(make_generator(seed).random(3), expected)

    def test_moves_a_random_state_on(self):
        state = np.random.RandomState(0)
        assert make_generator(state).random() != make_generator(state).random()

    def test_of_none_is_fresh_each_time(self):
        assert make_generator(None).random() != make_generator(None).random()

    @pytest.mark.parametrize("random_state", [-1, 1.0, "seed", [1]])
    def test_refuses_other_things_and_shows_them(self, random_state):
        match = "random_state must be None, an int >= 0.*Received"
        with pytest.raises(ValueError, match=match):
            make_generator(random_state)


class TestHashMix:
    def test_gives_the_published_numbers_of_splitmix64(self):
        key = np.array([1234567], dtype=np.uint64)
        stream = [int(hash_mix(key, counter)[0]) for counter in range(5)]
        assert stream == [
            6457827717110365317,
            3203168211198807973,
            9817491932198370423,
            4593380528125082431,
            16408922859458223821,
        ]

    @given(st.lists(st.integers(0, 2**64 - 1), max_size=5), st.integers(0, 1000))
    def test_equals_a_slow_loop_of_python_ints(self, keys, counter):
        expected = []
        for key in keys:
            z = (key + (counter + 1) * 0x9E3779B97F4A7C15) % 2**64
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
            z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
            expected.append(z ^ (z >> 31))
        assert hash_mix(np.array(keys, dtype=np.uint64), counter).tolist() == expected

    def test_does_not_write_to_the_keys(self):
        keys = np.array([1, 2], dtype=np.uint64)
        hash_mix(keys, 0)
        assert keys.tolist() == [1, 2]
