"""Neural Matrix Factorization recommenders as scikit-learn estimators."""

from neumf import datasets, metrics, plotting
from neumf._history_knn import HistoryKNNRecommender
from neumf._recommender import NeuMFRecommender
from neumf._saving import load
from neumf._version import __version__ as __version__
from neumf.baselines.content_knn import ContentKNNRecommender
from neumf.baselines.ease import EASERecommender
from neumf.baselines.item_knn import ItemKNNRecommender
from neumf.baselines.next_item_ridge import NextItemRidgeRecommender
from neumf.baselines.popularity import PopularityRecommender
from neumf.baselines.sequential_rules import SequentialRulesRecommender
from neumf.baselines.voting import VotingRecommender
from neumf.evaluation import compare, evaluate
from neumf.interactions.cold_item_splitter import ColdItemSplitter
from neumf.interactions.id_encoder import IdEncoder
from neumf.interactions.leave_last_basket_out_splitter import LeaveLastBasketOutSplitter
from neumf.interactions.leave_last_out_splitter import LeaveLastOutSplitter
from neumf.interactions.negative_sampler import NegativeSampler
from neumf.interactions.time_splitter import TimeSplitter
from neumf.scorers import hr_scorer, make_ranking_scorer, ndcg_scorer

__all__ = [
    "ColdItemSplitter",
    "ContentKNNRecommender",
    "EASERecommender",
    "HistoryKNNRecommender",
    "IdEncoder",
    "ItemKNNRecommender",
    "LeaveLastBasketOutSplitter",
    "LeaveLastOutSplitter",
    "NegativeSampler",
    "NeuMFRecommender",
    "NextItemRidgeRecommender",
    "PopularityRecommender",
    "SequentialRulesRecommender",
    "TimeSplitter",
    "VotingRecommender",
    "compare",
    "datasets",
    "evaluate",
    "hr_scorer",
    "load",
    "make_ranking_scorer",
    "metrics",
    "ndcg_scorer",
    "plotting",
]
