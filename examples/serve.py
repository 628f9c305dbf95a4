r"""
A server of recommendations
===========================

Fit, save, serve::

    python -m pip install "scikit-neumf[serve]"
    python examples/serve.py model.neumf --port 8000 --workers 2

The argument, or the environment variable NEUMF_MODEL, names a file that ``save`` wrote. The server
imports neither TensorFlow nor Keras. Then ::

    curl localhost:8000/recommend -H "Content-Type: application/json" \
         -d '{"user": 8, "k": 5, "interactions": [{"item": 1300854}], "deny": [770828]}'

returns the list of `recommend`::

    {"user": 8, "items": [{"item": 1408101, "score": 0.58, "rank": 1}, ...], "ignored": []}

``interactions`` are rows since `fit`, oldest first, each with a ``timestamp`` in seconds or none of
them. ``ignored`` holds the items of the request that the recommender does not know.

=======  =========================================================================================
status   when
=======  =========================================================================================
200      a list, shorter than k if fewer items are left
401      NEUMF_API_KEY is set, and the request lacks the header ``Authorization: Bearer <the key>``
404      the user is unknown, and no interaction has a known item
413      the body has more than 256 KiB
422      the body is not JSON of this form, an id has the wrong type, k is not within 1 to 1000, or
         there are more than 1000 interactions or denied items; ``detail`` says which
503      100 requests wait for this worker
=======  =========================================================================================

Without NEUMF_API_KEY there is no authentication. A worker is a process with its own copy of the
recommender. It notices a new file within a second, loads it in a thread, and then uses it; if the
file is damaged, the old recommender stays. ``GET /health`` shows what a worker serves, and why it
could not load a newer file. ``GET /metrics`` counts the requests of all workers, for Prometheus.
"""

import argparse
import asyncio
import json
import logging
import os
import secrets
import tempfile
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import uvicorn
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route
from threadpoolctl import threadpool_limits

import neumf

MAX_BODY = 2**18  # bytes
MAX_K = 1000
MAX_ROWS = 1000  # interactions of a request, and denied items
MAX_WAITING = 100  # requests of a worker
MAX_CONNECTIONS = 900  # of a worker; many systems allow a process 1,024 open files
POLL_SECONDS = 0.5
KINDS = {int: "integers", str: "strings"}


class Interaction(BaseModel):
    """One interaction of a user since `fit`."""

    model_config = ConfigDict(extra="forbid", strict=True)
    item: int | str
    # The library reads larger numbers as milliseconds.
    timestamp: Annotated[FiniteFloat, Field(gt=-1e11, lt=1e11)] | None = None


class Question(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="forbid", strict=True)
    user: int | str
    k: Annotated[int, Field(ge=1, le=MAX_K)] = 10
    interactions: Annotated[list[Interaction], Field(max_length=MAX_ROWS)] = []
    deny: Annotated[list[int | str], Field(max_length=MAX_ROWS)] = []


@dataclass
class Waiting:
    """A request that waits. Requests of one kind can share a call of `recommend`."""

    question: Question
    model: Any
    size: int  # items to ask for; denied items are left out afterwards
    kind: tuple
    rows: list[Interaction]  # those with known items
    ignored: list[int | str]
    answer: asyncio.Future


class Line:
    """Requests that wait. Requests of one kind share a call of `recommend`, which saves time."""

    def __init__(self):
        self.waiting = []

    async def answer(self, model, question):
        """Return the answer to a request; raise an error with the right status."""
        if len(self.waiting) >= MAX_WAITING:
            raise HTTPException(503, "too many requests wait", {"Retry-After": "1"})
        request = read(model, question)
        if not self.waiting:
            # Requests that came during the last call join the line in the next turn of the loop.
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self.answer_all)
        self.waiting.append(request)
        return await request.answer

    def answer_all(self):
        """Answer all requests, in groups of one kind with at most one request of a user."""
        waiting, self.waiting, groups = self.waiting, [], {}
        for request in waiting:
            user, n = request.question.user, 0
            while user in groups.setdefault((request.kind, n), {}):
                n += 1
            groups[request.kind, n][user] = request
        for group in groups.values():
            answer_group(group)


