"""The scores of simple methods that `NextItemRecommender` adds to its network."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from network_options import SMALL_NEXT_ITEM

import neumf
from neumf import ALSRecommender, NextItemRecommender, SequentialRulesRecommender
from neumf.base import read_rows
from neumf.neural import added_scores
from neumf.neural.added_scores import AddedScores, SumRanker
from neumf.ranking.learned_weights import learn_weights

OPTIONS = SMALL_NEXT_ITEM | {"add_simple_methods": True}


@pytest.fixture(scope="module", autouse=True)
def all_tables_are_sparse():
    """Popularity may be added to `walks`, which has 60 rows an item."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(added_scores, "_DENSE", 100)
        yield


@pytest.fixture(scope="module")
def walks():
    """Each user walks around 40 items, in one of two directions, and sometimes jumps."""
    random = np.random.default_rng(0)
    rows = []
    for user in range(300):
        item, step = random.integers(40), (1, -1)[user % 2]
        for _ in range(8):
            rows.append((user, item))
            item = (item + step) % 40 if random.random() < 0.8 else random.integers(40)
    X = pd.DataFrame(rows, columns=["user", "item"]).drop_duplicates(ignore_index=True)
    return X.assign(timestamp=np.arange(len(X)) * 60.0)


@pytest.fixture(scope="module")
def model(walks):
    model = NextItemRecommender(**OPTIONS).fit(walks)
    assert model.added_scores_ is not None
    return model


def obvious_scores(model, users):
    """Network plus the weighted scores of methods that are fitted on their own, and biases."""
    total = model.network_.score_items(users).astype(float) + model.added_scores_.biases
    for weight, method in zip(
        model.added_scores_.weights, model.added_scores_.methods, strict=True
    ):
        total += weight * method.ranker_.score_items(users)
    return total


def rankers_of(model):
    return [method.ranker_ for method in model.added_scores_.methods]


def test_the_logit_is_that_of_the_network_plus_the_weighted_scores(model):
    users = np.arange(20)
    expected = obvious_scores(model, users)
    np.testing.assert_allclose(model.ranker_.score_items(users), expected, rtol=1e-5, atol=1e-5)
    items = np.tile([3, 1, 7], (20, 1))
    found = model.ranker_.score_candidates(users, items)
    np.testing.assert_allclose(found, expected[:, [3, 1, 7]], rtol=1e-4, atol=1e-4)
    pairs = [[model.users_[2], model.items_[5]]]
    assert model.decision_function(pairs)[0] == pytest.approx(expected[2, 5], rel=1e-4)


@pytest.fixture
def with_rules_alone(monkeypatch):
    alone = SequentialRulesRecommender(max_entries=100)
    monkeypatch.setattr(NextItemRecommender, "_simple_methods", lambda self, rows, seed: [alone])


def test_the_methods_know_all_rows(walks, with_rules_alone):
    model = NextItemRecommender(**OPTIONS).fit(walks)
    (rules,) = model.added_scores_.methods
    alone = SequentialRulesRecommender(max_entries=100).fit(walks)
    assert (rules.item_weights_ != alone.item_weights_).nnz == 0
    assert (rules.seen_ != model.seen_).nnz == 0


def test_the_weights_make_held_out_items_more_probable(walks):
    """The network is untrained, so the rules, which know the walk, must get the weight."""
    X_train, X_test = neumf.LeaveLastOutSplitter().train_test_split(walks)
    options = OPTIONS | {"learning_rate": 1e-6, "epochs": 1}
    alone = NextItemRecommender(**options | {"add_simple_methods": False}).fit(X_train)
    both = NextItemRecommender(**options).fit(X_train)
    rules = SequentialRulesRecommender().fit(X_train)
    assert both.score(X_test) > 0.95 * rules.score(X_test) > 2 * alone.score(X_test)


def test_a_method_that_does_not_help_is_left_out(walks, monkeypatch):
    class Useless(ALSRecommender):
        def fit(self, *args, **options):
            super().fit(*args, **options)
            self.item_vectors_ = np.zeros_like(self.item_vectors_)
            return self

    useless = [Useless()]
    monkeypatch.setattr(NextItemRecommender, "_simple_methods", lambda self, rows, seed: useless)
    added = NextItemRecommender(**OPTIONS).fit(walks).added_scores_
    assert added.methods == ()
    assert added.weights.shape == (0,)


