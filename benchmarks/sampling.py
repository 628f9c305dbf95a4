"""Draws of unseen items per second, on one core, at the density of MovieLens-1M.

    python benchmarks/sampling.py

Prints millions of verified draws per second of `sample_unseen_items`, and how many times as fast
it is as the usual loop over rows (draw, look up, draw again). Both take the same users in the same
run; only their ratio carries over to another machine.
"""

import time

import numpy as np

from neumf.interactions.seen import seen_matrix
from neumf.interactions.unseen import UnseenItems, sample_unseen_items

N_USERS, N_ITEMS, N_ROWS, N_NEGATIVES = 6_040, 3_706, 1_000_209, 4


def make_rows(rng):
    """Return users and items: users as active, items as popular as Zipf's law has it."""
    users = rng.choice(N_USERS, N_ROWS, p=zipf(N_USERS, 0.6))
    items = rng.choice(N_ITEMS, N_ROWS, p=zipf(N_ITEMS, 0.9))
    return users, items


def zipf(n, exponent):
    weights = np.arange(1, n + 1) ** -exponent
    return weights / weights.sum()


def sample_by_loop(seen, users, rng):
    """Draw for one row after the other, again and again until the item is unseen."""
    sets = [set(part) for part in np.split(seen.indices, seen.indptr[1:-1])]
    drawn = np.empty((len(users), N_NEGATIVES), dtype=np.int64)
    for row, user in enumerate(users):
        for column in range(N_NEGATIVES):
            item = rng.integers(N_ITEMS)
            while item in sets[user]:
                item = rng.integers(N_ITEMS)
            drawn[row, column] = item
    return drawn


def draws_per_second(draw, users):
    start = time.perf_counter()
    drawn = draw(users)
    return drawn.size / (time.perf_counter() - start), drawn


def main():
    rng = np.random.default_rng(0)
    users, items = make_rows(rng)
    seen = seen_matrix(users, items, (N_USERS, N_ITEMS))
    print(f"{seen.nnz:,} pairs seen, density {seen.nnz / N_USERS / N_ITEMS:.1%}")
    loop, _ = draws_per_second(lambda rows: sample_by_loop(seen, rows, rng), users[:20_000])
    for strategy, weights in (("uniform", None), ("popularity", np.bincount(items))):
        unseen = UnseenItems(seen, weights)
        rates = []
        for _ in range(5):
            rate, drawn = draws_per_second(
                lambda rows, unseen=unseen: sample_unseen_items(unseen, rows, N_NEGATIVES, rng),
                users,
            )
            rates.append(rate)
        hits = seen[users[:50_000, None], drawn[:50_000]].sum()
        print(
            f"{strategy:>10}: {np.median(rates) / 1e6:5.1f} M draws/s, "
            f"{np.median(rates) / loop:4.0f} times the loop, seen items drawn: {hits}"
        )


if __name__ == "__main__":
    main()
