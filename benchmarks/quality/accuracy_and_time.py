r"""Accuracy against the time of a fit: simple methods, the paper's network, a transformer, ours.

    python benchmarks/quality/accuracy_and_time.py

needs ``pip install implicit "rectools[torch]"`` beside this package. Each fit is a process of its
own, so that its time holds the import of TensorFlow or PyTorch and compilation. The table is
MovieTweetings, its 5-core, without each user's last row; the row before it is held out. The simple
methods have the settings that were best on it. Models with a seed are fitted with three; SASRec
takes minutes, so it has one.

"paper-8, plain Keras" is the network of the paper by `keras.Model.fit`, for 20 epochs. "SASRec" is
the model of RecTools with its defaults but for ``n_factors=128`` and ``session_max_len=32`` (a user
has 14 rows in the mean). It is measured after 4, 8, ..., 32 epochs. The best number of epochs on
the held-out rows counts, with the time of training so long. Both run on all cores.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.append(str(Path(__file__).resolve().parents[1]))  # for training.py

from ncf_protocol import describe_run, make_recommender, read_training_rows

from neumf import LeaveLastOutSplitter, hr_scorer, ndcg_scorer

# A preset of `ncf_protocol.py`, and parameters.
OURS = {
    "popularity": ("popularity", {}),
    "item neighbours": ("itemknn", {"n_neighbors": 500, "shrinkage": 30}),
    "EASE": ("ease", {"regularization": 1500}),
    "ALS": ("als", {"regularization": 0.2, "recency": 1.5}),
    "ALS of implicit": ("ials", {"alpha": 30, "regularization": 200}),
    "sequential rules": ("rules", {"decay": "30D", "shrinkage": 20}),
    "paper-8": ("paper-8", {}),
    "NeuMFRecommender()": ("neumf", {}),
    "NextItemRecommender()": ("next-item", {}),
}
FITTED_ONCE = ("popularity", "item neighbours", "EASE", "sequential rules", "SASRec")
OTHERS = ["paper-8, plain Keras", "SASRec"]


def main():
    arguments = parse_arguments()
    if arguments.only:
        with contextlib.redirect_stdout(sys.stderr):
            found = run(arguments.only, *split(), arguments.seed)
        print(json.dumps(found))
        return
    results = []
    for name in [*OURS, *OTHERS]:
        for seed in range(1 if name in FITTED_ONCE else 3):
            command = [sys.executable, *sys.argv, "--only", name, "--seed", str(seed)]
            printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            results.append({"model": name, "seed": seed} | json.loads(printed))
            print(results[-1], flush=True)
    by_model = pd.DataFrame(results).groupby("model", sort=False)[["hr", "ndcg", "seconds"]]
    print(by_model.agg(["mean", "std"]).round(4).to_string())
    X_train, X_test = split()
    facts = describe_run() | {"training rows": len(X_train), "held-out rows": len(X_test)}
    facts["command"] = facts["command"].replace("ncf_protocol", "accuracy_and_time")
    arguments.json.write_text(json.dumps({"run": facts, "results": results}, indent=2) + "\n")


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, default=Path("accuracy_and_time.json"))
    parser.add_argument("--only", choices=[*OURS, *OTHERS], help="fit one model, print a result")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def split():
    rows = read_training_rows("movietweetings", 5, drop_last=True)
    return LeaveLastOutSplitter(ties="row_order").train_test_split(rows)


def run(name, X_train, X_test, seed):
    """Return HR@10 and NDCG@10 of the held-out rows among all items, and the seconds of the fit."""
    warnings.simplefilter("ignore")
    if name == "SASRec":
        return run_transformer(X_train, X_test, seed)
    if name == "paper-8, plain Keras":
        return run_keras(X_train, X_test, seed)
    preset, options = OURS[name]
    recommender = make_recommender(preset, seed, options)
    start = time.perf_counter()
    recommender.fit(X_train)
    seconds = time.perf_counter() - start
    return measure(recommender, X_test, seconds)


def measure(recommender, X_test, seconds):
    found = {"hr": hr_scorer()(recommender, X_test), "ndcg": ndcg_scorer()(recommender, X_test)}
    return found | {"seconds": seconds}


def run_keras(X_train, X_test, seed):
    start = time.perf_counter()
    from training import PAPER, KerasRanker, RankerRecommender, make_keras_epoch

    (users, user_ids), (items, item_ids) = X_train["user"].factorize(), X_train["item"].factorize()
    shape = len(user_ids), len(item_ids)
    run_epoch, model = make_keras_epoch(users, items, shape, PAPER, 256, seed)
    for _ in range(20):
        run_epoch()
    seconds = time.perf_counter() - start
    recommender = RankerRecommender(KerasRanker(model, shape[1])).fit(X_train)
    return measure(recommender, X_test, seconds)


def run_transformer(X_train, X_test, seed):
    os.environ["OMP_NUM_THREADS"] = str(os.cpu_count())
    start = time.perf_counter()
    from transformer import make_dataset, make_model, rank, train_further

    dataset, model = (
        make_dataset(X_train),
        make_model(seed, 4, {"n_factors": 128, "session_max_len": 32}),
    )
    seconds, found = time.perf_counter() - start, []
    for epochs in range(4, 33, 4):
        start = time.perf_counter()
        train_further(model, dataset, 4, is_first=epochs == 4)
        seconds += time.perf_counter() - start
        hit_rate, ndcg = rank(model, dataset, X_test)
        found.append({"hr": hit_rate, "ndcg": ndcg, "seconds": seconds})
        print(epochs, found[-1], flush=True)
    return found[int(np.argmax([at["ndcg"] for at in found]))]


if __name__ == "__main__":
    main()
