import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

from neumf import LeaveLastOutSplitter, NeuMFRecommender
from neumf.interactions.histories import read_histories, read_later_histories
from neumf.interactions.unseen import other_items
from neumf.model.network import grow_network, initial_network, sizes_of, with_initial_encoder
from neumf.training.trainer import Trainer, TrainingRows, TrainingSettings

SMALL = {"n_factors": 4, "mlp_embedding_dim": 4, "hidden_layer_sizes": (4,), "history_length": 3}
ENCODERS = ("id", "history", "hybrid")


def small_model(**options):
    return NeuMFRecommender(**{**SMALL, "epochs": 2, "random_state": 0, **options})


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


@pytest.fixture(params=[*ENCODERS, "softmax"])
def fitted(request, early):
    options = {"user_encoder": request.param}
    if request.param == "softmax":
        # Width 8, as the others have.
        options = {"loss": "softmax", "architecture": "gmf", "n_factors": 8}
        options |= {"user_encoder": "hybrid", "history_hidden_size": 5}
    return small_model(**options).fit(early)


def test_new_users_and_items_come_behind_the_known_ones(fitted, early, late):
    users, items = fitted.users_, fitted.items_
    fitted.partial_fit(late)
    assert fitted.users_[:60].equals(users)
    assert fitted.items_[:20].equals(items)
    assert fitted.users_[60:].tolist() == late["user"][late["user"] >= 500].unique().tolist()
    assert fitted.items_[20:].tolist() == [7777]
    assert fitted.network_.users.shape == (65, 8)
    assert fitted.network_.items.shape == (21, 8)
    X = pd.concat([early, late])
    seen = pd.crosstab(X["user"], X["item"]).loc[fitted.users_, fitted.items_].to_numpy() > 0
    np.testing.assert_array_equal(fitted.seen_.toarray(), seen)
    np.testing.assert_array_equal(fitted.popularity_, seen.sum(axis=0))
    fresh = small_model().fit(X)
    same_order = fresh.items_.get_indexer(fitted.items_)
    np.testing.assert_allclose(fitted.popularity_logits_, fresh.popularity_logits_[same_order])


def test_histories_go_on_where_they_ended(fitted, early, late):
    fitted.partial_fit(late)
    for user in (3, 30, 502):
        rows = [table[table["user"] == user].sort_values("timestamp") for table in (early, late)]
        newest = pd.concat(rows)["item"].iloc[::-1][:3]
        history = fitted.histories_[fitted.users_.get_loc(user)]
        assert fitted.items_[history].tolist() == newest.tolist()


def test_what_no_new_row_names_stays_bit_for_bit(early):
    # Labels: no negatives are drawn, so the rows name all that is touched.
    X = early[early["item"] < 1005].head(30)
    for encoder in ("id", "hybrid"):
        model = small_model(user_encoder=encoder).fit(early)
        before = model.network_
        model.partial_fit(X, y=np.ones(len(X)))
        after = model.network_
        items = np.isin(model.items_, X["item"])
        assert np.array_equal(after.items[~items], before.items[~items])
        assert (after.items[items] != before.items[items]).any(axis=1).all()
        tables = [n.users if encoder == "id" else n.encoder.users for n in (before, after)]
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
    options = {
        "user_encoder": "history",
        "architecture": "gmf",
        "n_factors": 16,
        "dropout": 0.0,
        "learning_rate": 0.02,
        "epochs": 20,
    }
    model = small_model(**options).fit(early)
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
    drawn = []

    class Watched(Trainer):
        def __init__(self, network, rows, *others):
            drawn.append(rows)
            super().__init__(network, rows, *others)

    monkeypatch.setattr("neumf._recommender.Trainer", Watched)
    model = small_model().fit(early).partial_fit(late)
    rows = drawn[-1]
    for user in np.unique(rows.users):
        n_unseen = 21 - model.seen_[[user]].nnz
        assert rows.unseen.n_tickets[user] == n_unseen
        items = rows.unseen.at(np.full(n_unseen, user), np.arange(n_unseen))
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
    ("options", "match"),
    [
        ({"n_factors": 8}, "partial_fit keeps the shape of the network"),
        ({"history_length": 4}, "partial_fit keeps the shape of the network"),
        ({"user_encoder": "hybrid"}, "partial_fit keeps the shape of the network"),
        ({"architecture": "gmf"}, "partial_fit keeps the shape of the network"),
        ({"user_encoder": "history"}, "partial_fit keeps the shape of the network"),
        ({"dropout": 2}, "dropout must be"),
    ],
)
def test_a_parameter_that_does_not_fit_is_refused(options, match, early, late):
    model = small_model().fit(early).set_params(**options)
    before = model.network_
    with pytest.raises(ValueError, match=match):
        model.partial_fit(late)
    assert model.network_ is before
    assert len(model.users_) == 60


