import collections
import gzip
import inspect
import json
import re
import subprocess
import sys
import tracemalloc
from importlib import resources

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from neumf import PopularityRecommender, datasets
from neumf.datasets import (
    filter_k_core,
    load_movietweetings,
    read_amazon_reviews,
    read_movielens,
    read_ncf,
)

COLUMNS = ["user", "item", "timestamp", "rating"]


def table(*rows):
    """Rows of (user, item, timestamp, rating) as the readers return them."""
    return pd.DataFrame(list(rows), columns=COLUMNS).astype({"rating": "float64"})


def write(path, content):
    """Write text or bytes, compressed if the name ends in .gz."""
    raw = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def review(**changes):
    """One line of a dump of 2014; a change to None leaves the field out."""
    fields = {
        "reviewerID": "A1",
        "asin": "B1",
        "reviewText": 'A "fine" film.\nReally: café.',
        "overall": 4.0,
        "unixReviewTime": 1393545600,
    }
    fields |= changes
    return json.dumps({name: value for name, value in fields.items() if value is not None}) + "\n"


def test_importing_the_readers_does_not_import_tensorflow():
    code = "import sys, neumf.datasets; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", datasets.__all__)
def test_every_public_name_is_documented(name):
    assert inspect.getdoc(getattr(datasets, name))


# MovieTweetings


def test_movietweetings_has_the_published_size():
    interactions = load_movietweetings()
    assert interactions.shape == (100_000, 4)
    assert interactions["user"].nunique() == 16_554
    assert interactions["item"].nunique() == 10_506
    assert interactions["rating"].between(0, 10).all()


def test_movietweetings_returns_the_four_columns():
    interactions = load_movietweetings()
    assert list(interactions.columns) == COLUMNS
    assert [str(dtype) for dtype in interactions.dtypes] == ["int64", "int64", "int64", "float64"]
    assert isinstance(interactions.index, pd.RangeIndex)


def test_movietweetings_titles_name_every_item():
    interactions, titles = load_movietweetings(return_titles=True)
    assert titles.name == "title"
    assert titles.index.name == "item"
    assert titles.index.is_unique
    assert set(titles.index) == set(interactions["item"])
    assert titles[2844] == "Fantômas - À l'ombre de la guillotine (1913)"


def test_movietweetings_returns_a_new_table_each_time():
    interactions = load_movietweetings()
    interactions["rating"] = 0.0
    assert load_movietweetings()["rating"].max() == 10


def test_movietweetings_equals_the_published_files(real_data):
    ratings = real_data("movietweetings-100k", "ratings.dat").read_text().splitlines()
    movies = real_data("movietweetings-100k", "movies.dat").read_text("utf-8").splitlines()
    interactions, titles = load_movietweetings(return_titles=True)
    rows = [[int(field) for field in line.split("::")] for line in ratings]
    expected = table(*((user, item, time, rating) for user, item, rating, time in rows))
    assert_frame_equal(interactions, expected)
    pairs = [(int(item), title) for item, title, _ in (line.split("::") for line in movies)]
    assert list(titles.items()) == pairs


def test_package_data_are_small_and_licensed():
    folder = resources.files("neumf.datasets").joinpath("data")
    sizes = {file.name: len(file.read_bytes()) for file in folder.iterdir()}
    assert sum(sizes.values()) < 1_000_000
    assert {"LICENSE", "README.md"} < set(sizes)
    assert "Simon Dooms" in folder.joinpath("LICENSE").read_text("utf-8")


# Amazon, JSON lines


@pytest.mark.parametrize("name", ["r.json", "r.jsonl", "r.json.gz"])
def test_amazon_json_lines(tmp_path, name):
    lines = review() + "\n" + review(reviewerID="A2", overall=5, unixReviewTime=-3)
    result = read_amazon_reviews(write(tmp_path / name, lines))
    assert_frame_equal(result, table(("A1", "B1", 1393545600, 4), ("A2", "B1", -3, 5)))


def test_amazon_accepts_a_path_as_text_and_no_newline_at_the_end(tmp_path):
    path = write(tmp_path / "r.json", review().rstrip())
    assert len(read_amazon_reviews(str(path))) == 1


def test_amazon_recognises_gzip_by_content(tmp_path):
    path = write(tmp_path / "r.json", gzip.compress(review().encode()))
    assert len(read_amazon_reviews(path)) == 1


def test_amazon_reads_the_fields_of_2023(tmp_path):
    line = {"user_id": "A1", "asin": "B2", "parent_asin": "B1", "timestamp": 1588687728923}
    path = write(tmp_path / "r.jsonl", json.dumps(line | {"rating": 5.0}))
    expected = table(("A1", "B1", 0, 5)).assign(timestamp=1588687728.923)
    assert_frame_equal(read_amazon_reviews(path), expected)


