import math
import pickle
import random
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_is_fitted

from neumf import (
    IdEncoder,
    ItemKNNRecommender,
    LeaveLastOutSplitter,
    PopularityRecommender,
    evaluate,
    hr_scorer,
    make_ranking_scorer,
    metrics,
    ndcg_scorer,
)
from neumf.base import BaseRecommender, keep_rows, read_rows
from neumf.datasets import filter_k_core, load_movietweetings, read_movielens
from neumf.protocols import Recommender


class TableRanker:
    """Looks scores up, and keeps a record of the requested lists."""

    def __init__(self, table):
        self.table = table
        self.asked = []

    def score_items(self, users):
        return self.table[users]

    def score_candidates(self, users, items):
        self.asked.append(items)
        return self.table[users[:, None], items]


class TableRecommender(BaseRecommender):
    """Scores each pair as a table of users and items says, in whatever order `fit` meets them."""

    def __init__(self, table=None):
        self.table = table

    def fit(self, X, y=None):
        keep_rows(self, read_rows(X, y))
        table = self.table.reindex(index=self.users_, columns=self.items_)
        self.table_ranker_ = TableRanker(table.to_numpy())
        return self

    @property
    def ranker_(self):
        return self.table_ranker_


def interactions(items_by_user):
    return pd.DataFrame(
        [(user, item) for user, items in items_by_user.items() for item in items],
        columns=["user", "item"],
    )


def random_split(rng, n_users=15, n_items=30, n_seen=8, n_held_out=1):
    """Draw training and held-out rows; user 0 has seen the whole catalogue and is not tested."""
    orders = {user: rng.permutation(n_items).tolist() for user in range(1, n_users)}
    train = {user: order[:n_seen] for user, order in orders.items()}
    test = {user: order[n_seen : n_seen + n_held_out] for user, order in orders.items()}
    train[0] = range(n_items)
    return interactions(train), interactions(test)


def score_table(values, n_users=15, n_items=30):
    """A table of one score for all, or of the given ones."""
    return pd.DataFrame(np.broadcast_to(values, (n_users, n_items)))


def random_recommender(rng, train):
    return TableRecommender(score_table(rng.random((15, 30)))).fit(train)


def brute_force(scores, train, test, k):
    """NDCG and recall of held-out items among the unseen catalogue, with ties, over users."""
    ndcg, recall = [], []
    for user, rows in test.groupby("user"):
        held_out = set(rows["item"])
        seen = set(train.loc[train["user"] == user, "item"])
        candidates = [scores[user, item] for item in set(train["item"]) - (seen - held_out)]
        gain = found = 0.0
        for item in held_out:
            above = sum(score > scores[user, item] for score in candidates)
            equal = sum(score == scores[user, item] for score in candidates)
            ranks = [rank for rank in range(above + 1, above + equal + 1) if rank <= k]
            gain += sum(1 / math.log2(1 + rank) for rank in ranks) / equal
            found += len(ranks) / equal
        ideal = sum(1 / math.log2(1 + rank) for rank in range(1, min(k, len(held_out)) + 1))
        ndcg.append(gain / ideal)
        recall.append(found / len(held_out))
    return np.mean(ndcg), np.mean(recall)


def value_and_negatives(scorer, recommender, X):
    """The score, and the lists of candidates that were drawn for it."""
    recommender.ranker_.asked.clear()
    value = scorer(recommender, X)
    return value, np.vstack(recommender.ranker_.asked)


@pytest.fixture
def split(rng):
    return random_split(rng)


# The exact scorer


@pytest.mark.parametrize("n_held_out", [1, 4])
@pytest.mark.parametrize("k", [1, 5, 10, 50])
def test_exact_score_equals_brute_force_for_random_scores(rng, n_held_out, k):
    train, test = random_split(rng, n_held_out=n_held_out)
    table = score_table(rng.random((15, 30)))
    recommender = TableRecommender(table).fit(train)

    ndcg, recall = brute_force(table.to_numpy(), train, test, k)

    assert ndcg_scorer(k)(recommender, test) == pytest.approx(ndcg)
    assert make_ranking_scorer(metrics.recall_at_k, k)(recommender, test) == pytest.approx(recall)


@pytest.mark.parametrize("n_held_out", [1, 4])
def test_exact_score_equals_brute_force_for_popularity_with_its_many_ties(rng, n_held_out):
    train, test = random_split(rng, n_held_out=n_held_out)
    popularity = train.groupby("item")["user"].nunique().to_numpy()
    scores = np.tile(popularity, (15, 1))
    recommender = PopularityRecommender().fit(train)

    ndcg, recall = brute_force(scores, train, test, k=10)

    assert ndcg_scorer(10)(recommender, test) == pytest.approx(ndcg)
    assert make_ranking_scorer(metrics.recall_at_k, 10)(recommender, test) == pytest.approx(recall)


