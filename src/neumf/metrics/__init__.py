"""Compute ranking metrics, such as NDCG and hit rate, from arrays of labels and scores.

`intra_list_distance` measures tables of recommendations.
"""

from neumf.metrics.accuracy import (
    auc,
    average_precision_at_k,
    hit_rate_at_k,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
    reciprocal_rank_at_k,
)
from neumf.metrics.intra_list_distance import intra_list_distance

__all__ = [
    "auc",
    "average_precision_at_k",
    "hit_rate_at_k",
    "intra_list_distance",
    "ndcg_at_k",
    "precision_at_k",
    "recall_at_k",
    "reciprocal_rank_at_k",
]