def read(model, question):
    """Return a request that waits; raise an error with the right status."""
    named = [row.item for row in question.interactions] + question.deny
    check_kind("user", [question.user], model.users_)
    check_kind("item", named, model.items_)
    rows = [row for row in question.interactions if row.item in model.items_]
    if not rows and question.user not in model.users_:
        raise HTTPException(404, "the user is unknown. Send interactions with known items.")
    timed = {row.timestamp is not None for row in rows}
    if len(timed) > 1:
        raise HTTPException(422, "interactions must have a timestamp each, or none of them.")
    size = question.k + len(question.deny)
    kind = model, size.bit_length(), *timed
    ignored = [item for item in dict.fromkeys(named) if item not in model.items_]
    return Waiting(question, model, size, kind, rows, ignored, asyncio.Future())


def check_kind(name, ids, index):
    """Refuse ids of a type that the file does not have; say what to send instead."""
    kind = str if index.dtype == object and isinstance(index[0], str) else int
    wrong = [label for label in ids if type(label) is not kind]
    if not wrong:
        return
    hint = f"{name} ids must be {KINDS[kind]}, such as {json.dumps(index[:1].tolist()[0])}. "
    hint += f"Received {json.dumps(wrong[0])}."
    with suppress(ValueError):
        hint += f" Send {json.dumps(kind(wrong[0]))}."
    raise HTTPException(422, hint)


def answer_group(group):
    """Answer requests of one kind, given by user."""
    try:
        best = best_items(group)
    except Exception as error:
        if isinstance(error, TypeError | ValueError):
            # For example, interactions without timestamps for a model that weighs them by time.
            error = HTTPException(422, str(error))
        for request in group.values():
            request.answer.set_exception(error)
        return
    for user, request in group.items():
        deny, k = set(request.question.deny), request.question.k
        kept = [pair for pair in best[user] if pair[0] not in deny][:k]
        items = [
            {"item": item, "score": score, "rank": rank}
            for rank, (item, score) in enumerate(kept, 1)
        ]
        request.answer.set_result({"user": user, "items": items, "ignored": request.ignored})


def best_items(group):
    """Return the best items of each user, each with its score."""
    users, requests = list(group), list(group.values())
    rows = [(user, row.item, row.timestamp) for user in users for row in group[user].rows]
    X = {"user": [row[0] for row in rows], "item": [row[1] for row in rows]}
    if rows and rows[0][2] is not None:  # as in all rows
        X["timestamp"] = [row[2] for row in rows]
    size, table = max(request.size for request in requests), pd.DataFrame(X) if rows else None
    lists = requests[0].model.recommend(users, size, interactions=table)
    best = {user: [] for user in users}
    columns = (lists[name].tolist() for name in ("user", "item", "score"))
    for user, item, score in zip(*columns, strict=True):
        best[user].append((item, score))
    return best


class ModelFile:
    """The recommender of a file, which is loaded again when the file changes."""

    def __init__(self, path, metrics):
        self.path, self.metrics = path, metrics
        self.version = version_of(path)
        self.use(load(path))

    def use(self, model):
        """Answer later requests with this recommender."""
        self.model, self.error = model, None
        self.loaded = datetime.now(UTC).isoformat(timespec="seconds")

    async def watch(self):
        """Load each new version of the file in a thread; keep the recommender if that fails."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            version = version_of(self.path)
            if version == self.version:
                continue
            try:
                self.use(await asyncio.to_thread(load, self.path))
            except Exception as error:
                self.error = f"{type(error).__name__}: {error}"
                logging.getLogger("uvicorn.error").error("Old file stays in use. %s", self.error)
            self.metrics.loads.labels("failed" if self.error else "ok").inc()
            self.version = version


def version_of(path):
    """Return values that change when a file is replaced or written; None if there is no file."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def load(path):
    """Return the recommender of a file; refuse ids that JSON does not have."""
    model = neumf.load(path)
    for index in (model.users_, model.items_):
        if {type(label) for label in index.tolist()} not in ({int}, {str}):
            raise ValueError(f"{path} must hold ids that are all integers or all strings.")
    # The first call takes longer: it builds the tables that find ids.
    model.recommend(model.users_[:1], 1, deny=model.items_[:1])
    return model