def test_hit_rate_of_one_held_out_item_is_its_recall(rng, split):
    train, test = split
    table = score_table(rng.random((15, 30)))

    recall = brute_force(table.to_numpy(), train, test, k=10)[1]

    assert hr_scorer()(TableRecommender(table).fit(train), test) == pytest.approx(recall)


def test_seen_items_are_no_candidates():
    train = interactions({"a": ["seen", "also seen"], "b": ["new", "other", "seen", "also seen"]})
    table = pd.DataFrame(
        {"seen": 9.0, "also seen": 8.0, "new": 7.0, "other": 6.0}, index=["a", "b"]
    )

    assert hr_scorer(k=1)(TableRecommender(table).fit(train), [["a", "new"]]) == 1


def test_held_out_item_that_was_seen_stays_a_candidate_with_a_warning():
    train = interactions({"a": ["x", "y"], "b": ["x", "y", "z"]})
    recommender = PopularityRecommender().fit(train)

    with pytest.warns(UserWarning, match=r"1 of 2 held-out \(user, item\) pairs were among the"):
        assert hr_scorer(k=1)(recommender, [["a", "x"], ["a", "z"]]) == 1


# Seen items as candidates


def random_repeats(rng, n_users=15, n_items=30, n_seen=8):
    """Draw training rows and two held-out rows of each user, one of them of a seen item."""
    train, test = random_split(rng, n_users, n_items, n_seen)
    repeated = train[train["user"] > 0].groupby("user", sort=False).head(1)
    return train, pd.concat([test, repeated])


@pytest.mark.parametrize("k", [1, 5, 50])
def test_exact_score_among_seen_items_too_equals_brute_force(rng, k):
    train, test = random_repeats(rng)
    table = score_table(rng.random((15, 30)))
    recommender = TableRecommender(table).fit(train)
    # Whoever has seen nothing has all items as candidates.
    unseen = train.assign(user=-1)

    ndcg, recall = brute_force(table.to_numpy(), unseen, test, k)

    scorer = make_ranking_scorer(metrics.recall_at_k, k, exclude_seen=False)
    assert ndcg_scorer(k, exclude_seen=False)(recommender, test) == pytest.approx(ndcg)
    assert scorer(recommender, test) == pytest.approx(recall)


def test_negatives_may_be_seen_items_but_no_held_out_ones(rng):
    train, test = random_repeats(rng)
    recommender = random_recommender(rng, train)
    scorer = ndcg_scorer(n_negatives=28, exclude_seen=False)

    negatives = value_and_negatives(scorer, recommender, test)[1][:, 2:]

    for user, codes in enumerate(negatives, start=1):
        held_out = set(test.loc[test["user"] == user, "item"])
        assert set(recommender.items_[codes]) == set(range(30)) - held_out


def test_all_other_items_as_negatives_give_the_exact_value_among_seen_items_too(rng):
    train, test = random_repeats(rng)
    recommender = random_recommender(rng, train)

    assert ndcg_scorer(n_negatives=28, exclude_seen=False)(recommender, test) == pytest.approx(
        ndcg_scorer(exclude_seen=False)(recommender, test)
    )
    with pytest.warns(UserWarning, match="at most 28 .* items beside the held-out ones"):
        ndcg_scorer(n_negatives=29, exclude_seen=False)(recommender, test)


@pytest.mark.parametrize("value", [None, 1, "no"])
def test_exclude_seen_must_be_true_or_false(value):
    with pytest.raises(TypeError, match="exclude_seen must be True or False"):
        ndcg_scorer(exclude_seen=value)


def test_fewer_candidates_than_k_make_a_shorter_list():
    train = interactions({"a": ["x"], "b": ["x", "y", "z"]})

    assert hr_scorer(k=10)(PopularityRecommender().fit(train), [["a", "z"]]) == 1


# The sampled scorer


@pytest.mark.parametrize("n_negatives", [1, 10, 21])
def test_perfect_recommender_gets_one_among_negatives(split, n_negatives):
    train, test = split
    table = score_table(0.0).copy()
    for user, item in test.to_numpy():
        table.loc[user, item] = 1.0
    recommender = TableRecommender(table).fit(train)

    assert hr_scorer(k=1, n_negatives=n_negatives)(recommender, test) == 1
    assert ndcg_scorer(k=1, n_negatives=n_negatives)(recommender, test) == 1


