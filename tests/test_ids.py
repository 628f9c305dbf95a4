import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import strategies
from hypothesis import given
from hypothesis import strategies as st
from network_options import SMALL_NEUMF
from pandas.testing import assert_frame_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import neumf
from neumf import ContentKNNRecommender, IdEncoder, NeuMFRecommender
from neumf.interactions.columns import read_ids
from neumf.interactions.id_checks import check_ids
from neumf.interactions.vocabulary import extend_index, index_ids, indices_of

tables_of_any_ids = strategies.id_kinds.flatmap(strategies.tables)


@pytest.fixture(name="X")
def interactions():
    return pd.DataFrame(
        {
            "rating": [5.0, 4.0, 1.0],
            "user": ["bo", "al", "bo"],
            "item": [30, 10, 10],
            "timestamp": pd.to_datetime(["2020", "2022", "2021"]),
        },
        index=[7, 7, 3],
    )


class TestTransform:
    @given(tables_of_any_ids)
    def test_numbers_ids_from_zero_in_order_of_first_appearance(self, X):
        encoded = IdEncoder().fit_transform(X)
        for column in ("user", "item"):
            first_seen = list(dict.fromkeys(X[column]))
            assert encoded[column].tolist() == [first_seen.index(label) for label in X[column]]

    @given(tables_of_any_ids)
    def test_fitted_ids_stand_at_their_index(self, X):
        encoder = IdEncoder().fit(X)
        assert list(encoder.users_) == list(dict.fromkeys(X["user"]))
        assert list(encoder.items_) == list(dict.fromkeys(X["item"]))

    @given(strategies.tables())
    def test_gives_ints_and_the_same_ids_as_strings_the_same_codes(self, X):
        strings = X.astype({"user": str, "item": str})
        encoded = IdEncoder().fit_transform(strings)
        assert_frame_equal(encoded, IdEncoder().fit_transform(X))

    @pytest.mark.parametrize("dtype", ["category", "Int64", "uint8", "float64", object])
    def test_gives_ids_of_any_type_the_same_codes(self, X, dtype):
        other = X.astype({"item": dtype})
        assert IdEncoder().fit_transform(other)["item"].tolist() == [0, 1, 1]

    @pytest.mark.parametrize("dtype", ["int64[pyarrow]", "string[pyarrow]"])
    def test_gives_arrow_ids_the_same_codes(self, X, dtype):
        pytest.importorskip("pyarrow")
        other = X.astype({"item": dtype})
        assert IdEncoder().fit_transform(other)["item"].tolist() == [0, 1, 1]

    def test_codes_are_integers(self, X):
        encoded = IdEncoder().fit_transform(X.astype({"item": "category"}))
        assert encoded[["user", "item"]].dtypes.tolist() == [np.intp, np.intp]

    def test_leaves_other_columns_and_the_index(self, X):
        encoded = IdEncoder().fit_transform(X)
        assert_frame_equal(encoded, X.assign(user=[0, 1, 0], item=[0, 1, 1]))

    def test_does_not_write_to_the_table(self, X):
        copy = X.copy(deep=True)
        IdEncoder().fit_transform(X)
        assert_frame_equal(X, copy)

    def test_of_an_array_is_an_array(self):
        encoded = IdEncoder().fit_transform(np.array([[30, 5, 9], [10, 5, 8]]))
        assert isinstance(encoded, np.ndarray)
        assert encoded.tolist() == [[0, 0, 9], [1, 0, 8]]

    def test_of_a_list_leaves_numbers_beside_strings(self):
        encoded = IdEncoder().fit_transform([["bo", 30, 9, "x"], ["al", 30, 8, "y"]])
        assert encoded.tolist() == [[0, 0, 9, "x"], [1, 0, 8, "y"]]

    def test_keeps_codes_of_fit_for_another_table(self, X):
        encoder = IdEncoder().fit(X)
        assert encoder.transform(X.iloc[[1, 2]])["user"].tolist() == [1, 0]

    def test_of_sparse_is_refused(self):
        X = sp.csr_array(np.eye(2))
        with pytest.raises(ValueError, match="X must be a DataFrame or an array here"):
            IdEncoder().fit(X).transform(X)

    def test_needs_fit(self, X):
        with pytest.raises(NotFittedError, match="IdEncoder instance is not fitted"):
            IdEncoder().transform(X)


