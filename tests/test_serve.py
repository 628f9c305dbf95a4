"""The server of `examples/serve.py`: started, called by a real client, and stopped."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from golden_models import fit_next_item, walks

import neumf
from neumf import SequentialRulesRecommender

MISSING = [name for name in ("fastapi", "httpx", "uvicorn") if not importlib.util.find_spec(name)]
pytestmark = [
    pytest.mark.examples,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]

SCRIPT = Path(__file__).resolve().parents[1] / "examples" / "serve.py"


class Server:
    """A process that serves a file, and a client of it."""

    def __init__(self, path):
        import httpx

        self.process = subprocess.Popen(
            [sys.executable, SCRIPT, "--port", "0"],
            env=os.environ | {"NEUMF_MODEL": str(path)},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log = []
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.search(r"running on (http://\S+)", line):
                break
        else:
            pytest.fail("".join(self.log))
        self.client = httpx.Client(base_url=found[1], timeout=60)

    def ask(self, **question):
        return self.client.post("/recommend", json=question)

    def post(self, content, **headers):
        headers = {"Content-Type": "application/json"} | headers
        return self.client.post("/recommend", content=content, headers=headers)

    def stop(self):
        """End the server as Ctrl-C does; return its exit status and its complaints."""
        self.client.close()
        self.process.send_signal(signal.SIGINT)
        try:
            _, rest = self.process.communicate(timeout=60)
        finally:
            self.process.kill()  # does nothing to one that has ended
        lines = "".join([*self.log, rest]).splitlines()
        return self.process.returncode, [line for line in lines if not line.startswith("INFO:")]


@pytest.fixture(scope="module")
def model():
    return fit_next_item()


@pytest.fixture(scope="module")
def server(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("serve") / "model.neumf"
    model.save(path)
    server = Server(path)
    yield server
    assert server.stop() == (0, [])


def assert_lists(answer, lists):
    assert answer.status_code == 200
    items = pd.DataFrame(answer.json()["items"])
    assert items["item"].tolist() == lists["item"].tolist()
    assert items["rank"].tolist() == lists["rank"].tolist()
    np.testing.assert_allclose(items["score"], lists["score"], rtol=1e-5)


def test_health_tells_what_is_served(server):
    answer = server.client.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "recommender": "NextItemRecommender",
        "n_users": 20,
        "n_items": 12,
    }


def test_a_known_user_gets_the_list_of_recommend(server, model):
    answer = server.ask(user=3, k=4)
    assert_lists(answer, model.recommend(3, k=4))
    assert answer.json()["user"] == 3
    assert answer.json()["ignored"] == []


def test_denied_items_are_left_out(server, model):
    denied = model.recommend(3, k=2)["item"].tolist()
    assert_lists(server.ask(user=3, k=4, deny=denied), model.recommend(3, k=4, deny=denied))


def test_a_new_user_gets_a_list_of_the_interactions(server, model):
    items = ["ítem 1", "ítem 2"]
    expected = model.recommend(
        "new", k=3, interactions=pd.DataFrame({"user": "new", "item": items})
    )
    rows = [{"item": item} for item in items]
    assert_lists(server.ask(user="new", k=3, interactions=rows), expected)
    timed = [{"item": item, "timestamp": -place} for place, item in enumerate(items[::-1])]
    assert_lists(server.ask(user="new", k=3, interactions=timed[::-1]), expected)


def test_unknown_items_are_ignored_and_named(server, model):
    answer = server.ask(
        user=3, k=3, interactions=[{"item": "nothing"}], deny=["none", 5, "nothing"]
    )
    assert_lists(answer, model.recommend(3, k=3))
    assert answer.json()["ignored"] == ["nothing", "none", 5]


def test_an_unknown_user_of_whom_nothing_is_told_is_not_found(server):
    assert server.ask(user=10**30).status_code == 404
    assert server.ask(user="3").status_code == 404
    answer = server.ask(user="new", interactions=[{"item": "nothing"}])
    assert answer.status_code == 404
    assert "the user is unknown" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        ("", "Field required"),
        ("{", "JSON"),
        ("null", "Input should be"),
        ("[" * 100_000, "parsing"),
        (b"\xff\xfe{", "parsing"),
        ("{}", "Field required"),
        ('{"user": true}', "valid integer"),
        ('{"user": NaN}', "valid integer"),
        ('{"user": [3]}', "valid integer"),
        (r'{"user": "\ud800"}', "surrogates"),
        (r'{"user": 3, "deny": ["\ud800"]}', "surrogates"),
        ('{"user": 3, "k": 0}', "greater than or equal to 1"),
        ('{"user": 3, "k": 1001}', "less than or equal to 1000"),
        ('{"user": 3, "k": "5"}', "valid integer"),
        ('{"user": 3, "k": 5.5}', "valid integer"),
        ('{"user": 3, "K": 5}', "not permitted"),
        ('{"user": 3, "deny": 5}', "valid list"),
        ('{"user": 3, "interactions": ["ítem 1"]}', "valid dictionary"),
        ('{"user": 3, "interactions": [{"item": null}]}', "valid integer"),
        ('{"user": 3, "interactions": [{"item": "ítem 1", "timestamp": 1e999}]}', "finite"),
        (
            '{"user": 3, "interactions": [{"item": "ítem 1"}, {"item": "ítem 2", "timestamp": 1}]}',
            "a timestamp each",
        ),
    ],
)
def test_what_is_no_question_is_refused(content, detail, server):
    content = content.encode() if isinstance(content, str) else content
    answer = server.post(content)
    assert answer.status_code == 422
    assert detail in str(answer.json()["detail"])


@pytest.mark.parametrize("size", [2**18 + 1, 2**24])
def test_a_huge_body_is_refused(size, server):
    assert server.post(b"[" * size).status_code == 413


def test_a_huge_body_of_unknown_length_is_refused(server):
    assert server.post(b"[" * 2**12 for _ in range(2**8)).status_code == 413


def test_a_body_that_is_just_not_huge_is_read(server, model):
    content = b'{"user": 3, "k": 4}'.ljust(2**18)
    assert_lists(server.post(content), model.recommend(3, k=4))


def test_many_clients_get_the_lists_of_recommend(server, model):
    expected = {user: model.recommend(user, k=3) for user in range(20)}
    with ThreadPoolExecutor(8) as threads:
        answers = threads.map(lambda number: server.ask(user=number % 20, k=3), range(200))
        for number, answer in enumerate(answers):
            assert_lists(answer, expected[number % 20])


def test_what_a_recommender_needs_besides_is_said(tmp_path):
    model = SequentialRulesRecommender(decay="2D").fit(walks())
    model.save(tmp_path / "model")
    server = Server(tmp_path / "model")
    try:
        untimed = server.ask(user=3, interactions=[{"item": 1}])
        later = 1.8e9
        timed = server.ask(user=3, k=2, interactions=[{"item": 1, "timestamp": later}])
    finally:
        ended = server.stop()
    assert ended == (0, [])
    assert untimed.status_code == 422
    assert "timestamp" in untimed.json()["detail"]
    rows = pd.DataFrame({"user": 3, "item": [1], "timestamp": [later]})
    assert_lists(timed, model.recommend(3, k=2, interactions=rows))


def test_a_model_whose_ids_are_not_in_json_is_not_served(tmp_path):
    neumf.PopularityRecommender().fit([[0.5, "x"], [1.5, "y"]]).save(tmp_path / "model")
    result = subprocess.run(
        [sys.executable, SCRIPT, tmp_path / "model"], capture_output=True, text=True
    )
    assert result.returncode == 1
    assert "must hold ids that are integers or strings" in result.stderr