def test_constant_recommender_gets_a_hit_rate_of_a_tenth_among_99_negatives(rng):
    train, test = random_split(rng, n_items=150)
    recommender = TableRecommender(score_table(1.0, n_items=150)).fit(train)

    assert hr_scorer(k=10, n_negatives=99)(recommender, test) == pytest.approx(10 / 100)
    assert ndcg_scorer(k=10, n_negatives=99)(recommender, test) == pytest.approx(
        sum(1 / math.log2(1 + rank) for rank in range(1, 11)) / 100
    )


def test_all_unseen_items_as_negatives_give_the_exact_value(rng, split):
    train, test = split
    recommender = random_recommender(rng, train)

    assert ndcg_scorer(n_negatives=21)(recommender, test) == pytest.approx(
        ndcg_scorer()(recommender, test)
    )


def test_more_negatives_than_there_are_give_the_exact_value_with_a_warning(rng):
    train, test = random_split(rng, n_held_out=3)
    recommender = random_recommender(rng, train)

    # Of 30 items each of the 14 users has seen 8, and 3 are held out.
    message = (
        f"n_negatives must be at most {30 - 8 - 3} for all users .* Received: 500. 14 of 14 known"
    )
    with pytest.warns(UserWarning, match=message):
        sampled = ndcg_scorer(n_negatives=500)(recommender, test)

    assert sampled == pytest.approx(ndcg_scorer()(recommender, test))


def test_warning_of_few_unseen_items_counts_the_users_who_have_too_few():
    train = interactions({"a": ["v", "w", "x"], "b": ["v"], "c": ["v", "w", "x", "y", "z"]})
    recommender = PopularityRecommender().fit(train)
    test = [["a", "y"], ["b", "y"], ["new", "y"]]

    # Of five items "a" has 1 left beside the held-out one, "b" 3; "new" is unknown.
    with (
        pytest.warns(UserWarning, match="at most 1 for all users .* 1 of 2 known users have fewer"),
        pytest.warns(UserWarning, match="1 of 3 held-out rows"),
    ):
        hr_scorer(n_negatives=3)(recommender, test)


def test_negatives_are_neither_seen_nor_held_out(rng):
    train, test = random_split(rng, n_held_out=3)
    recommender = random_recommender(rng, train)

    negatives = value_and_negatives(ndcg_scorer(n_negatives=12), recommender, test)[1][:, 3:]

    assert negatives.shape == (14, 12)
    for user, codes in enumerate(negatives, start=1):
        items = set(recommender.items_[codes])
        assert len(items) == 12
        assert not items & set(train.loc[train["user"] == user, "item"])
        assert not items & set(test.loc[test["user"] == user, "item"])


def test_negatives_are_the_same_for_any_row_order(rng):
    train, test = random_split(rng, n_held_out=3)
    recommender = random_recommender(rng, train)
    scorer = ndcg_scorer(n_negatives=5)

    value, lists = value_and_negatives(scorer, recommender, test)
    shuffled = test.sample(frac=1, random_state=1)
    value_of_shuffled, lists_of_shuffled = value_and_negatives(scorer, recommender, shuffled)

    by_user = dict(zip(shuffled["user"].unique(), lists_of_shuffled.tolist(), strict=True))
    assert [by_user[user] for user in test["user"].unique()] == lists.tolist()
    assert value_of_shuffled == pytest.approx(value)


def test_negatives_of_a_user_do_not_depend_on_the_other_users(rng, split):
    train, test = split
    recommender = random_recommender(rng, train)
    scorer = ndcg_scorer(n_negatives=5)

    together = value_and_negatives(scorer, recommender, test)[1]
    alone = value_and_negatives(scorer, recommender, test.iloc[[7]])[1]

    assert alone.tolist() == together[[7]].tolist()


def test_negatives_are_the_same_at_every_call(rng, split):
    train, test = split
    recommender = random_recommender(rng, train)
    scorer = ndcg_scorer(n_negatives=5)

    first = value_and_negatives(scorer, recommender, test)
    second = value_and_negatives(scorer, recommender, test)

    assert first[0] == second[0]
    assert np.array_equal(first[1], second[1])


def test_negatives_are_the_same_for_every_estimator_fitted_on_the_table(rng, split):
    train, test = split
    scorer = ndcg_scorer(n_negatives=5)

    first = value_and_negatives(scorer, random_recommender(rng, train), test)
    second = value_and_negatives(scorer, random_recommender(rng, train), test)

    assert first[0] != second[0]
    assert np.array_equal(first[1], second[1])