class TestUnknownIds:
    @pytest.mark.parametrize(("column", "label"), [("user", "cy"), ("item", 99)])
    def test_raise_by_default_and_name_the_row(self, X, column, label):
        new = X.astype({column: object})
        new.iloc[1, new.columns.get_loc(column)] = label
        match = rf"X: {column} ids must be among those.*{label}.* row 1 \(1 such"
        with pytest.raises(ValueError, match=match):
            IdEncoder().fit(X).transform(new)

    @pytest.mark.parametrize("unknown_value", [-1, -7, np.int64(-2)])
    def test_become_unknown_value_on_request(self, X, unknown_value):
        encoder = IdEncoder(handle_unknown="use_encoded_value", unknown_value=unknown_value)
        new = pd.DataFrame({"user": ["cy", "al"], "item": [10, 99]})
        encoded = encoder.fit(X).transform(new)
        assert encoded["user"].tolist() == [unknown_value, 1]
        assert encoded["item"].tolist() == [1, unknown_value]

    @pytest.mark.parametrize("handle_unknown", ["error", "use_encoded_value"])
    def test_of_strings_after_numbers_are_refused(self, handle_unknown):
        encoder = IdEncoder(handle_unknown=handle_unknown).fit(np.array([[1, 2], [3, 4]]))
        with pytest.raises(ValueError, match="X: user ids must be of the kind that fit saw"):
            encoder.transform(np.array([["1", "2"]]))

    def test_of_numbers_after_strings_are_refused(self):
        encoder = IdEncoder(handle_unknown="use_encoded_value").fit(np.array([["1", "2"]]))
        with pytest.raises(ValueError, match="X: user ids must be of the kind that fit saw"):
            encoder.transform(np.array([[1, 2]]))

    def test_option_is_checked_in_fit(self, X):
        with pytest.raises(ValueError, match=r"handle_unknown must be one of.*Received: 'ignore'"):
            IdEncoder(handle_unknown="ignore").fit(X)

    @pytest.mark.parametrize("unknown_value", [0, 3, -1.0, None, True, "x"])
    def test_value_must_be_a_negative_int(self, X, unknown_value):
        with pytest.raises(ValueError, match="unknown_value must be an int below 0"):
            IdEncoder(unknown_value=unknown_value).fit(X)


class TestInverseTransform:
    @given(tables_of_any_ids)
    def test_restores_the_table(self, X):
        encoder = IdEncoder().fit(X)
        restored = encoder.inverse_transform(encoder.transform(X))
        assert_frame_equal(restored, X)

    def test_restores_the_index_and_other_columns(self, X):
        encoder = IdEncoder().fit(X)
        assert_frame_equal(encoder.inverse_transform(encoder.transform(X)), X)

    @pytest.mark.parametrize(
        "X",
        [
            np.array([[30, 5, 9], [10, 5, 8]]),
            np.array([[30.0, 5.0, 9.5], [10.0, 5.0, 8.5]]),
            np.array([["b", "x", "9"], ["a", "x", "8"]]),
            np.array([["b", 1, 9], [("a", 1), "c", 8]], dtype=object),
        ],
        ids=["ints", "floats", "strings", "objects"],
    )
    def test_restores_an_array(self, X):
        encoder = IdEncoder().fit(X)
        restored = encoder.inverse_transform(encoder.transform(X))
        assert isinstance(restored, np.ndarray)
        assert restored.tolist() == X.tolist()

    def test_of_unknown_is_none(self):
        X = pd.DataFrame({"user": ["a", "b"], "item": [5, 6]})
        encoder = IdEncoder(handle_unknown="use_encoded_value", unknown_value=-2).fit(X)
        restored = encoder.inverse_transform(pd.DataFrame({"user": [-2, 1], "item": [0, -2]}))
        assert restored["user"].tolist() == [None, "b"]
        assert restored["item"].tolist() == [5, None]

    def test_of_unknown_is_none_in_an_array(self):
        encoder = IdEncoder(handle_unknown="use_encoded_value").fit(np.array([[5, 6]]))
        assert encoder.inverse_transform(np.array([[-1, 0]])).tolist() == [[None, 6]]

    @pytest.mark.parametrize("bad", [2, -2, 0.5, 10**9])
    def test_refuses_what_is_no_index_and_names_the_row(self, X, bad):
        codes = pd.DataFrame({"user": [0, bad], "item": [0, 0]})
        with pytest.raises(ValueError, match=r"X: user indices must be between 0 and 1.*in row 1"):
            IdEncoder().fit(X).inverse_transform(codes)

    def test_refuses_ids(self, X):
        with pytest.raises(ValueError, match="X: user indices must be"):
            IdEncoder().fit(X).inverse_transform(X)

    def test_needs_fit(self, X):
        with pytest.raises(NotFittedError, match="IdEncoder instance is not fitted"):
            IdEncoder().inverse_transform(X)


