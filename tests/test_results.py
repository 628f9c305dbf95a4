import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from neumf import ItemKNNRecommender, PopularityRecommender, compare, evaluate
from neumf.evaluation.results import Results


def long_table(rows, columns):
    """A long table of exact rankings of 101 users, without misses."""
    frame = pd.DataFrame(rows, columns=columns).astype({"k": "Int64"})
    frame = frame.assign(ranking="exact", n_users=101, n_misses=0)
    return frame.assign(seed_std=np.nan, pvalue=0.5) if "difference" in columns else frame


EVALUATED = ["metric", "k", "value", "stderr"]
COMPARED = ["estimator", *EVALUATED, "difference", "margin"]
TWO_K = [
    ("popularity", "ndcg", 5, 0.0625, 0.01, 0.0, 0.0),
    ("popularity", "ndcg", 10, 0.125, 0.01, 0.0, 0.0),
    ("popularity", "coverage", 5, 0.25, np.nan, 0.0, np.nan),
    ("popularity", "coverage", 10, 0.5, np.nan, 0.0, np.nan),
    ("EASE", "ndcg", 5, 0.1875, 0.01, 0.125, 0.0123),
    ("EASE", "ndcg", 10, 0.25, 0.01, 0.125, 0.0456),
    ("EASE", "coverage", 5, 0.125, np.nan, -0.125, np.nan),
    ("EASE", "coverage", 10, 0.25, np.nan, -0.25, np.nan),
]


def lines_of(results):
    return str(results).splitlines()


# Printed


def test_a_comparison_prints_a_table_per_metric_with_margins_beside_the_differences():
    assert lines_of(Results(long_table(TWO_K, COMPARED))) == [
        "NDCG@k",
        "              k=5                   k=10",
        "            value      difference  value      difference",
        "popularity  0.062                  0.125",
        "EASE        0.188  +0.125 ± 0.012  0.250  +0.125 ± 0.046",
        "",
        "coverage of the catalogue",
        "              k=5              k=10",
        "            value difference  value difference",
        "popularity  0.250             0.500",
        "EASE        0.125     -0.125  0.250     -0.250",
        "101 users; ± is the 95 % margin of the paired difference from 'popularity'.",
    ]


def test_one_length_of_the_list_stands_in_the_title():
    rows = [row for row in TWO_K if row[2] == 10]
    assert lines_of(Results(long_table(rows, COMPARED)))[:8] == [
        "NDCG@10",
        "            value      difference",
        "popularity  0.125",
        "EASE        0.250  +0.125 ± 0.046",
        "",
        "coverage of the catalogue, k=10",
        "            value difference",
        "popularity  0.500",
    ]


def test_an_evaluation_prints_one_table_with_margins_beside_the_values():
    half = t.ppf(0.975, 100)  # of 101 users, in standard errors
    rows = [
        ("hr", 5, 0.25, 0.05 / half),
        ("hr", 10, 0.5, 0.0125 / half),
        ("auc", pd.NA, 0.75, 0.25 / half),
        ("mine", 5, 0.125, 0.05 / half),
        ("mine", 10, 0.375, np.nan),
    ]
    results = Results(long_table(rows, EVALUATED).assign(n_misses=2))
    assert lines_of(results) == [
        "                k=5           k=10     whole list",
        "HR@k  0.250 ± 0.050  0.500 ± 0.013",
        "AUC                                 0.750 ± 0.250",
        "mine  0.125 ± 0.050          0.375",
        "101 users; ± is the 95 % margin.",
        "2 misses: rows of unknown users or items.",
    ]


def test_spread_of_seeds_is_printed_where_there_are_several():
    rows = [row for row in TWO_K if row[1] == "ndcg" and row[2] == 10]
    rows += [("ALS", "ndcg", 10, 0.5, 0.01, 0.375, 0.0567)]
    frame = long_table(rows, COMPARED).assign(seed_std=[np.nan, np.nan, 0.00449])
    both = Results(pd.concat([frame, frame.assign(k=20)]))
    assert lines_of(both)[2].split() == ["value", "seed_std", "difference"] * 2
    assert lines_of(Results(frame)) == [
        "NDCG@10",
        "            value seed_std      difference",
        "popularity  0.125",
        "EASE        0.250           +0.125 ± 0.046",
        "ALS         0.500    0.004  +0.375 ± 0.057",
        "101 users; ± is the 95 % margin of the paired difference from 'popularity',",
        "corrected for 2 comparisons (Bonferroni).",
    ]