def test_negatives_are_the_same_for_every_metric(rng, split):
    train, test = split
    recommender = random_recommender(rng, train)

    hits = value_and_negatives(hr_scorer(n_negatives=5), recommender, test)
    gains = value_and_negatives(ndcg_scorer(k=3, n_negatives=5), recommender, test)

    assert np.array_equal(hits[1], gains[1])


def test_another_seed_draws_other_negatives(rng, split):
    train, test = split
    recommender = random_recommender(rng, train)

    lists = [
        value_and_negatives(ndcg_scorer(n_negatives=5, random_state=seed), recommender, test)[1]
        for seed in (0, 1)
    ]

    assert not np.array_equal(*lists)


def test_every_user_has_negatives_of_their_own(rng):
    test = interactions({user: [0] for user in range(1, 15)})
    train = interactions({user: [1] for user in range(1, 15)} | {0: range(30)})
    recommender = random_recommender(rng, train)

    lists = value_and_negatives(ndcg_scorer(n_negatives=8), recommender, test)[1]

    assert len(np.unique(lists, axis=0)) == 14


@pytest.mark.parametrize("n_negatives", [None, 5])
def test_int_ids_and_the_same_ids_as_strings_give_the_same_value(split, n_negatives):
    train, test = split
    scorer = ndcg_scorer(n_negatives=n_negatives)

    of_ints = scorer(PopularityRecommender().fit(train), test)
    of_strings = scorer(PopularityRecommender().fit(train.astype(str)), test.astype(str))

    assert of_ints == of_strings


def test_array_with_a_float_column_gives_the_value_of_the_table(split):
    train, test = (table.assign(timestamp=0, rating=4.5) for table in split)
    recommender = PopularityRecommender().fit(train)
    assert test.to_numpy().dtype == float  # the ids too

    assert ndcg_scorer(n_negatives=5)(recommender, test.to_numpy()) == ndcg_scorer(n_negatives=5)(
        recommender, test
    )


# Unknown users and items


@pytest.mark.parametrize("n_negatives", [None, 1])
def test_unknown_users_and_items_are_misses_that_are_counted_and_never_dropped(n_negatives):
    train = interactions({"a": ["x"], "b": ["x", "y"], "c": ["x", "z"]})
    test = interactions({"a": ["y"], "new": ["y"], "b": ["unknown"], "other": ["unknown"]})
    scorer = hr_scorer(n_negatives=n_negatives)

    with pytest.warns(UserWarning, match=r"3 of 4 held-out rows .*\(2 an unknown user, 2"):
        assert scorer(PopularityRecommender().fit(train), test) == 1 / 4


def test_unknown_item_counts_among_the_positives_of_its_user():
    train = interactions({"a": ["x"], "b": ["x", "y"]})
    scorer = make_ranking_scorer(metrics.recall_at_k)

    with pytest.warns(UserWarning, match=r"1 of 2 held-out rows .*\(0 an unknown user, 1"):
        value = scorer(PopularityRecommender().fit(train), [["a", "y"], ["a", "unknown"]])

    assert value == 1 / 2


@pytest.mark.parametrize("n_negatives", [None, 1])
def test_test_rows_of_unknown_users_alone_score_zero(n_negatives):
    train = interactions({"a": ["x"], "b": ["x", "y"]})

    with pytest.warns(UserWarning, match="2 of 2 held-out rows"):
        value = ndcg_scorer(n_negatives=n_negatives)(
            PopularityRecommender().fit(train), [["new", "x"], ["newer", "y"]]
        )

    assert value == 0


def test_warnings_point_at_the_call_of_the_scorer():
    train = interactions({"a": ["x"], "b": ["x", "y"]})
    recommender = PopularityRecommender().fit(train)

    with pytest.warns(UserWarning, match="did not see|were among the rows") as caught:
        hr_scorer()(recommender, [["a", "x"], ["new", "y"]])

    assert [warning.filename for warning in caught] == [__file__, __file__]


@pytest.mark.parametrize("name", ["score", "evaluate", "scorer"])
def test_warning_points_at_the_call_of_the_library_from_outside(name):
    recommender = PopularityRecommender().fit(interactions({"a": ["x"], "b": ["x", "y"]}))
    measure = {
        "score": recommender.score,
        "evaluate": lambda X: evaluate(recommender, X),
        "scorer": lambda X: hr_scorer()(recommender, X),
    }[name]

    with pytest.warns(UserWarning, match="1 of 1 held-out rows") as caught:
        measure([["new", "y"]])

    assert [warning.filename for warning in caught] == [__file__]