@pytest.mark.parametrize("name", ["r.jsonl", "r.csv"])
def test_amazon_timestamps_of_2023_are_of_one_unit(tmp_path, name):
    names = ("user_id", "parent_asin", "rating", "timestamp")
    rows = [("A1", "B1", 5.0, time) for time in (1588687728923, 1588687728)]
    lines = [json.dumps(dict(zip(names, row, strict=True))) for row in rows]
    if name == "r.csv":
        lines = [",".join(map(str, row)) for row in [names, *rows]]
    path = write(tmp_path / name, "\n".join(lines))
    match = rf"{name}: timestamps must be all milli.* 1588687728923 and 1588687728\. Convert"
    with pytest.raises(ValueError, match=match):
        read_amazon_reviews(path)


@pytest.mark.filterwarnings("ignore:fit did not see")
def test_the_timestamps_of_2023_are_times_of_the_library(tmp_path):
    lines = "user_id,parent_asin,rating,timestamp\n"
    lines += "".join(f"A{n},old,5.0,1588000000{n:03}\n" for n in range(5))
    lines += "".join(f"A{n},new,5.0,1590592000{n:03}\n" for n in range(2))  # a month later
    X = read_amazon_reviews(write(tmp_path / "r.csv", lines))
    assert PopularityRecommender(half_life="7D").fit(X).recommend("?")["item"][0] == "new"
    assert PopularityRecommender(half_life="70D").fit(X).recommend("?")["item"][0] == "old"


BROKEN_REVIEWS = {
    "missing asin": (
        review(asin=None),
        r"r\.json, line 3: field 'asin' is missing; every line must hold reviewerID, asin, "
        r"unixReviewTime and overall\. Received keys: \['reviewerID', ",
    ),
    "missing time": (review(unixReviewTime=None), r"line 3: field 'unixReviewTime' is missing"),
    "numeric id": (review(reviewerID=7), r"line 3: field 'reviewerID' must be an id.*Received: 7"),
    "empty id": (review(asin=""), r"line 3: field 'asin' must be an id.*Received: ''"),
    "text for time": (
        review(unixReviewTime="1393545600"),
        r"line 3: field 'unixReviewTime' must be a 64-bit integer\. Received: '1393545600'",
    ),
    "fraction for time": (review(unixReviewTime=0.5), r"'unixReviewTime' must be .* Received: 0.5"),
    "huge time": (review(unixReviewTime=2**63), r"line 3: field 'unixReviewTime' must be a 64-bit"),
    "text for rating": (
        review(overall="5"),
        r"line 3: field 'overall' must be a finite num.*: '5'",
    ),
    "list for rating": (
        review(overall=[]),
        r"line 3: field 'overall' must be a finite num.*: \[\]",
    ),
    "NaN for rating": (review(overall=float("nan")), r"line 3: .* not valid JSON \(NaN is not"),
    "cut line": (review()[:30] + "\n", r"line 3: the line is not valid JSON \("),
    "no object": ("[1, 2]\n", r"line 3: every line must be one JSON object\. Received: \[1, 2\]"),
    "Python literal": (
        "{'reviewerID': 'A1'}\n",
        r"line 3: the line is not valid JSON .*ast\.literal_eval.*Received: \"\{'reviewerID'",
    ),
}


@pytest.mark.parametrize(("line", "match"), BROKEN_REVIEWS.values(), ids=BROKEN_REVIEWS)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_amazon_names_the_broken_line(tmp_path, line, match, suffix):
    # The blank line in front counts, as it does in an editor.
    path = write(tmp_path / f"r.json{suffix}", review() + "\n" + line + review())
    with pytest.raises(ValueError, match=match.replace(r"r\.json,", rf"r\.json{suffix},")):
        read_amazon_reviews(path)


def test_amazon_error_quotes_long_lines_in_short(tmp_path):
    path = write(tmp_path / "r.json", "x" * 100_000)
    with pytest.raises(ValueError, match=r"line 1: the line is not valid JSON") as error:
        read_amazon_reviews(path)
    assert len(str(error.value)) < 500 + len(str(path))


def test_amazon_refuses_text_that_is_not_utf8(tmp_path):
    path = write(tmp_path / "r.json", review().encode() + b'{"reviewerID": "caf\xe9"}\n')
    match = r"r\.json, line 2: the text is not UTF-8 \(.* at byte 20 of the line\); save the file"
    with pytest.raises(ValueError, match=match):
        read_amazon_reviews(path)


def test_amazon_refuses_a_truncated_gzip(tmp_path):
    path = write(tmp_path / "r.json.gz", "".join(review(asin=f"B{i}") for i in range(1000)))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"r\.json\.gz, line \d+: the compressed data are cut off"):
        read_amazon_reviews(path)


def test_amazon_refuses_a_damaged_gzip(tmp_path):
    path = write(tmp_path / "r.json.gz", review())
    path.write_bytes(path.read_bytes()[:10] + b"\xff" * 40)
    with pytest.raises(ValueError, match=r"r\.json\.gz, line 1: .* damaged .*; fetch the file"):
        read_amazon_reviews(path)


