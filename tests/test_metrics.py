import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import ndcg_score

from neumf import metrics
from neumf.metrics import (
    auc,
    average_precision_at_k,
    hit_rate_at_k,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
    reciprocal_rank_at_k,
    tie_averaged,
)

# The metrics of one list without ties, as plainly as they can be written. `ranked` holds the gains
# of the listed candidates, best first; `gains` those of all candidates of the query.


def slow_hit_rate(ranked, gains, k):
    return float(any(gain > 0 for gain in ranked[:k]))


def slow_ndcg(ranked, gains, k):
    def dcg(values):
        return sum(value / math.log2(1 + rank) for rank, value in enumerate(values[:k], start=1))

    return dcg(ranked) / dcg(sorted(gains, reverse=True)) if any(gains) else 0.0


def slow_recall(ranked, gains, k):
    n_positives = sum(gain > 0 for gain in gains)
    return sum(gain > 0 for gain in ranked[:k]) / n_positives if n_positives else 0.0


def slow_precision(ranked, gains, k):
    return sum(gain > 0 for gain in ranked[:k]) / k


def slow_average_precision(ranked, gains, k):
    best = min(k, sum(gain > 0 for gain in gains))
    precisions = [
        sum(gain > 0 for gain in ranked[:rank]) / rank
        for rank in range(1, min(k, len(ranked)) + 1)
        if ranked[rank - 1] > 0
    ]
    return sum(precisions) / best if best else 0.0


def slow_reciprocal_rank(ranked, gains, k):
    return next((1 / rank for rank, gain in enumerate(ranked[:k], start=1) if gain > 0), 0.0)


def slow_auc(ranked, gains, k):
    """The share of pairs of a positive and a listed negative in which the positive is first."""
    n_negatives = sum(gain == 0 for gain in ranked)
    pairs = sum(gain > 0 for gain in gains) * n_negatives
    right = sum(
        sum(other == 0 for other in ranked[place:]) for place, gain in enumerate(ranked) if gain > 0
    )
    return right / pairs if pairs else 0.0


SLOW = {
    auc: slow_auc,
    hit_rate_at_k: slow_hit_rate,
    ndcg_at_k: slow_ndcg,
    recall_at_k: slow_recall,
    precision_at_k: slow_precision,
    average_precision_at_k: slow_average_precision,
    reciprocal_rank_at_k: slow_reciprocal_rank,
}
every_metric = pytest.mark.parametrize("metric", SLOW, ids=lambda metric: metric.__name__)


def consistent_orders(scores):
    """All orders of the candidates that agree with the scores; those with -inf are left out."""
    listed = [i for i, score in enumerate(scores) if score > -math.inf]
    listed.sort(key=lambda i: -scores[i])
    groups = [list(group) for _, group in itertools.groupby(listed, key=lambda i: scores[i])]
    for parts in itertools.product(*map(itertools.permutations, groups)):
        yield [i for part in parts for i in part]


def brute_force(metric, y_true, y_score, k):
    """The mean over queries of the mean over all orders consistent with the scores."""
    values = [
        np.mean([SLOW[metric]([gains[i] for i in order], gains, k) for order in orders])
        for gains, orders in zip(y_true, map(list, map(consistent_orders, y_score)), strict=True)
    ]
    return np.mean(values)


@st.composite
def judged_lists(draw, scores=(-math.inf, 0.0, 1.0, 2.5), gains=(0, 0, 1, 2, 3), min_candidates=1):
    """Gains, scores with many ties, and a cutoff that may exceed the number of candidates."""
    n_queries = draw(st.integers(1, 3))
    n_candidates = draw(st.integers(min_candidates, 5))

    def table(values):
        row = st.lists(st.sampled_from(values), min_size=n_candidates, max_size=n_candidates)
        return draw(st.lists(row, min_size=n_queries, max_size=n_queries))

    return table(gains), table(scores), draw(st.integers(1, 7))


@st.composite
def lists_with_one_positive(draw):
    n_candidates = draw(st.integers(1, 12))
    scores = st.lists(
        st.sampled_from([-math.inf, -1.0, 0.0, 0.5, 3.0]),
        min_size=n_candidates,
        max_size=n_candidates,
    )
    y_score = draw(st.lists(scores, min_size=1, max_size=4))
    positives = [draw(st.integers(0, n_candidates - 1)) for _ in y_score]
    return np.eye(n_candidates, dtype=int)[positives], np.array(y_score), draw(st.integers(1, 14))