def test_ids_of_another_kind_are_refused(split):
    train, test = split

    with pytest.raises(ValueError, match="X: user ids must be of the kind that fit saw"):
        ndcg_scorer()(PopularityRecommender().fit(train), test.astype(str))


# New users


def split_with_new_users(rng):
    """Training rows, earlier rows of three new users and one known one, and held-out rows."""
    train, test = random_split(rng)
    is_new = train["user"].isin([3, 7, 11])
    later = train.loc[train["user"] == 5].tail(3)
    earlier = pd.concat([train[is_new], later])
    return train[~is_new].drop(later.index), earlier, test


@pytest.mark.parametrize("n_negatives", [None, 21])
def test_new_users_are_ranked_by_their_earlier_rows(rng, n_negatives):
    train, earlier, test = split_with_new_users(rng)
    recommender = ItemKNNRecommender().fit(train)
    # The score is the sum of the weights of all items that a user has seen.
    seen = pd.crosstab(*pd.concat([train, earlier])[["user", "item"]].to_numpy().T) > 0
    scores = pd.DataFrame(
        seen[recommender.items_].to_numpy() @ recommender.item_weights_.toarray(),
        columns=recommender.items_,
    )[range(30)].to_numpy()

    ndcg = brute_force(scores, pd.concat([train, earlier]), test, 10)[0]

    scorer = ndcg_scorer(n_negatives=n_negatives, interactions=earlier)
    assert scorer(recommender, test) == pytest.approx(ndcg)


def test_new_users_without_earlier_rows_are_still_misses(rng):
    train, earlier, test = split_with_new_users(rng)
    recommender = PopularityRecommender().fit(train)

    with pytest.warns(UserWarning, match=r"1 of 14 held-out rows .*\(1 an unknown user, 0"):
        hr_scorer(interactions=earlier[earlier["user"] != 7])(recommender, test)


def test_earlier_rows_change_nothing_about_the_recommender(rng):
    train, earlier, test = split_with_new_users(rng)
    recommender = ItemKNNRecommender().fit(train)
    before = pickle.dumps(recommender)

    hr_scorer(interactions=earlier)(recommender, test)

    assert pickle.dumps(recommender) == before


def test_earlier_rows_go_through_the_steps_of_a_pipeline(rng):
    train, earlier, test = split_with_new_users(rng)

    def shift(X):
        return X.assign(user=X["user"] + 1000)

    pipeline = make_pipeline(FunctionTransformer(shift), ItemKNNRecommender()).fit(train)
    bare = ItemKNNRecommender().fit(train)

    scorer = ndcg_scorer(interactions=earlier)
    assert scorer(pipeline, test) == pytest.approx(scorer(bare, test))


def test_an_encoder_that_gives_all_new_users_one_id_is_refused(rng):
    train, earlier, test = split_with_new_users(rng)
    encoder = IdEncoder(handle_unknown="use_encoded_value")
    pipeline = make_pipeline(encoder, ItemKNNRecommender()).fit(train)

    with pytest.raises(ValueError, match=r"ids for new users\. Received 2 .* such as -1"):
        ndcg_scorer(interactions=earlier)(pipeline, test)


def test_an_encoder_that_knows_all_users_is_no_hindrance(rng):
    train, earlier, test = split_with_new_users(rng)
    known = test[test["user"].isin(train["user"])]
    encoder = IdEncoder(handle_unknown="use_encoded_value")
    pipeline = make_pipeline(encoder, ItemKNNRecommender()).fit(train)
    scorer = ndcg_scorer(interactions=earlier[earlier["user"] == 5])

    assert scorer(pipeline, known) == pytest.approx(scorer(ItemKNNRecommender().fit(train), known))


def test_earlier_rows_that_are_held_out_too_are_warned_about(rng):
    train, _, test = split_with_new_users(rng)

    with pytest.warns(UserWarning, match="given to fit or as interactions"):
        hr_scorer(interactions=test)(PopularityRecommender().fit(train), test)


def test_recommender_that_cannot_fold_in_is_refused(rng):
    train, earlier, test = split_with_new_users(rng)
    fitted = PopularityRecommender().fit(train)
    names = ("users_", "items_", "seen_", "popularity_", "ranker_")
    stranger = SimpleNamespace(**{name: getattr(fitted, name) for name in names})

    with pytest.raises(TypeError, match="with a method with_interactions"):
        hr_scorer(interactions=earlier)(stranger, test)


# Labels


