"""Re-ranked lists, held to a slow choice item by item, and their limits as properties."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import normalize

import neumf
from neumf import (
    ALSRecommender,
    EASERecommender,
    ItemKNNRecommender,
    LeaveLastOutSplitter,
    PopularityRecommender,
    RerankedRecommender,
    evaluate,
    make_ranking_scorer,
    metrics,
)
from neumf.ranking.group_limits import GroupLimits
from neumf.ranking.reranking import RerankingRanker

NO_CAP = 2**31 - 1


def limits_of(groups, floors, caps):
    """Limits from a list of groups for each item."""
    width = max(1, *map(len, groups))
    table = np.full((len(groups), width), len(floors))
    for item, own in enumerate(groups):
        table[item, : len(own)] = sorted(own)
    return GroupLimits(table, np.append(floors, 0), np.append(caps, NO_CAP))


def rerank(scores, k, *, diversity=0.0, n_candidates=100, vectors=None, limits=None, items=None):
    ranker = RerankingRanker(None, diversity, n_candidates, vectors, limits)
    items = np.arange(scores.shape[1]) if items is None else items
    return ranker.rerank(scores, items, k)


def chosen(scores, k):
    """The set of the k best columns of each row, without those of -inf."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return [{c for c in own if scores[row, c] > -np.inf} for row, own in enumerate(order)]


def slow_choice(scores, k, diversity, n_candidates, vectors, groups, floors, caps):
    """Choose a list step by step, by the rules of the documentation."""
    candidates = [c for c in np.argsort(-scores, kind="stable") if scores[c] > -np.inf]
    weight = {c: 1 / np.log2(2 + rank) for rank, c in enumerate(candidates)}
    pool = candidates[: max(k, n_candidates)]
    floors = [min(f, sum(g in groups[c] for c in candidates)) for g, f in enumerate(floors)]
    taken = []

    def value(c):
        similarity = np.mean([vectors[c] @ vectors[j] for j in taken]) if taken else 0
        return (1 - diversity) * weight[c] - diversity * similarity

    while len(taken) < min(k, len(candidates)):
        counts = [sum(g in groups[c] for c in taken) for g in range(len(floors))]
        missing = [max(0, f - n) for f, n in zip(floors, counts, strict=True)]
        is_forced = sum(missing) >= min(k, len(scores)) - len(taken)

        def fit(c, counts=counts, missing=missing, is_forced=is_forced):
            helps = not is_forced or any(missing[g] for g in groups[c])
            return 2 * helps + all(counts[g] < caps[g] for g in groups[c])

        in_pool = [c for c in pool if c not in taken]
        best = max(in_pool, key=lambda c: (fit(c), value(c)), default=None)
        other = max((c for c in candidates if c not in taken), key=lambda c: (fit(c), scores[c]))
        if best is None or fit(other) > fit(best):
            best = other
        taken.append(best)
    return set(taken)