def tied_table(rng, n_queries=40, n_candidates=30):
    """Relevance and scores with ties and padding, larger than the brute force can take."""
    y_true = rng.random((n_queries, n_candidates)) < 0.15
    y_score = rng.integers(0, 8, y_true.shape).astype(float)
    y_score[rng.random(y_true.shape) < 0.2] = -np.inf
    return y_true, y_score


def test_every_public_metric_is_tested_here():
    # tests/test_reranked.py tests `intra_list_distance`, which takes lists instead of scores.
    others = {"intra_list_distance"}
    assert {*metrics.__all__} - others == {metric.__name__ for metric in SLOW}


AT_K = [
    tie_averaged.hit_rates,
    tie_averaged.ndcgs,
    tie_averaged.recalls,
    tie_averaged.precisions,
    tie_averaged.average_precisions,
    tie_averaged.reciprocal_ranks,
]


@pytest.mark.parametrize("measure", AT_K, ids=lambda measure: measure.__name__)
def test_cut_lists_have_the_values_of_a_smaller_k(measure, rng):
    y_true, y_score = tied_table(rng)
    long = tie_averaged.describe_tops(y_true, y_score, 8)
    for k in (1, 3, 8):
        short = tie_averaged.describe_tops(y_true, y_score, k)
        np.testing.assert_allclose(measure(long.cut(k)), measure(short), rtol=1e-12)


@every_metric
@given(lists=judged_lists())
def test_metric_is_the_mean_over_all_orders_consistent_with_the_scores(metric, lists):
    y_true, y_score, k = lists

    value = metric(y_true, y_score, k=k)

    assert isinstance(value, float)
    assert value == pytest.approx(brute_force(metric, y_true, y_score, k))


@given(lists=judged_lists(scores=(-1.0, 0.0, 1.0, 2.5), min_candidates=2))
def test_ndcg_equals_scikit_learn_for_graded_gains_and_ties(lists):
    y_true, y_score, k = lists

    assert ndcg_at_k(y_true, y_score, k=k) == pytest.approx(ndcg_score(y_true, y_score, k=k))


@pytest.mark.parametrize("k", [1, 10, 150, 500])
def test_ndcg_equals_scikit_learn_on_long_lists(rng, k):
    y_true = rng.choice([0, 0, 0, 0.5, 1, 4], (50, 200))
    y_score = rng.integers(0, 30, (50, 200))

    assert ndcg_at_k(y_true, y_score, k=k) == pytest.approx(ndcg_score(y_true, y_score, k=k))


def test_constant_scorer_among_100_candidates_gets_a_hit_rate_of_a_tenth():
    assert hit_rate_at_k(np.eye(1, 100), np.zeros((1, 100)), k=10) == pytest.approx(10 / 100)


def test_constant_scorer_among_100_candidates_gets_the_mean_discount_as_ndcg():
    expected = sum(1 / math.log2(1 + rank) for rank in range(1, 11)) / 100
    assert round(expected, 4) == 0.0454  # the figure that design and docs give

    assert ndcg_at_k(np.eye(1, 100), np.zeros((1, 100)), k=10) == pytest.approx(expected)


@pytest.mark.parametrize("rank", range(1, 21))
def test_ndcg_of_one_positive_is_the_discount_at_its_rank_and_zero_beyond_k(rank):
    y_score = -np.arange(20.0)[None]
    y_true = np.arange(1, 21)[None] == rank

    expected = 1 / math.log2(1 + rank) if rank <= 10 else 0
    assert ndcg_at_k(y_true, y_score, k=10) == pytest.approx(expected)


@given(lists=lists_with_one_positive())
def test_with_one_positive_ndcg_lies_between_zero_and_the_hit_rate(lists):
    y_true, y_score, k = lists

    ndcg, hit_rate = ndcg_at_k(y_true, y_score, k=k), hit_rate_at_k(y_true, y_score, k=k)

    assert 0 <= ndcg <= hit_rate + 1e-12
    assert hit_rate <= 1


@pytest.mark.parametrize(
    "metric",
    [hit_rate_at_k, ndcg_at_k, recall_at_k, average_precision_at_k, reciprocal_rank_at_k],
    ids=lambda metric: metric.__name__,
)
@given(lists=lists_with_one_positive())
def test_with_one_positive_a_longer_list_is_never_worse(metric, lists):
    y_true, y_score, k = lists

    assert metric(y_true, y_score, k=k) <= metric(y_true, y_score, k=k + 1) + 1e-12