@pytest.mark.parametrize("n_negatives", [None, 5])
def test_rows_labelled_zero_are_no_positives(rng, n_negatives):
    train, test = random_split(rng, n_held_out=3)
    recommender = random_recommender(rng, train)
    scorer = ndcg_scorer(n_negatives=n_negatives)
    y = np.arange(len(test)) % 3 == 1

    assert scorer(recommender, test, y) == scorer(recommender, test[y])


def test_labels_of_one_are_the_same_as_none(rng, split):
    train, test = split
    recommender = random_recommender(rng, train)

    assert ndcg_scorer()(recommender, test, np.ones(len(test))) == ndcg_scorer()(recommender, test)


def test_labels_that_are_all_zero_are_refused(split):
    train, test = split

    with pytest.raises(ValueError, match=r"y must label at least one row above 0.*14 labels"):
        ndcg_scorer()(PopularityRecommender().fit(train), test, np.zeros(len(test)))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.ones(3), r"one number per row of X, shape \(14,\)\. Received shape \(3,\)"),
        (np.full(14, 5.0), "y must hold a label between 0 and 1"),
        (np.full(14, np.nan), "y must hold finite numbers"),
    ],
    ids=["too short", "ratings", "NaN"],
)
def test_other_labels_are_refused(split, y, message):
    train, test = split

    with pytest.raises(ValueError, match=message):
        ndcg_scorer()(PopularityRecommender().fit(train), test, y)


# Estimators


def test_pipeline_scores_as_its_recommender_does(split):
    train, test = split
    pipeline = make_pipeline(IdEncoder(handle_unknown="use_encoded_value"), PopularityRecommender())

    assert ndcg_scorer()(pipeline.fit(train), test) == pytest.approx(
        ndcg_scorer()(PopularityRecommender().fit(train), test)
    )


def test_pipeline_of_the_recommender_alone_is_scored(split):
    train, test = split

    assert ndcg_scorer()(make_pipeline(PopularityRecommender()).fit(train), test) == ndcg_scorer()(
        PopularityRecommender().fit(train), test
    )


@pytest.mark.parametrize("n_negatives", [None, 1])
def test_pipeline_counts_every_unknown_user_as_a_miss(n_negatives):
    train = interactions({"a": ["x"], "b": ["x", "y"], "c": ["x", "z"]})
    test = interactions({"a": ["y"], "new": ["y"], "b": ["unknown"], "other": ["unknown"]})
    pipeline = make_pipeline(
        IdEncoder(handle_unknown="use_encoded_value"), PopularityRecommender()
    ).fit(train)

    with pytest.warns(UserWarning, match=r"3 of 4 held-out rows .*\(2 an unknown user, 2"):
        assert hr_scorer(n_negatives=n_negatives)(pipeline, test) == 1 / 4


def test_several_rows_of_unknown_users_count_alike_with_and_without_an_encoder():
    train = interactions({"a": ["x"], "b": ["x", "y"], "c": ["x", "z"]})
    test = interactions({"a": ["y"], "new": ["y", "z"], "other": ["x"]})
    bare = PopularityRecommender().fit(train)
    pipeline = make_pipeline(IdEncoder(handle_unknown="use_encoded_value"), PopularityRecommender())
    pipeline.fit(train)

    with pytest.warns(UserWarning, match=r"3 of 4 held-out rows .*\(3 an unknown user"):
        values = [
            bare.score(test),
            ndcg_scorer()(bare, test),
            pipeline.score(test),
            ndcg_scorer()(pipeline, test),
        ]

    # y ties with z for the first place of "a"; each of three unknown rows is a query that misses.
    assert values == pytest.approx([(1 + 1 / math.log2(3)) / 2 / (1 + 3)] * 4)


def test_fitted_search_is_scored_by_its_best_estimator(split):
    train, test = split
    scorer = ndcg_scorer()
    search = GridSearchCV(
        PopularityRecommender(), {}, scoring=scorer, cv=LeaveLastOutSplitter()
    ).fit(train)

    assert scorer(search, test) == scorer(PopularityRecommender().fit(train), test)


@pytest.mark.parametrize(
    "estimator",
    [
        PopularityRecommender(),
        make_pipeline(PopularityRecommender()),
        make_pipeline(IdEncoder(), PopularityRecommender()),
        GridSearchCV(PopularityRecommender(), {}),
    ],
    ids=["recommender", "pipeline of one", "pipeline", "search"],
)
def test_estimator_that_is_not_fitted_is_refused(split, estimator):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        ndcg_scorer()(estimator, split[1])