def test_no_held_out_row_trains_the_network_that_sets_the_weights(walks, monkeypatch):
    """Each user's last row is new to the network and the methods, but known after `fit`."""
    seen = {}
    learn = added_scores.learn_added

    def spy(methods, network, beside, rows):
        seen.update(beside=beside, rows=rows)
        return learn(methods, network, beside, rows)

    monkeypatch.setattr("neumf.neural.trainable.learn_added", spy)
    model = NextItemRecommender(**OPTIONS).fit(walks)
    beside, rows = seen["beside"], seen["rows"]
    last = walks.groupby("user")["timestamp"].transform("max") == walks["timestamp"]
    assert sorted(beside.rows) == np.flatnonzero(last).tolist()
    assert len(beside.kept.users) == len(walks) - last.sum()
    assert (beside.last_items.items[:, 0] == rows.items[np.flatnonzero(last) - 1]).all()
    assert (model.histories_[:, 0] == rows.items[np.flatnonzero(last)]).all()


@pytest.mark.parametrize(("most", "large", "n_trainings"), [(1000, 0.0, 2), (5, 0.5, 1)])
def test_many_held_out_rows_are_trained_on_afterwards(walks, monkeypatch, most, large, n_trainings):
    monkeypatch.setattr("neumf.neural.training_rows.MOST_HELD_OUT", most)
    monkeypatch.setattr(added_scores, "_LARGE_SHARE", large)
    counts = []
    learn = neumf.neural.trainable.learn

    def counted(run):
        counts.append(len(run.prepared.rows))
        return learn(run)

    monkeypatch.setattr("neumf.neural.trainable.learn", counted)
    NextItemRecommender(**OPTIONS).fit(walks)
    assert len(counts) == n_trainings
    assert counts[0] == len(walks) - min(most, 300)
    assert counts[-1] == (len(walks) if n_trainings == 2 else len(walks) - most)


def test_early_stopping_and_weights_share_the_held_out_rows(walks):
    model = NextItemRecommender(**OPTIONS, early_stopping=True).fit(walks)
    assert model.added_scores_ is not None
    assert len(model.history_["val_ndcg_at_10"]) == model.n_iter_


def test_labels_and_single_rows_add_nothing(walks):
    sampler = neumf.NegativeSampler(n_negatives=1, random_state=0).fit(walks)
    X, y = sampler.fit_resample(walks)
    assert NextItemRecommender(**OPTIONS).fit(X, y).added_scores_ is None
    single = walks.groupby("user").head(1)
    assert NextItemRecommender(**OPTIONS).fit(single).added_scores_ is None


def test_fold_in_equals_a_user_with_these_rows(walks, model):
    user = model.users_[4]
    rows = walks[walks["user"] == user].assign(user=-1)
    both = model.recommend([-1], k=5, interactions=rows)
    own = model.recommend([user], k=5)
    assert both["item"].tolist() == own["item"].tolist()
    np.testing.assert_allclose(both["score"], own["score"], rtol=1e-3, atol=1e-3)


def test_a_request_time_hides_later_rows_from_all_parts(walks, model):
    user = model.users_[7]
    rows = walks[walks["user"] == user]
    time = rows["timestamp"].iloc[4]
    early = rows[rows["timestamp"] < time].assign(user=-1)
    found = model.recommend([user], k=5, at=time)
    expected = model.recommend([-1], k=5, interactions=early)
    assert found["item"].tolist() == expected["item"].tolist()
    np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-3, atol=1e-3)


def test_request_times_of_the_network_keep_the_added_scores(walks):
    model = NextItemRecommender(**OPTIONS, time_gaps="request").fit(walks)
    assert model.added_scores_ is not None
    late = walks["timestamp"].max() + 1
    users = np.array([3, 0])
    ranker = model.ranker_at(users, np.full(2, late))
    network = model.last_items.take(users).inputs(np.full(2, late))
    vectors = model.network_.blueprint.users.encode(*model.network_.weights, users, network)
    added = model.added_scores_
    expected = model.network_.with_users(vectors).score_items(np.arange(2)) + added.biases
    for weight, method in zip(added.weights, added.methods, strict=True):
        expected += weight * method.ranker_.score_items(users)
    found = ranker.score_items(np.arange(2))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_contributions_and_rest_still_sum_to_the_logit(model):
    user, items = model.users_[3], model.items_[[0, 5]].tolist()
    table = model.explain(user, items)
    sums = (
        table.groupby("item", sort=False)["contribution"].sum()
        + table.groupby("item", sort=False)["rest"].first()
    )
    logits = model.decision_function([[user, item] for item in items])
    np.testing.assert_allclose(sums, logits, rtol=1e-4, atol=1e-4)


