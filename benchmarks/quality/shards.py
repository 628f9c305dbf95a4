r"""What `n_jobs` costs and brings: accuracy by shards, time, bytes of a round, and on paper.

    python benchmarks/quality/shards.py accuracy movietweetings --k-core 5 --drop-last \
        --preset default best-id --shards 1 2 4 16 --seeds 3
    python benchmarks/quality/shards.py cost movietweetings --k-core 5
    python benchmarks/quality/shards.py paper

``accuracy`` trains on all rows but the last one of each user and ranks that one among all items,
with so many shards; the first number is what the others are compared with. Shards are trained one
after the other, which gives the same weights. ``cost`` times a fit of one process and of two, and
counts what a round sends. ``paper`` puts the bytes of larger tables and the speed of larger
machines into the same formula.
"""

import argparse
import itertools
import time

import joblib
import pandas as pd
from ncf_protocol import make_recommender, parse_option, read_training_rows

from neumf import LeaveLastOutSplitter, hr_scorer, ndcg_scorer
from neumf.training import sharded_trainer

GIGA = 1e9


def main():
    arguments = parse_arguments()
    {"accuracy": accuracy, "cost": cost, "paper": paper}[arguments.what](arguments)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["accuracy", "cost", "paper"])
    parser.add_argument("train", nargs="?", help="a table, as ncf_protocol.py takes it")
    parser.add_argument("--k-core", type=int, default=1)
    parser.add_argument("--drop-last", action="store_true")
    parser.add_argument("--preset", nargs="+", default=["default"])
    parser.add_argument("--shards", nargs="+", type=int, default=[1, 2, 4, 16])
    parser.add_argument("--rounds", type=int, default=sharded_trainer.MOST_ROUNDS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", type=parse_option)
    parser.add_argument("--rows-per-second", type=float, default=50_000, help="of a machine")
    parser.add_argument("--gbit", type=float, default=10)
    return parser.parse_args()


def accuracy(arguments):
    X = read_training_rows(arguments.train, arguments.k_core, arguments.drop_last)
    X_train, X_val = LeaveLastOutSplitter(ties="row_order").train_test_split(X)
    sharded_trainer.MOST_ROUNDS = arguments.rounds
    found = []
    cases = itertools.product(arguments.preset, range(arguments.seeds), arguments.shards)
    for preset, seed, n_shards in cases:
        options = dict(arguments.set) | {"n_jobs": n_shards}
        with joblib.parallel_config("sequential"):
            model = make_recommender(preset, seed, options).fit(X_train)
        values = {"ndcg": ndcg_scorer()(model, X_val), "hr": hr_scorer()(model, X_val)}
        found.append({"preset": preset, "shards": n_shards, "seed": seed} | values)
        print(found[-1], flush=True)
    table = pd.DataFrame(found).groupby(["preset", "shards"])["ndcg"].agg(["mean", "std"])
    firsts = table["mean"].groupby("preset").transform("first")
    print(table.assign(ratio=table["mean"] / firsts).round(4).to_string())


def cost(arguments):
    X = read_training_rows(arguments.train, arguments.k_core, arguments.drop_last)
    merge, sent = sharded_trainer.merge, []

    def counting(state, rounds):
        start = sum(table.nbytes for name, table in state.tables.items() if name != "users")
        users = state.tables["users"].nbytes if "users" in state.tables else 0
        back = [
            sum(array.nbytes for change in progress.changes.values() for array in change)
            for progress in rounds
        ]
        sent.append((start, users, max(back)))
        return merge(state, rounds)

    sharded_trainer.merge = counting
    for preset in arguments.preset:
        seconds = {}
        options = {"epochs": 4} | dict(arguments.set)
        # The first fit of each kind imports TensorFlow and compiles.
        for n_jobs in (None, 2, None, 2, None, 2):
            sent.clear()
            model = make_recommender(preset, 0, options | {"n_jobs": n_jobs})
            start = time.perf_counter()
            model.fit(X)
            seconds.setdefault(n_jobs, []).append(time.perf_counter() - start)
        one, two = (min(times[1:]) for times in seconds.values())
        state, users, back = sent[-1]
        print(
            f"{preset}: {len(X):,} rows, {len(model.users_):,} users, {len(model.items_):,} items; "
            f"one process {one:.1f} s, two {two:.1f} s (ratio {one / two:.2f}); a round sends each "
            f"shard {state / 1e6:.2f} MB, all shards {users / 1e6:.2f} MB of users, and gets at "
            f"most {back / 1e6:.2f} MB back from each",
            flush=True,
        )


def paper(arguments):
    """Print times of an epoch by the formula, for the default network of histories."""
    width = 2 * 128 + 1  # of an item: its own vector, its bias, and its vector in histories
    bandwidth = arguments.gbit / 8 * GIGA
    for n_rows, n_items in ((100e6, 500e3), (10e9, 5e6)):
        state = 12 * width * n_items  # weights and two moments, float32
        one = n_rows / arguments.rows_per_second
        for n_machines in (4, 8, 16, 32, 64):
            trained = one / n_machines
            # Down from worker to worker, by halves; back to one machine, which adds them up.
            down = state / bandwidth * n_machines.bit_length()
            back = n_machines * state / bandwidth
            moved = arguments.rounds * (down + back)
            print(
                f"{n_rows:,.0f} rows, {n_items:,.0f} items, {n_machines} machines: "
                f"{state / GIGA:.1f} GB per shard and round each way; an epoch trains "
                f"{trained:,.0f} s and moves {moved:,.0f} s; {one / (trained + moved):.1f} times "
                "as fast as one"
            )


if __name__ == "__main__":
    main()
