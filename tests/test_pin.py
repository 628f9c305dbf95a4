import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import tables

from neumf import ALSRecommender, ItemKNNRecommender, PopularityRecommender, VotingRecommender

X = pd.DataFrame(
    [(user, item) for user in range(8) for item in range(user + 3)], columns=["user", "item"]
)


def lists_of(table, order, k):
    """Reorder whole lists: pinned items first, in their order; then cut at k."""
    lists = []
    for _, whole in table.groupby("user", sort=False):
        pinned = [item for item in dict.fromkeys(order) if item in set(whole["item"])]
        others = [item for item in whole["item"] if item not in pinned]
        cut = whole.set_index("item").loc[(pinned + others)[:k]].reset_index()
        lists.append(cut.assign(rank=range(1, len(cut) + 1)))
    columns = ["user", "item", "score", "rank"]
    return pd.concat(lists, ignore_index=True)[columns] if lists else table


@pytest.mark.filterwarnings("ignore:fit did not see")
@given(st.data(), st.sampled_from([ItemKNNRecommender, PopularityRecommender]), st.booleans())
def test_pinned_items_come_first_and_the_rest_stays(data, recommender, exclude_seen):
    table = data.draw(tables(times=None))
    model = recommender().fit(table)
    some_items = st.lists(st.sampled_from(list(model.items_)), max_size=4)
    pin, k = data.draw(some_items), data.draw(st.integers(1, 7))
    rules = {"allow": data.draw(st.none() | some_items), "deny": data.draw(some_items)}
    users = [*dict.fromkeys(table["user"]), 2**50]
    arguments = {"users": users, "exclude_seen": exclude_seen} | rules
    whole = model.recommend(k=len(model.items_), **arguments)
    found = model.recommend(k=k, pin=pin, **arguments)
    pd.testing.assert_frame_equal(found, lists_of(whole, pin, k), check_dtype=False)


@pytest.mark.parametrize(
    "model",
    [
        ALSRecommender(n_factors=2, random_state=0),  # scores of float32
        VotingRecommender([("knn", ItemKNNRecommender()), ("popular", PopularityRecommender())]),
    ],
)
def test_pinned_items_keep_the_scores_of_the_recommender(model):
    model.fit(X)
    found = model.recommend([1, 2], k=4, pin=[9, 6])
    assert found["item"].tolist()[:2] == found["item"].tolist()[4:6] == [9, 6]
    assert found["rank"].tolist() == [1, 2, 3, 4] * 2
    logits = model.decision_function(found[["user", "item"]])
    np.testing.assert_allclose(found["score"], logits, rtol=1e-5)
    # The least popular item has a lower score than those after it.
    assert found["score"][0] < found["score"][2]


def test_unknown_users_get_pinned_items_too():
    model = PopularityRecommender().fit(X)
    with pytest.warns(UserWarning, match="fit did not see 1 of 1 users"):
        found = model.recommend(99, k=3, pin=[9])
    assert found["item"].tolist() == [9, 0, 1]


@pytest.mark.parametrize("k", [1, 2])
def test_more_pinned_items_than_places_are_cut(k):
    found = PopularityRecommender().fit(X).recommend(0, k=k, pin=[9, 3, 7])
    assert found["item"].tolist() == [9, 3][:k]


def test_unknown_pinned_ids_are_left_out_with_a_warning():
    model = PopularityRecommender().fit(X)
    with pytest.warns(UserWarning, match="pin: fit did not see 1 of 2 items, such as 77"):
        found = model.recommend(0, k=2, pin=[77, 9])
    assert found["item"].tolist() == [9, 3]


def test_pinned_ids_of_another_kind_are_refused():
    with pytest.raises(ValueError, match="pin must be of the kind that fit saw, numbers"):
        PopularityRecommender().fit(X).recommend(0, pin=["9"])


def test_one_id_and_an_empty_list_are_pinned():
    model = PopularityRecommender().fit(X)
    assert model.recommend(0, k=1, pin=9)["item"].tolist() == [9]
    pd.testing.assert_frame_equal(model.recommend(0, pin=[]), model.recommend(0))
