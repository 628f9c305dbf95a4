r"""How fast `examples/serve.py` answers, and whether it says what `recommend` says.

    python benchmarks/serving.py --recommender next-item --requests 10000 --connections 8

fits a recommender to the embedded ratings (or to MovieLens rows, with `--train ml-1m.inter` and the
like, see `--help`), saves it, starts the server on a free port of this machine, and lets some
clients ask it, each over one connection that stays open: lists of ten for users drawn at random,
every fourth with three interactions since `fit` and ten items denied. Every list is compared with
that of `recommend`. Printed are requests per second, the median and the 99th percentile of the time
of a request, the seconds of the processor that the server took for one, the memory of the server
before the first request, after a tenth of them and at the end, and the answers that were errors or
other lists. Clients and server share the cores; `recommend` in one thread, without a server, is
measured beside them.
"""

import argparse
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
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
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=8)
    arguments = parser.parse_args()
    model = fit(read(arguments.train), arguments.recommender, arguments.epochs)
    print(f"{arguments.recommender}: {len(model.users_):,} users, {len(model.items_):,} items")
    bodies = draw_questions(model, arguments.requests)
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model")
        process, port = start(Path(folder) / "model")
        try:
            before = processor_seconds(process.pid)
            answers, seconds, memory = ask(process.pid, port, bodies, arguments.connections)
            in_server = processor_seconds(process.pid) - before
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
    times = 1000 * np.array([answer[0] for answer in answers])
    print(
        f"{len(answers):,} requests over {arguments.connections} connections: "
        f"{len(answers) / seconds:,.0f} a second, median {np.median(times):.1f} ms, "
        f"99th percentile {np.percentile(times, 99):.1f} ms, longest {times.max():.0f} ms"
    )
    print(f"processor time of the server: {1000 * in_server / len(answers):.2f} ms a request")
    print("memory of the server: " + ", ".join(f"{name} {mb:.1f} MB" for name, mb in memory))
    errors = sum(status != 200 for _, status, _ in answers)
    begin, own = time.perf_counter(), time.process_time()
    lists = [recommend(model, json.loads(body)) for body in bodies]
    seconds, own = time.perf_counter() - begin, time.process_time() - own
    print(
        f"recommend alone, in one thread: {len(bodies) / seconds:,.0f} lists a second, "
        f"{1000 * own / len(bodies):.2f} ms of processor time each"
    )
    others = sum(
        status == 200 and not same_list(json.loads(content)["items"], table)
        for (_, status, content), table in zip(answers, lists, strict=True)
    )
    print(f"{errors} errors, {others} lists other than those of recommend")
    sys.exit(errors + others > 0)


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


def draw_questions(model, n):
    rng = np.random.default_rng(0)
    users, items = model.users_.to_numpy(), model.items_.to_numpy()
    questions = [{"user": user, "k": 10} for user in rng.choice(users, n).tolist()]
    for question in questions[::4]:
        done = rng.choice(items, 3, replace=False).tolist()
        question["interactions"] = [{"item": item} for item in done]
        question["deny"] = rng.choice(items, 10, replace=False).tolist()
    return [json.dumps(question).encode() for question in questions]


def start(path):
    """Start the server; return its process and its port."""
    # Threads of the server share the cores; those of BLAS would only wait for each other.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, SERVER, path, "--port", "0"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
            return process, int(found[1])
    raise RuntimeError("the server did not start")


def ask(pid, port, bodies, n_connections):
    """Send all bodies; return (seconds, status, content) of each, all seconds, and memory."""
    memory = [("at start", memory_of(pid))]
    answers = [None] * len(bodies)
    numbers = iter(range(len(bodies)))
    begin = time.perf_counter()

    def work():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for number in numbers:
            sent = time.perf_counter()
            connection.request(
                "POST", "/recommend", bodies[number], {"Content-Type": "application/json"}
            )
            response = connection.getresponse()
            content = response.read()
            answers[number] = (time.perf_counter() - sent, response.status, content)
            if number == len(bodies) // 10:
                memory.append(("after a tenth", memory_of(pid)))
        connection.close()

    clients = [threading.Thread(target=work) for _ in range(n_connections)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    seconds = time.perf_counter() - begin
    return answers, seconds, [*memory, ("at the end", memory_of(pid))]


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
