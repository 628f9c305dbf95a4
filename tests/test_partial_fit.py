import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from network_options import SMALL_NEUMF, SMALL_NEXT_ITEM
from sklearn.base import clone

from neumf import LeaveLastOutSplitter, NeuMFRecommender, NextItemRecommender
from neumf.training.program import compile_program
from neumf.training.trainer import Trainer


def small_model(**options):
    return NeuMFRecommender(**SMALL_NEUMF | options)


def next_item_model(**options):
    return NextItemRecommender(**SMALL_NEXT_ITEM | options)


# Vectors of all have a width of 8.
MODELS = {
    "ids": small_model,
    "shared": next_item_model,
    "own": lambda **options: next_item_model(share_item_vectors=False, **options),
    "everything": lambda **options: next_item_model(
        add_user_vectors=True, hidden_size=5, loss="softmax", **options
    ),
}


def walks(n_users=60, n_items=20, length=8, first_user=0):
    """Each user starts somewhere and goes on to the next item, around and around."""
    starts = np.random.default_rng(first_user).integers(0, n_items, n_users)
    return pd.DataFrame(
        {
            "user": np.repeat(np.arange(first_user, first_user + n_users), length),
            "item": ((starts[:, None] + np.arange(length)) % n_items).ravel() + 1000,
            "timestamp": np.tile(np.arange(length), n_users),
        }
    )


@pytest.fixture(scope="module")
def early():
    X = walks()
    return X[X["timestamp"] < 6]


@pytest.fixture(scope="module")
def late():
    """Rows of twenty known users and of five new ones, with a new item."""
    X = walks()
    known = X[(X["timestamp"] >= 6) & (X["user"] < 20)]
    new = walks(5, first_user=500).replace({"item": {1003: 7777}})
    return pd.concat([known, new]).sample(frac=1, random_state=0).reset_index(drop=True)


@pytest.fixture(params=MODELS)
def fitted(request, early):
    return MODELS[request.param]().fit(early)


def test_new_users_and_items_come_behind_the_known_ones(fitted, early, late):
    users, items = fitted.users_, fitted.items_
    fitted.partial_fit(late)
    assert fitted.users_[:60].equals(users)
    assert fitted.items_[:20].equals(items)
    assert fitted.users_[60:].tolist() == late["user"][late["user"] >= 500].unique().tolist()
    assert fitted.items_[20:].tolist() == [7777]
    assert fitted.network_.users.shape == (65, 8)
    assert fitted.network_.item_vectors.shape == (21, 8)
    X = pd.concat([early, late])
    seen = pd.crosstab(X["user"], X["item"]).loc[fitted.users_, fitted.items_].to_numpy() > 0
    np.testing.assert_array_equal(fitted.seen_.toarray(), seen)
    np.testing.assert_array_equal(fitted.popularity_, seen.sum(axis=0))
    fresh = small_model().fit(X)
    same_order = fresh.items_.get_indexer(fitted.items_)
    np.testing.assert_allclose(fitted.popularity_logits_, fresh.popularity_logits_[same_order])


def test_rows_of_an_earlier_call_are_warned_about(early, late):
    model = small_model(epochs=1).fit(early)
    message = r"360 of its 360 pairs .*count twice: pass only new rows.*use a callback"
    with pytest.warns(UserWarning, match=message) as caught:
        model.partial_fit(early)
    assert [warning.filename for warning in caught] == [__file__]
    with pytest.warns(UserWarning, match="360 of its 4.. pairs"):
        model.partial_fit(pd.concat([early, late]))
    with pytest.warns(UserWarning, match="100 of its 100 pairs"):
        model.partial_fit(early[100:200])


def test_people_may_do_things_again(early):
    model = small_model(epochs=1).fit(early)
    model.partial_fit(early[100:199])  # some rows without a new pair
    again = early[early["user"] < 50]
    model.partial_fit(pd.concat([again, again.tail(1).assign(item=9999)]))  # many with one