@pytest.mark.parametrize("content", ["", "\n\n"])
@pytest.mark.parametrize("name", ["r.json", "r.json.gz", "r.csv"])
def test_amazon_refuses_an_empty_file(tmp_path, name, content):
    path = write(tmp_path / name, content)
    with pytest.raises(ValueError, match=rf"{name}: the file is empty; it must hold at least one"):
        read_amazon_reviews(path)


def test_amazon_refuses_another_kind_of_file(tmp_path):
    with pytest.raises(ValueError, match=r"path must end in \.json, \.jsonl or \.csv.*r\.txt"):
        read_amazon_reviews(write(tmp_path / "r.txt", review()))


@pytest.mark.parametrize("name", ["r.json", "r.csv.gz"])
def test_amazon_missing_file(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=name):
        read_amazon_reviews(tmp_path / name)


ROWS = st.tuples(
    st.text(min_size=1),
    st.text(min_size=1),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)


@given(rows=st.lists(ROWS, min_size=1, max_size=20), plain=st.booleans())
def test_amazon_json_lines_round_trip(tmp_path_factory, rows, plain):
    names = ("reviewerID", "asin", "unixReviewTime", "overall")
    lines = [json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=not plain) for row in rows]
    path = write(tmp_path_factory.mktemp("round-trip") / "r.json", "\n".join(lines))
    result = read_amazon_reviews(path)
    assert [tuple(row) for row in result.astype(object).to_numpy()] == rows


def test_amazon_does_not_hold_the_texts(tmp_path):
    path = tmp_path / "r.json.gz"
    n_reviews, text = 5_000, "word " * 1_000
    with gzip.open(path, "wt", compresslevel=1) as stream:
        for number in range(n_reviews):
            stream.write(review(reviewerID=f"A{number % 500}", reviewText=text))
    tracemalloc.start()
    assert len(read_amazon_reviews(path)) == n_reviews
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n_reviews * len(text) / 2


# Amazon, ratings only


@pytest.mark.parametrize("name", ["r.csv", "r.csv.gz"])
def test_amazon_csv_has_the_order_of_2014(tmp_path, name):
    path = write(tmp_path / name, "A1,B1,5.0,100\nA1,0005,3.0,90\n")
    assert_frame_equal(
        read_amazon_reviews(path), table(("A1", "B1", 100, 5), ("A1", "0005", 90, 3))
    )


def test_amazon_csv_columns_can_be_those_of_2018(tmp_path):
    path = write(tmp_path / "r.csv", "B00005N7PS,A2CCDV0J5VB6F2,5.0,100\n")
    columns = ["item", "user", "rating", "timestamp"]
    result = read_amazon_reviews(path, csv_columns=columns)
    assert_frame_equal(result, table(("A2CCDV0J5VB6F2", "B00005N7PS", 100, 5)))


def test_amazon_csv_refuses_swapped_ids(tmp_path):
    path = write(tmp_path / "r.csv", "B00005N7PS,A2CCDV0J5VB6F2,5.0,100\n")
    with pytest.raises(ValueError, match=r"r\.csv, line 1: field 'user' holds a product.*swap"):
        read_amazon_reviews(path)


def test_amazon_csv_knows_the_header_of_2023(tmp_path):
    lines = "user_id,parent_asin,rating,timestamp\nA1,B1,5.0,1588687728923\n"
    result = read_amazon_reviews(write(tmp_path / "r.csv", lines))
    assert_frame_equal(result, table(("A1", "B1", 0, 5)).assign(timestamp=1588687728.923))


def test_amazon_csv_keeps_ids_that_look_like_missing_values(tmp_path):
    path = write(tmp_path / "r.csv", "NA,null,5.0,100\n")
    assert read_amazon_reviews(path).loc[0, ["user", "item"]].tolist() == ["NA", "null"]


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("A1,B1,5.0\n", r"r\.csv, line 2: the line must hold 4 fields.*Received 3: 'A1,B1,5\.0'"),
        ("A1,B1,5.0,1,x\n", r"r\.csv, line 2: the line must hold 4 fields.*Received 5: "),
        (",B1,5.0,1\n", r"r\.csv, line 2: field 'user' must be an id.*Received: ''"),
        ("A1,B1,five,1\n", r"r\.csv, line 2: field 'rating' must be a finite number.*: 'five'"),
        ("A1,B1,5.0,\n", r"r\.csv, line 2: field 'timestamp' must be a 64-bit integer.*: ''"),
        (b"A\xe9,B1,5.0,1\n", r"r\.csv, line 2: the text is not UTF-8"),
    ],
)
def test_amazon_csv_names_the_broken_line(tmp_path, line, match):
    good = b"A1,B1,5.0,100\n"
    raw = line if isinstance(line, bytes) else line.encode()
    with pytest.raises(ValueError, match=match):
        read_amazon_reviews(write(tmp_path / "r.csv", good + raw + good))