def test_search_that_was_not_refitted_is_refused(split):
    train, test = split
    search = GridSearchCV(
        PopularityRecommender(), {}, scoring=ndcg_scorer(), cv=LeaveLastOutSplitter(), refit=False
    ).fit(train)

    with pytest.raises(NotFittedError, match="GridSearchCV instance is not fitted yet"):
        ndcg_scorer()(search, test)


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        BaggingClassifier(),
        make_pipeline(LogisticRegression().fit([[0], [1]], [0, 1])),
        "a string",
    ],
    ids=["classifier", "meta-estimator", "pipeline", "no estimator"],
)
def test_estimator_that_is_no_recommender_is_refused(split, estimator):
    with pytest.raises(
        TypeError, match=r"estimator must be a fitted recommender.* without the attributes users_,"
    ):
        ndcg_scorer()(estimator, split[1])


@pytest.mark.parametrize("n_negatives", [None, 5])
def test_object_with_what_the_protocol_asks_for_is_scored(rng, split, n_negatives):
    train, test = split
    fitted = random_recommender(rng, train)
    names = ("users_", "items_", "seen_", "popularity_", "ranker_")
    stranger = SimpleNamespace(**{name: getattr(fitted, name) for name in names})

    scorer = ndcg_scorer(n_negatives=n_negatives)

    assert isinstance(stranger, Recommender)
    assert scorer(stranger, test) == scorer(fitted, test)


def test_scoring_leaves_the_estimator_as_it_was(rng, split):
    train, test = split
    recommender = random_recommender(rng, train)
    seen, table = recommender.seen_.toarray(), recommender.ranker_.table.copy()

    for n_negatives in (None, 5):
        ndcg_scorer(n_negatives=n_negatives)(recommender, test)

    assert np.array_equal(recommender.seen_.toarray(), seen)
    assert np.array_equal(recommender.ranker_.table, table)


# The scorer as an object


@pytest.mark.parametrize("make", [hr_scorer, ndcg_scorer])
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"k": 0}, r"k must be an int >= 1\. Received: 0"),
        ({"n_negatives": 0}, r"n_negatives must be an int >= 1\. Received: 0"),
        ({"random_state": -1}, r"random_state must be an int >= 0\. Received: -1"),
    ],
)
def test_parameter_out_of_range_is_refused(make, parameters, message):
    with pytest.raises(ValueError, match=message):
        make(**parameters)


@pytest.mark.parametrize("make", [hr_scorer, ndcg_scorer])
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"k": 2.5}, "k must be an int"),
        ({"n_negatives": "99"}, "n_negatives must be an int"),
        ({"random_state": None}, "random_state must be an int"),
        ({"random_state": np.random.RandomState(0)}, "random_state must be an int"),
    ],
    ids=["k", "n_negatives", "no seed", "a generator"],
)
def test_parameter_that_is_no_int_is_refused(make, parameters, message):
    with pytest.raises(TypeError, match=message):
        make(**parameters)


def test_metric_that_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match=r"metric must be callable.*Received: 'ndcg'"):
        make_ranking_scorer("ndcg")


def test_metric_of_ones_own_is_given_the_lists_and_the_cutoff(split):
    train, test = split

    def longest_list(y_true, y_score, k):
        return float(y_true.shape[1] + k)

    scorer = make_ranking_scorer(longest_list, k=100, n_negatives=6)

    assert scorer(PopularityRecommender().fit(train), test) == 7 + 100


@pytest.mark.parametrize(
    "scorer",
    [ndcg_scorer(), hr_scorer(3, n_negatives=9), make_ranking_scorer(metrics.recall_at_k, 7)],
    ids=repr,
)
def test_scorer_survives_pickling(split, scorer):
    train, test = split
    recommender = PopularityRecommender().fit(train)

    copy = pickle.loads(pickle.dumps(scorer))

    assert repr(copy) == repr(scorer)
    assert copy(recommender, test) == scorer(recommender, test)


def test_repr_of_a_scorer_says_how_to_make_it():
    assert repr(hr_scorer(5, n_negatives=99)) == (
        "make_ranking_scorer(hit_rate_at_k, k=5, n_negatives=99, random_state=0)"
    )
    assert repr(hr_scorer(5, exclude_seen=False)) == (
        "make_ranking_scorer(hit_rate_at_k, k=5, n_negatives=None, random_state=0, "
        "exclude_seen=False)"
    )