@st.composite
def problems(draw, overlapping=True):
    """Scores of a few lists, vectors, groups of items, and limits."""
    n_items, n_groups = draw(st.integers(1, 14)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = rng.permuted(np.tile(np.arange(n_items) * 0.7 - 3, (3, 1)), axis=1)
    scores[rng.random(scores.shape) < draw(st.sampled_from([0, 0.3]))] = -np.inf
    width = 3 if overlapping else 2
    groups = [
        {*rng.choice(n_groups, min(rng.integers(width), n_groups), replace=False).tolist()}
        for _ in range(n_items)
    ]
    floors = rng.integers(0, 3, n_groups)
    caps = floors + rng.integers(0, 3, n_groups)
    vectors = normalize(rng.normal(size=(n_items, 4)))
    return scores, vectors, groups, floors, caps, draw(st.integers(1, 8))


@given(problems(), st.sampled_from([0.0, 0.3, 0.9]), st.integers(1, 14))
def test_lists_are_those_of_a_slow_choice(problem, diversity, n_candidates):
    scores, vectors, groups, floors, caps, k = problem
    options = {"diversity": diversity, "n_candidates": n_candidates}
    limits = limits_of(groups, floors, caps)
    ranked = rerank(scores, k, vectors=vectors, limits=limits, **options)
    expected = [
        slow_choice(own, k, diversity, n_candidates, vectors, groups, floors, caps)
        for own in scores
    ]
    assert chosen(ranked, k) == expected
    sparse = rerank(scores, k, vectors=sp.csr_array(vectors), limits=limits, **options)
    np.testing.assert_allclose(sparse, ranked)


@given(problems(), st.sampled_from([0.0, 0.5]))
def test_floors_are_met_exactly(problem, diversity):
    scores, vectors, groups, floors, caps, _ = problem
    k = max(1, int(floors.sum()))
    limits = limits_of(groups, floors, caps)
    ranked = rerank(scores, k, diversity=diversity, vectors=vectors, limits=limits, n_candidates=1)
    for row, own in enumerate(chosen(ranked, k)):
        for group, floor in enumerate(floors):
            available = sum(group in groups[c] for c in np.flatnonzero(scores[row] > -np.inf))
            assert sum(group in groups[c] for c in own) >= min(floor, available)


@given(problems(overlapping=False))
def test_caps_of_disjoint_groups_hold_if_enough_items_are_left(problem):
    scores, vectors, groups, floors, caps, k = problem
    k = max(k, int(floors.sum()))
    limits = limits_of(groups, floors, caps)
    ranked = rerank(scores, k, diversity=0.5, vectors=vectors, limits=limits, n_candidates=1)
    for row, own in enumerate(chosen(ranked, k)):
        left = [groups[c] for c in np.flatnonzero(scores[row] > -np.inf)]
        sizes = [sum(g in own_groups for own_groups in left) for g in range(len(caps))]
        room = np.minimum(sizes, caps).sum() + sum(not own_groups for own_groups in left)
        counts = np.array([sum(g in groups[c] for c in own) for g in range(len(caps))])
        assert room < k or (counts <= caps).all()


@given(problems())
def test_the_order_within_a_list_and_below_it_stays(problem):
    scores, vectors, groups, floors, caps, k = problem
    limits = limits_of(groups, floors, caps)
    ranked = rerank(scores, k, diversity=0.5, vectors=vectors, limits=limits)
    assert ((ranked == -np.inf) == (scores == -np.inf)).all()
    for row, own in enumerate(chosen(ranked, k)):
        inside = np.isin(np.arange(scores.shape[1]), [*own])
        np.testing.assert_array_equal(ranked[row, inside], scores[row, inside])
        known = ~inside & (scores[row] > -np.inf)
        if known.any():
            assert ranked[row, known].max() < scores[row, inside].min()
            shift = scores[row, known] - ranked[row, known]
            np.testing.assert_allclose(shift, shift[0], atol=1e-9)


def test_equal_scores_below_the_list_stay_below_it():
    ranked = rerank(np.zeros((1, 4)), 2, limits=limits_of([[], [], [], [0]], [1], [9]))
    assert chosen(ranked, 2) == [{0, 3}]
    assert ranked[0, [0, 3]].min() > ranked[0, [1, 2]].max()


def test_columns_may_be_any_items():
    limits = limits_of([[0], [], [], [0]], [1], [9])
    scores = np.array([[3.0, 2.0, 1.0], [3.0, 2.0, -np.inf]])
    items = np.array([[1, 2, 3], [2, 0, 0]])
    assert chosen(rerank(scores, 1, limits=limits, items=items), 1) == [{2}, {1}]


def test_small_blocks_give_the_same_lists(monkeypatch):
    rng = np.random.default_rng(0)
    scores, vectors = rng.normal(size=(300, 30)), normalize(rng.normal(size=(30, 5)))
    whole = rerank(scores, 5, diversity=0.5, vectors=vectors)
    monkeypatch.setattr(neumf.ranking.top_k, "_MOST_SCORES", 1000)
    np.testing.assert_array_equal(rerank(scores, 5, diversity=0.5, vectors=vectors), whole)


def walks(n_users=60, n_items=20, seed=0):
    rng = np.random.default_rng(seed)
    rows = [(u, i) for u in range(n_users) for i in rng.permutation(n_items)[: rng.integers(4, 9)]]
    return pd.DataFrame(rows, columns=["user", "item"]).assign(timestamp=range(len(rows)))


X = walks()
X_TRAIN, X_TEST = LeaveLastOutSplitter().train_test_split(X)
BRANDS = pd.Series({item: ["odd", "even"][item % 2 == 0] for item in range(20)}, name="brand")
BRANDS = BRANDS.rename_axis("item")
NEW = pd.Series([["new"]] * 3, index=[17, 18, 19])
FEATURES = pd.DataFrame({"item": range(20), "odd": [0, 1] * 10, "low": [1] * 10 + [0] * 10})


def als(**parameters):
    inner = ALSRecommender(n_factors=4, random_state=0)
    return RerankedRecommender(inner, **parameters).fit(X_TRAIN)


def counts_of(lists, groups):
    """How often each list has each group."""
    labels = lists.assign(group=lists["item"].map(groups)).explode("group")
    return pd.crosstab(labels["user"], labels["group"].astype(str))


@pytest.mark.parametrize("k", [3, 5, 8])
@pytest.mark.parametrize("exclude_seen", [True, False])
def test_recommend_keeps_the_limits_for_any_length(k, exclude_seen):
    model = als(groups=NEW, at_least={"new": 2}, at_most={"new": 2})
    lists = model.recommend(k=k, exclude_seen=exclude_seen)
    seen = X_TRAIN[X_TRAIN["item"].isin(NEW.index)].groupby("user").size()
    left = 3 - seen.reindex(range(60), fill_value=0) * exclude_seen
    new = counts_of(lists, NEW).reindex(range(60), fill_value=0)["new"]
    pd.testing.assert_series_equal(new, np.minimum(left, 2), check_names=False)
    assert (lists.groupby("user").size() == k).all()


def test_allow_and_deny_choose_the_candidates_first():
    model = als(groups=NEW, at_least={"new": 2})
    lists = model.recommend(k=4, allow=[1, 2, 3, 4, 5, 17, 18, 19], deny=[19], exclude_seen=False)
    assert (counts_of(lists, NEW)["new"] == 2).all()
    lists = model.recommend(k=4, deny=[18, 19], exclude_seen=False)
    assert (counts_of(lists, NEW)["new"] == 1).all()


@pytest.mark.filterwarnings("ignore:fit did not see")
def test_unknown_users_get_lists_within_the_limits():
    lists = als(groups=BRANDS, at_most={"odd": 1}).recommend([-1, 3], k=5)
    assert (counts_of(lists, BRANDS)["odd"] <= 1).all()


def test_scores_are_those_of_the_recommender():
    model = als(groups=BRANDS, at_most=3, diversity=0.5)
    lists = model.recommend(k=6)
    logits = model.recommender_.decision_function(lists[["user", "item"]])
    np.testing.assert_allclose(lists["score"], logits, atol=1e-6)
    assert (lists.groupby("user")["score"].diff().dropna() <= 0).all()
    np.testing.assert_array_equal(model.predict(X_TEST), model.recommender_.predict(X_TEST))


def ndcg_of(lists):
    """NDCG of one held-out item per user, by rank in the table of lists."""
    found = X_TEST[["user", "item"]].merge(lists, how="left", on=["user", "item"])
    return (1 / np.log2(1 + found["rank"])).fillna(0).mean()


@pytest.mark.parametrize("limits", [{}, {"groups": BRANDS, "at_most": {"odd": 1}}])
def test_evaluate_measures_the_lists_of_recommend(limits):
    model = als(diversity=0.6, **limits)
    expected = [ndcg_of(model.recommend(k=k)) for k in (3, 5, 8)]
    assert len({*np.round(expected, 9)}) == 3
    results = evaluate(model, X_TEST, metrics=["coverage", "ndcg"], k=[5, 3, 8]).to_frame()
    assert results["metric"].tolist() == ["coverage"] * 3 + ["ndcg"] * 3
    assert results["k"].tolist() == [3, 5, 8] * 2
    np.testing.assert_allclose(results["value"][3:], expected)
    n_shown = [model.recommend(k=k)["item"].nunique() for k in (3, 5, 8)]
    np.testing.assert_allclose(results["value"][:3], np.array(n_shown) / 20)
    scorer = make_ranking_scorer(metrics.ndcg_at_k, k=5)
    assert scorer(model, X_TEST) == pytest.approx(expected[1])


def test_evaluate_among_candidates_measures_the_lists_of_allow():
    model = als(diversity=0, groups=BRANDS, at_least={"odd": 2})
    part = [1, 3, *range(0, 20, 2)]
    held_out = X_TEST[X_TEST["item"].isin(part)]
    lists = model.recommend(held_out["user"], k=4, allow=part)
    found = held_out.merge(lists, on=["user", "item"])
    result = evaluate(model, held_out, metrics="hr", k=4, candidates=part).to_frame()
    assert result["value"][0] == pytest.approx(len(found) / len(held_out))
    whole = evaluate(model.recommender_, held_out, metrics="hr", k=4, candidates=part).to_frame()
    assert result["value"][0] != whole["value"][0]


@pytest.mark.filterwarnings("ignore:n_negatives must be at most")
@pytest.mark.parametrize("parameters", [{"diversity": 0.6}, {"groups": BRANDS, "at_most": 2}])
def test_sampled_lists_are_chosen_among_the_sampled_items(parameters):
    model = als(**parameters)
    all_of_them = {"n_negatives": 19, "metrics": ["ndcg", "hr"], "k": [3, 4]}
    frame = evaluate(model, X_TEST, **all_of_them).to_frame()
    exact, sampled = (frame[frame["ranking"] == name] for name in ("exact", "sampled"))
    np.testing.assert_allclose(exact["value"], sampled["value"])
    plain = evaluate(model.recommender_, X_TEST, **all_of_them).to_frame()
    assert not np.isclose(plain["value"], frame["value"]).all()


@pytest.mark.parametrize("n_negatives", [None, 5])
def test_without_diversity_and_limits_nothing_changes(n_negatives):
    popular = RerankedRecommender(PopularityRecommender(), diversity=0).fit(X_TRAIN)
    inner = popular.recommender_
    pd.testing.assert_frame_equal(popular.recommend(), inner.recommend())
    values = [
        evaluate(model, X_TEST, k=[3, 5], n_negatives=n_negatives).to_frame()
        for model in (popular, inner)
    ]
    pd.testing.assert_frame_equal(*values)


def test_at_the_request_time_of_each_row():
    model = RerankedRecommender(
        PopularityRecommender(half_life=5), diversity=0, groups=BRANDS, at_most={"odd": 1}
    ).fit(X)
    lists = model.recommend([3, 4], k=4, at=200)
    assert (counts_of(lists, BRANDS)["odd"] <= 1).all()
    assert set(lists["item"]) != set(model.recommend([3, 4], k=4)["item"])
    timed = evaluate(model.fit(X_TRAIN), X_TEST, metrics="hr", k=4, at="row").to_frame()
    assert timed["ranking"].tolist() == ["exact", "exact, timed"]


def test_diversity_takes_dissimilar_items():
    distances = []
    for diversity in (0, 0.3, 0.9):
        model = als(diversity=diversity)
        vectors = pd.DataFrame(model.recommender_.item_vectors_, index=model.items_)
        distances.append(metrics.intra_list_distance(model.recommend(k=4), vectors))
    assert distances[0] < distances[1] < distances[2]


@pytest.mark.parametrize("inner", [ItemKNNRecommender(), ALSRecommender(random_state=0)])
def test_features_replace_vectors(inner):
    model = RerankedRecommender(inner, item_features=FEATURES, diversity=0.9)
    lists = model.fit(X_TRAIN).recommend(k=4)
    table = FEATURES.set_index("item")
    plain = model.recommender_.recommend(k=4)
    distances = [metrics.intra_list_distance(part, table) for part in (plain, lists)]
    assert distances[1] > distances[0] + 0.1


def test_parameters_take_effect_without_a_fit_where_documented():
    model = als(diversity=0)
    expected = als(diversity=0.7, n_candidates=8).recommend()
    model.set_params(diversity=0.7, n_candidates=8)
    pd.testing.assert_frame_equal(model.recommend(), expected)
    with pytest.raises(ValueError, match="diversity must be a number >= 0 and < 1"):
        model.set_params(diversity=1).recommend()
    ease = RerankedRecommender(EASERecommender(), diversity=0).fit(X).set_params(diversity=0.5)
    with pytest.raises(ValueError, match="EASERecommender, which has no item vectors"):
        ease.recommend()


def test_parameters_of_the_recommender_have_its_name():
    model = RerankedRecommender(ItemKNNRecommender(), diversity=0)
    copy = clone(model).set_params(recommender__n_neighbors=3)
    assert copy.get_params()["recommender__n_neighbors"] == 3
    assert model.recommender.n_neighbors == 100
    assert copy.fit(X).recommender_.n_neighbors == 3
    assert not hasattr(copy.recommender, "items_")


def test_a_search_tries_diversity_and_parameters_of_the_recommender():
    grid = {"diversity": [0, 0.5], "recommender__n_factors": [2, 4], "at_most": [None, {"odd": 2}]}
    model = RerankedRecommender(ALSRecommender(random_state=0), groups=BRANDS)
    search = GridSearchCV(model, grid, cv=LeaveLastOutSplitter()).fit(X)
    assert len({*search.cv_results_["mean_test_score"]}) > 4
    assert search.best_estimator_.recommend(3, k=2)["rank"].tolist() == [1, 2]


def test_a_frozen_recommender_is_not_fitted_again(tmp_path):
    fitted = ALSRecommender(n_factors=4, random_state=0).fit(X_TRAIN)
    model = RerankedRecommender(FrozenEstimator(fitted), groups=BRANDS, at_most=3).fit(X)
    assert model.recommender_ is fitted
    assert model.seen_ is fitted.seen_
    expected = als(groups=BRANDS, at_most=3).recommend()
    pd.testing.assert_frame_equal(model.recommend(), expected)
    model.save(tmp_path / "model.neumf")
    loaded = neumf.load(tmp_path / "model.neumf")
    pd.testing.assert_frame_equal(loaded.recommend(), expected)
    assert isinstance(loaded.recommender, ALSRecommender)
    with pytest.raises(NotFittedError, match="This ALSRecommender"):
        RerankedRecommender(FrozenEstimator(ALSRecommender())).fit(X)


def test_it_folds_in():
    model = als(groups=BRANDS, at_most={"odd": 2}, diversity=0.5)
    same = X_TRAIN[X_TRAIN["user"] == 3].assign(user=-3)
    expected = model.recommend(3).drop(columns="user")
    found = model.recommend(-3, interactions=same).drop(columns="user")
    pd.testing.assert_frame_equal(found, expected)
    assert -3 in model.with_interactions(same).recommender_.users_


def test_cold_items_of_the_recommender_get_into_lists():
    table = FEATURES.set_index("item")
    extended = pd.concat([table, table.iloc[:1].rename({0: 99})])
    inner = ALSRecommender(n_factors=4, item_features=extended, random_state=0)
    cold = pd.Series("cold", index=pd.Index([99], name="item"))
    model = RerankedRecommender(inner, groups=cold, at_least={"cold": 1}).fit(X)
    assert 99 in model.items_
    assert (model.recommend(k=3).groupby("user")["item"].agg(lambda items: 99 in {*items})).all()


@pytest.mark.parametrize("features", [None, FEATURES])
@pytest.mark.parametrize("limits", [{}, {"groups": BRANDS, "at_least": {"odd": 2}, "at_most": 4}])
def test_files_and_pickles_hold_the_rules(tmp_path, features, limits):
    model = als(item_features=features, diversity=0.4, **limits)
    model.save(tmp_path / "model.neumf")
    for same in (neumf.load(tmp_path / "model.neumf"), pickle.loads(pickle.dumps(model))):
        pd.testing.assert_frame_equal(same.recommend(), model.recommend())
        assert same.diversity == 0.4
    assert neumf.load(tmp_path / "model.neumf").groups is None


def test_weights_and_labels_reach_the_recommender():
    y, weights = np.arange(len(X)) % 3 > 0, np.linspace(1, 2, len(X))
    inner = ALSRecommender(n_factors=3, random_state=0)
    model = RerankedRecommender(inner).fit(X, y, sample_weight=weights)
    expected = inner.fit(X, y, sample_weight=weights)
    np.testing.assert_array_equal(model.recommender_.item_vectors_, expected.item_vectors_)
    assert (model.seen_ != expected.seen_).nnz == 0


@pytest.mark.parametrize(
    ("parameters", "error", "match"),
    [
        ({"recommender": "als"}, TypeError, "recommender must be a recommender"),
        ({"recommender": RerankedRecommender(PopularityRecommender())}, TypeError, "other than"),
        ({"diversity": 1.0}, ValueError, "diversity must be a number >= 0 and < 1"),
        ({"diversity": -0.1}, ValueError, "diversity must be"),
        ({"n_candidates": 0}, ValueError, "n_candidates must be an int >= 1"),
        ({"recommender": EASERecommender()}, ValueError, "EASERecommender, which has no item vec"),
        ({"at_least": 1}, TypeError, "groups must be a Series .* Received: None"),
        ({"groups": FEATURES, "at_most": 1}, TypeError, "Received: DataFrame of shape"),
        ({"groups": pd.Series(["a", "b"]), "at_most": 1}, ValueError, "default index"),
        (
            {"groups": pd.Series(["a"], index=[50]), "at_most": 1},
            ValueError,
            "no item of X, but 50",
        ),
        ({"groups": BRANDS, "at_least": {"of": 1}}, ValueError, "at_least must name groups.*'of'"),
        (
            {"groups": BRANDS, "at_most": {"odd": -1}},
            ValueError,
            r"at_most\['odd'\] must be an int",
        ),
        ({"groups": BRANDS, "at_most": 2.5}, TypeError, "at_most must be an int"),
        (
            {"groups": BRANDS, "at_least": {"odd": 3}, "at_most": 2},
            ValueError,
            "at_least must not be above at_most. Received 3 and 2 for the group 'odd'",
        ),
    ],
)
def test_bad_parameters_are_refused(parameters, error, match):
    with pytest.raises(error, match=match):
        RerankedRecommender(**{"recommender": ALSRecommender()} | parameters).fit(X)


def test_groups_of_any_kind_of_label():
    groups = pd.Series([1, (1, 2), {"a"}, None, [], np.nan], index=[5, 6, 7, 8, 9, 10])
    model = als(groups=groups, at_most={1: 0, "a": 0}, diversity=0)
    assert {5, 6, 7}.isdisjoint(model.recommend(k=3)["item"])


# intra_list_distance


def slow_distance(lists, features):
    distances = []
    for _, items in lists.groupby("user")["item"]:
        vectors = features.loc[items].to_numpy(dtype=float)
        pairs = [
            1 - a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-300)
            for i, a in enumerate(vectors)
            for b in vectors[:i]
        ]
        distances += [np.mean(pairs)] if pairs else []
    return np.mean(distances)