def test_amazon_csv_refuses_an_unknown_header(tmp_path):
    path = write(tmp_path / "r.csv", "user,item,grade,timestamp\nA1,B1,5.0,100\n")
    with pytest.raises(ValueError, match=r"r\.csv, line 1: field 'timestamp' must .*: 'timestamp'"):
        read_amazon_reviews(path)


@pytest.mark.parametrize("columns", [["user", "item"], ["user", "asin", "rating", "timestamp"]])
def test_amazon_csv_columns_must_be_the_four(tmp_path, columns):
    path = write(tmp_path / "r.csv", "A1,B1,5.0,100\n")
    with pytest.raises(ValueError, match=r"csv_columns must be user, item, timestamp, rating in"):
        read_amazon_reviews(path, csv_columns=columns)


def test_amazon_musical_instruments(real_data):
    name = "reviews_Musical_Instruments_5.json.gz"
    result = read_amazon_reviews(real_data("amazon-musical-instruments", name))
    assert len(result) == 10_261
    assert result["user"].nunique() == 1_429
    assert result["item"].nunique() == 900
    assert result.loc[0].tolist() == ["A2IBPI20UZIR0U", "1384719342", 1393545600, 5.0]
    # The file is published as a 5-core.
    assert_frame_equal(filter_k_core(result, 5), result)


# MovieLens

MOVIELENS = {
    "u.data": "196\t242\t3\t881250949\n186\t302\t5\t891717742\n",
    "ratings.dat": "196::242::3::881250949\n186::302::5::891717742\n",
    "ratings.csv": "userId,movieId,rating,timestamp\n196,242,3.0,881250949\n186,302,5,891717742\n",
}
MOVIELENS_TABLE = table((196, 242, 881250949, 3), (186, 302, 891717742, 5))


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("name", MOVIELENS)
def test_movielens_files(tmp_path, name, newline):
    path = write(tmp_path / name, MOVIELENS[name].replace("\n", newline))
    assert_frame_equal(read_movielens(path), MOVIELENS_TABLE)
    assert_frame_equal(read_movielens(str(tmp_path)), MOVIELENS_TABLE)


@pytest.mark.parametrize("content", MOVIELENS.values(), ids=MOVIELENS)
def test_movielens_layout_does_not_hang_on_the_name(tmp_path, content):
    assert_frame_equal(read_movielens(write(tmp_path / "u1.base.gz", content)), MOVIELENS_TABLE)


def test_movielens_half_stars(tmp_path):
    path = write(tmp_path / "ratings.csv", MOVIELENS["ratings.csv"].replace("3.0", "3.5"))
    assert read_movielens(path)["rating"].tolist() == [3.5, 5.0]


def test_movielens_folder_without_ratings(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"must hold one of u\.data, ratings\.dat, rat"):
        read_movielens(tmp_path)


def test_movielens_folder_with_several_ratings(tmp_path):
    for name, content in MOVIELENS.items():
        write(tmp_path / name, content)
    with pytest.raises(ValueError, match=r"Received: u\.data, ratings\.dat, ratings\.csv; pass"):
        read_movielens(tmp_path)


def test_movielens_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"u\.data"):
        read_movielens(tmp_path / "u.data")


@pytest.mark.parametrize("content", ["", "\n", "userId,movieId,rating,timestamp\n"])
def test_movielens_refuses_an_empty_file(tmp_path, content):
    with pytest.raises(ValueError, match=r"ratings\.csv: the file is empty; it must hold"):
        read_movielens(write(tmp_path / "ratings.csv", content))


def test_movielens_refuses_an_unknown_layout(tmp_path):
    path = write(tmp_path / "ratings.csv", "1,2,3.5,100\n")
    match = r"ratings\.csv, line 1: the file must start with the header.*Received: '1,2,3\.5,100'"
    with pytest.raises(ValueError, match=match):
        read_movielens(path)


BROKEN_FIELDS = {
    "text id": ({"user": "x"}, r"field 'user' must be a 64-bit integer\. Received: 'x'"),
    "empty id": ({"item": ""}, r"field 'item' must be a 64-bit integer\. Received: ''"),
    "fraction": ({"item": "1.5"}, r"field 'item' must be a 64-bit integer\. Received: '1\.5'"),
    "quoted": ({"item": '"x"'}, r"field 'item' must be a 64-bit integer\. Received: '\"?x\"?'"),
    "huge": ({"item": "9" * 30}, r"field 'item' must be a 64-bit integer\. Received: '99"),
    "text rating": ({"rating": "good"}, r"field 'rating' must be a finite number\. .*: 'good'"),
    "no rating": ({"rating": ""}, r"field 'rating' must be a finite number\. Received: ''"),
    "NaN": ({"rating": "nan"}, r"field 'rating' must be a finite number\. Received: 'nan'"),
    "infinite": ({"rating": "inf"}, r"field 'rating' must be a finite number\. Received: 'inf'"),
    "no time": ({"timestamp": ""}, r"field 'timestamp' must be a (64-bit|number).*\. Received: ''"),
    "no number": ({"timestamp": "-"}, r"field 'timestamp' must be a (64-bit|number).*\. .*: '-'"),
}