@pytest.mark.parametrize(
    "metric", [hit_rate_at_k, recall_at_k, reciprocal_rank_at_k], ids=lambda metric: metric.__name__
)
@given(lists=judged_lists())
def test_with_several_positives_a_longer_list_finds_no_fewer(metric, lists):
    y_true, y_score, k = lists

    assert metric(y_true, y_score, k=k) <= metric(y_true, y_score, k=k + 1) + 1e-12


@every_metric
@given(lists=judged_lists())
def test_metric_lies_between_zero_and_one(metric, lists):
    y_true, y_score, k = lists

    assert 0 <= metric(y_true, y_score, k=k) <= 1 + 1e-12


@every_metric
def test_order_of_candidates_does_not_matter(metric, rng):
    y_true, y_score = tied_table(rng)
    columns = rng.permutation(y_true.shape[1])

    assert metric(y_true[:, columns], y_score[:, columns]) == pytest.approx(metric(y_true, y_score))


@every_metric
def test_order_of_queries_does_not_matter(metric, rng):
    y_true, y_score = tied_table(rng)
    rows = rng.permutation(len(y_true))

    assert metric(y_true[rows], y_score[rows]) == pytest.approx(metric(y_true, y_score))


@every_metric
@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8", "float32", "float64"])
def test_boolean_and_numeric_relevance_agree(metric, dtype, rng):
    y_true, y_score = tied_table(rng)

    assert metric(y_true.astype(dtype), y_score) == pytest.approx(metric(y_true, y_score))


@every_metric
@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8", "float32"])
def test_scores_of_any_numeric_type_agree(metric, dtype, rng):
    y_true, y_score = tied_table(rng)
    y_score = np.maximum(y_score, 0)

    assert metric(y_true, y_score.astype(dtype)) == pytest.approx(metric(y_true, y_score))


@pytest.mark.parametrize("dtype", ["float16", "float32", "int8"])
def test_gains_of_a_narrow_type_are_summed_without_loss(dtype):
    largest = np.finfo(dtype).max if dtype.startswith("float") else np.iinfo(dtype).max
    y_true = np.full((1, 1000), largest, dtype=dtype)

    assert ndcg_at_k(y_true, np.zeros((1, 1000))) == pytest.approx(1)


@every_metric
def test_arrays_are_left_as_they_were(metric, rng):
    y_true, y_score = tied_table(rng)
    y_true.flags.writeable = y_score.flags.writeable = False

    metric(y_true, y_score)


@every_metric
def test_default_cutoff_is_10(metric, rng):
    y_true, y_score = tied_table(rng)

    assert metric(y_true, y_score) == metric(y_true, y_score, k=10)


@every_metric
def test_numpy_integer_is_a_cutoff(metric, rng):
    y_true, y_score = tied_table(rng)

    assert metric(y_true, y_score, k=np.int64(5)) == metric(y_true, y_score, k=5)


@every_metric
def test_query_without_positives_counts_as_zero(metric):
    y_score = [[0.3, 0.2, 0.1]]
    found = metric([[1, 0, 0]], y_score, k=2)

    assert found > 0
    assert metric([[0, 0, 0]], y_score, k=2) == 0
    assert metric([[1, 0, 0], [0, 0, 0]], y_score * 2, k=2) == pytest.approx(found / 2)


@every_metric
def test_positive_with_score_minus_infinity_is_never_found(metric):
    assert metric([[1, 0, 0]], [[-np.inf, 0.2, -np.inf]], k=3) == 0


def test_positive_with_score_minus_infinity_counts_in_the_ideal():
    y_true, y_score = [[1, 1, 0]], [[0.3, -np.inf, 0.2]]

    assert recall_at_k(y_true, y_score, k=2) == 1 / 2
    assert ndcg_at_k(y_true, y_score, k=2) == pytest.approx(1 / (1 + 1 / math.log2(3)))
    assert average_precision_at_k(y_true, y_score, k=2) == 1 / 2


@every_metric
def test_padding_changes_nothing(metric, rng):
    y_true, y_score = tied_table(rng)
    padded_true = np.hstack([y_true, np.zeros((len(y_true), 7), dtype=bool)])
    padded_score = np.hstack([y_score, np.full((len(y_true), 7), -np.inf)])

    assert metric(padded_true, padded_score) == pytest.approx(metric(y_true, y_score))