@given(st.integers(0, 2**32 - 1))
def test_intra_list_distance_is_the_mean_over_pairs(seed):
    rng = np.random.default_rng(seed)
    features = pd.DataFrame(rng.integers(-1, 2, (6, 3)), index=[*"abcdef"])
    lists = pd.DataFrame(
        [(u, i) for u in (7, "x", 3) for i in rng.permutation([*"abcdef"])[: rng.integers(1, 6)]]
        + [("y", "a"), ("y", "b")],
        columns=["user", "item"],
    ).astype({"user": str})
    lists = lists.sample(frac=1, random_state=0)
    expected = slow_distance(lists, features)
    assert metrics.intra_list_distance(lists, features) == pytest.approx(expected, abs=1e-12)
    sparse = features.astype(pd.SparseDtype(float, 0))
    assert metrics.intra_list_distance(lists, sparse) == pytest.approx(expected, abs=1e-12)


def test_intra_list_distance_of_lists_of_one_item_is_undefined():
    lists = pd.DataFrame({"user": [1, 2], "item": ["a", "b"]})
    assert np.isnan(
        metrics.intra_list_distance(lists, pd.DataFrame({"x": [1, 2]}, index=["a", "b"]))
    )


@pytest.mark.parametrize(
    ("lists", "features", "error", "match"),
    [
        (X[["user"]], FEATURES, TypeError, "recommendations must be a DataFrame"),
        (X, np.eye(3), TypeError, "item_features must be a DataFrame indexed by item"),
        (X, FEATURES[:5], ValueError, "a row for each recommended item"),
        (X, FEATURES.where(FEATURES > 0), ValueError, "item_features must hold finite numbers"),
    ],
)
def test_intra_list_distance_refuses_bad_tables(lists, features, error, match):
    with pytest.raises(error, match=match):
        metrics.intra_list_distance(lists, features)
