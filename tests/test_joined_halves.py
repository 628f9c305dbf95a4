"""`pretrain="als"`: a GMF solved by least squares, joined with an MLP by held-out rows."""

import itertools
import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from network_options import SMALL_JOINED
from test_als import expected_problem, expected_vectors

import neumf
from neumf import LeaveLastOutSplitter, NegativeSampler, NeuMFRecommender
from neumf.base import read_rows
from neumf.neural.joining import OTHER_PENALTIES, PENALTY, STEEPER, HeldOut, Setting
from neumf.training.trainer import Trainer


def rows_of_kinds(n_users=60, n_items=24, seed=0):
    """Return rows of users who like the items of their own kind, of three."""
    rng = np.random.default_rng(seed)
    rows = [
        (user, item)
        for user in range(n_users)
        for item in rng.permutation(np.arange(user % 3, n_items, 3))[: rng.integers(2, 7)]
    ]
    return pd.DataFrame(rows, columns=["user", "item"]).assign(timestamp=range(len(rows)))


X = rows_of_kinds()


def joined(**changes):
    return NeuMFRecommender(**SMALL_JOINED | changes)


@pytest.fixture(scope="module")
def fitted():
    return joined().fit(X)


@pytest.fixture
def trained_rows(monkeypatch):
    """The rows that networks are trained on."""
    made, start = [], Trainer.__init__

    def note(trainer, blueprint, weights, rows, settings, rng):
        start(trainer, blueprint, weights, rows, settings, rng)
        made.append(rows)

    monkeypatch.setattr(Trainer, "__init__", note)
    return made


def test_the_gmf_half_is_solved_on_all_rows(fitted):
    users, items = fitted.network_.users[:, :4], fitted.network_.items[:, :4]
    fitted.unobserved_weight = 8.0
    close = []
    recency = SMALL_JOINED["recency"]
    settings = itertools.product([PENALTY, *OTHER_PENALTIES], [recency, STEEPER * recency])
    for fitted.regularization, fitted.recency in settings:
        confidences, unobserved, of_users, _ = expected_problem(fitted, X)
        expected = expected_vectors(confidences, unobserved, of_users, items)
        close.append(np.allclose(users, expected, rtol=1e-4, atol=1e-5))
    del fitted.unobserved_weight
    fitted.set_params(regularization=SMALL_JOINED["regularization"], recency=recency)
    assert sum(close) == 1


def test_verbose_prints_the_choices_of_held_out_rows(capsys):
    model = joined(verbose=1).fit(X)
    pattern = r"chosen on held-out rows: GMF .* recency (\S+); weights: GMF (\S+), MLP (\S+)"
    recency, of_gmf, of_mlp = map(float, re.search(pattern, capsys.readouterr().out).groups())
    h = model.network_.weights.shared["output_kernel"][:, 0]
    assert h[0] == pytest.approx(of_gmf, rel=0.01)
    assert of_mlp >= 0
    assert recency in (SMALL_JOINED["recency"], STEEPER * SMALL_JOINED["recency"])


def test_a_logit_is_the_weighted_sum_of_both_halves(fitted):
    network = fitted.network_
    shared, h = network.weights.shared, network.weights.shared["output_kernel"][:, 0]
    assert (h[:4] == h[0]).all()
    assert h[0] > 0
    p, q = network.users, network.items
    gmf = p[:, :4] @ q[:, :4].T
    hidden = np.concatenate(
        [np.repeat(p[:, None, 4:], len(q), 1), np.repeat(q[None, :, 4:], len(p), 0)], axis=2
    )
    mlp = np.maximum(hidden @ shared["kernel_1"] + shared["bias_1"], 0) @ h[4:]
    expected = h[0] * gmf + mlp + shared["output_bias"]
    np.testing.assert_allclose(
        fitted.ranker_.score_items(np.arange(len(p))), expected, rtol=1e-4, atol=1e-5
    )


