r"""Train the SASRec of RecTools on one table's validation split, and measure it after some epochs.

    python benchmarks/quality/transformer.py --train ml-1m.parquet --epochs 4 --every 2

needs ``pip install "rectools[torch]"`` beside this package. Rows and metrics follow
`ncf_protocol.py` without ``--test``: each user's last row is held out, and ranked among all items
but the user's others. Seconds are of training alone, with ``--threads`` threads.

The network has the default parameters of RecTools; ``--set`` changes them, for example
``--set n_factors=128 session_max_len=200``.
"""

import argparse
import os
import time
import warnings

import numpy as np
import pandas as pd


def main():
    arguments = parse_arguments()
    # Libraries read it when they are imported.
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    from ncf_protocol import read_training_rows

    from neumf import LeaveLastOutSplitter

    warnings.filterwarnings("ignore")
    rows = read_training_rows(arguments.train, arguments.k_core, arguments.drop_last)
    X_train, X_held_out = LeaveLastOutSplitter(ties="row_order").train_test_split(rows)
    print(f"{len(X_train):,} training rows, {len(X_held_out):,} held-out rows", flush=True)
    dataset = make_dataset(X_train)
    model = make_model(arguments.seed, arguments.every, dict(arguments.set))
    seconds = 0.0
    for epoch in range(arguments.every, arguments.epochs + 1, arguments.every):
        start = time.perf_counter()
        train_further(model, dataset, arguments.every, is_first=epoch == arguments.every)
        seconds += time.perf_counter() - start
        hit_rate, ndcg = rank(model, dataset, X_held_out)
        print(
            f"epochs {epoch}  HR@10 {hit_rate:.4f}  NDCG@10 {ndcg:.4f}  {seconds:.0f} s", flush=True
        )


def make_dataset(X_train):
    """Return the rows as RecTools reads them.

    Its network reads the order of the rows, not their times: rows of one second stay in order.
    """
    from rectools import Columns
    from rectools.dataset import Dataset

    ordered = X_train.sort_values("timestamp", kind="stable")
    interactions = ordered[["user", "item"]].set_axis([Columns.User, Columns.Item], axis=1)
    interactions[Columns.Weight] = 1.0
    interactions[Columns.Datetime] = pd.to_datetime(np.arange(len(ordered)), unit="s")
    return Dataset.construct(interactions)


def make_model(seed, epochs, options):
    """Return a SASRec that trains this number of epochs at a time."""
    from pytorch_lightning import Trainer, seed_everything
    from rectools.models import SASRecModel

    seed_everything(seed)
    return SASRecModel(
        epochs=epochs,
        get_trainer_func=lambda: Trainer(
            max_epochs=epochs,
            min_epochs=epochs,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            accelerator="cpu",
        ),
        **options,
    )


def train_further(model, dataset, epochs, *, is_first):
    """Train for some epochs, on what was learned before."""
    if is_first:
        model.fit(dataset)
    else:
        model.fit_partial(dataset, min_epochs=epochs, max_epochs=epochs)


def rank(model, dataset, X_held_out):
    """Return HR@10 and NDCG@10 of the held-out rows; those of unknown users or items are misses."""
    from rectools import Columns

    known = X_held_out[X_held_out["user"].isin(dataset.user_id_map.external_ids)]
    lists = model.recommend(known["user"].to_numpy(), dataset, k=10, filter_viewed=True)
    pairs = known.merge(lists, left_on=["user", "item"], right_on=[Columns.User, Columns.Item])
    ranks = pairs[Columns.Rank].to_numpy()
    return len(ranks) / len(X_held_out), (1 / np.log2(1 + ranks)).sum() / len(X_held_out)


def parse_arguments():
    from ncf_protocol import parse_option

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", required=True, help="as for ncf_protocol.py")
    parser.add_argument("--k-core", type=int, default=1)
    parser.add_argument("--drop-last", action="store_true")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--every", type=int, default=2, help="epochs between two measurements")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", type=parse_option)
    return parser.parse_args()


if __name__ == "__main__":
    main()
