"""The server of `examples/serve.py`: started, called by a real client, and stopped."""

import asyncio
import importlib.util
import json
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from copy import copy
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import numpy as np
import pandas as pd
import pytest
from golden_models import fit_next_item, walks

import neumf
from neumf import SequentialRulesRecommender

PACKAGES = "httpx", "prometheus_client", "pydantic", "starlette", "uvicorn"
MISSING = [name for name in PACKAGES if not importlib.util.find_spec(name)]
pytestmark = [
    pytest.mark.examples,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "examples" / "serve.py"


KEY = "open sesame ä"


class Server:
    """A process that serves a file, and a client of it."""

    def __init__(self, path, workers=1, key=""):
        import httpx

        self.process = subprocess.Popen(
            [sys.executable, SCRIPT, "--port", "0", "--workers", str(workers)],
            env=os.environ | {"NEUMF_MODEL": str(path), "NEUMF_API_KEY": key},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.path, self.n_workers, self.log, self.address = path, workers, [], None
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.search(r"running on http://(\S+):(\d+)", line):
                self.address = found[1], int(found[2])
            if self.address and sum("startup complete" in line for line in self.log) == workers:
                break
        else:
            pytest.fail("".join(self.log))
        headers = {"Authorization": f"Bearer {KEY}".encode()} if key else {}
        url = "http://{}:{}".format(*self.address)
        self.client = httpx.Client(base_url=url, timeout=60, headers=headers)

    def ask(self, **question):
        return self.client.post("/recommend", json=question)

    def post(self, content, **headers):
        headers = {"Content-Type": "application/json"} | headers
        return self.client.post("/recommend", content=content, headers=headers)

    def ask_together(self, questions):
        """Send requests while the only worker sleeps; return (status, body) of each answer."""
        bodies = [json.dumps(question).encode() for question in questions]
        head = "POST /recommend HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}"
        with ExitStack() as stack:
            connections = [
                stack.enter_context(socket.create_connection(self.address, timeout=60))
                for _ in bodies
            ]
            assert self.client.get("/health").status_code == 200  # the others are accepted, too
            self.process.send_signal(signal.SIGSTOP)
            try:
                for connection, body in zip(connections, bodies, strict=True):
                    connection.sendall(head.format(len(body)).encode() + b"\r\n\r\n" + body)
            finally:
                self.process.send_signal(signal.SIGCONT)
            answers = [connection.makefile("rb").read() for connection in connections]
        parts = [answer.partition(b"\r\n\r\n") for answer in answers]
        return [(int(head.split()[1]), json.loads(body)) for head, _, body in parts]

    def metrics(self):
        """Return the values of the metrics page by name."""
        lines = self.client.get("/metrics").text.splitlines()
        values = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in values}

    def replace_file(self, replace, result):
        """Replace the file by a call, and wait until all workers have tried to load it."""
        name = f'neumf_loads_total{{result="{result}"}}'
        aim = self.metrics().get(name, 0) + self.n_workers
        replace()
        until = time.monotonic() + 60
        while self.metrics().get(name, 0) < aim:
            assert time.monotonic() < until
            time.sleep(0.1)

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
def other_model():
    """A recommender that weighs interactions by time, of users and items named by integers."""
    return SequentialRulesRecommender(decay="2D").fit(walks())


@pytest.fixture(scope="module")
def server(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("serve") / "model.neumf"
    model.save(path)
    server = Server(path)
    yield server
    assert server.stop() == (0, [])


@pytest.fixture(scope="module")
def workers(model, tmp_path_factory):
    """A server of two workers that wants a key."""
    path = tmp_path_factory.mktemp("serve") / "model.neumf"
    model.save(path)
    server = Server(path, workers=2, key=KEY)
    yield server
    status, complaints = server.stop()
    assert status == 0
    assert all("Old file stays in use" in line for line in complaints)


def assert_lists(answer, lists):
    assert answer.status_code == 200
    assert_items(answer.json(), lists)


def assert_items(answer, lists):
    items = pd.DataFrame(answer["items"])
    assert items["item"].tolist() == lists["item"].tolist()
    assert items["rank"].tolist() == lists["rank"].tolist()
    np.testing.assert_allclose(items["score"], lists["score"], rtol=1e-5)


def test_health_shows_the_recommender(server):
    answer = server.client.get("/health")
    assert answer.status_code == 200
    health = answer.json()
    assert datetime.fromisoformat(health.pop("loaded")) <= datetime.now(UTC)
    assert health == {
        "status": "ok",
        "error": None,
        "recommender": "NextItemRecommender",
        "n_users": 20,
        "n_items": 12,
        "worker": server.process.pid,
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
    expected = model.recommend(-1, k=3, interactions=pd.DataFrame({"user": -1, "item": items}))
    rows = [{"item": item} for item in items]
    assert_lists(server.ask(user=-1, k=3, interactions=rows), expected)
    timed = [{"item": item, "timestamp": -place} for place, item in enumerate(items[::-1])]
    assert_lists(server.ask(user=-1, k=3, interactions=timed[::-1]), expected)


def test_unknown_items_are_ignored_and_named(server, model):
    answer = server.ask(
        user=3, k=3, interactions=[{"item": "nothing"}], deny=["none", "5", "nothing"]
    )
    assert_lists(answer, model.recommend(3, k=3))
    assert answer.json()["ignored"] == ["nothing", "none", "5"]


def test_an_unknown_user_without_known_items_is_not_found(server):
    assert server.ask(user=10**30).status_code == 404
    answer = server.ask(user=-1, interactions=[{"item": "nothing"}])
    assert answer.status_code == 404
    assert "the user is unknown" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("question", "detail"),
    [
        ({"user": "3"}, 'user ids must be integers, such as 0. Received "3". Send 3.'),
        ({"user": "x"}, 'user ids must be integers, such as 0. Received "x".'),
        (
            {"user": 3, "deny": ["ítem 1", 5]},
            'item ids must be strings, such as "\\u00edtem 0". Received 5. Send "5".',
        ),
        (
            {"user": 3, "interactions": [{"item": 5}]},
            'item ids must be strings, such as "\\u00edtem 0". Received 5. Send "5".',
        ),
    ],
)
def test_an_id_of_the_wrong_type_gets_a_hint(question, detail, server):
    answer = server.ask(**question)
    assert answer.status_code == 422
    assert answer.json()["detail"] == detail


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        ("", "Invalid JSON"),
        ("{", "Invalid JSON"),
        ("null", "Input should be"),
        ("[" * 100_000, "Invalid JSON"),
        (b"\xff\xfe{", "Invalid JSON"),
        ("{}", "Field required"),
        ('{"user": true}', "valid integer"),
        ('{"user": NaN}', "valid integer"),
        ('{"user": [3]}', "valid integer"),
        (r'{"user": "\ud800"}', "Invalid JSON"),
        (r'{"user": 3, "deny": ["\ud800"]}', "Invalid JSON"),
        ('{"user": 3, "k": 0}', "greater than or equal to 1"),
        ('{"user": 3, "k": 1001}', "less than or equal to 1000"),
        ('{"user": 3, "k": "5"}', "valid integer"),
        ('{"user": 3, "k": 5.5}', "valid integer"),
        ('{"user": 3, "K": 5}', "not permitted"),
        (json.dumps({"user": 3, "deny": ["x"] * 1001}), "at most 1000 items"),
        (json.dumps({"user": 3, "interactions": [{"item": "x"}] * 1001}), "at most 1000 items"),
        ('{"user": 3, "deny": 5}', "valid array"),
        ('{"user": 3, "interactions": ["ítem 1"]}', "an object"),
        ('{"user": 3, "interactions": [{"item": null}]}', "valid integer"),
        ('{"user": 3, "interactions": [{"item": "ítem 1", "timestamp": 1e999}]}', "finite"),
        ('{"user": 3, "interactions": [{"item": "ítem 1", "timestamp": 1e12}]}', "less than"),
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


def test_a_client_may_leave_in_the_middle_of_a_request(server):
    with socket.create_connection(server.address) as connection:
        connection.sendall(b"POST /recommend HTTP/1.1\r\nContent-Length: 9\r\n\r\n{")
    assert server.client.get("/health").status_code == 200  # the log is checked at the end


def test_many_clients_get_the_lists_of_recommend(server, model):
    expected = {user: model.recommend(user, k=3) for user in range(20)}
    with ThreadPoolExecutor(8) as threads:
        answers = threads.map(lambda number: server.ask(user=number % 20, k=3), range(200))
        for number, answer in enumerate(answers):
            assert_lists(answer, expected[number % 20])


def test_requests_that_wait_together_get_the_lists_of_recommend(server, model):
    rows = [{"item": "ítem 1"}, {"item": "ítem 2"}]
    timed = [row | {"timestamp": -time} for time, row in enumerate(rows)]
    questions = [{"user": user, "k": k} for user in (1, 2, 1, 3) for k in (1, 2, 11)]
    questions += [{"user": user, "k": 3, "deny": [f"ítem {user}"]} for user in range(12)]
    questions += [
        {"user": user, "k": 2, "interactions": part}
        for user, parts in (
            (-1, (rows, rows[::-1], timed)),
            (5, (timed, rows, rows[::-1])),
            (10**30, (rows[::-1], timed, rows)),
        )
        for part in parts
    ]
    questions += [{"user": -1}, {"user": 4, "k": 3}]
    for question, (status, answer) in zip(questions, server.ask_together(questions), strict=True):
        user, given = question["user"], question.get("interactions")
        if given is None and user < 0:
            assert status == 404
            continue
        assert status == 200
        lists = model.recommend(
            user,
            question["k"],
            deny=question.get("deny"),
            interactions=pd.DataFrame([{"user": user} | row for row in given]) if given else None,
        )
        assert_items(answer, lists)


def test_requests_that_come_in_the_next_turn_of_the_loop_share_the_call(model, monkeypatch):
    serve, calls = runpy.run_path(SCRIPT), []
    counted = copy(model)
    monkeypatch.setattr(
        counted, "recommend", lambda *a, **b: calls.append(a) or model.recommend(*a, **b)
    )

    async def ask():
        line, answers = serve["Line"](), []
        for user in (3, 4):
            question = serve["Question"](user=user)
            answers.append(asyncio.create_task(line.answer(counted, question)))
            await asyncio.sleep(0)
        return await asyncio.gather(*answers)

    for user, answer in zip((3, 4), asyncio.run(ask()), strict=True):
        assert_items(answer, model.recommend(user))
    assert [users for users, _ in calls] == [[3, 4]]


def test_requests_are_refused_when_too_many_wait(model):
    serve = runpy.run_path(SCRIPT)

    async def ask():
        line = serve["Line"]()
        questions = [serve["Question"](user=user % 20) for user in range(130)]
        calls = [line.answer(model, question) for question in questions]
        return await asyncio.gather(*calls, return_exceptions=True)

    answers = asyncio.run(ask())
    for user, answer in enumerate(answers[:100]):
        assert_items(answer, model.recommend(user % 20))
    assert [answer.status_code for answer in answers[100:]] == [503] * 30
    assert answers[-1].headers == {"Retry-After": "1"}


def test_only_requests_with_the_key_are_answered(workers):
    for headers in ({}, {"Authorization": "Bearer open"}, {"Authorization": f"Basic {KEY[:4]}"}):
        headers = {"Authorization": ""} | headers
        for method, path in (("POST", "/recommend"), ("GET", "/metrics")):
            answer = workers.client.request(method, path, json={"user": 3}, headers=headers)
            assert answer.status_code == 401
            assert answer.json()["detail"] == "send the header Authorization: Bearer <the key>"
        assert workers.client.get("/health", headers=headers).status_code == 200
    assert workers.ask(user=3).status_code == 200


def test_no_request_is_lost_while_the_file_is_replaced(workers, model, other_model):
    stop = Event()

    def ask_until_stopped():
        answers = []
        while not stop.is_set():
            answers.append(workers.ask(user=3, k=3))
        return answers

    with ThreadPoolExecutor(4) as threads:
        clients = [threads.submit(ask_until_stopped) for _ in range(4)]
        try:
            for next_model in (other_model, model, other_model, model):
                workers.replace_file(lambda found=next_model: found.save(workers.path), "ok")
        finally:
            stop.set()
        answers = [answer for client in clients for answer in client.result()]
    expected = [found.recommend(3, k=3)["item"].tolist() for found in (model, other_model)]
    lists = [[row["item"] for row in answer.json()["items"]] for answer in answers]
    assert all(lists.count(items) > 0 for items in expected)
    assert all(items in expected for items in lists)


def test_a_damaged_file_leaves_the_old_recommender_in_use(workers, model):
    content = workers.path.read_bytes()
    workers.replace_file(lambda: workers.path.write_bytes(content[:-1] + b"?"), "failed")
    health = workers.client.get("/health").json()
    assert health["status"] == "stale"
    assert "ValueError: path must be a file that save wrote" in health["error"]
    assert_lists(workers.ask(user=3, k=4), model.recommend(3, k=4))
    workers.replace_file(workers.path.unlink, "failed")
    assert "FileNotFoundError" in workers.client.get("/health").json()["error"]
    workers.replace_file(lambda: workers.path.write_bytes(content), "ok")
    assert workers.client.get("/health").json()["status"] == "ok"


def test_metrics_count_requests_by_status(workers):
    before = Counter(workers.metrics())
    for user in (3, 3, 3, -1, -1, "x"):
        workers.client.post("/recommend", json={"user": user}, headers={"Connection": "close"})
    after = workers.metrics()
    counts = {
        status: after[f'neumf_request_seconds_count{{status="{status}"}}']
        - before[f'neumf_request_seconds_count{{status="{status}"}}']
        for status in (200, 404, 422)
    }
    assert counts == {200: 3, 404: 2, 422: 1}


def test_what_a_recommender_needs_besides_is_said(workers, other_model, model):
    workers.replace_file(lambda: other_model.save(workers.path), "ok")
    untimed = workers.ask(user=3, interactions=[{"item": 1}])
    later = 1.8e9
    timed = workers.ask(user=3, k=2, interactions=[{"item": 1, "timestamp": later}])
    workers.replace_file(lambda: model.save(workers.path), "ok")
    assert untimed.status_code == 422
    assert "timestamp" in untimed.json()["detail"]
    rows = pd.DataFrame({"user": 3, "item": [1], "timestamp": [later]})
    assert_lists(timed, other_model.recommend(3, k=2, interactions=rows))


def test_the_guide_shows_a_request_and_a_hint(workers, model):
    guide = (ROOT / "docs" / "guides" / "server.md").read_text(encoding="utf-8")
    request = re.search(r"-d '(.*?)'", guide)[1]
    assert request in SCRIPT.read_text(encoding="utf-8")
    popular = neumf.PopularityRecommender().fit(neumf.datasets.load_movietweetings())
    workers.replace_file(lambda: popular.save(workers.path), "ok")
    answer = workers.post(request).json()
    hint = workers.ask(user="8").json()["detail"]
    workers.replace_file(lambda: model.save(workers.path), "ok")
    assert len(answer["items"]) == 5
    assert not {1300854, 770828} & {row["item"] for row in answer["items"]}
    assert answer["ignored"] == []
    assert json.dumps({"detail": hint}) in guide


def test_a_model_whose_ids_are_not_in_json_is_not_served(tmp_path):
    neumf.PopularityRecommender().fit([[0.5, "x"], [1.5, "y"]]).save(tmp_path / "model")
    result = subprocess.run(
        [sys.executable, SCRIPT, tmp_path / "model", "--workers", "2"],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert "must hold ids that are all integers or all strings" in result.stderr