def test_new_items_start_at_their_own_popularity(early):
    # A step size of next to nothing: what is there is what it started as.
    model = next_item_model(learning_rate=1e-9).fit(early)
    before = model.network_.items[:, -1]
    new = pd.DataFrame({"user": range(1000, 1020), "item": 7777, "timestamp": 0})
    model.partial_fit(new)
    after = model.network_.items[:, -1]
    np.testing.assert_allclose(after[:-1], before, atol=1e-6)
    assert after[-1] == pytest.approx(np.log(21 / np.mean(model.popularity_ + 1)), abs=1e-6)


def test_histories_go_on_where_they_ended(fitted, early, late):
    fitted.partial_fit(late)
    for user in (3, 30, 502):
        rows = [table[table["user"] == user].sort_values("timestamp") for table in (early, late)]
        newest = pd.concat(rows)["item"].iloc[::-1][: fitted.histories_.shape[1]]
        history = fitted.histories_[fitted.users_.get_loc(user)]
        assert fitted.items_[history[: len(newest)]].tolist() == newest.tolist()
        assert (history[len(newest) :] == -1).all()


@pytest.mark.parametrize("make", [small_model, lambda: next_item_model(add_user_vectors=True)])
def test_vectors_that_no_new_row_names_stay_bit_for_bit(make, early):
    # Labels: no negatives are drawn, so the rows name all that is touched.
    X = early[early["item"] < 1005].head(30)
    model = make().fit(early)
    before = model.network_
    model.partial_fit(X, y=np.ones(len(X)))
    after = model.network_
    named = np.isin(model.items_, X["item"])
    moved = (after.weights.tables["items"] != before.weights.tables["items"]).any(axis=1)
    # Histories name items too, whose vectors they share.
    assert not moved[~named].any() or hasattr(model, "share_item_vectors")
    assert moved[named].all()
    tables = [network.weights.tables["users"] for network in (before, after)]
    users = np.isin(model.users_, X["user"])
    assert np.array_equal(tables[1][~users], tables[0][~users])
    assert (tables[1][users] != tables[0][users]).any(axis=1).all()


def test_a_table_without_rows_changes_nothing(fitted, early):
    before = pickle.dumps(fitted)
    assert fitted.partial_fit(early.head(0)) is fitted
    assert pickle.dumps(fitted) == before


def test_the_first_call_is_fit(early):
    first = small_model().partial_fit(early)
    expected = small_model().fit(early)
    np.testing.assert_array_equal(first.network_.users, expected.network_.users)
    assert first.n_iter_ == 2
    with pytest.raises(ValueError, match="at least one interaction"):
        small_model().partial_fit(early.head(0))


def test_clone_forgets(fitted, late):
    fitted.partial_fit(late)
    again = clone(fitted)
    assert not hasattr(again, "network_")
    assert set(vars(again)) == set(again.get_params())


@pytest.mark.parametrize("copy", [lambda model: pickle.loads(pickle.dumps(model)), lambda m: m])
def test_one_seed_gives_the_same_weights_bit_for_bit(copy, early, late):
    found, expected = (small_model(dropout=0.3).fit(early) for _ in range(2))
    copy(found).partial_fit(late)
    found = copy(found).partial_fit(late) if found.n_iter_ == 2 else found
    expected.partial_fit(late)
    np.testing.assert_array_equal(found.network_.users, expected.network_.users)
    np.testing.assert_array_equal(found.network_.items, expected.network_.items)


def test_the_epochs_are_counted_on(fitted, late):
    losses = list(fitted.history_["loss"])
    fitted.partial_fit(late)
    assert fitted.n_iter_ == fitted.best_iter_ == len(fitted.history_["loss"]) == 4
    assert fitted.history_["loss"][:2] == losses


def test_what_is_learned_from_new_rows_is_used(early):
    """The new items follow each other as no old ones do."""
    model = next_item_model(n_factors=16, epochs=20).fit(early)
    new = walks(60, first_user=1000).assign(item=lambda X: X["item"] + 5000)
    X_train, X_test = LeaveLastOutSplitter().train_test_split(new)
    model.partial_fit(X_train)
    assert model.score(X_test) > 0.9
    # And the old ones are not forgotten.
    assert model.score(walks()[walks()["timestamp"] == 6]) > 0.8