def test_a_file_holds_the_added_scores(tmp_path, model):
    model.save(tmp_path / "model.neumf")
    loaded = neumf.load(tmp_path / "model.neumf")
    pd.testing.assert_frame_equal(loaded.recommend(k=3), model.recommend(k=3))
    for name in ("weights", "popularity_weights", "biases"):
        found, expected = (vars(m.added_scores_)[name] for m in (loaded, model))
        np.testing.assert_array_equal(found, expected)


def test_partial_fit_counts_new_rows_in_all_parts(walks, with_rules_alone):
    model = NextItemRecommender(**OPTIONS).fit(walks)
    new = pd.DataFrame({"user": [900, 900, 2], "item": [1, 99, 98], "timestamp": 1e6})
    model.partial_fit(new)
    so_far = pd.concat([walks, new])
    (rules,) = model.added_scores_.methods
    assert rules.users_.tolist() == model.users_.tolist()
    assert rules.items_.tolist() == model.items_.tolist()
    alone = SequentialRulesRecommender(max_entries=100).fit(so_far)
    order = alone.items_.get_indexer(rules.items_)
    difference = rules.item_weights_ - alone.item_weights_[order][:, order]
    assert abs(difference).max() < 1e-6
    assert len(model.recommend([900], k=3)) == 3


def test_rows_without_timestamps_work_too(walks):
    X = walks[["user", "item"]]
    with pytest.warns(UserWarning, match="no timestamps") as warned:
        model = NextItemRecommender(**OPTIONS).fit(X)
    assert len(warned) == 1
    timed = NextItemRecommender(**OPTIONS).fit(walks)
    users = np.arange(10)
    for parts in zip(*((m.network_, *rankers_of(m)) for m in (model, timed)), strict=True):
        found, expected = (part.score_items(users) for part in parts)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    with pytest.warns(UserWarning, match="no timestamps"):
        model.partial_fit(pd.DataFrame({"user": [900], "item": [1]}))
    assert not model.has_timestamps_
    assert len(model.added_scores_.methods[0].users_) == 301


def test_export_needs_the_network_alone(tmp_path, model):
    with pytest.raises(ValueError, match="add_simple_methods=False"):
        model.export(tmp_path / "graph")


def test_equal_seeds_give_equal_weights(walks, model):
    again = NextItemRecommender(**OPTIONS).fit(walks)
    np.testing.assert_array_equal(again.added_scores_.weights, model.added_scores_.weights)
    users = np.arange(300)
    np.testing.assert_array_equal(
        again.ranker_.score_items(users), model.ranker_.score_items(users)
    )


def test_a_sum_takes_each_weight_once():
    class Constant:
        def __init__(self, value):
            self.value = value

        def score_items(self, users):
            return np.full((len(users), 2), self.value)

        def score_candidates(self, users, items):
            return np.full(items.shape, self.value)

    biases = np.array([0.5, -0.5], np.float32)
    ranker = SumRanker((Constant(1.0), Constant(10.0), Constant(100.0)), (1.0, 2.0, 3.0), biases)
    assert ranker.score_items(np.arange(1)).tolist() == [[321.5, 320.5]]
    assert ranker.score_candidates(np.arange(1), np.ones((1, 1), int)).tolist() == [[320.5]]
    alone = AddedScores(np.ones(0), (), np.zeros(2), biases).beside(Constant(5.0))
    assert alone.score_items([0]).tolist() == [[5.5, 4.5]]


def obvious_log_popularities(X, items):
    """The weight of a row halves with each eighth of the table."""
    late, overall = np.zeros((2, len(items)))
    rows = X.sort_values("timestamp", kind="stable")["item"]
    for age, item in enumerate(reversed(rows.tolist())):
        late[items.get_loc(item)] += 0.5 ** (age / (len(X) / 8))
        overall[items.get_loc(item)] += 1
    return np.log([late + 1, overall + 1])