@pytest.mark.parametrize(("changes", "match"), BROKEN_FIELDS.values(), ids=BROKEN_FIELDS)
@pytest.mark.parametrize("name", MOVIELENS)
@pytest.mark.parametrize("n_before", [3, 3_000])
def test_movielens_names_the_broken_field(tmp_path, name, changes, match, n_before):
    header = "userId,movieId,rating,timestamp\n" if name == "ratings.csv" else ""
    separator = {"u.data": "\t", "ratings.dat": "::", "ratings.csv": ","}[name]
    good = separator.join(["1", "2", "3", "4"]) + "\n"
    fields = {"user": "1", "item": "2", "rating": "3", "timestamp": "4"} | changes
    bad = separator.join(fields.values()) + "\n"
    path = write(tmp_path / name, header + good * n_before + bad + good)
    number = n_before + 1 + bool(header)
    with pytest.raises(ValueError, match=rf"{re.escape(name)}, line {number}: {match}"):
        read_movielens(path)


@pytest.mark.parametrize("where", ["first", "middle", "last", "everywhere"])
@pytest.mark.parametrize("line", ["1\t2\t3\n", "1\t2\t3\t4\t5\n", "1\t2\t3\t4\t\n", "1\t2\t3:4\n"])
def test_movielens_counts_the_fields(tmp_path, line, where):
    good = "1\t2\t3\t4\n"
    content, number = {
        "first": (line + good, 1),
        "middle": (good + line + good, 2),
        "last": (good + good + line, 3),
        "everywhere": (line + line, 1),
    }[where]
    n_fields = len(line.split("\t"))
    match = rf"u\.data, line {number}: the line must hold 4 fields.*Received {n_fields}: "
    with pytest.raises(ValueError, match=match):
        read_movielens(write(tmp_path / "u.data", content))


def test_movielens_does_not_take_one_colon_for_two(tmp_path):
    path = write(tmp_path / "ratings.dat", "1::2::3::4\n1:2:3:4\n")
    with pytest.raises(ValueError, match=r"ratings\.dat, line 2: the line must hold 4 fields"):
        read_movielens(path)


def test_movielens_refuses_text_that_is_not_utf8(tmp_path):
    path = write(tmp_path / "u.data", b"1\t2\t3\t4\n1\t2\t\xff\t4\n")
    with pytest.raises(ValueError, match=r"u\.data, line 2: the text is not UTF-8 .* at byte 5"):
        read_movielens(path)


def test_movielens_refuses_a_truncated_gzip(tmp_path):
    path = write(tmp_path / "u.data.gz", "".join(f"{i}\t2\t3\t4\n" for i in range(9_000)))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match=r"u\.data\.gz, line \d+: the compressed data are cut off"):
        read_movielens(path)


def test_movielens_reads_what_pandas_refuses_but_python_understands(tmp_path):
    path = write(tmp_path / "u.data", "1\t2\t3\t4\n   \n5\t6\t1_0\t8\n")
    assert_frame_equal(read_movielens(path), table((1, 2, 4, 3), (5, 6, 8, 10)))


@pytest.mark.parametrize("rating", ["10", "1_0"], ids=["fast", "strict"])
def test_movielens_takes_whole_numbers_written_as_fractions(tmp_path, rating):
    path = write(tmp_path / "u.data", f"1.0\t2\t{rating}\t9e8\n")
    assert_frame_equal(read_movielens(path), table((1, 2, 900_000_000, 10)))


@pytest.mark.parametrize("rating", ["10", "1_0"], ids=["fast", "strict"])
def test_both_table_readers_return_the_same_columns(tmp_path, rating):
    result = read_amazon_reviews(write(tmp_path / "r.csv", f"A1,B1,{rating},100\n"))
    assert_frame_equal(result, table(("A1", "B1", 100, 10)))


def test_movielens_100k(real_data):
    result = read_movielens(real_data("ml-100k"))
    assert result.shape == (100_000, 4)
    assert result["user"].nunique() == 943
    assert result["item"].nunique() == 1_682
    assert result.loc[0].tolist() == [196, 242, 881250949, 3]


# Comma-separated values with a header

VARIANTS = {
    "quoted": ('"userId","movieId","rating","timestamp"\n', '"{}","{}","{}","{}"\n', (0, 1, 2, 3)),
    "quoted header": ('"userId","movieId","rating","timestamp"\n', "{},{},{},{}\n", (0, 1, 2, 3)),
    "further columns": ("a,userId,movieId,,rating,timestamp\n", '1,{},{},"x,y",{},{}\n', range(4)),
    "another order": ("Timestamp,Rating,Item_ID,User_ID\n", "{},{},{},{}\n", (3, 2, 1, 0)),
    "other names": ("user_id,film_id,stars,rated_at\n", "{},{},{},{}\n", range(4)),
}
FIELDS = [("196", "242", "3.0", "881250949"), ("186", "302", "5", "891717742")]
DATES = {"881250949": "1997-12-04 15:55:49", "891717742": "1998-04-04T19:22:22Z"}


