"""Write nested values to one file and read them back, without knowledge of estimators."""
