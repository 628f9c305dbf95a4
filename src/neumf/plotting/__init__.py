"""Plots in the manner of scikit-learn's Display classes; they need matplotlib.

Each class is made by `from_estimator` or `from_results`, which draw at once, and can be drawn again
with `plot`. The figure, the axes and the artists stay at hand for changes.
"""

from neumf.plotting.learning_curve import LearningCurveDisplay
from neumf.plotting.metric_at_k import MetricAtKDisplay
from neumf.plotting.popularity import PopularityDisplay

__all__ = ["LearningCurveDisplay", "MetricAtKDisplay", "PopularityDisplay"]