@pytest.mark.parametrize("ending", ["", "186,302,1_0,5\n"], ids=["fast", "strict"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_movielens_csv_is_read_by_its_header(tmp_path, variant, ending):
    header, line, order = VARIANTS[variant]
    lines = [line.format(*(fields[n] for n in order)) for fields in FIELDS]
    if ending:
        lines.append(line.format(*(("186", "302", "1_0", "5")[n] for n in order)))
    expected = [MOVIELENS_TABLE, table((186, 302, 5, 10))][: 1 + bool(ending)]
    result = read_movielens(write(tmp_path / "ratings.csv", header + "".join(lines)))
    assert_frame_equal(result, pd.concat(expected, ignore_index=True))


@pytest.mark.parametrize("rating", ["5", "0_5"], ids=["fast", "strict"])
@pytest.mark.parametrize("with_number", [False, True])
def test_movielens_timestamps_may_be_dates(tmp_path, rating, with_number):
    times = [*DATES.values()]
    if with_number:
        times[1] = "891717742"
    lines = f'"userId","movieId","rating","timestamp"\n196,242,3.0,"{times[0]}"\n'
    path = write(tmp_path / "rating.csv", lines + f'186,302,{rating},"{times[1]}"\n')
    assert_frame_equal(read_movielens(path), MOVIELENS_TABLE)


@pytest.mark.parametrize("index", [False, True])
def test_readers_take_what_to_csv_wrote_of_their_tables(tmp_path, index):
    def again(read, X, name):
        X.to_csv(tmp_path / name, index=index)
        assert_frame_equal(read(tmp_path / name), X)

    again(read_movielens, MOVIELENS_TABLE, "ratings.csv")
    reviews = table(("A1", "B,1", 100, 5), ("NA", 'B"2', 101, 4.5))
    again(read_amazon_reviews, reviews, "r.csv")
    again(read_amazon_reviews, reviews.assign(timestamp=[1588687728.923, 1588687729.0]), "r2.csv")
    MOVIELENS_TABLE.to_csv(tmp_path / "d.train.rating", index=index)
    MOVIELENS_TABLE.to_csv(tmp_path / "d.test.rating", index=index)
    assert_frame_equal(read_ncf(tmp_path / "d").test, MOVIELENS_TABLE)


def test_a_broken_line_below_a_header_is_named(tmp_path):
    header = '"tag","userId","movieId","rating","timestamp"\n"a,b",1,2,3,4\n'
    for line, match in {
        '"a,1,2,3,4': "the quotes must be closed",
        "1,2,3,4": "the line must hold 5 fields.* Received 4",
        "a,1,2,3,4,5": "the line must hold 5 fields.* Received 6",
        'a,1,2,3,"yesterday"': "must be a number of seconds since 1970, or a date.*'yesterday'",
    }.items():
        path = write(tmp_path / "ratings.csv", header + line + "\n")
        with pytest.raises(ValueError, match=rf"ratings\.csv, line 3: .*{match}"):
            read_movielens(path)


def test_readers_know_the_home_and_name_the_path_that_was_given(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "u.data", MOVIELENS["u.data"])
    for path in ("~/u.data", "~"):
        assert_frame_equal(read_movielens(path), MOVIELENS_TABLE)
    for read, path in [(read_movielens, "~/no.csv"), (read_amazon_reviews, "~/no.json")]:
        with pytest.raises(FileNotFoundError, match=rf"path must be a file that .*: '{path}'$"):
            read(path)


# A mark of the order of bytes, which some editors and spreadsheets write before the text

MARK = "\ufeff"
AMAZON_CSV = "A1,B1,4.0,100\nA2,B1,5.0,90\n"


@pytest.mark.parametrize("ending", ["", ".gz"], ids=["plain", "gzip"])
@pytest.mark.parametrize("header", ["", "user_id,parent_asin,rating,timestamp\n"], ids=len)
def test_amazon_csv_may_begin_with_a_mark(tmp_path, ending, header):
    path = write(tmp_path / f"r.csv{ending}", MARK + header + AMAZON_CSV)
    assert_frame_equal(read_amazon_reviews(path), table(("A1", "B1", 100, 4), ("A2", "B1", 90, 5)))


def test_amazon_csv_with_a_mark_refuses_swapped_ids(tmp_path):
    path = write(tmp_path / "r.csv", MARK + "B000000001,A123456789,5.0,100\n")
    with pytest.raises(ValueError, match="field 'user' holds a product"):
        read_amazon_reviews(path)


@pytest.mark.parametrize("name", ["r.json", "r.jsonl.gz"])
def test_amazon_json_lines_may_begin_with_a_mark(tmp_path, name):
    path = write(tmp_path / name, MARK + review() + review(reviewerID="A2"))
    assert read_amazon_reviews(path)["user"].tolist() == ["A1", "A2"]


@pytest.mark.parametrize("newline", ["\n", "\n\n"])
@pytest.mark.parametrize("name", MOVIELENS)
def test_movielens_may_begin_with_a_mark(tmp_path, name, newline):
    path = write(tmp_path / name, MARK + MOVIELENS[name].replace("\n", newline))
    assert_frame_equal(read_movielens(path), MOVIELENS_TABLE)
    assert_frame_equal(
        read_movielens(write(path, gzip.compress(path.read_bytes()))), MOVIELENS_TABLE
    )


@pytest.mark.parametrize("name", MOVIELENS)
def test_a_mark_is_skipped_where_pandas_refuses_the_file(tmp_path, name):
    content = MOVIELENS[name].replace("881250949", "8_8125_0949")
    assert_frame_equal(read_movielens(write(tmp_path / name, MARK + content)), MOVIELENS_TABLE)


def test_a_mark_alone_is_an_empty_file(tmp_path):
    with pytest.raises(ValueError, match="the file is empty"):
        read_movielens(write(tmp_path / "u.data", MARK))


def test_ncf_files_may_begin_with_a_mark(tmp_path):
    expected = read_ncf(write_ncf(tmp_path))
    for path in tmp_path.iterdir():
        write(path, MARK.encode() + path.read_bytes())
    data = read_ncf(tmp_path / "d")
    assert_frame_equal(data.train, expected.train)
    assert_frame_equal(data.test, expected.test)
    np.testing.assert_array_equal(data.negatives, expected.negatives)


# The files of the NCF paper


def write_ncf(folder, negative="(0,9)\t1\t2\t3\n(1,8)\t4\t5\t6\n"):
    write(folder / "d.train.rating", "0\t7\t4\t100\n1\t7\t4\t110\n0\t8\t5\t200\n")
    write(folder / "d.test.rating", "0\t9\t3\t300\n1\t8\t5\t310\n")
    if negative is not None:
        write(folder / "d.test.negative", negative)
    return folder / "d"


def test_ncf(tmp_path):
    data = read_ncf(write_ncf(tmp_path))
    assert_frame_equal(data.train, table((0, 7, 100, 4), (1, 7, 110, 4), (0, 8, 200, 5)))
    assert_frame_equal(data.test, table((0, 9, 300, 3), (1, 8, 310, 5)))
    assert data.negatives.dtype == np.int64
    np.testing.assert_array_equal(data.negatives, [[1, 2, 3], [4, 5, 6]])


def test_ncf_prefix_may_be_text(tmp_path):
    train, test, negatives = read_ncf(str(write_ncf(tmp_path)))
    assert (len(train), len(test), negatives.shape) == (3, 2, (2, 3))


def test_ncf_without_negatives(tmp_path):
    assert read_ncf(write_ncf(tmp_path, negative=None)).negatives is None


def test_ncf_keeps_a_test_item_among_the_negatives(tmp_path):
    prefix = write_ncf(tmp_path, "(0,9)\t1\t9\n(1,8)\t4\t5\n")
    np.testing.assert_array_equal(read_ncf(prefix).negatives, [[1, 9], [4, 5]])


@pytest.mark.parametrize("part", ["train", "test"])
def test_ncf_missing_file(tmp_path, part):
    prefix = write_ncf(tmp_path)
    (tmp_path / f"d.{part}.rating").unlink()
    with pytest.raises(FileNotFoundError, match=rf"d\.{part}\.rating"):
        read_ncf(prefix)


def test_ncf_names_the_broken_line_of_the_ratings(tmp_path):
    prefix = write_ncf(tmp_path)
    write(tmp_path / "d.train.rating", "0\t7\t4\t100\n0\tx\t4\t100\n")
    with pytest.raises(ValueError, match=r"d\.train\.rating, line 2: field 'item' must be a 64-"):
        read_ncf(prefix)


@pytest.mark.parametrize(
    ("negative", "match"),
    [
        ("(0,9)\t1\n(1,9)\t2\n", r"line 2: field 1 must be .* \(1,8\)\. Received: '\(1,9\)'"),
        ("(0,9)\t1\n1,8\t2\n", r"line 2: field 1 must be .* \(1,8\)\. Received: '1,8'"),
        (
            "(0,9)\t1\n(1,8)\t2\n(2,8)\t2\n",
            r"line 3: field 1 must be .* no further row\. Rec.*\(2,8",
        ),
        ("(0,9)\t1\n(1,8)\tx\n", r"line 2: field 2 must be a 64-bit integer\. Received: 'x'"),
        ("(0,9)\t1\t2\n(1,8)\t2\t\t3\n", r"line 2: field 3 must be a 64-bit integer.*: ''"),
        ("(0,9)\t1\n(1,8)\t1\t2\n", r"line 2: the line must hold 1 negatives, .*Received: 2"),
        ("(0,9)\n(1,8)\n", r"line 1: the line must hold negatives\. Received: 0"),
        ("(0,9)\t1\n", r"d\.test\.negative: the file must hold one line per row.*2 l.*Received: 1"),
        ("", r"d\.test\.negative: the file is empty"),
    ],
)
def test_ncf_negatives_must_match_the_test_rows(tmp_path, negative, match):
    with pytest.raises(ValueError, match=match):
        read_ncf(write_ncf(tmp_path, negative))


# k-core


def obvious_k_core(rows, k):
    """Drop, one at a time, any row whose user or item has fewer than k rows."""
    rows = list(rows)
    while True:
        users = collections.Counter(user for user, _ in rows)
        items = collections.Counter(item for _, item in rows)
        poor = [row for row in rows if users[row[0]] < k or items[row[1]] < k]
        if not poor:
            return rows
        rows.remove(poor[0])


PAIRS = st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 4)), min_size=1, max_size=40)


