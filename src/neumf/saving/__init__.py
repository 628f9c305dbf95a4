"""One file format: nested values to a file and back, with no knowledge of estimators."""
