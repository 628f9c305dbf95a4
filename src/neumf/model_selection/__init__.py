"""Split interactions into training and test rows, as scikit-learn's cross-validators do."""