@pytest.mark.parametrize("n_negatives", [None, 5])
def test_scoring_leaves_the_global_generators_alone(split, n_negatives):
    train, test = split
    recommender = PopularityRecommender().fit(train)
    before = random.getstate(), pickle.dumps(np.random.get_state())  # noqa: NPY002

    ndcg_scorer(n_negatives=n_negatives)(recommender, test)

    after = random.getstate(), pickle.dumps(np.random.get_state())  # noqa: NPY002
    assert after == before


# Cross-validation


def timeline_table(rng):
    """Every user has 10 of 12 items, at times of their own."""
    X = interactions({user: rng.permutation(12)[:10].tolist() for user in range(40)})
    return X.assign(timestamp=rng.permutation(len(X)))


SCORING = {"hr": hr_scorer(2), "ndcg": ndcg_scorer(3), "sampled": ndcg_scorer(2, n_negatives=1)}


def cross_validated(X, **parameters):
    return cross_validate(
        PopularityRecommender(),
        X,
        cv=LeaveLastOutSplitter(n_splits=2),
        scoring=SCORING,
        return_estimator=True,
        **parameters,
    )


def test_cross_validation_equals_a_loop_over_the_splits(rng):
    X = timeline_table(rng)

    results = cross_validated(X)

    for fold, (train, test) in enumerate(LeaveLastOutSplitter(n_splits=2).split(X)):
        recommender = PopularityRecommender().fit(X.iloc[train])
        for name, scorer in SCORING.items():
            assert results[f"test_{name}"][fold] == scorer(recommender, X.iloc[test])


def test_cross_validation_gives_the_same_values_in_two_processes(rng):
    X = timeline_table(rng)

    one, two = cross_validated(X, n_jobs=1), cross_validated(X, n_jobs=2)

    for name in SCORING:
        assert one[f"test_{name}"].min() > 0
        assert np.array_equal(one[f"test_{name}"], two[f"test_{name}"])
    for estimator in two["estimator"]:
        check_is_fitted(estimator)


def test_cross_validation_passes_the_labels_on(rng):
    X = timeline_table(rng)
    y = (X["item"] > 3).to_numpy()

    (value,) = cross_validate(
        PopularityRecommender(), X, y, cv=LeaveLastOutSplitter(), scoring=hr_scorer(2)
    )["test_score"]

    ((train, test),) = LeaveLastOutSplitter().split(X)
    recommender = PopularityRecommender().fit(X.iloc[train], y[train])
    assert value == hr_scorer(2)(recommender, X.iloc[test], y[test])


# Golden figure


@pytest.mark.filterwarnings("ignore:3 of 943 held-out rows")
@pytest.mark.parametrize("data", ["movietweetings", "movielens-100k"])
def test_popularity_scores_as_a_few_lines_of_pandas_say(data, request):
    if data == "movietweetings":
        X = filter_k_core(load_movietweetings(), 20)
    else:
        X = read_movielens(request.getfixturevalue("real_data")("ml-100k", "u.data"))
    last = X.sort_values("timestamp", kind="stable").groupby("user").tail(1).index
    train, test = X.drop(last), X.loc[last]

    popularity = train.groupby("item")["user"].nunique()
    hits, gains = [], []
    for user, item in zip(test["user"], test["item"], strict=True):
        rivals = popularity.drop(train.loc[train["user"] == user, "item"])
        above = (rivals > popularity.get(item, np.inf)).sum()
        equal = (rivals == popularity.get(item, np.inf)).sum()
        ranks = np.arange(above + 1, min(above + equal, 10) + 1)
        hits.append(len(ranks) / max(equal, 1))
        gains.append(np.sum(1 / np.log2(1 + ranks)) / max(equal, 1))

    recommender = PopularityRecommender().fit(train)
    for scorer, expected in [(hr_scorer(), np.mean(hits)), (ndcg_scorer(), np.mean(gains))]:
        assert scorer(recommender, test) == pytest.approx(expected)


def test_negatives_do_not_depend_on_the_order_of_the_rows_given_to_fit(rng):
    users, items = np.repeat(np.arange(30), 5), rng.integers(0, 80, 150)
    X = pd.DataFrame({"user": users, "item": items}).drop_duplicates()
    X_test = pd.DataFrame({"user": range(30), "item": rng.choice(X["item"].unique(), 30)})
    X_test = X_test[~X_test.apply(tuple, axis=1).isin(X.apply(tuple, axis=1))]
    scorer = hr_scorer(k=3, n_negatives=10)
    values = [
        scorer(PopularityRecommender().fit(X.sample(frac=1, random_state=seed)), X_test)
        for seed in range(3)
    ]
    assert values[0] == pytest.approx(values[1]) == pytest.approx(values[2])
    assert 0 < values[0] < 1