def test_biases_are_the_weighted_log_popularities(walks, model):
    rows = read_rows(walks.sample(frac=1, random_state=0), None, None)
    logs = obvious_log_popularities(walks, rows.item_ids)
    np.testing.assert_allclose(added_scores.log_popularities(rows), logs)
    added = model.added_scores_
    expected = added.popularity_weights @ obvious_log_popularities(walks, model.items_)
    np.testing.assert_allclose(added.biases, expected, rtol=1e-5)


def test_partial_fit_counts_popularity_anew(walks):
    model = NextItemRecommender(**OPTIONS).fit(walks)
    weights = np.array([1.0, -0.2])
    model.added_scores_ = replace(model.added_scores_, popularity_weights=weights)
    new = pd.DataFrame({"user": np.arange(30), "item": 77, "timestamp": 1e6 + np.arange(30)})
    model.partial_fit(new)
    expected = weights @ obvious_log_popularities(pd.concat([walks, new]), model.items_)
    np.testing.assert_allclose(model.added_scores_.biases, expected, rtol=1e-5)


@pytest.mark.parametrize("in_fashion", [True, False])
def test_popularity_of_late_counts_where_it_helps(in_fashion, monkeypatch):
    """Each of 2,000 users has two items. In fashion: first ten, then all, last ten others."""
    random = np.random.default_rng(0)
    users = np.concatenate([random.permutation(2000), random.permutation(2000)])
    items = random.integers(100, size=4000)
    if in_fashion:
        items[:1500] = 10 + items[:1500] % 10
        items[3000:] %= 10
    X = pd.DataFrame({"user": users, "item": items, "timestamp": np.arange(4000) * 60.0})
    X = X.drop_duplicates(["user", "item"])
    monkeypatch.setattr(NextItemRecommender, "_simple_methods", lambda self, rows, seed: [])
    X_train, X_test = X.iloc[:-200], X.iloc[-200:]
    model = NextItemRecommender(**OPTIONS | {"learning_rate": 1e-6, "epochs": 1}).fit(X_train)
    added = model.added_scores_
    with_late, late = model.score(X_test), added.popularity_weights[0]
    model.added_scores_ = replace(added, biases=added.biases * 0)
    without = model.score(X_test)
    assert (late > 0.5) == (with_late > 1.3 * without) == in_fashion, (late, with_late, without)


def test_popularity_adds_nothing_to_tables_with_many_rows_an_item(walks, model, monkeypatch):
    monkeypatch.setattr(added_scores, "_DENSE", len(walks) / 40)
    added = NextItemRecommender(**OPTIONS).fit(walks).added_scores_
    assert added.popularity_weights.tolist() == [0, 0]
    assert not added.biases.any()
    assert added.weights.all()
    assert model.added_scores_.biases.all()


def test_without_timestamps_no_row_is_late(walks):
    rows = read_rows(walks[["user", "item"]], None, None)
    late, overall = added_scores.log_popularities(rows)
    np.testing.assert_array_equal(late, overall)


def test_items_without_rows_get_the_mean_bias(walks):
    rows = read_rows(walks.assign(item=walks["item"] + 100), None, walks["item"] > 0)
    biases = added_scores._biases(rows, np.array([1.0, -0.5]))
    (alone,) = np.flatnonzero(rows.item_ids == 100)
    others = np.delete(biases, alone)
    assert biases[alone] == pytest.approx(others.mean())
    assert others.std() > 0


def test_sparse_tables_may_add_neighbours_of_items(walks):
    model = NextItemRecommender(**OPTIONS)
    dense, sparse = (read_rows(X, None, None) for X in (walks, walks.head(390)))
    assert sparse.shape[1] == 40
    names = [[type(m).__name__ for m in model._simple_methods(rows, 0)] for rows in (dense, sparse)]
    assert names[0] == ["SequentialRulesRecommender", "ALSRecommender"]
    assert names[1] == [*names[0], "ItemKNNRecommender"]


def test_only_weights_with_a_penalty_may_be_negative():
    """The held-out item has the lowest of both scores."""
    random = np.random.default_rng(0)
    scores = random.normal(size=(2, 50, 10))
    items = scores.sum(axis=0).argmin(axis=1)
    seen = sp.csr_array((50, 10), dtype=bool)

    def learn(penalties):
        return learn_weights(lambda users: scores[:, users], np.arange(50), items, seen, penalties)

    assert learn(None).tolist() == [0, 0]
    weak, strong = (learn(np.array([0, penalty])) for penalty in (1.0, 100.0))
    assert weak[0] == strong[0] == 0
    assert weak[1] < strong[1] < 0
