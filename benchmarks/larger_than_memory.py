r"""The memory of a fit on Parquet files that no DataFrame would have room for.

    python benchmarks/larger_than_memory.py
    python benchmarks/larger_than_memory.py --rows 200000000 --timestamps --folder /tmp

Writes synthetic rows of 2 million users and 500,000 items to a folder of Parquet files, part by
part, fits `NeuMFRecommender` to the folder in a new process, and prints the peak of its resident
memory, which is compared with that of TensorFlow alone, 12 bytes a row and 3.5 times the vectors.
An epoch is cut short after some calls of the compiled program, since the memory of the others is
that of the first ones. The files are removed afterwards. Only ratios of the times carry over to
another machine.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sampling import zipf
from training import resident_gigabytes

N_USERS, N_ITEMS = 2_000_000, 500_000
# Rows of a file; a group of rows in it has a tenth.
FILE_ROWS = 10_000_000
BYTES_PER_ROW, TIMES_VECTORS = 12, 3.5
N_CHUNKS = 10


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--timestamps", action="store_true", help="write and read a time per row")
    parser.add_argument("--strings", action="store_true", help="ids are strings")
    parser.add_argument("--by-user", action="store_true", help="rows are sorted by user")
    parser.add_argument("--preset", default="paper-8")
    parser.add_argument("--folder", help="where the files are written, by default a temporary one")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--fit", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def write_files(arguments, folder):
    """Write the rows in parts of a million."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    # Popular items have any number, as in a real catalogue.
    items_by_share, bounds = rng.permutation(N_ITEMS), np.cumsum(zipf(N_ITEMS, 0.9))
    n_written = 0
    for number in itertools.count():
        n_of_file = min(FILE_ROWS, arguments.rows - n_written)
        if n_of_file == 0:
            return
        writer = None
        for _ in range(0, n_of_file, FILE_ROWS // 10):
            n = min(FILE_ROWS // 10, arguments.rows - n_written)
            users = rng.integers(N_USERS, size=n)
            if arguments.by_user:
                users = (np.arange(n_written, n_written + n) * N_USERS) // arguments.rows
            items = items_by_share[np.searchsorted(bounds, rng.random(n) * bounds[-1])]
            columns = {"user": pa.array(users), "item": pa.array(items)}
            if arguments.strings:
                columns = {name: ids.cast(pa.string()) for name, ids in columns.items()}
            if arguments.timestamps:
                moments = rng.integers(1_500_000_000_000_000, 1_600_000_000_000_000, size=n)
                columns["timestamp"] = pa.array(moments, pa.timestamp("us"))
            # A column that must not be read.
            columns["rating"] = pa.array(rng.random(n))
            table = pa.table(columns)
            if writer is None:
                writer = pq.ParquetWriter(folder / f"part-{number:05}.parquet", table.schema)
            writer.write_table(table)
            n_written += n
        writer.close()


def fit(arguments):
    """Fit in this process, which has done nothing else, and print figures as JSON."""
    import neumf.training.trainer
    from neumf import NeuMFRecommender, base

    options = {"batch_size": 8192, "epochs": 1, "random_state": 0}
    model = NeuMFRecommender.from_preset(arguments.preset, **options)
    model.fit(np.arange(400).reshape(-1, 2))
    tensorflow = resident_gigabytes("VmRSS")
    epoch = neumf.training.trainer.epoch_of_chunks

    def note(name, value):
        report[name] = value
        print(name, value, file=sys.stderr, flush=True)

    def begin_of_epoch(*of_epoch):
        note("begin of training, s", time.perf_counter() - start)
        note("peak before, GB", resident_gigabytes("VmHWM"))
        yield from itertools.islice(epoch(*of_epoch), N_CHUNKS)

    def read_rows(*table):
        rows = read(*table)
        note("read, s", time.perf_counter() - start)
        note("peak of reading, GB", resident_gigabytes("VmHWM"))
        return rows

    neumf.training.trainer.epoch_of_chunks = begin_of_epoch
    recommender = sys.modules["neumf._recommender"]
    read, recommender.read_rows = base.read_rows, read_rows
    report, start = {}, time.perf_counter()
    model.fit(arguments.fit)
    seconds = time.perf_counter() - start
    vectors = (model.network_.users.nbytes + model.network_.items.nbytes) / 1e9
    peak = resident_gigabytes("VmHWM")
    print(
        json.dumps(
            {
                "rows, M": arguments.rows / 1e6,
                "TensorFlow, GB": tensorflow,
                "vectors, GB": vectors,
                **report,
                "peak, GB": peak,
                "goal, GB": tensorflow
                + BYTES_PER_ROW * arguments.rows / 1e9
                + TIMES_VECTORS * vectors,
                "bytes a row beside": (peak - tensorflow - TIMES_VECTORS * vectors)
                * 1e9
                / arguments.rows,
                "fit, s": seconds,
            }
        )
    )


def main():
    arguments = parse_arguments()
    if arguments.fit:
        return fit(arguments)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        write_files(arguments, Path(folder))
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e9
        command = [sys.executable, *sys.argv, "--fit", folder]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    result = {"files, GB": size} | json.loads(output.splitlines()[-1])
    print(pd.Series(result).to_string(float_format="{:.3g}".format))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2))
    return None


if __name__ == "__main__":
    main()
