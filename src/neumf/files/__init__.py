"""Values to files and back: arrays, ids, parameters. No estimator is known here."""