def test_late_rows_count_as_late_whatever_their_timestamps_say(fitted):
    late = pd.DataFrame({"user": [3, 3], "item": [1001, 1002], "timestamp": [-5, -6]})
    fitted.partial_fit(late)
    history = fitted.items_[fitted.histories_[fitted.users_.get_loc(3)]]
    assert history[:2].tolist() == [1001, 1002]


def test_no_negative_was_seen_before_the_new_rows(monkeypatch, early, late):
    drawn, start = [], Trainer.__init__

    def note_rows(trainer, blueprint, weights, rows, *others):
        drawn.append(rows)
        start(trainer, blueprint, weights, rows, *others)

    monkeypatch.setattr(Trainer, "__init__", note_rows)
    model = small_model().fit(early).partial_fit(late)
    rows = drawn[-1]
    unseen = rows.negatives.unseen
    for user in np.unique(rows.users):
        n_unseen = 21 - model.seen_[[user]].nnz
        assert unseen.n_tickets[user] == n_unseen
        items = unseen.at(np.full(n_unseen, user), np.arange(n_unseen))
        assert not model.seen_[[user]].toarray()[0, items].any()


def test_a_saturated_user_without_new_rows_is_in_nobodys_way():
    everything = pd.DataFrame({"user": "a", "item": [1, 2]})
    X = pd.concat([everything, pd.DataFrame({"user": ["b"], "item": [1]})])
    y = np.ones(3)
    model = small_model().fit(X, y).partial_fit(pd.DataFrame({"user": ["c"], "item": [2]}))
    with pytest.raises(ValueError, match="no negatives can be drawn for user 'a'"):
        model.partial_fit(everything)


def test_a_sparse_matrix_may_grow():
    X = sp.csr_array(np.random.default_rng(0).random((20, 10)) < 0.3)
    model = small_model(recency=0.5).fit(X)
    wider = sp.coo_array(([1.0], ([30], [14])), shape=(31, 15))
    model.partial_fit(wider)
    assert model.users_[-1] == 30
    assert model.items_[-1] == 14


@pytest.mark.parametrize(
    ("make", "options", "match"),
    [
        (small_model, {"n_factors": 8}, "n_factors must be the same as in fit, n_factors=4: .*=8"),
        (small_model, {"architecture": "gmf"}, "partial_fit keeps the shape of the network"),
        (small_model, {"dropout": 2}, "dropout must be"),
        (next_item_model, {"history_length": 4}, "partial_fit keeps the shape of the network"),
        (next_item_model, {"hidden_size": 4}, "hidden_size must be the same as in fit"),
        (next_item_model, {"share_item_vectors": False}, "share_item_vectors=True: partial_fit"),
        (next_item_model, {"add_user_vectors": True}, "add_user_vectors must be the same as"),
    ],
)
def test_a_parameter_that_changes_the_shape_is_refused(make, options, match, early, late):
    model = make().fit(early).set_params(**options)
    before = model.network_
    with pytest.raises(ValueError, match=match):
        model.partial_fit(late)
    assert model.network_ is before
    assert len(model.users_) == 60


def test_histories_need_an_order_in_time(early):
    model = next_item_model().fit(early)
    with pytest.raises(ValueError, match=r"whose rows have an order.*Received a sparse matrix"):
        model.partial_fit(sp.coo_array(([1.0], ([3], [1004])), shape=(61, 1020)))


def test_other_columns_or_kinds_of_ids_are_refused(fitted, late):
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.partial_fit(late[["user", "item"]])
    with pytest.raises(ValueError, match="user ids must be of the kind that fit saw, numbers"):
        fitted.partial_fit(late.astype({"user": str}))


