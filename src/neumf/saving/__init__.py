"""One file format: values to a file and back. It knows no estimators."""
