"""Weights and equations: no ids, no tables, no scikit-learn."""
