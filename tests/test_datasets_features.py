"""Readers of what is known of items."""

import gzip
import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal, assert_series_equal
from test_datasets import write, write_ncf

from neumf.datasets import (
    _lines,
    load_movietweetings,
    read_amazon_metadata,
    read_movielens,
    read_movielens_items,
    read_ncf,
)


def films(*rows):
    """Rows of (item, title, year, genres) as the readers return them."""
    table = pd.DataFrame(list(rows), columns=["item", "title", "year", "genres"]).set_index("item")
    return table.astype({"year": "float64"})


# MovieTweetings


def test_movietweetings_tells_of_every_film():
    interactions, items = load_movietweetings(return_items=True)
    assert items.shape == (10_506, 3)
    assert items.index.name == "item"
    assert items.index.is_unique
    assert set(items.index) == set(interactions["item"])
    assert items["year"].dtype == np.int64
    assert not items.isna().any(axis=None)


def test_movietweetings_returns_titles_before_items():
    _, titles, items = load_movietweetings(return_titles=True, return_items=True)
    assert_series_equal(titles, load_movietweetings(return_titles=True)[1])
    joined = items["title"] + " (" + items["year"].astype(str) + ")"
    assert joined.tolist() == titles.tolist()


def test_movietweetings_genres_are_the_published_ones(real_data):
    movies = real_data("movietweetings-100k", "movies.dat").read_text("utf-8").splitlines()
    genres = load_movietweetings(return_items=True)[1]["genres"]
    published = [line.split("::") for line in movies]
    assert list(genres.items()) == [(int(item), names) for item, _, names in published]


# Items of MovieLens

FLAGS = "0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0"
NO_FLAGS = "1" + "|0" * 18
MOVIES = {
    "u.item": f"1|Toy Story (1995)|01-Jan-1995||http://x|{FLAGS}\n267|unknown||||{NO_FLAGS}\n",
    "movies.dat": "1::Toy Story (1995)::Animation|Children's|Comedy\n"
    "267::unknown::(no genres listed)\n",
    "movies.csv": "movieId,title,genres\n1,Toy Story (1995),Animation|Children's|Comedy\n"
    "267,unknown,(no genres listed)\n",
}
MOVIES_TABLE = films(
    (1, "Toy Story", 1995, "Animation|Children's|Comedy"), (267, "unknown", math.nan, "")
)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("name", MOVIES)
def test_movielens_items(tmp_path, name, newline):
    path = write(tmp_path / name, MOVIES[name].replace("\n", newline))
    assert_frame_equal(read_movielens_items(path), MOVIES_TABLE)
    assert_frame_equal(read_movielens_items(str(tmp_path)), MOVIES_TABLE)


@pytest.mark.parametrize("content", MOVIES.values(), ids=MOVIES)
def test_movielens_items_are_told_by_the_first_line(tmp_path, content):
    assert_frame_equal(read_movielens_items(write(tmp_path / "films.gz", content)), MOVIES_TABLE)


@pytest.mark.parametrize(
    ("text", "title", "year"),
    [
        ("Heat (1995)", "Heat", 1995),
        ("Two Friends (1986) ", "Two Friends", 1986),
        ("Land Before Time III (1995) (V)", "Land Before Time III", 1995),
        ("(500) Days of Summer (2009)", "(500) Days of Summer", 2009),
        ("2012 (2009)", "2012", 2009),
        ("Seven (a.k.a. Se7en) (1995)", "Seven (a.k.a. Se7en)", 1995),
        ("Babylon 5", "Babylon 5", math.nan),
        ("The Office (2005-2013)", "The Office (2005-2013)", math.nan),
    ],
)
def test_a_year_is_what_stands_in_brackets_at_the_end(tmp_path, text, title, year):
    path = write(tmp_path / "movies.dat", f"1::{text}::Drama\n")
    assert_frame_equal(read_movielens_items(path), films((1, title, year, "Drama")))


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_movielens_items_may_be_latin_1(tmp_path, encoding):
    path = write(tmp_path / "movies.dat", "1::Café, Les (1995)::Drama\n".encode(encoding))
    assert read_movielens_items(path)["title"].tolist() == ["Café, Les"]


