r"""
A server of recommendations
===========================

Fit, save, serve::

    python -m pip install "scikit-neumf[serve]"
    python examples/serve.py model.neumf --port 8000

The file, that of ``model.save("model.neumf")``, is named by the argument or by the environment
variable NEUMF_MODEL, and is read once. Neither TensorFlow nor Keras is imported. Then ::

    curl localhost:8000/recommend -H "Content-Type: application/json" \
         -d '{"user": 8, "k": 5, "interactions": [{"item": 1300854}], "deny": [770828]}'

answers what `recommend` would::

    {"user": 8, "items": [{"item": 1843866, "score": 3.1, "rank": 1}, ...], "ignored": []}

``interactions`` are what the user did since `fit`, oldest first, each with a ``timestamp`` (in
seconds) or none of them; a user who is new gets a list of their own from these alone. Items that
the model does not know are ignored, and the answer says which. Ids are integers or strings.

=======  =====================================================================================
status   when
=======  =====================================================================================
200      a list, which is shorter than k where fewer items are left
404      the user is unknown, and no interaction with a known item tells of them
413      the body is larger than 256 KiB
422      the body is not JSON of this form, or k is not within 1 to 1000; ``detail`` says where
=======  =====================================================================================

``GET /health`` tells that the server is up, and what it serves.

Requests are answered by threads, which share one model. To use more cores, start several processes,
each of which reads the file for itself (in this folder)::

    NEUMF_MODEL=model.neumf uvicorn --factory serve:make_app --workers 2

For a new model start new processes, or let another thread load it and set ``app.state.model``: a
request asks one model from beginning to end.
"""

import argparse
import json
import os
from contextlib import asynccontextmanager
from typing import Annotated

import pandas as pd
import uvicorn
from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, StrictInt, StrictStr
from starlette.exceptions import HTTPException

import neumf

MAX_BODY = 2**18  # bytes
MAX_K = 1000


def check_text(value):
    """Raise if it is a string that no answer can repeat: JSON can name half a character."""
    str(value).encode()
    return value


Id = Annotated[StrictInt | StrictStr, AfterValidator(check_text)]


class Interaction(BaseModel):
    """One interaction of a user since `fit`."""

    model_config = ConfigDict(extra="forbid", strict=True)
    item: Id
    timestamp: FiniteFloat | None = None


class Question(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="forbid", strict=True)
    user: Id
    k: Annotated[int, Field(ge=1, le=MAX_K)] = 10
    interactions: list[Interaction] = []
    deny: list[Id] = []


class Recommendation(BaseModel):
    """An item of a list."""

    item: Id
    score: float
    rank: int


class Answer(BaseModel):
    """The body of an answer."""

    user: Id
    items: list[Recommendation]
    ignored: list[Id]


def answer(model, question):
    """Return the answer to a request; raise an error with the right status."""
    given = question.interactions
    done = [row for row in given if row.item in model.items_]
    deny = [item for item in question.deny if item in model.items_]
    named = dict.fromkeys([row.item for row in given] + question.deny)
    if not done and question.user not in model.users_:
        raise HTTPException(
            404, "the user is unknown. Send interactions with items that the model knows."
        )
    try:
        lists = model.recommend(
            question.user,
            question.k,
            deny=deny or None,
            interactions=as_table(question.user, done) if done else None,
        )
    except (TypeError, ValueError) as error:
        # For example, interactions without timestamps for a model that weighs them by time.
        raise HTTPException(422, str(error)) from error
    columns = (lists[name].tolist() for name in ("item", "score", "rank"))
    return {
        "user": question.user,
        "items": [
            {"item": item, "score": score, "rank": rank}
            for item, score, rank in zip(*columns, strict=True)
        ],
        "ignored": [item for item in named if item not in model.items_],
    }


def as_table(user, interactions):
    """Return interactions as the table that `recommend` takes."""
    X = pd.DataFrame({"user": user, "item": [row.item for row in interactions]})
    times = [row.timestamp for row in interactions if row.timestamp is not None]
    if not times:
        return X
    if len(times) < len(X):
        raise HTTPException(
            422, "interactions must have a timestamp each, or none of them. Received a mixture."
        )
    return X.assign(timestamp=times)


class BodyLimit:
    """Reads the body of a request, and refuses one that is too large, before anything parses it."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        """Pass the request on with its body in one piece."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        chunks, size, more = [], 0, True
        # Too large a body is read on and forgotten, up to a bound: a client that is still writing
        # would not see the answer.
        while more and size <= 256 * MAX_BODY:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            chunk, more = message.get("body", b""), message.get("more_body", False)
            size += len(chunk)
            if size <= MAX_BODY:
                chunks.append(chunk)
        if size > MAX_BODY:
            detail = f"the body must have at most {MAX_BODY} bytes"
            await as_json(413, detail, {"Connection": "close"})(scope, receive, send)
            return
        messages = [{"type": "http.request", "body": b"".join(chunks), "more_body": False}]

        async def receive_again():
            return messages.pop() if messages else await receive()

        await self.app(scope, receive_again, send)


def as_json(status, detail, headers=None):
    """Return an error as a response."""
    content = json.dumps({"detail": detail})
    return Response(content, status, headers, media_type="application/json")


def load(path):
    """Return the recommender of a file; refuse ids that JSON does not have."""
    model = neumf.load(path)
    for index in (model.users_, model.items_):
        if not all(type(label) in (int, str) for label in index.tolist()):
            raise ValueError(f"{path} must hold ids that are integers or strings.")
    return model


@asynccontextmanager
async def limit_threads(app):
    """Let as many threads answer as there are cores: more would only wait for each other."""
    current_default_thread_limiter().total_tokens = os.cpu_count() or 1
    yield


def make_app(path=None):
    """Return the application, which serves the recommender that a file holds."""
    app = FastAPI(title="Recommendations", version=neumf.__version__, lifespan=limit_threads)
    app.state.model = load(path or os.environ["NEUMF_MODEL"])
    app.add_middleware(BodyLimit)

    @app.post("/recommend", response_model=Answer)
    def recommend(question: Question):
        return answer(app.state.model, question)

    @app.get("/health")
    def health():
        model = app.state.model
        return {
            "status": "ok",
            "recommender": type(model).__name__,
            "n_users": len(model.users_),
            "n_items": len(model.items_),
        }

    # FastAPI's own answers repeat what came, which may not be valid JSON.
    @app.exception_handler(RequestValidationError)
    async def refuse(request: Request, error: RequestValidationError):
        details = [{"loc": part["loc"], "msg": part["msg"]} for part in error.errors()]
        return as_json(422, details)

    @app.exception_handler(HTTPException)
    async def explain(request: Request, error: HTTPException):
        # FastAPI has 400 for what breaks its parser: bytes that are not text, endless brackets.
        return as_json(422 if error.status_code == 400 else error.status_code, error.detail)

    return app


def main():
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="Serve a recommender that was saved.")
    parser.add_argument("model", nargs="?", default=os.environ.get("NEUMF_MODEL"))
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    if arguments.model is None:
        parser.error("name a file, or set NEUMF_MODEL")
    uvicorn.run(
        make_app(arguments.model), host=arguments.host, port=arguments.port, access_log=False
    )


if __name__ == "__main__":
    main()