def test_histories_need_an_order_in_time(early):
    model = small_model(user_encoder="history").fit(early)
    with pytest.raises(ValueError, match=r"user_encoder='history' makes.*no sparse matrix"):
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
@pytest.mark.parametrize("pretrain", [False, True])
def test_early_stopping_and_pretraining_are_for_fit(early_stopping, pretrain, early, late):
    model = small_model(early_stopping=early_stopping, pretrain=pretrain).fit(early)
    n_iter = model.n_iter_
    model.partial_fit(late)
    assert model.n_iter_ == n_iter + 2


@pytest.mark.parametrize("with_encoder", [False, True])
def test_training_in_two_parts_is_training_in_one(with_encoder, rng):
    """Moments and steps survive, and rows that are new later change nothing before."""
    settings = TrainingSettings("binary_crossentropy", 2, 6, 0.05, 0.1, 0.0)
    users, items = rng.integers(0, 6, 24), rng.integers(0, 9, 24).astype(np.int32)
    histories = read_histories(users, items, None, slice(None), 6, 2) if with_encoder else None
    rows = TrainingRows(users, items, None, None, other_items(9), histories)
    if histories is None:
        rows = TrainingRows(users, items, np.ones(24, np.float32), None, None)
    start = initial_network(6, 9, 4, 4, (4,), rng)
    more = initial_network(3, 2, 4, 4, (4,), rng)
    if with_encoder:
        start, more = (with_initial_encoder(network, 2, 3, True, rng) for network in (start, more))
    whole = Trainer(start, rows, settings, np.random.default_rng(7))
    whole.run_epoch()
    whole.run_epoch()

    generator = np.random.default_rng(7)
    first = Trainer(start, rows, settings, generator)
    first.run_epoch()
    grown = grow_network(first.network(), more)
    assert sizes_of(grown) == sizes_of(start)
    if with_encoder:
        more_histories = read_histories(users, items, None, slice(None), 9, 2)
        rows = TrainingRows(users, items, None, None, rows.unseen, more_histories)
    second = Trainer(grown, rows, settings, generator, first.adam())
    second.run_epoch()

    found, expected = second.network(), whole.network()
    np.testing.assert_array_equal(found.users[:6], expected.users)
    np.testing.assert_array_equal(found.items[:9], expected.items)
    np.testing.assert_array_equal(found.items[9:], more.items)
    for mine, theirs in zip(found.layers.arrays(), expected.layers.arrays(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert second.adam().n_steps == whole.adam().n_steps
    for name, moments in whole.adam().tables.items():
        n_rows = 6 if name == "users" else 9
        np.testing.assert_array_equal(second.adam().tables[name][:n_rows], moments[:n_rows])


@given(st.data(), st.integers(1, 4), st.booleans())
def test_later_histories_are_those_of_one_table(data, length, with_times):
    """Cut a table in two: what the first part tells in short is enough for the second."""
    n = data.draw(st.integers(1, 20))
    column = st.lists(st.integers(0, 3), min_size=n, max_size=n)
    users, items = np.array(data.draw(column)), np.array(data.draw(column), dtype=np.int32)
    times = np.sort(data.draw(column)) + 5 if with_times else None
    positive = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    cut = data.draw(st.integers(0, n))

    def part(rows):
        return users[rows], items[rows], None if times is None else times[rows], positive[rows]

    whole = read_histories(users, items, times, positive, 4, length)
    before = read_histories(*part(slice(cut)), 4, length).last()
    found = read_later_histories(before, *part(slice(cut, None)))
    np.testing.assert_array_equal(found.before(np.arange(n - cut)), whole.before(np.arange(cut, n)))
    np.testing.assert_array_equal(found.last(), whole.last())