@every_metric
def test_list_that_is_all_padding_counts_as_zero(metric):
    assert metric([[1, 0]], [[-np.inf, -np.inf]], k=1) == 0


@every_metric
def test_plus_infinity_is_the_best_score(metric):
    assert metric([[0, 1]], [[1e300, np.inf]], k=1) == 1


def test_cutoff_may_exceed_the_number_of_candidates():
    y_true, y_score = [[0, 1, 1]], [[0.3, 0.2, 0.1]]

    assert hit_rate_at_k(y_true, y_score, k=50) == 1
    assert recall_at_k(y_true, y_score, k=50) == 1
    assert average_precision_at_k(y_true, y_score, k=50) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_precision_divides_by_the_cutoff_even_where_the_list_is_shorter():
    assert precision_at_k([[1, 1, 0]], [[0.3, 0.2, 0.1]], k=5) == 2 / 5


def test_distinct_float32_logits_whose_sigmoids_are_equal_do_not_tie():
    logits = np.array([[30, 31, 32, 33]], dtype=np.float32)
    assert len(np.unique(expit(logits))) == 1

    assert hit_rate_at_k([[0, 0, 0, 1]], logits, k=1) == 1
    assert hit_rate_at_k([[0, 0, 1, 0]], logits, k=1) == 0


def test_neighbouring_float32_scores_do_not_tie():
    score = np.float32(30)
    scores = np.array([[score, np.nextafter(score, np.float32(np.inf))]])
    assert scores.dtype == np.float32

    assert hit_rate_at_k([[0, 1]], scores, k=1) == 1
    assert hit_rate_at_k([[1, 0]], scores, k=1) == 0


@every_metric
@pytest.mark.parametrize("k", [0, -3])
def test_cutoff_below_one_is_refused(metric, k):
    with pytest.raises(ValueError, match=rf"k must be an int >= 1\. Received: {k}\."):
        metric([[0, 1]], [[0.1, 0.2]], k=k)


@every_metric
@pytest.mark.parametrize("k", [2.5, "10", None, True])
def test_cutoff_that_is_no_int_is_refused(metric, k):
    with pytest.raises(TypeError, match=rf"k must be an int >= 1\. Received: {k!r} of type"):
        metric([[0, 1]], [[0.1, 0.2]], k=k)


@every_metric
@pytest.mark.parametrize(
    ("y_true", "y_score", "shapes"),
    [
        ([[0, 1]], [[0.1, 0.2, 0.3]], r"\(1, 2\) and \(1, 3\)"),
        ([[0, 1], [1, 0]], [[0.1, 0.2]], r"\(2, 2\) and \(1, 2\)"),
        ([0, 1], [0.1, 0.2], r"\(2,\) and \(2,\)"),
        ([[[0, 1]]], [[[0.1, 0.2]]], r"\(1, 1, 2\) and \(1, 1, 2\)"),
        (np.zeros((0, 3)), np.zeros((0, 3)), r"\(0, 3\) and \(0, 3\)"),
        (np.zeros((3, 0)), np.zeros((3, 0)), r"\(3, 0\) and \(3, 0\)"),
    ],
    ids=["fewer candidates", "more queries", "1-D", "3-D", "no queries", "no candidates"],
)
def test_arrays_of_other_shapes_are_refused(metric, y_true, y_score, shapes):
    with pytest.raises(ValueError, match=f"y_true and y_score must have the same shape.*{shapes}"):
        metric(y_true, y_score)


@every_metric
@pytest.mark.parametrize("y_true", [[[-1, 1]], [[np.nan, 1]], [[np.inf, 1]], [["no", "yes"]]])
def test_relevance_that_is_no_finite_number_from_zero_is_refused(metric, y_true):
    with pytest.raises(ValueError, match="y_true must hold finite numbers >= 0"):
        metric(y_true, [[0.1, 0.2]])


@every_metric
@pytest.mark.parametrize("y_score", [[[np.nan, 0.2]], [["low", "high"]], [[None, 0.2]]])
def test_scores_that_are_no_numbers_are_refused(metric, y_score):
    with pytest.raises(ValueError, match="y_score must hold numbers other than NaN"):
        metric([[0, 1]], y_score)
