r"""The memory of a fit on Parquet files that no DataFrame would have room for.

    python benchmarks/larger_than_memory.py
    python benchmarks/larger_than_memory.py --rows 200000000 --timestamps --folder /tmp
    python benchmarks/larger_than_memory.py --rows 500000000 --spill --folder /tmp

Writes synthetic rows of 2 million users and 500,000 items to a folder of Parquet files, part by
part, fits `NeuMFRecommender` to the folder in a new process, and prints the peak of its resident
memory, which is compared with that of TensorFlow alone, 12 bytes a row and 3.5 times the vectors.
With --spill, what is kept of each row is in files of the folder, and the goal is TensorFlow alone,
the vectors and 2 GB. Pages of mapped files count as resident, though they are given back whenever
memory is asked for; so the peak of the other, anonymous memory is printed too.
An epoch is cut short after some calls of the compiled program, since the memory of the others is
that of the first ones. The files are removed afterwards. Only ratios of the times carry over to
another machine.

To fit under a limit of memory that is set from outside, write the files first:

    python benchmarks/larger_than_memory.py --rows 500000000 --write /tmp/rows
    python benchmarks/larger_than_memory.py --rows 500000000 --spill --folder /tmp --fit /tmp/rows
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sampling import zipf
from training import resident_gigabytes

N_USERS, N_ITEMS = 2_000_000, 500_000
N_LOTS = 2**23
# Rows of a file; a group of rows in it has a tenth.
FILE_ROWS = 10_000_000
BYTES_PER_ROW, TIMES_VECTORS = 12, 3.5
GIGABYTES_BESIDE = 2


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--timestamps", action="store_true", help="write and read a time per row")
    parser.add_argument("--strings", action="store_true", help="ids are strings")
    parser.add_argument("--by-user", action="store_true", help="rows are sorted by user")
    parser.add_argument("--preset", default="paper-8")
    parser.add_argument("--spill", action="store_true", help="keep rows in files of the folder")
    parser.add_argument("--chunks", type=int, default=10, help="calls until an epoch is cut short")
    parser.add_argument("--folder", help="where the files are written, by default a temporary one")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--write", type=Path, help="write the rows to this folder, and no more")
    parser.add_argument("--fit", type=Path, help="fit to this folder, in this process")
    return parser.parse_args()


def write_files(arguments, folder):
    """Write the rows in parts of a million."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    # Popular items have any number, as in a real catalogue.
    items_by_share, bounds = rng.permutation(N_ITEMS), np.cumsum(zipf(N_ITEMS, 0.9))
    # What lots draw: faster than to look for each row's item among the bounds.
    items_by_lot = items_by_share[np.searchsorted(bounds, np.arange(0.5, N_LOTS) / N_LOTS)]
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
            items = items_by_lot[rng.integers(N_LOTS, size=n)]
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
                path = folder / f"part-{number:05}.parquet"
                writer = pq.ParquetWriter(path, table.schema, use_dictionary=False)
            writer.write_table(table)
            n_written += n
        writer.close()


def fit(arguments):
    """Fit in this process, which has done nothing else, and print figures as JSON."""
    import neumf.training.trainer
    from neumf import NeuMFRecommender
    from neumf.interactions.encoded_rows import EncodedRows

    options = {"batch_size": 8192, "epochs": 1, "random_state": 0}
    if arguments.spill:
        options["spill_folder"] = arguments.folder or tempfile.gettempdir()
    model = NeuMFRecommender.from_preset(arguments.preset, **options)
    model.fit(np.arange(400).reshape(-1, 2))
    tensorflow = resident_gigabytes("VmRSS")
    chunks_of, read = neumf.training.trainer.chunks_of, EncodedRows.read
    anonymous = AnonymousMemory()

    def note(name, value):
        report[name] = value
        print(name, value, file=sys.stderr, flush=True)

    def begin_of_epoch(*of_epoch):
        note("begin of training, s", time.perf_counter() - start)
        note("peak before, GB", resident_gigabytes("VmHWM"))
        note("anonymous peak before, GB", anonymous.peak)
        n_rows, begin = 0, time.perf_counter()
        for chunk in itertools.islice(chunks_of(*of_epoch), arguments.chunks):
            yield chunk
            n_rows += int(chunk.n_rows)
        note("training row, us", (time.perf_counter() - begin) * 1e6 / n_rows)

    def read_rows(*table):
        rows = read(*table)
        note("read, s", time.perf_counter() - start)
        note("peak of reading, GB", resident_gigabytes("VmHWM"))
        note("anonymous peak of reading, GB", anonymous.peak)
        return rows

    neumf.training.trainer.chunks_of = begin_of_epoch
    EncodedRows.read = read_rows
    report, start = {}, time.perf_counter()
    with anonymous:
        model.fit(arguments.fit)
    seconds = time.perf_counter() - start
    vectors = (model.network_.users.nbytes + model.network_.items.nbytes) / 1e9
    peak = resident_gigabytes("VmHWM")
    goal = tensorflow + BYTES_PER_ROW * arguments.rows / 1e9 + TIMES_VECTORS * vectors
    if arguments.spill:
        goal = tensorflow + vectors + GIGABYTES_BESIDE
    print(
        json.dumps(
            {
                "rows, M": arguments.rows / 1e6,
                "TensorFlow, GB": tensorflow,
                "vectors, GB": vectors,
                **report,
                "peak, GB": peak,
                "anonymous peak, GB": anonymous.peak,
                "goal, GB": goal,
                "bytes a row beside": (peak - tensorflow - TIMES_VECTORS * vectors)
                * 1e9
                / arguments.rows,
                "fit, s": seconds,
            }
        )
    )


class AnonymousMemory:
    """Looks now and then at the memory that no file is behind."""

    def __init__(self):
        self.peak = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *error):
        self._done.set()
        self._thread.join()

    def _look(self):
        while not self._done.wait(0.02):
            self.peak = max(self.peak, resident_gigabytes("RssAnon"))


def main():
    arguments = parse_arguments()
    if arguments.write:
        arguments.write.mkdir()
        return write_files(arguments, arguments.write)
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