@given(rows=PAIRS, k=st.integers(1, 5))
def test_k_core_equals_the_obvious_loop(rows, k):
    X = pd.DataFrame(rows, columns=["user", "item"])
    result = filter_k_core(X, k)
    assert list(result.itertuples(index=False, name=None)) == obvious_k_core(rows, k)


@given(rows=PAIRS, k=st.integers(1, 5))
def test_k_core_selects_rows_of_the_table(rows, k):
    X = pd.DataFrame(rows, columns=["user", "item"])
    X["note"] = [f"row {number}" for number in range(len(X))]
    X.index = [10 * number for number in range(len(X))]
    result = filter_k_core(X, k)
    assert_frame_equal(result, X[X.index.isin(result.index)])


def test_k_core_removes_in_rounds():
    # Film 3 falls first, then user c for want of it, then film 2 for want of c.
    rows = [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("c", 2), ("c", 3), ("a", 2)]
    result = filter_k_core(pd.DataFrame(rows, columns=["user", "item"]), 2)
    assert result.index.tolist() == [0, 1, 2, 3]


def test_k_core_may_be_empty():
    X = table((1, 1, 0, 5), (2, 2, 0, 5))
    assert_frame_equal(filter_k_core(X, 2), X.iloc[:0])


def test_k_core_leaves_the_table_alone():
    X = table((1, 1, 0, 5), (2, 2, 0, 5))
    result = filter_k_core(X, 1)
    result["rating"] = 0.0
    assert X["rating"].tolist() == [5, 5]