class Metrics:
    """Counts of all workers, which share files in the folder that `main` makes."""

    def __init__(self):
        # Imported late: it looks for the name of the folder when it is imported.
        from prometheus_client import CollectorRegistry, Counter, Histogram
        from prometheus_client.multiprocess import MultiProcessCollector

        buckets = [0.001 * 2**i for i in range(12)]
        name, text = "neumf_request_seconds", "Seconds that requests for lists took, by status."
        self.seconds = Histogram(name, text, ["status"], registry=None, buckets=buckets)
        name, text = "neumf_loads", "New versions of the file, by result."
        self.loads = Counter(name, text, ["result"], registry=None)
        self.sums = CollectorRegistry()
        MultiProcessCollector(self.sums)

    def counted(self, app):
        """Return an ASGI application that counts requests for lists."""

        async def count(scope, receive, send):
            if scope.get("path") != "/recommend":
                return await app(scope, receive, send)
            status, begin = 500, time.perf_counter()

            async def read_status(message):
                nonlocal status
                status = message.get("status", status)
                await send(message)

            try:
                await app(scope, receive, read_status)
            finally:
                self.seconds.labels(status).observe(time.perf_counter() - begin)

        return count


def as_json(content, status=200, headers=None):
    """Return a response."""
    return Response(to_json(content), status, headers, media_type="application/json")


async def refuse(request, error):
    """Say what is wrong with a body, without repeating it."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return as_json({"detail": details}, 422)


async def explain(request, error):
    """Say why a request gets no list."""
    return as_json({"detail": error.detail}, error.status_code, error.headers)


async def give_up(request, error):
    """Write no error to the log when a client leaves in the middle of its request."""


def make_app():
    """Return the application of a worker. Its settings are environment variables."""
    metrics, line, key = Metrics(), Line(), os.environ.get("NEUMF_API_KEY")

    def check_key(request):
        sent = request.headers.get("Authorization", "").encode("latin-1")
        # Takes the same time wherever the first wrong character is.
        if key and not secrets.compare_digest(sent, f"Bearer {key}".encode()):
            hint = "send the header Authorization: Bearer <the key>"
            raise HTTPException(401, hint, {"WWW-Authenticate": "Bearer"})

    async def recommend(request):
        check_key(request)
        question = Question.model_validate_json(await request.body())
        return as_json(await line.answer(request.app.state.file.model, question))

    async def health(request):
        file = request.app.state.file
        content = {
            "status": "stale" if file.error else "ok",
            "error": file.error,
            "recommender": type(file.model).__name__,
            "n_users": len(file.model.users_),
            "n_items": len(file.model.items_),
            "loaded": file.loaded,
            "worker": os.getpid(),
        }
        return as_json(content)

    async def show_metrics(request):
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        check_key(request)
        return Response(generate_latest(metrics.sums), media_type=CONTENT_TYPE_LATEST)

    @asynccontextmanager
    async def lifespan(app):
        app.state.file = ModelFile(os.environ["NEUMF_MODEL"], metrics)
        watching = asyncio.create_task(app.state.file.watch())
        with threadpool_limits(1):  # workers share out the cores
            yield
        watching.cancel()

    handlers = {ValidationError: refuse, HTTPException: explain, ClientDisconnect: give_up}
    return Starlette(
        routes=[
            Route("/recommend", recommend, methods=["POST"]),
            Route("/health", health),
            Route("/metrics", show_metrics),
        ],
        middleware=[Middleware(metrics.counted)],
        exception_handlers=handlers,
        lifespan=lifespan,
        max_body_size=MAX_BODY,
    )


def main():
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="Serve a recommender that was saved.")
    parser.add_argument("model", nargs="?", default=os.environ.get("NEUMF_MODEL"))
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.model is None:
        parser.error("name a file, or set NEUMF_MODEL")
    load(arguments.model)  # an error shows at once, before workers start
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NEUMF_MODEL"] = arguments.model
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        uvicorn.run(
            f"{Path(__file__).stem}:make_app",
            factory=True,
            app_dir=str(Path(__file__).parent),
            host=arguments.host,
            port=arguments.port,
            workers=arguments.workers,
            access_log=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_worker_healthcheck=60,  # a slow machine imports for some seconds
        )


if __name__ == "__main__":
    main()
