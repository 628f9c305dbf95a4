"""Plots as Display classes, like those of scikit-learn; they need matplotlib.

`from_estimator` and `from_results` compute and draw; `plot` draws again.
"""

from neumf.plotting.comparison import ComparisonDisplay
from neumf.plotting.learning_curve import LearningCurveDisplay
from neumf.plotting.metric_at_k import MetricAtKDisplay
from neumf.plotting.popularity import PopularityDisplay

__all__ = ["ComparisonDisplay", "LearningCurveDisplay", "MetricAtKDisplay", "PopularityDisplay"]