@pytest.mark.parametrize(
    "columns", [["user_id", "item_id", "n"], ["Customer ID", "sku", "n"], ["user", "item", "n"]]
)
def test_k_core_finds_its_columns(columns):
    X = pd.DataFrame([("a", 1, 7), ("a", 2, 8), ("b", 1, 9)], columns=columns)
    assert filter_k_core(X, 2).empty
    assert_frame_equal(filter_k_core(X, 1), X)


def test_k_core_finds_its_columns_by_name_first():
    rows = [(1, "x", "a"), (2, "x", "a"), (3, "y", "b")]
    X = pd.DataFrame(rows, columns=["timestamp", "item", "user"])
    assert filter_k_core(X, 2)["timestamp"].tolist() == [1, 2]


def test_k_core_takes_categories_and_numpy_integers():
    X = pd.DataFrame({"user": ["a", "a", "b"], "item": ["x", "x", "y"]}).astype("category")
    assert len(filter_k_core(X, np.int64(2))) == 2


@pytest.mark.parametrize("columns", [["user", "what"], ["who", "item_id"]])
def test_k_core_refuses_half_the_names(columns):
    X = pd.DataFrame([("a", 1)], columns=columns)
    with pytest.raises(
        ValueError, match=r"no column names an? (user|item); '(user|item_id)' is the"
    ):
        filter_k_core(X, 1)


def test_k_core_refuses_missing_ids():
    X = pd.DataFrame({"user": ["a", None], "item": [1, 2]}, index=["p", "q"])
    with pytest.raises(ValueError, match=r"user ids must not be missing.*in row 1"):
        filter_k_core(X, 1)


@pytest.mark.parametrize(
    ("k", "error"),
    [(0, ValueError), (-1, ValueError), (2.0, TypeError), ("2", TypeError), (True, TypeError)],
)
def test_k_core_refuses_k_below_one_and_other_types(k, error):
    with pytest.raises(error, match=rf"k must be an int >= 1\. Received: {k!r}"):
        filter_k_core(MOVIELENS_TABLE, k)


def test_k_core_keeps_arrays_arrays():
    X = np.array([[1, 1], [1, 2], [2, 1], [2, 2], [3, 1]])
    np.testing.assert_array_equal(filter_k_core(X, 2), X[:4])