@pytest.mark.parametrize(
    ("margin", "printed"), [(0.2, "0.200"), (0.0021, "0.0021"), (0.00012, "0.00012")]
)
def test_two_digits_of_the_smallest_margin_are_printed(margin, printed):
    rows = [("a", "hr", 5, 0.5, 0.1, 0.0, 0.0), ("b", "hr", 5, 0.5, 0.1, 0.01, margin)]
    assert lines_of(Results(long_table(rows, COMPARED)))[3].endswith(f" ± {printed}")


def test_labels_of_rows_and_rankings_print_a_row_each():
    rows = [("hr", 5, 0.25, np.nan), ("hr", 5, 0.5, np.nan)]
    frame = long_table(rows, EVALUATED)
    by_label = Results(frame.assign(age=["old", "young"], n_users=[40, 1_061]))
    assert lines_of(by_label)[:4] == [
        "HR@5",
        "       value  users",
        "old    0.250     40",
        "young  0.500  1,061",
    ]
    assert "40 to 1,061 users" in str(by_label)
    by_ranking = Results(frame.assign(ranking=["exact", "sampled"]))
    assert lines_of(by_ranking)[:4] == [
        "                value",
        "metric ranking",
        "HR@5   exact    0.250",
        "       sampled  0.500",
    ]


@pytest.mark.parametrize(("name", "n_negatives"), [("neighbours", None), ("EASE", 5)])
def test_a_printed_comparison_is_narrow_and_has_no_nan(tables, name, n_negatives):
    models = {"popularity": PopularityRecommender(), name: ItemKNNRecommender()}
    printed = str(compare(models, *tables, n_negatives=n_negatives))
    assert max(map(len, printed.splitlines())) <= 80
    assert "NaN" not in printed
    assert printed.count(f"\n{name} ") == (5 if n_negatives is None else 5 + 3)
    assert ("NDCG@k, sampled\n" in printed) == (n_negatives is not None)


def test_a_wide_comparison_is_printed_k_by_k():
    rows = [(name * 40, *others) for name, *others in [("a", *TWO_K[0][1:]), ("b", *TWO_K[4][1:])]]
    rows += [(name, metric, 10, *others) for name, metric, _, *others in rows]
    results = Results(long_table(rows, COMPARED))
    assert max(map(len, lines_of(results)[:-1])) <= 80
    assert [line.split()[-2:] for line in lines_of(results)[1:6:4]] == [["k=5"], ["k=10"]]
    with pd.option_context("display.width", 100):
        assert sum("a" * 40 in line for line in lines_of(results)[:-1]) == 1


# In a notebook


def test_html_has_the_cells_of_the_text_and_escapes_names():
    rows = [("<b>", "hr", 5, 0.5, 0.1, 0.0, 0.0), ("b & c", "hr", 5, 0.75, 0.1, 0.25, 0.125)]
    html = Results(long_table(rows, COMPARED))._repr_html_()
    assert "<b>HR@5</b>" in html
    assert "<th>&lt;b&gt;</th>" in html
    assert "<th>b &amp; c</th>" in html
    assert "<td>+0.250 ± 0.125</td>" in html
    assert "paired difference from &#x27;&lt;b&gt;&#x27;" in html
    assert "NaN" not in html


# As a long table


@pytest.fixture(scope="module")
def tables():
    rng = np.random.default_rng(0)
    rows = [(u, i) for u in range(40) for i in rng.choice(20, 6, replace=False)]
    X = pd.DataFrame(rows, columns=["user", "item"])
    is_last = X["user"].duplicated(keep="last")
    return X[is_last], X[~is_last]


def test_the_long_table_is_a_copy(tables):
    results = evaluate(PopularityRecommender().fit(tables[0]), tables[1])
    frame = results.to_frame()
    frame["value"] = 0
    assert (results.to_frame()["value"] > 0).any()
    assert set(frame[frame["metric"] == "hr"]["k"]) == {5, 10, 20}


def test_comparisons_have_the_columns_of_evaluations_and_five_more(tables):
    model = PopularityRecommender()
    compared = compare({"a": model}, *tables).to_frame().columns
    evaluated = evaluate(model.fit(tables[0]), tables[1]).to_frame().columns
    assert set(compared) == {
        "estimator",
        *evaluated,
        "seed_std",
        "difference",
        "margin",
        "pvalue",
    }
