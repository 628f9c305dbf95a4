"""Tables of what is known of users and items: read, joined to the ids of the rows, scaled."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import strategies
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from neumf import ContentKNNRecommender, NeuMFRecommender
from neumf.base import read_rows

WORDS = pytest.mark.parametrize("word", ["user", "item"])


def rows_of(ids, word="item"):
    """Rows whose users, or items, are these."""
    other = {"user": "item", "item": "user"}[word]
    columns = {word: pd.Series(ids, dtype=object).infer_objects(), other: "the same"}
    return read_rows(pd.DataFrame(columns))


def join(ids, table, word="item"):
    """The ids, and what the table says of them: values, and of which it has a row."""
    rows = rows_of(ids, word)
    if word == "user":
        rows = rows.with_features(table, None)
        return rows.user_ids, rows.user_features
    rows = rows.with_features(None, table)
    return rows.item_ids, rows.item_features


def values_of(column, ids=("a", "b", "c", "d")):
    """The values of one column, joined to the ids of its rows."""
    table = pd.DataFrame({"f": column}, index=list(ids))
    return join(ids, table)[1].values.toarray()[:, 0]


# Ids


def slowly_scaled(values, is_sparse):
    most = max(abs(value) for value in values)
    if most <= 1:
        return [float(value) for value in values]
    if is_sparse:
        return [value / most for value in values]
    mean = sum(values) / len(values)
    deviation = (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5
    return [(value - mean) / (deviation or 1) for value in values]


@st.composite
def tables_of_features(draw):
    """Ids of X, a table of ids some of which are in X, and its columns as they are to be read."""
    pool = draw(st.lists(draw(strategies.id_kinds), min_size=2, max_size=9, unique=True))
    first, end = sorted(draw(st.lists(st.integers(0, len(pool) - 1), min_size=2, max_size=2)))
    of_rows, of_table = pool[: end + 1], draw(st.permutations(pool[first:]))
    known = pd.Series(of_table, dtype=object).infer_objects()
    columns, expected = {}, []
    for number in range(draw(st.integers(1, 4))):
        most = draw(st.sampled_from([1, 100]))
        numbers = st.lists(st.integers(-most, most), min_size=len(known), max_size=len(known))
        values = draw(numbers)
        kind = draw(st.sampled_from(["int64", "float32", "Int64", "bool", "sparse"]))
        if kind == "bool":
            values = [value > 0 for value in values]
        dtype = pd.SparseDtype("float64", 0) if kind == "sparse" else kind
        columns[f"f{number}"] = pd.Series(values).astype(dtype)
        expected.append(slowly_scaled(values, kind == "sparse"))
    table = pd.DataFrame(columns)
    word = draw(st.sampled_from(["user", "item"]))
    if draw(st.booleans()):
        table.insert(draw(st.integers(0, len(columns))), word, known)
    else:
        table.index = pd.Index(known, tupleize_cols=False)
    return word, of_rows, of_table, table, np.array(expected).T


@given(tables_of_features())
def test_what_a_table_tells_stands_at_its_ids(case):
    word, of_rows, of_table, table, expected = case
    ids, features = join(of_rows, table, word)
    assert list(ids) == of_rows + [label for label in of_table if label not in of_rows]
    values = features.values.toarray()
    assert len(values) == len(features.known) == len(ids)
    for row, label in enumerate(ids):
        assert features.known[row] == (label in of_table)
        told = expected[of_table.index(label)] if label in of_table else np.zeros(len(expected.T))
        np.testing.assert_allclose(values[row], told, rtol=1e-6, atol=1e-6)


@WORDS
def test_the_other_side_of_the_rows_stays_as_it_was(word):
    rows = rows_of(["a", "b"], word)
    table = pd.DataFrame({"f": [1, 0]}, index=["b", "c"])
    joined = rows.with_features(*((table, None) if word == "user" else (None, table)))
    assert joined.shape == ((3, 1) if word == "user" else (1, 3))
    assert joined.users is rows.users
    assert joined.items is rows.items
    assert joined.seen.shape == joined.shape
    np.testing.assert_array_equal(joined.seen.toarray().ravel(), [True, True, False])


def test_a_column_of_the_other_word_is_a_feature():
    table = pd.DataFrame({"item": ["a", "b"], "user": [0.5, 0.25]})
    assert join(["a", "b"], table)[1].values.toarray().tolist() == [[0.5], [0.25]]


# Scale


def test_columns_within_1_are_as_they_are():
    assert values_of([0.5, -1.0, 0.0, 1.0]).tolist() == [0.5, -1, 0, 1]
    assert values_of([True, False, True, True]).tolist() == [1, 0, 1, 1]


def test_dense_columns_beyond_1_are_standardised_over_the_table():
    years = values_of([1994, 1994, 2010, 2010])
    np.testing.assert_allclose(years, [-1, -1, 1, 1])
    # Rows of the table whose ids are not in X count too.
    table = pd.DataFrame({"year": [1994, 1994, 2010, 2010]}, index=[*"abcd"])
    np.testing.assert_allclose(join([*"ab"], table)[1].values.toarray().ravel(), years)


def test_sparse_columns_beyond_1_are_divided_by_their_largest_value():
    counts = pd.arrays.SparseArray([0.0, 2.0, -8.0, 0.0], fill_value=0)
    assert values_of(counts).tolist() == [0, 0.25, -1, 0]


def test_a_sparse_column_may_have_any_fill_value():
    zeros = pd.arrays.SparseArray([0.0, 2.0, -8.0, 0.0], fill_value=0)
    missing = pd.arrays.SparseArray([0.0, 2.0, -8.0, 0.0])
    ones = pd.arrays.SparseArray([1.0, 1.0, 0.5, 1.0], fill_value=1)
    assert np.isnan(missing.fill_value)
    assert values_of(zeros).tolist() == values_of(missing).tolist() == [0, 0.25, -1, 0]
    assert values_of(ones).tolist() == [1, 1, 0.5, 1]


def test_sparse_columns_stay_sparse():
    rng = np.random.default_rng(0)
    places = rng.integers(50, size=999), rng.integers(2000, size=999)
    matrix = sp.csr_matrix((rng.random(999) * 9, places), shape=(50, 2000))
    table = pd.DataFrame.sparse.from_spmatrix(matrix).rename_axis("item")
    assert join([*range(50)], table)[1].values.nnz == matrix.nnz


def test_a_wide_column_that_says_nothing_is_0():
    assert values_of([7, 7, 7, 7]).tolist() == [0, 0, 0, 0]


# Tables that can be read

KNOWN = pd.DataFrame(
    {"crime": [1, 1, 1, 0, 0, 0], "poems": [0, 0, 0, 1, 1, 1]},
    index=[f"book {i}" for i in range(6)],
)


@pytest.mark.parametrize(
    "convert",
    [
        lambda table: table.astype(bool),
        lambda table: table.astype("float32"),
        lambda table: table.astype("Int64"),
        lambda table: table.assign(crime=table["crime"].astype(bool)),
        lambda table: table.rename_axis("item").reset_index(),
        lambda table: table.astype(pd.SparseDtype("float64", 0)),
        lambda table: table.astype({"crime": pd.SparseDtype("float64", 0)}),
        lambda table: pd.DataFrame.sparse.from_spmatrix(
            sp.csr_matrix(table.to_numpy(float)), index=table.index
        ),
    ],
    ids=["bool", "float32", "Int64", "mixed", "column", "sparse", "half sparse", "from_spmatrix"],
)
def test_features_may_be_of_any_numeric_kind(convert):
    ids, features = join(["book 4", "book 1"], convert(KNOWN))
    expected_ids, expected = join(["book 4", "book 1"], KNOWN)
    assert ids.equals(expected_ids)
    np.testing.assert_array_equal(features.values.toarray(), expected.values.toarray())
    assert features.known.all()


@pytest.mark.parametrize("name", ["item", "movieId", "Product ID", "StockCode"])
@pytest.mark.parametrize("kind", ["pandas", "filtered", "polars", "pyarrow"])
def test_ids_stand_in_a_column_named_as_in_x(name, kind):
    table = KNOWN.rename_axis(name).reset_index()
    if kind == "filtered":
        table = table[table["crime"] == 1].iloc[::-1]
    elif kind == "polars":
        table = pytest.importorskip(kind).from_dict(table.to_dict("list"))
    elif kind == "pyarrow":
        table = pytest.importorskip(kind).table(table.to_dict("list"))
    ids, features = join(["book 2", "book 0"], table)
    expected_ids, expected = join(["book 2", "book 0"], KNOWN.loc[table[name].__array__()])
    assert ids.tolist() == expected_ids.tolist()
    assert features.values.toarray().tolist() == expected.values.toarray().tolist()


def test_row_numbers_are_no_ids_beside_a_column_of_ids():
    table = pd.DataFrame({"movieId": [3, 2, 1], "comedy": [1, 0, 1]})
    for X in (table, table.set_axis([0, 1, 2])):
        ids, features = join([1, 2], X)
        assert ids.tolist() == [1, 2, 3]
        assert features.values.toarray().ravel().tolist() == [1, 0, 1]


def test_an_index_of_ids_counts_beside_a_column_of_other_things():
    table = pd.DataFrame({"artist_id": [900, 901], "loud": [0, 1]}, index=[7, 8])
    ids, features = join([8, 7], table)
    assert ids.tolist() == [8, 7]
    assert features.values.shape == (2, 2)


BROKEN_TABLES = {
    "array": (KNOWN.to_numpy(), TypeError, r"{0}_features must be a .* each {0}.*: ndarray"),
    "sparse matrix": (
        sp.csr_array((6, 2)),
        TypeError,
        r"{0}_features must be .* Received: csr_arr",
    ),
    "series": (KNOWN["crime"], TypeError, r"{0}_features must be a .* Received: Series"),
    "no rows": (KNOWN.head(0), ValueError, r"{0}_features must have at least one row.*\(0, 2\)"),
    "no columns": (KNOWN[[]], ValueError, r"a column besides the ids\. Received a .*\(6, 0\)"),
    "twice": (
        pd.concat([KNOWN, KNOWN.tail(2)]),
        ValueError,
        r"{0}_features must have one row for each {0}\. Received several rows for 'book 4', "
        r"again in row 6 \(2 such rows\)\. Drop them, for example with table\[~table\.index",
    ),
    "strings": (
        KNOWN.assign(title="x"),
        ValueError,
        r"{0}_features must hold numbers or booleans\. Received column 'title' of dtype .*"
        r"OneHotEncoder or MultiLabelBinarizer, and texts with TfidfVectorizer",
    ),
    "categories": (
        KNOWN.astype({"crime": "category"}),
        ValueError,
        r"Received column 'crime' of dtype category\. Encode categories with .*OneHotEncoder",
    ),
    "times": (
        KNOWN.assign(made=pd.Timestamp("2020-01-01")),
        ValueError,
        r"numbers or booleans\. Received column 'made' of dtype datetime64",
    ),
    "missing": (
        KNOWN.assign(year=[1.0] * 5 + [np.nan]),
        ValueError,
        r"{0}_features must hold finite numbers\. Received nan in column 'year', row 5 \(1 such "
        r"values\)\. Fill them, for example with scikit-learn's SimpleImputer",
    ),
    "infinite": (KNOWN.assign(year=np.inf), ValueError, r"Received inf in column 'year', row 0"),
    "masked": (
        KNOWN.assign(year=pd.array([1] * 5 + [None], dtype="Int64")),
        ValueError,
        r"Received nan in column 'year', row 5",
    ),
    "missing in sparse ones": (
        KNOWN.assign(year=[5, 2, np.nan, 2, 3, 4]).astype(pd.SparseDtype("float64")),
        ValueError,
        r"Received nan in column 'year', row 2",
    ),
    "missing and sparse": (
        KNOWN.assign(year=[0, 1, np.nan, 0, 0, 0]).astype(pd.SparseDtype("float64", 0)),
        ValueError,
        r"Received nan in column 'year', row 2",
    ),
    "numbers for ids": (
        KNOWN.reset_index(drop=True),
        ValueError,
        r"{0}_features must say which {0} each row describes\. Received columns \['crime', "
        r"'poems'\].*set_index.*rename_axis\('{0}'\)",
    ),
    "numbered ids": (
        KNOWN.set_axis(range(1, 7)),
        ValueError,
        r"{0}_features: ids must be of the kind that fit saw, strings such as 'book 0'",
    ),
    "other ids": (
        KNOWN.rename(lambda name: f"the {name}"),
        ValueError,
        r"{0}_features must describe {0}s of X, by the same ids\. Received 6 ids such as 'the book "
        r"0', but no {0} of X, such as 'book 0'\. Set the ids as the index of the table",
    ),
    "missing id": (
        KNOWN.rename(index={"book 0": None}),
        ValueError,
        r"{0}_features: ids must not be missing",
    ),
    "unhashable id": (
        KNOWN.assign(id_=[[0]] * 6).reset_index(drop=True),
        TypeError,
        r"{0}_features: ids must be ints, strings",
    ),
    "one id in two types": (
        pd.concat([KNOWN, KNOWN.head(1).set_axis([5]), KNOWN.head(1).set_axis(["5"])]),
        ValueError,
        r"{0}_features: ids must have one type\. Received 5 and '5'",
    ),
    "two ways": (
        KNOWN.assign(id_=KNOWN.index[::-1]),
        ValueError,
        r"{0}_features can be read in two ways: its column '{0}' and its index both hold {0}s of X",
    ),
    "two columns": (
        KNOWN.assign(id_=KNOWN.index, id_2=KNOWN.index),
        ValueError,
        r"{0}_features must have one column of {0} ids\. Received \['{0}', '{0}_id'\]",
    ),
}


@WORDS
@pytest.mark.parametrize(("table", "error", "match"), BROKEN_TABLES.values(), ids=BROKEN_TABLES)
def test_a_table_that_cannot_be_read_says_what_to_do(table, error, match, word):
    if isinstance(table, pd.DataFrame) and "id_" in table:
        table = table.rename(columns={"id_": word, "id_2": f"{word}_id"})
    with pytest.raises(error, match=match.replace("{0}", word)):
        join(KNOWN.index.to_list(), table, word)


@pytest.mark.parametrize("recommender", [ContentKNNRecommender, NeuMFRecommender])
def test_a_fit_that_fails_at_its_table_leaves_nothing_behind(recommender):
    model = recommender(item_features=KNOWN.assign(title="x"))
    with pytest.raises(ValueError, match="column 'title'"):
        model.fit([["a", "book 0"], ["a", "book 1"]])
    assert set(vars(model)) == set(model.get_params())


@WORDS
def test_the_table_stays_as_it_was(word):
    table = KNOWN.assign(year=[1990, 2000, 2010, 2020, 2000, 1990])
    table = table.rename_axis(word).reset_index().sample(frac=1, random_state=0)
    before = table.copy()
    join(["book 1"], table, word)
    assert_frame_equal(table, before)