def test_parameters_of_the_training_may_change(fitted, early, late):
    fitted.set_params(epochs=1, learning_rate=0.1, batch_size=64).partial_fit(late)
    assert fitted.n_iter_ == 3


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("pretrain", [None, "sgd"])
def test_early_stopping_and_pretraining_are_for_fit(early_stopping, pretrain, early, late):
    model = small_model(early_stopping=early_stopping, pretrain=pretrain).fit(early)
    n_iter = model.n_iter_
    model.partial_fit(late)
    assert model.n_iter_ == n_iter + 2


def test_new_users_learn_as_fast_after_pretraining(early):
    """SGD, with which the joined network was trained, would leave them where they start."""
    new = walks(10, first_user=500)
    norms = []
    for pretrain in (None, "sgd"):
        model = small_model(pretrain=pretrain, epochs=10).fit(early).partial_fit(new)
        vectors = model.network_.users[model.users_ >= 500]
        norms.append(np.linalg.norm(vectors, axis=1).mean())
    start = 0.01 * np.sqrt(8)  # of vectors of 8 values from N(0, 0.01)
    assert min(norms) > 2 * start
    assert norms[1] > norms[0] / 2


def test_every_list_of_the_history_tells_of_every_epoch(early, late):
    options = {"early_stopping": True, "epochs": 6, "n_iter_no_change": 2}
    model = small_model(**options).fit(early)
    measured = list(model.history_["val_ndcg_at_10"])
    model.partial_fit(late)
    assert {len(values) for values in model.history_.values()} == {model.n_iter_}
    assert model.history_["val_ndcg_at_10"][: len(measured)] == measured
    assert np.isnan(model.history_["val_ndcg_at_10"][len(measured) :]).all()
    # The weights come from the last epoch, for which no row was held out.
    assert model.best_iter_ == model.n_iter_


@pytest.mark.parametrize("failure", ["diverges", "is interrupted"])
def test_what_fails_moves_nothing_on(failure, early, late, monkeypatch):
    model, never_failed = small_model().fit(early), small_model().fit(early)
    before = pickle.dumps(model)
    if failure == "diverges":
        model.set_params(learning_rate=1e25)
        with pytest.raises(ValueError, match="Training diverged"):
            model.partial_fit(late)
        model.set_params(learning_rate=1e-3)
    else:

        def interrupt(trainer):
            trainer._rng.random()
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "run_epoch", interrupt)
            with pytest.raises(KeyboardInterrupt):
                model.partial_fit(late)
    assert pickle.dumps(model) == before
    again, expected = model.partial_fit(late).network_, never_failed.partial_fit(late).network_
    np.testing.assert_array_equal(again.users, expected.users)
    np.testing.assert_array_equal(again.items, expected.items)


@pytest.mark.parametrize("name", ["ids", "shared", "everything"])
def test_a_stream_of_small_updates_compiles_once(name, early):
    model = MODELS[name](epochs=1).fit(early)
    rng = np.random.default_rng(0)
    n_compiled = compile_program.cache_info().misses
    for number in range(40):
        users = rng.integers(0, 60, 1 + number % 13)
        items = 1000 + rng.integers(0, 20, len(users))
        rows = pd.DataFrame({"user": users, "item": items, "timestamp": number})
        if number % 4 == 0:
            rows.loc[0, ["user", "item"]] = 900 + number, 2000 + number
        model.partial_fit(rows)
    assert len(model.users_) == 60 + 10
    assert compile_program.cache_info().misses - n_compiled <= 2


def test_moments_of_rows_are_kept_from_the_first_update_on(early, late):
    """Until then they would double what a fitted estimator holds, for nothing."""
    model = MODELS["everything"]().fit(early)
    vectors = sum(table.nbytes for table in model.network_.weights.tables.values())
    assert len(pickle.dumps(model)) < 2 * vectors + len(pickle.dumps(model.seen_)) + 30_000
    assert all(len(table) == 0 for table in model._optimizer.tables.values())
    model.partial_fit(late)
    assert all(len(table) > 0 for table in model._optimizer.tables.values())
