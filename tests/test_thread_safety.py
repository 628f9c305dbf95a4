"""Many threads ask one recommender, as those of a server do."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import numpy as np
import pandas as pd
import pytest
from golden_models import GOLDEN, START, walks

import neumf
from neumf import ALSRecommender, EASERecommender, PopularityRecommender, SequentialRulesRecommender

N_THREADS = 8


def in_threads(work):
    """Let each thread do its work, all beginning at once; return what each returned."""
    barrier = Barrier(N_THREADS)

    def begin(number):
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(N_THREADS) as threads:
        return list(threads.map(begin, range(N_THREADS)))


def questions(model):
    """Return calls of `recommend`, of known users, some of whom did more since `fit`."""
    users, items = model.users_.tolist(), model.items_.tolist()
    plain = [{"users": user, "k": 1 + number % 5} for number, user in enumerate(users)]
    new = [
        {
            "users": user,
            "deny": [items[number % len(items)]],
            "interactions": pd.DataFrame(
                {"user": [user], "item": [items[(number + 3) % len(items)]], "timestamp": START}
            ),
        }
        for number, user in enumerate(users)
    ]
    return plain + new


def saved_and_loaded(recommender, folder):
    recommender.save(folder / "model")
    return neumf.load(folder / "model")


MODELS = {
    "neumf": lambda folder: neumf.load(GOLDEN / "format_1_neumf.neumf"),
    "next item": lambda folder: neumf.load(GOLDEN / "format_1_next_item.neumf"),
    "voting": lambda folder: neumf.load(GOLDEN / "format_1_voting.neumf"),
    "rules": lambda folder: saved_and_loaded(SequentialRulesRecommender().fit(walks()), folder),
    "als": lambda folder: saved_and_loaded(ALSRecommender(random_state=0).fit(walks()), folder),
    "ease": lambda folder: saved_and_loaded(EASERecommender(decay=2.0).fit(walks()), folder),
}


@pytest.mark.parametrize("name", MODELS)
def test_eight_threads_get_the_lists_that_one_gets(name, tmp_path):
    model = MODELS[name](tmp_path)
    asked = questions(model)
    expected = [model.recommend(**question) for question in asked]

    def work(number):
        order = np.random.default_rng(number).permutation(len(asked))
        return [(place, model.recommend(**asked[place])) for place in order]

    for answers in in_threads(work):
        for place, answer in answers:
            pd.testing.assert_frame_equal(answer, expected[place])


def test_threads_that_ask_first_find_all_users():
    # pandas makes the hash table of 300,000 ids outside the lock of Python.
    ids = np.random.default_rng(0).permutation(300_000)
    X = pd.DataFrame({"user": ids, "item": np.arange(len(ids)) % 3})
    content = pickle.dumps(PopularityRecommender().fit(X))
    for _ in range(5):
        model = pickle.loads(content)
        for number, answer in enumerate(
            in_threads(lambda number, model=model: model.recommend(ids[number], k=2))
        ):
            assert answer["user"].tolist() == [ids[number]] * 2
            assert number % 3 not in answer["item"].tolist()


def test_lists_are_those_of_one_model_while_another_thread_swaps_it():
    X = walks()
    models = [
        EASERecommender(2.0).fit(X),
        # Other ids, and fewer of them, in another order.
        EASERecommender(2.0).fit(X[X["user"] > 3].iloc[::-1]),
    ]
    users = sorted(set(models[0].users_) & set(models[1].users_))[:5]
    expected = [model.recommend(users, k=4) for model in models]
    assert not expected[0].equals(expected[1])
    served, stop = {"model": models[0]}, Event()

    def swap():
        number = 0
        while not stop.is_set():
            number = 1 - number
            served["model"] = pickle.loads(pickle.dumps(models[number]))

    def work(number):
        return [served["model"].recommend(users, k=4) for _ in range(50)]

    with ThreadPoolExecutor(1) as thread:
        swapping = thread.submit(swap)
        try:
            answers = [answer for part in in_threads(work) for answer in part]
        finally:
            stop.set()
        swapping.result()
    found = [[answer.equals(lists) for lists in expected] for answer in answers]
    assert np.any(found, axis=1).all()
    assert np.any(found, axis=0).all()