class TestEstimator:
    def test_survives_pickle(self, X):
        encoder = IdEncoder().fit(X)
        loaded = pickle.loads(pickle.dumps(encoder))
        assert_frame_equal(loaded.transform(X), encoder.transform(X))

    def test_clone_keeps_parameters_and_forgets_ids(self, X):
        encoder = clone(IdEncoder(handle_unknown="use_encoded_value", unknown_value=-3).fit(X))
        assert encoder.get_params() == {
            "handle_unknown": "use_encoded_value",
            "unknown_value": -3,
        }
        assert not hasattr(encoder, "users_")

    def test_set_output_pandas_makes_frames_of_arrays(self):
        encoder = IdEncoder().set_output(transform="pandas")
        encoded = encoder.fit_transform(np.array([[30, 5], [10, 5]]))
        assert_frame_equal(encoded, pd.DataFrame({"x0": [0, 1], "x1": [0, 0]}, dtype=np.intp))

    def test_set_output_pandas_keeps_names_and_index(self, X):
        encoder = IdEncoder().set_output(transform="pandas")
        assert_frame_equal(encoder.fit_transform(X), IdEncoder().fit_transform(X))

    def test_set_output_default_keeps_the_type_that_came_in(self, X):
        encoder = IdEncoder().set_output(transform="default")
        assert isinstance(encoder.fit_transform(X), pd.DataFrame)

    def test_feature_names_out_are_those_that_came_in(self, X):
        encoder = IdEncoder().fit(X)
        assert encoder.n_features_in_ == 4
        assert encoder.get_feature_names_out().tolist() == list(X.columns)

    def test_fit_returns_itself(self, X):
        encoder = IdEncoder()
        assert encoder.fit(X) is encoder

    def test_fit_forgets_what_it_learned_before(self, X):
        encoder = IdEncoder().fit(np.array([[1, 2], [3, 4]])).fit(X)
        assert list(encoder.users_) == ["bo", "al"]


class TestOneId:
    @pytest.mark.parametrize("known", [[5, 6], [5, "guest"], [5, ("a", 1)]])
    @pytest.mark.parametrize("new", [["5", "6"], ["5", 7], ["5", ("b", 1)]])
    def test_is_refused_as_a_string_after_a_number_in_later_tables(self, known, new):
        first, later = (pd.Series(ids, dtype=object) for ids in (known, new))
        vocabulary = index_ids(check_ids(first, "X: user ids"))[1]
        with pytest.raises(ValueError, match=r"one type\. Received 5 and '5'"):
            extend_index(check_ids(later, "X: user ids"), vocabulary)

    @given(st.data())
    def test_has_the_code_that_it_has_among_others(self, data):
        ids = data.draw(strategies.id_kinds, label="kind")
        known = data.draw(st.lists(ids, min_size=1, max_size=5, unique=True), label="known")
        asked = data.draw(st.sampled_from(known) | strategies.any_ids, label="asked")
        vocabulary = index_ids(read_ids(known, "users", pd.Index([0])))[1]

        one = indices_of(read_ids([asked], "users", vocabulary), vocabulary)
        two = indices_of(read_ids([asked, asked], "users", vocabulary), vocabulary)

        assert [*one, *one] == two.tolist()

    @pytest.mark.parametrize(
        "label", ["a", "", 3, -(2**63) + 1, -(2**63), 2**63, np.int8(3), np.uint64(2**63), 2.5]
    )
    def test_is_read_as_in_a_list(self, label):
        vocabulary = pd.Index([0])

        alone, listed = (read_ids(ids, "users", vocabulary) for ids in (label, [label]))

        assert alone.tolist() == listed.tolist()
        assert alone.dtype == listed.dtype

    @pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint64", "float64", "object"])
    @pytest.mark.parametrize("label", [1, 2, 300, -1])
    def test_is_found_whatever_the_width_of_the_known(self, dtype, label):
        vocabulary = pd.Index(np.array([1, 0, 2], dtype=dtype))

        assert indices_of(np.array([label]), vocabulary).tolist() == [{1: 0, 2: 2}.get(label, -1)]

    @pytest.mark.parametrize(
        "dtype",
        ["uint64", "float64", "float32", "Int64", "UInt64", "category", object, "int64[pyarrow]"],
    )
    def test_is_one_id_in_every_dtype_and_place(self, dtype, tmp_path):
        if "pyarrow" in str(dtype):
            pytest.importorskip("pyarrow")
        X = pd.DataFrame({"user": [7, 7, 8, 9], "item": [1, 2, 1, 3], "timestamp": range(4)})
        other = X.astype({"user": dtype, "item": dtype})
        features = pd.DataFrame({"item": [1, 2, 3, 4], "odd": [1, 0, 1, 0]})
        ContentKNNRecommender(features).fit(X).save(tmp_path / "model")
        model = neumf.load(tmp_path / "model")
        twin = ContentKNNRecommender(features.astype({"item": dtype})).fit(other)
        assert twin.users_.equals(model.users_)
        assert twin.items_.equals(model.items_)
        assert_frame_equal(model.recommend(other["user"]), twin.recommend(X["user"]))
        assert model.predict(other).tolist() == twin.predict(X).tolist()
        assert model.with_interactions(other).seen_.nnz == model.seen_.nnz
        allowed = model.recommend(7, allow=other["item"], exclude_seen=False)
        assert set(allowed["item"]) == {1, 2, 3}
        network = NeuMFRecommender(**SMALL_NEUMF).set_params(architecture="gmf", loss="softmax")
        assert network.fit(X).partial_fit(other[:2]).seen_.nnz == 4