def test_movielens_csv_is_utf8(tmp_path):
    path = write(tmp_path / "movies.csv", "movieId,title,genres\n1,Café,\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"movies\.csv, line 2: the text is not UTF-8"):
        read_movielens_items(path)


def test_movielens_csv_titles_may_hold_commas_and_quotes(tmp_path):
    path = write(tmp_path / "movies.csv", 'movieId,title,genres\n1,"A ""B"", The (1995)",Drama\n')
    assert_frame_equal(read_movielens_items(path), films((1, 'A "B", The', 1995, "Drama")))


BROKEN_FILMS = {
    "text id": ("movies.dat", "x::A::Drama", r"field 'item' must be a 64-bit integer\. .*: 'x'"),
    "too few": ("movies.dat", "2::A", r"the line must hold 3 fields, item, title, .* Received 2: "),
    "too many": ("movies.dat", "2::A::B::C", r"the line must hold 3 fields.* Received 4: '2::A"),
    "again": (
        "movies.dat",
        "1::A::B",
        r"'item' must be a different id .* line 1 has the same\. .*1",
    ),
    "no flag": ("u.item", f"2|A|||u|{FLAGS[:-1]}2", r"field 'Western' must be 0 or 1\. .*: '2'"),
    "flags": ("u.item", f"2|A|||u|{FLAGS}|0", r"the line must hold 24 fields, .* Received 25: "),
    "quotes": ("movies.csv", '2,"A,Drama', r"the quotes must be closed \(.*\)\. Received: '2,"),
}


@pytest.mark.parametrize(("name", "line", "match"), BROKEN_FILMS.values(), ids=BROKEN_FILMS)
def test_movielens_items_name_the_broken_line(tmp_path, name, line, match):
    path = write(tmp_path / name, f"{MOVIES[name]}\n{line}\n")
    number = MOVIES[name].count("\n") + 2
    with pytest.raises(ValueError, match=rf"{re.escape(name)}, line {number}: .*{match}"):
        read_movielens_items(path)


@pytest.mark.parametrize("content", ["", "\n", "movieId,title,genres\n"])
def test_movielens_items_refuse_an_empty_file(tmp_path, content):
    with pytest.raises(ValueError, match=r"movies\.csv: the file is empty"):
        read_movielens_items(write(tmp_path / "movies.csv", content))


@pytest.mark.parametrize("line", ["id\tmovieId\ttitle\tgenres", "1\t2\t3\t4"])
def test_movielens_items_refuse_an_unknown_layout(tmp_path, line):
    path = write(tmp_path / "items.tsv", f"{line}\n")
    with pytest.raises(ValueError, match=r"items\.tsv, line 1: the file must start with the head"):
        read_movielens_items(path)


def test_movielens_items_of_a_folder_without_any(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"must hold one of u\.item, movies\.dat, movies"):
        read_movielens_items(tmp_path)


def test_movielens_100k_items(real_data):
    items = read_movielens_items(real_data("ml-100k"))
    assert items.shape == (1_682, 3)
    assert items["year"].isna().sum() == 1
    assert (items["genres"] == "").sum() == 2
    assert items["title"].str.contains("Misérables").any()
    assert set(read_movielens(real_data("ml-100k"))["item"]) == set(items.index)


def test_movielens_items_are_read_by_their_header(tmp_path):
    lines = '"movieId","imdb","title","genres"\n"1","7","Heat (1995)","Action|Crime"\n'
    expected = films((1, "Heat", 1995, "Action|Crime"))
    assert_frame_equal(read_movielens_items(write(tmp_path / "movies.csv", lines)), expected)


def test_movielens_items_that_to_csv_wrote(tmp_path):
    items = films((1, "Heat, the", 1995, "Action"), (2, "1984 (1956)", math.nan, ""))
    items.to_csv(tmp_path / "movies.csv")
    assert_frame_equal(read_movielens_items(tmp_path), items)
    items.reset_index().to_csv(tmp_path / "movies.csv")
    assert_frame_equal(read_movielens_items(tmp_path), items)
    path = write(tmp_path / "movies.csv", "item,title,year,genres\n1,Heat,MCM,\n")
    with pytest.raises(ValueError, match=r"line 2: field 'year' must be a finite number.*'MCM'"):
        read_movielens_items(path)


# Products of Amazon

PRODUCT = {
    "asin": "B1",
    "title": "It's a guitar",
    "price": 12.5,
    "brand": "Acme",
    "categories": [["Musical Instruments", "Guitars"], ["Musical Instruments", "Sale"]],
}


def products(*rows):
    columns = ["item", "title", "brand", "categories", "price"]
    return pd.DataFrame(list(rows), columns=columns).set_index("item").astype({"price": "float64"})


def read_products(tmp_path, *records, write_line=json.dumps):
    lines = "\n".join(map(write_line, records))
    return read_amazon_metadata(write(tmp_path / "meta.json.gz", lines))


EXPECTED = products(("B1", "It's a guitar", "Acme", "Musical Instruments|Guitars|Sale", 12.5))


def test_products_that_to_csv_wrote(tmp_path):
    expected = products(("B1", "NA", "a\nb", "x|y", 12.5), ("0005", "", 'c"', "", math.nan))
    expected.to_csv(tmp_path / "meta.csv")
    assert_frame_equal(read_amazon_metadata(tmp_path / "meta.csv"), expected)


def test_products_of_2014_are_python_literals(tmp_path):
    assert_frame_equal(read_products(tmp_path, PRODUCT, write_line=repr), EXPECTED)


def test_products_of_2018_are_json(tmp_path):
    record = PRODUCT | {"price": "$12.50", "category": ["Musical Instruments", "Guitars", "Sale"]}
    del record["categories"]
    assert_frame_equal(read_products(tmp_path, record), EXPECTED)


def test_products_of_2023_have_other_names(tmp_path):
    record = PRODUCT | {"parent_asin": "B1", "store": "Acme", "asin": "B2"}
    del record["brand"]
    assert_frame_equal(read_products(tmp_path, record), EXPECTED)


@pytest.mark.parametrize("write_line", [json.dumps, repr])
def test_fields_of_products_may_be_missing_or_none(tmp_path, write_line):
    nothing = dict.fromkeys(PRODUCT) | {"asin": "B2"}
    table = read_products(tmp_path, {"asin": "B1"}, nothing, write_line=write_line)
    assert_frame_equal(table, products(("B1", "", "", "", math.nan), ("B2", "", "", "", math.nan)))


@pytest.mark.parametrize(
    ("price", "value"),
    [
        (3, 3),
        (0.0, 0),
        ("$1,299.00", 1299),
        (" 7.5 ", 7.5),
        ("$7.99 - $19.99", math.nan),
        ("from 7.99", math.nan),
        (".a-box-inner{color:#fff}", math.nan),
        ("", math.nan),
        (-1.0, math.nan),
        (True, math.nan),
        (10**400, math.nan),
    ],
)
def test_a_price_is_a_number_or_one_amount(tmp_path, price, value):
    assert_frame_equal(
        read_products(tmp_path, {"asin": "B1", "price": price}),
        products(("B1", "", "", "", value)),
    )


def test_a_bar_within_a_name_becomes_a_slash(tmp_path):
    table = read_products(tmp_path, {"asin": "B1", "categories": [["A|B", ""], ["C"]]})
    assert table["categories"].tolist() == ["A/B|C"]


def test_of_products_with_one_id_the_first_counts(tmp_path):
    again = [{"asin": "B1", "title": title} for title in ("first", "second", "third")]
    with pytest.warns(UserWarning, match=r"meta\.json\.gz: 2 of 3 lines repeat the id of an"):
        table = read_products(tmp_path, *again)
    assert table["title"].tolist() == ["first"]


BROKEN_PRODUCTS = {
    "no id": ("{'title': 'x'}", r"field 'asin' must be an id, .* 'parent_asin', .*: None"),
    "empty id": ('{"asin": ""}', r"field 'asin' .* not empty .* Received: ''"),
    "id of number": ('{"asin": 7}', r"field 'asin' .* Received: 7"),
    "title": ('{"asin": "B", "title": 7}', r"field 'title' must be a text\. Received: 7"),
    "categories": ("{'asin': 'B', 'categories': 'x'}", r"'categories' must be a list\. .*: 'x'"),
    "names": (
        "{'asin': 'B', 'categories': [[7]]}",
        r"must be a list of names, .* Received: \[\[7\]\]",
    ),
    "cut literal": ("{'asin': 'B", r"the line is not a Python literal \(.*Received: \"\{'asin'"),
    "code": ("{'asin': exit(3)}", r"the line is not a Python literal \(.*malformed"),
    "set": ("{'asin'}", r"every line must be one object with fields\. Received: \{'asin'\}"),
    "deep": ("{'a': " + "[" * 99_999, r"the line is not a Python literal \("),
    "cut JSON": ('{"asin": "B', r"the line is not valid JSON \("),
}


@pytest.mark.parametrize(("line", "match"), BROKEN_PRODUCTS.values(), ids=BROKEN_PRODUCTS)
def test_products_name_the_broken_line(tmp_path, line, match):
    path = write(tmp_path / "meta.json", f"{json.dumps(PRODUCT)}\n\n{line}\n")
    with pytest.raises(ValueError, match=rf"meta\.json, line 3: .*{match}") as error:
        read_amazon_metadata(path)
    assert len(str(error.value)) < 500 + len(str(path))


def test_products_of_an_empty_file(tmp_path):
    with pytest.raises(ValueError, match=r"meta\.json: the file is empty"):
        read_amazon_metadata(write(tmp_path / "meta.json", "\n"))


def test_products_of_a_cut_file(tmp_path):
    lines = "\n".join(json.dumps(PRODUCT | {"asin": f"B{i}"}) for i in range(1000))
    path = tmp_path / "meta.json.gz"
    path.write_bytes(gzip.compress(lines.encode())[:-100])
    with pytest.raises(ValueError, match=r"line \d+: the compressed data are cut off"):
        read_amazon_metadata(path)


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="|"), max_size=5)
lists_of_names = st.lists(texts.filter(bool), unique=True, max_size=3)