def test_the_mlp_is_joined_by_rows_that_it_was_not_trained_on_and_then_trained_on_all(trained_rows):
    model = joined().fit(X)
    kept, _ = LeaveLastOutSplitter().train_test_split(X)
    for rows, expected in zip(trained_rows, (kept, X), strict=True):
        pairs = set(zip(model.users_[rows.users], model.items_[rows.items], strict=True))
        assert pairs == set(zip(expected["user"], expected["item"], strict=True))


def test_without_timestamps_a_random_row_is_held_out(trained_rows):
    table = X[["user", "item"]]
    for seed in (0, 1):
        joined(random_state=seed, recency=0).fit(table)
    first, second = ({*zip(rows.users, rows.items, strict=True)} for rows in trained_rows[::2])
    assert len(first) == len(second) == len(X) - X["user"].nunique()
    assert first != second


class Scores:
    """Ranks by a matrix."""

    def __init__(self, matrix):
        self.matrix = matrix

    def score_items(self, users):
        return self.matrix[users].copy()

    def score_candidates(self, users, items):
        return self.matrix[users[:, None], items]


@pytest.fixture
def held_out():
    rows = read_rows(X)
    kept, last = rows.hold_out()
    return HeldOut.of(rows, kept, last, np.random.default_rng(0))


def choose(held_out, scores, recency=1.0):
    """Return the setting chosen, where these settings give these scores."""
    nothing = np.zeros(held_out.seen.shape)
    setting, solved = held_out.choose(
        recency, lambda setting: Scores(scores.get(tuple(setting), nothing))
    )
    assert solved.matrix is scores.get(tuple(setting), nothing) or not solved.matrix.any()
    return setting


def test_gmf_gets_another_setting_only_if_held_out_rows_are_surely_ranked_better(held_out):
    good = np.zeros(held_out.seen.shape)
    good[held_out.users, held_out.items] = 1
    for_one_user = np.zeros(held_out.seen.shape)
    for_one_user[held_out.users[0], held_out.items[0]] = 1
    first = Setting(PENALTY, 1.0)
    assert choose(held_out, {}) == first
    for setting in (first._replace(penalty=0.05), first._replace(recency=1.5)):
        assert choose(held_out, {setting: good}) == setting
        assert choose(held_out, {setting: for_one_user}) == first
    best = Setting(0.2, 1.5)
    scores = {best._replace(recency=1.0): for_most(held_out), best: good}
    assert choose(held_out, scores) == best


def for_most(held_out):
    """Return scores that rank two of three held-out items first."""
    scores = np.zeros(held_out.seen.shape)
    found = np.arange(len(held_out.users)) % 3 > 0
    scores[held_out.users[found], held_out.items[found]] = 1
    return scores


def test_without_order_no_recency_is_tried(held_out):
    tried = []
    held_out.choose(0.0, lambda setting: tried.append(setting) or Scores(held_out.seen.toarray()))
    assert [setting.recency for setting in tried] == [0.0] * 3


def test_a_half_of_noise_gets_no_weight(held_out):
    rng = np.random.default_rng(0)
    good = rng.normal(size=held_out.seen.shape)
    good[held_out.users, held_out.items] += 2
    noise = rng.normal(size=good.shape)
    np.testing.assert_array_equal(held_out.weigh(Scores(good), Scores(noise))[1], 0)
    weights = held_out.weigh(Scores(noise), Scores(good))
    assert weights[1] > 0


def test_probabilities_are_how_often_an_item_is_the_positive(held_out):
    """Four negatives for each positive: half of the scores say yes, half say nothing."""
    scores = np.zeros(held_out.seen.shape)
    scores[held_out.users, held_out.items] = np.arange(len(held_out.users)) % 2
    calibration = held_out.calibrate(Scores(scores), np.random.default_rng(0))
    np.testing.assert_allclose(calibration(np.array([0.0, 1.0])), [1 / 9, 1], atol=1e-6)
    assert np.isnan(calibration(np.array([np.nan]))).all()


