"""Neural Matrix Factorization recommenders as scikit-learn estimators."""

from neumf import datasets, metrics, plotting
from neumf._version import __version__ as __version__
from neumf.evaluation.compare import compare, evaluate
from neumf.evaluation.scorers import hr_scorer, make_ranking_scorer, ndcg_scorer
from neumf.model_selection.cold_item_splitter import ColdItemSplitter
from neumf.model_selection.leave_last_basket_out_splitter import LeaveLastBasketOutSplitter
from neumf.model_selection.leave_last_out_splitter import LeaveLastOutSplitter
from neumf.model_selection.time_splitter import TimeSplitter
from neumf.preprocessing.id_encoder import IdEncoder
from neumf.preprocessing.negative_sampler import NegativeSampler
from neumf.recommenders.als import ALSRecommender
from neumf.recommenders.content_knn import ContentKNNRecommender
from neumf.recommenders.ease import EASERecommender
from neumf.recommenders.item_knn import ItemKNNRecommender
from neumf.recommenders.load import load
from neumf.recommenders.neumf import NeuMFRecommender
from neumf.recommenders.next_item import NextItemRecommender
from neumf.recommenders.popularity import PopularityRecommender
from neumf.recommenders.reranked import RerankedRecommender
from neumf.recommenders.sequential_rules import SequentialRulesRecommender
from neumf.recommenders.voting import VotingRecommender

__all__ = [
    "ALSRecommender",
    "ColdItemSplitter",
    "ContentKNNRecommender",
    "EASERecommender",
    "IdEncoder",
    "ItemKNNRecommender",
    "LeaveLastBasketOutSplitter",
    "LeaveLastOutSplitter",
    "NegativeSampler",
    "NeuMFRecommender",
    "NextItemRecommender",
    "PopularityRecommender",
    "RerankedRecommender",
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
