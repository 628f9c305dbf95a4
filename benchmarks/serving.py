r"""How fast `examples/serve.py` answers, and whether it returns the lists of `recommend`.

    python benchmarks/serving.py --workers 1 2 --requests 10000 --connections 16

fits a recommender to the embedded ratings (or to other rows, see `--help`), saves it, and starts
the server on a free port of this machine, for each number of workers. Threads of this process send
requests for lists of ten for random users, first over connections that stay open, then over a new
connection for each request. `--fold-in 0.25` gives a quarter of the requests three interactions and
ten denied items. Each list is compared with `recommend`.

A row of the table has the requests per second, the median and the 99th percentile of the time of a
request, the processor time of the server and of the clients per request, and the memory of the
workers. Clients and workers share the cores.
"""

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from neumf import (
    EASERecommender,
    NeuMFRecommender,
    NextItemRecommender,
    SequentialRulesRecommender,
    datasets,
)

SERVER = Path(__file__).resolve().parents[1] / "examples" / "serve.py"
SIMPLE = {"rules": SequentialRulesRecommender, "ease": EASERecommender}
NETWORKS = {"next-item": NextItemRecommender, "neumf": NeuMFRecommender}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", help="a Parquet file, or one of MovieLens; else MovieTweetings")
    parser.add_argument("--recommender", default="next-item", choices=[*NETWORKS, *SIMPLE])
    parser.add_argument("--epochs", type=int, default=2, help="accuracy does not matter here")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--fold-in", type=float, default=0, help="share with interactions")
    arguments = parser.parse_args()
    model = fit(read(arguments.train), arguments.recommender, arguments.epochs)
    print(f"{arguments.recommender}: {len(model.users_):,} users, {len(model.items_):,} items")
    questions = draw_questions(model, arguments.requests, arguments.fold_in)
    lists = time_recommend(model, questions)
    print("| workers | connections | requests/s | p50, p99 | server, client: ms/request | memory |")
    print("|---|---|---|---|---|---|")
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model")
        for n_workers in arguments.workers:
            with server(Path(folder) / "model", n_workers) as (port, pids):
                for kept in (True, False):
                    load = Load(port, kept, [as_request(question, kept) for question in questions])
                    row, answers = measure(load, arguments.connections, pids)
                    print(f"| {n_workers} | {'kept' if kept else 'new'} {row}", flush=True)
                    wrong += count_wrong(answers, lists)
    print(f"{wrong} answers were errors or other lists than those of recommend")
    sys.exit(wrong > 0)


def time_recommend(model, questions):
    begin, own = time.perf_counter(), time.process_time()
    lists = [recommend(model, question) for question in questions]
    seconds, own = time.perf_counter() - begin, time.process_time() - own
    print(
        f"recommend alone, in one thread: {len(lists) / seconds:,.0f} lists a second, "
        f"{1000 * own / len(lists):.2f} ms of processor time each\n"
    )
    return lists


def read(path):
    if path is None:
        return datasets.filter_k_core(datasets.load_movietweetings(), 5)
    if path.endswith(".parquet"):
        return pd.read_parquet(path)[["user", "item", "timestamp"]]
    return datasets.read_movielens(path)


def fit(X, name, epochs):
    if name in SIMPLE:
        return SIMPLE[name]().fit(X)
    return NETWORKS[name](epochs=epochs, random_state=0).fit(X)


def draw_questions(model, n, share):
    rng = np.random.default_rng(0)
    users, items = model.users_.to_numpy(), model.items_.to_numpy()
    questions = [{"user": user, "k": 10} for user in rng.choice(users, n).tolist()]
    for question in questions:
        if rng.random() < share:
            done = rng.choice(items, 3, replace=False).tolist()
            question["interactions"] = [{"item": item} for item in done]
            question["deny"] = rng.choice(items, 10, replace=False).tolist()
    return questions


def as_request(question, kept):
    body = json.dumps(question).encode()
    head = "POST /recommend HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}\r\n" + ("" if kept else "Connection: close\r\n")
    return f"{head}\r\n".encode() + body


@contextmanager
def server(path, n_workers):
    """Start the server; give its port and the process ids of its workers."""
    process = subprocess.Popen(
        [sys.executable, SERVER, path, "--port", "0", "--workers", str(n_workers)],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        log = ""
        while "running on" not in log or log.count("startup complete") < n_workers:
            line = process.stderr.readline()
            if not line:
                raise RuntimeError(f"the server did not start:\n{log}")
            log += line
        pids = [int(pid) for pid in re.findall(r"Started server process \[(\d+)\]", log)]
        yield int(re.search(r"running on http://127\.0\.0\.1:(\d+)", log)[1]), pids
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


@dataclass
class Load:
    """Requests to a port, over connections that stay open or over new ones."""

    port: int
    kept: bool
    requests: list[bytes]

    def send(self, numbers, answers):
        """Send requests one after another; keep (seconds, status, body) of each."""
        connection = None
        for number in numbers:
            begin = time.perf_counter()
            if connection is None:
                connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
            connection.sendall(self.requests[number])
            answer = receive(connection)
            if not self.kept:
                connection.close()
                connection = None
            answers[number] = (time.perf_counter() - begin, *answer)
        if connection:
            connection.close()


def receive(connection):
    """Return the status and the body of an answer. A client of a library takes much longer."""
    content = b""
    while b"\r\n\r\n" not in content:
        content += connection.recv(2**16)
    head, _, body = content.partition(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head)[1])
    while len(body) < length:
        body += connection.recv(2**16)
    return int(head.split()[1]), body


def measure(load, n_connections, pids):
    """Send all requests; return the row of the table, and the answers."""
    answers = [None] * len(load.requests)
    numbers = iter(range(len(load.requests)))
    clients = [
        threading.Thread(target=load.send, args=(numbers, answers)) for _ in range(n_connections)
    ]
    begin, own = time.perf_counter(), time.process_time()
    before = sum(map(processor_seconds, pids))
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    seconds = time.perf_counter() - begin
    per_request = 1000 / len(answers)
    of_clients = per_request * (time.process_time() - own)
    of_server = per_request * (sum(map(processor_seconds, pids)) - before)
    median, high = np.percentile([1000 * answer[0] for answer in answers], [50, 99])
    memory = ", ".join(f"{memory_of(pid):.0f}" for pid in pids)
    return (
        f"| {len(answers) / seconds:,.0f} | {median:.1f}, {high:.1f} ms "
        f"| {of_server:.2f}, {of_clients:.2f} | {memory} MB |"
    ), answers


def count_wrong(answers, lists):
    """Count the errors and the lists that `recommend` does not return."""
    return sum(
        status != 200 or not same_list(json.loads(content)["items"], table)
        for (_, status, content), table in zip(answers, lists, strict=True)
    )


def memory_of(pid):
    """Return the resident memory of a process in MB, as Linux tells it."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024


def processor_seconds(pid):
    """Return the time that all threads of a process have computed, as Linux tells it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def recommend(model, question):
    rows = question.get("interactions")
    table = rows and pd.DataFrame({"user": question["user"], "item": [r["item"] for r in rows]})
    return model.recommend(
        question["user"], question["k"], deny=question.get("deny"), interactions=table
    )


def same_list(answer, lists):
    """Tell whether an answer has the same items in order, and scores but for rounding.

    A product of matrices rounds otherwise where other threads share it out.
    """
    return [row["item"] for row in answer] == lists["item"].tolist() and np.allclose(
        [row["score"] for row in answer], lists["score"], rtol=1e-4, atol=1e-5
    )


if __name__ == "__main__":
    main()