def test_probabilities_are_calibrated_on_rows_that_fit_did_not_see():
    table = rows_of_kinds(600, 60, seed=1)
    X_train, X_test = LeaveLastOutSplitter().train_test_split(table)
    model = joined(epochs=1).fit(X_train)
    negatives = NegativeSampler(n_negatives=4, random_state=0).fit(table).transform(X_test)
    pairs = X_test[["user", "item"]].to_numpy()
    drawn = np.column_stack([np.repeat(pairs[:, 0], 4), np.asarray(negatives).ravel()])
    probability = model.predict(np.vstack([pairs, drawn]))
    assert abs(probability.mean() - 0.2) < 0.03
    sure = probability > 0.4
    share = sure[: len(pairs)].sum() / sure.sum()
    assert abs(probability[sure].mean() - share) < 0.1
    assert (np.diff(probability[np.argsort(model.decision_function(pairs))[:0]]) >= 0).all()


def test_a_new_user_gets_the_gmf_vector_of_the_same_rows(fitted):
    rows = X[X["user"] == 5]
    folded = fitted.with_interactions(rows.assign(user=999))
    known = fitted.network_.users[fitted.users_.get_loc(5), :4]
    new = folded.network_.users[folded.users_.get_loc(999), :4]
    np.testing.assert_allclose(new, known, rtol=1e-4, atol=1e-5)


def test_files_hold_what_predicts_and_folds_in(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    loaded = neumf.load(tmp_path / "model")
    pairs = X[["user", "item"]]
    np.testing.assert_array_equal(loaded.predict(pairs), fitted.predict(pairs))
    rows = X[X["user"] == 5].assign(user=999)
    lists = [model.recommend(999, interactions=rows) for model in (fitted, loaded)]
    pd.testing.assert_frame_equal(*lists)


def test_partial_fit_trains_the_joined_network_on(fitted):
    model = joined().fit(X)
    new = pd.DataFrame({"user": [1000, 1000], "item": [0, 3], "timestamp": [900, 901]})
    model.partial_fit(new)
    assert len(model.history_["loss"]) == 2 * model.epochs
    assert model.predict([[1000, 6]]).shape == (1,)
    np.testing.assert_array_equal(model.network_.users[1:60], fitted.network_.users[1:60])


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"user": [1, 2, 3], "item": [1, 2, 1], "timestamp": [1, 2, 3]}),
        sp.csr_array(np.eye(6) + np.eye(6, k=1)),
        sp.csr_array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]]),
    ],
    ids=["a row each", "sparse", "an item of held-out rows alone"],
)
def test_small_tables_are_joined_as_well(table):
    model = joined(recency=0).fit(table)
    assert np.isfinite(model.ranker_.score_items(np.arange(3))).all()
    assert len(model.recommend(k=2, exclude_seen=False)) == 2 * len(model.users_)


def test_labels_are_learned_by_the_mlp_and_positives_by_the_gmf():
    y = np.tile([1.0, 0.0], len(X))[: len(X)]
    model = joined().fit(X, y)
    plain = joined().fit(X[y > 0])
    assert model.seen_.nnz == plain.seen_.nnz
    assert (
        (model.predict(X[["user", "item"]]) >= 0) & (model.predict(X[["user", "item"]]) <= 1)
    ).all()


@pytest.mark.parametrize("early_stopping", [True, "refit"])
def test_early_stopping_ranks_the_held_out_rows(early_stopping, trained_rows, capsys):
    model = joined(early_stopping=early_stopping, epochs=3, verbose=1).fit(X)
    assert len(model.history_["val_ndcg_at_10"]) == len(model.history_["loss"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("mlp epoch")]
    assert len(lines) == len(model.history_["loss"]) + model.best_iter_
    assert len(trained_rows) == 2


def test_cold_items_get_vectors_of_both_halves():
    features = pd.DataFrame({"item": range(27), "kind": np.arange(27) % 3})
    features = pd.get_dummies(features, columns=["kind"])
    model = joined(item_features=features, epochs=20).fit(X)
    cold = model.network_.items[model.items_.get_indexer([24, 25, 26])]
    assert np.abs(cold[:, :4]).max() > 0.01
    best = model.recommend([0, 1, 2], k=1, allow=[24, 25, 26])
    assert (best["item"] % 3).tolist() == [0, 1, 2]