@given(
    st.lists(
        st.tuples(
            texts, texts, st.lists(texts.filter(bool), unique=True, max_size=3), st.floats(0, 1e9)
        ),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from([json.dumps, repr]),
)
def test_products_round_trip(tmp_path_factory, rows, write_line):
    records, expected = [], []
    for place, (title, brand, names, price) in enumerate(rows):
        known = {"title": title, "brand": brand, "categories": names, "price": price}
        records.append({"asin": f"B{place}"} | known)
        expected.append((f"B{place}", title, brand, "|".join(names), price))
    table = read_products(tmp_path_factory.mktemp("meta"), *records, write_line=write_line)
    assert_frame_equal(table, products(*expected))


# files


def _read_negatives(path):
    return read_ncf(path.parent / "d")


@pytest.mark.parametrize(
    ("read", "name", "content"),
    [
        (read_amazon_metadata, "meta.json", '{"asin": "B1"}\n{"asin": 3}\n{"asin": "B2"}\n'),
        (read_movielens_items, "movies.dat", "1::A::Drama\n1::B::Drama\n2::C::Drama\n"),
        (_read_negatives, "d.test.negative", "(0,9)\t1\n(1,9)\t2\n(1,8)\t2\n"),
    ],
)
def test_a_file_with_an_error_is_closed(tmp_path, monkeypatch, read, name, content):
    # An error that is kept keeps the readers' frames, and with them what they left open.
    opened = []

    def open_and_note(path):
        opened.append(open_binary(path))
        return opened[-1]

    open_binary = _lines.open_binary
    monkeypatch.setattr(_lines, "open_binary", open_and_note)
    write_ncf(tmp_path)
    with pytest.raises(ValueError, match="line 2") as caught:
        read(write(tmp_path / name, content))
    assert caught.value is not None
    assert [stream.closed for stream in opened] == [True] * len(opened)
    assert opened
