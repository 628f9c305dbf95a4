"""The weights and equations of networks, without ids, tables and scikit-learn."""
