"""Rankings among a part of the catalogue, held to slow loops."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.pipeline import make_pipeline
from test_scorers import (
    TableRanker,
    TableRecommender,
    brute_force,
    interactions,
    random_split,
    score_table,
)

from neumf import (
    ColdItemSplitter,
    IdEncoder,
    ItemKNNRecommender,
    PopularityRecommender,
    compare,
    evaluate,
    hr_scorer,
    make_ranking_scorer,
    metrics,
    ndcg_scorer,
)
from neumf.base import keep_rows, read_rows
from neumf.ranking import top_k


def recommender_of(scores, train):
    return TableRecommender(score_table(scores)).fit(train)


def slow_values(scores, train, test, k, candidates):
    """The whole catalogue is the candidates: other rows of training never happened."""
    # Users without any seen candidate must not vanish, nor must items that nobody saw.
    known = pd.DataFrame({"user": -1, "item": sorted(candidates)})
    return brute_force(scores, pd.concat([train[train["item"].isin(candidates)], known]), test, k)


@given(st.integers(0, 10**6), st.sets(st.integers(0, 29), min_size=1), st.integers(1, 12))
def test_exact_values_among_candidates_equal_brute_force(seed, candidates, k):
    rng = np.random.default_rng(seed)
    train, test = random_split(rng, n_held_out=4)
    scores = rng.integers(0, 6, (15, 30)).astype(float)  # with many ties
    test = test[test["item"].isin(candidates)]
    if test.empty:
        return
    model = recommender_of(scores, train)
    ndcg, recall = slow_values(scores, train, test, k, candidates)
    asked = rng.permutation(sorted(candidates))
    assert ndcg_scorer(k, candidates=asked)(model, test) == pytest.approx(ndcg)
    scorer = make_ranking_scorer(metrics.recall_at_k, k, candidates=asked.tolist())
    assert scorer(model, test) == pytest.approx(recall)
    results = evaluate(
        model, test, metrics=["ndcg", "recall"], k=k, candidates=pd.Index(asked)
    ).to_frame()
    assert results["value"].tolist() == pytest.approx([ndcg, recall])


def test_all_items_as_candidates_are_the_whole_catalogue(rng):
    train, test = random_split(rng, n_held_out=2)
    model = recommender_of(rng.random((15, 30)), train)
    everything = evaluate(model, test, n_negatives=5)
    found = evaluate(model, test, n_negatives=5, candidates=rng.permutation(30))
    pd.testing.assert_frame_equal(found.to_frame(), everything.to_frame())


def test_seen_candidates_are_ranked_if_asked():
    model = PopularityRecommender().fit([["a", 1], ["b", 1], ["b", 2], ["c", 3], ["c", 2]])
    X = [["a", 2]]
    assert hr_scorer(1, candidates=[1, 2])(model, X) == 1
    assert hr_scorer(1, candidates=[1, 2], exclude_seen=False)(model, X) == 0.5  # a tie


def test_negatives_are_drawn_among_the_candidates(rng):
    train, test = random_split(rng)
    candidates = [*range(20)]
    test = test[test["item"] < 20]
    model = recommender_of(rng.random((15, 30)), train)
    model.ranker_.asked.clear()
    evaluate(model, test, metrics="hr", n_negatives=4, candidates=candidates)
    drawn = np.vstack(model.ranker_.asked)[:, 1:]
    assert set(model.items_[drawn.ravel()]) <= set(candidates)
    seen = train.groupby("user")["item"].agg(set)
    for user, items in zip(test["user"], model.items_.to_numpy()[drawn], strict=True):
        assert len(set(items)) == 4
        assert not set(items) & seen[user]


def test_all_unseen_candidates_as_negatives_give_the_exact_value(rng):
    train, test = random_split(rng)
    test = test[test["item"] < 20]
    model = recommender_of(rng.random((15, 30)), train)
    options = {"k": 3, "candidates": [*range(20)]}
    with pytest.warns(UserWarning, match="n_negatives must be at most"):
        sampled = ndcg_scorer(n_negatives=40, **options)(model, test)
    assert sampled == pytest.approx(ndcg_scorer(**options)(model, test))


def test_lists_are_made_of_the_candidates(rng):
    train, test = random_split(rng)
    candidates = [*range(12)]
    test = test[test["item"].isin(candidates)]
    model = recommender_of(rng.random((15, 30)), train)
    results = evaluate(
        model, test, metrics=["coverage", "novelty"], k=3, candidates=candidates
    ).to_frame()
    results = results.set_index("metric")["value"]
    lists = model.recommend(test["user"].unique(), k=3, allow=candidates)
    assert results["coverage"] == lists["item"].nunique() / 12
    share = train.groupby("item")["user"].nunique() / train["user"].nunique()
    bits = -np.log2(lists["item"].map(share))
    assert results["novelty"] == pytest.approx(bits.mean())


@pytest.mark.parametrize("width", [30, 1])
def test_values_do_not_depend_on_the_size_of_blocks(rng, monkeypatch, width):
    train, test = random_split(rng)
    test = test[test["item"] < 20]
    model = recommender_of(rng.random((15, 30)), train)
    value = ndcg_scorer(candidates=[*range(20)])(model, test)
    monkeypatch.setattr(top_k, "_MOST_SCORES", width)
    assert ndcg_scorer(candidates=[*range(20)])(model, test) == value


def test_memory_is_bounded_by_what_is_scored(rng, monkeypatch):
    train, test = random_split(rng)
    test = test[test["item"] == test["item"].iloc[0]]
    model = recommender_of(rng.random((15, 30)), train)
    asked = []
    score_items = model.ranker_.score_items
    model.ranker_.score_items = lambda users: asked.append(len(users)) or score_items(users)
    monkeypatch.setattr(top_k, "_MOST_SCORES", 60)
    hr_scorer(candidates=test["item"])(model, pd.concat([test] * 2))
    assert max(asked) <= 2


def test_the_moment_of_the_question_is_told_among_candidates_too():
    X = pd.DataFrame(
        {"user": [*"abcde"], "item": [1, 1, 2, 2, 3], "timestamp": [0.0, 1.0, 50.0, 51.0, 2.0]}
    )
    model = PopularityRecommender(half_life="5s").fit(X)
    X_test = pd.DataFrame({"user": ["e"], "item": [1], "timestamp": [3.0]})
    options = {"k": 1, "candidates": [1, 2]}
    assert hr_scorer(**options)(model, X_test) == 0
    assert hr_scorer(**options, at="row")(model, X_test) == 1
    results = evaluate(model, X_test, metrics="hr", at="row", **options).to_frame()
    assert results["value"].tolist() == [0, 1]


def test_earlier_rows_are_told_among_candidates_too():
    model = ItemKNNRecommender().fit([["a", 1], ["a", 2], ["b", 1], ["b", 2], ["c", 3]])
    options = {"k": 1, "candidates": [2, 3], "interactions": [["new", 1]]}
    assert hr_scorer(**options)(model, [["new", 2]]) == 1


# Cold items


class RecommenderOfTable(TableRecommender):
    """Has all items of its table in the catalogue, also those without interactions."""

    def fit(self, X, y=None):
        rows = read_rows(X, y)
        cold = self.table.columns.difference(rows.item_ids, sort=False)
        rows = replace(rows, item_ids=rows.item_ids.append(cold))
        keep_rows(self, rows)
        table = self.table.reindex(index=self.users_, columns=self.items_)
        self.table_ranker_ = TableRanker(table.to_numpy())
        return self


def test_cold_candidates_are_the_items_without_interactions(rng):
    train, test = random_split(rng, n_held_out=3)
    hidden = [3, 5, 7, 11, 13]
    train, test = train[~train["item"].isin(hidden)], test[test["item"].isin(hidden)]
    scores = rng.random((15, 30))
    model = RecommenderOfTable(score_table(scores)).fit(train)
    ndcg, _ = slow_values(scores, train, test, 2, hidden)
    assert ndcg_scorer(2, candidates="cold")(model, test) == pytest.approx(ndcg)
    assert ndcg_scorer(2, candidates=hidden)(model, test) == pytest.approx(ndcg)


@pytest.mark.parametrize("candidates", ["cold", [99]])
def test_without_any_candidate_all_rows_are_misses(candidates):
    model = PopularityRecommender().fit([["a", 1], ["b", 1], ["b", 2]])
    names = ["ndcg", "coverage", "novelty", "auc"]
    with pytest.warns(UserWarning, match="1 of 1 held-out rows name a user or an item that fit"):
        results = evaluate(model, [["a", 99]], metrics=names, k=2, candidates=candidates).to_frame()
    if candidates == "cold":
        assert results["n_misses"].tolist() == [1] * 4
        assert results["value"].fillna(-1).tolist() == [0, -1, -1, 0]


@pytest.mark.filterwarnings("ignore:.*held-out rows name a user")
def test_compare_holds_recommenders_without_cold_items_to_those_with(rng):
    train, _ = random_split(rng, n_held_out=3)
    X_train, X_test = ColdItemSplitter(5, random_state=0).train_test_split(train)
    models = {
        "popularity": PopularityRecommender(),
        "table": RecommenderOfTable(score_table(rng.random((15, 30)))),
    }
    results = compare(models, X_train, X_test, metrics="hr", k=2, candidates="cold").to_frame()
    assert results["value"][0] == 0
    assert results["value"][1] > 0


# Errors


@pytest.mark.parametrize("n_negatives", [None, 3])
def test_rows_of_other_items_are_refused(rng, n_negatives):
    train, test = random_split(rng)
    model = recommender_of(rng.random((15, 30)), train)
    others = test["item"] != test["item"].iloc[0]
    match = (
        rf"X must hold rows of candidates only: .* Received {others.sum()} of {len(test)} rows "
        rf"with another item, such as {test['item'][others].iloc[0]}\. Leave these rows out"
    )
    scorer = ndcg_scorer(n_negatives=n_negatives, candidates=[test["item"].iloc[0]])
    with pytest.raises(ValueError, match=match):
        scorer(model, test)


def test_unknown_items_are_misses_among_candidates_too():
    model = PopularityRecommender().fit([["a", 1], ["b", 1], ["b", 2]])
    with pytest.warns(UserWarning, match="1 of 2 held-out rows name a user or an item"):
        assert hr_scorer(1, candidates=[2, 99])(model, [["a", 2], ["b", 99]]) == 0.5


def test_a_word_is_no_collection_of_ids():
    with pytest.raises(ValueError, match=r"candidates must be None, 'cold' or .* Received: 'col'"):
        hr_scorer(candidates="col")


def test_candidates_of_another_kind_are_refused():
    model = PopularityRecommender().fit([["a", 1], ["b", 2]])
    with pytest.raises(ValueError, match="candidates must be of the kind that fit saw, numbers"):
        hr_scorer(candidates=["1"])(model, [["a", 1]])


def test_behind_an_encoder_candidates_are_its_numbers():
    X = interactions({"a": ["x", "y"], "b": ["x", "z"]})
    pipeline = make_pipeline(IdEncoder(), PopularityRecommender()).fit(X)
    X_test = interactions({"a": ["z"]})
    assert hr_scorer(1, candidates=[2])(pipeline, X_test) == 1


# The scorer as an object


def test_scorers_with_candidates_survive_pickling_and_show_them():
    scorer = pickle.loads(pickle.dumps(hr_scorer(candidates=np.array([1, 2]))))
    assert scorer.task.candidates.tolist() == [1, 2]
    assert repr(scorer).endswith("random_state=0, candidates=...)")
    assert repr(hr_scorer(candidates="cold")).endswith("random_state=0, candidates='cold')")
