"""Lists with Spark, as the guide has them. No extra brings Spark: skipped where it is missing."""

import shutil
import sys

import numpy as np
import pandas as pd
import pytest

import neumf
from neumf import SequentialRulesRecommender

pyspark = pytest.importorskip("pyspark")
pytest.importorskip("pyarrow")
if shutil.which("java") is None:
    pytest.skip("Spark needs Java", allow_module_level=True)

# What Spark itself does: it warns of pandas 3, and leaves sockets to the end of the process.
pytestmark = [
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def spark():
    """Spark in two threads of this machine, each with a Python process of its own."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    for name in ("host", "bindAddress"):
        builder = builder.config(f"spark.driver.{name}", "127.0.0.1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        session = builder.getOrCreate()
        yield session
        session.stop()


@pytest.mark.parametrize("kind", ["long", "string"])
@pytest.mark.filterwarnings("ignore:fit did not see")
def test_lists_of_partitions_are_those_of_one_call(spark, kind, tmp_path):
    users, steps = np.divmod(np.arange(400), 8)
    X = pd.DataFrame({"user": users, "item": (users * 7 + steps) % 20, "timestamp": steps})
    if kind == "string":
        X = X.assign(user="u" + X["user"].astype(str), item="i" + X["item"].astype(str))
    model = SequentialRulesRecommender().fit(X)
    path = str(tmp_path / "model")
    model.save(path)
    unknown = "nobody" if kind == "string" else -1
    ids = [*model.users_.tolist(), unknown]

    def lists_of(parts):
        model = neumf.load(path)
        for users in parts:
            yield model.recommend(users["user"], k=10)

    users = spark.createDataFrame([(user,) for user in ids], f"user {kind}").repartition(3)
    lists = users.mapInPandas(lists_of, f"user {kind}, item {kind}, score float, rank int")
    lists.write.parquet(str(tmp_path / "lists"))

    found = pd.read_parquet(tmp_path / "lists").sort_values(["user", "rank"], ignore_index=True)
    expected = model.recommend(ids, k=10).sort_values(["user", "rank"], ignore_index=True)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-6)
    assert len(list((tmp_path / "lists").glob("*.parquet"))) == 3
